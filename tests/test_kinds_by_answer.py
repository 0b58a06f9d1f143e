"""A check's value answer by answer: the same as on the prompts of that answer alone, and as plain transformers gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pytest
from measuring import LITERALS, answer, plain_model, rows, suite, texts_of
from oracle import HeadOrMlp, metrics
from test_measure_ablation import WORDS

from circuits.kinds.by_answer import MOST_ANSWERS
from circuits.report import control_tables, words

tiny = measuring.tiny
NUMERALS: dict[str, Any] = {"family": "named_sequence", "members": "numerals"}
CHECKS: list[dict[str, Any]] = [
    {"head": "1.1", "attends": "end -> any", "at_least": 0.0},
    {"head": "1.1", "attends": "end -> n-1", "more_than": "end -> n-2", "by_at_least": -0.9},
    {"ablate": ["1.1", "MLP2"], "method": "zero", "drop_in": "answer_prob", "at_least": -50},
    {"ablate": ["1.1"], "method": "resample", "after": "answer_prob", "at_least": 1e-9},
    {"path": "MLP0 -> logits", "change_in": "answer_prob", "at_least": -0.9},
    {"ablate": "1.1", "given_ablated": "2.0", "method": "zero", "interaction": {"at_least": -50}, "drop_in": "answer_prob"},
]  # fmt: skip
REQUIRES: dict[str, Any] = {"requires": {"top1": 0}}


def measured(
    folder: Path, tmp_path: Path, prompts: dict[str, Any], checks: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows of one claim on one prompt set."""
    claims = {"c": {"claim": "c", "prompts": "p", "checks": checks}}
    entries, _ = answer(tmp_path / "s.yaml", suite({"path": str(folder)}, {"p": prompts | REQUIRES}, claims))
    return rows(entries["c"])


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_each_answer_has_the_value_of_its_own_prompts(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    """What stands beside the whole is what the same check comes to on the prompts of that answer alone."""
    texts = texts_of(LITERALS)
    firsts = [one.answers[0] for one in LITERALS]
    assert 1 < len(set(firsts)) <= MOST_ANSWERS, "or nothing is tested"
    whole = measured(tiny[name], tmp_path, {"family": "texts", "texts": texts}, CHECKS)
    seen = set()
    for text in dict.fromkeys(firsts):
        own = [one for one, first in zip(texts, firsts, strict=True) if first == text]
        for row, alone in zip(
            whole, measured(tiny[name], tmp_path, {"family": "texts", "texts": own}, CHECKS), strict=True
        ):
            (found,) = [one for one in row["by_answer"] or [] if one["answer"] == text]
            assert found["n"] == len(own)
            assert found["value"] == pytest.approx(alone["estimate"], abs=1e-5)
            assert alone["by_answer"] is None, "one answer is no comparison"
            seen.add(round(found["value"], 6))
    assert len(seen) > len(CHECKS), "the values differ from answer to answer"


def test_each_answer_agrees_with_plain_transformers(tiny: dict[str, Path], tmp_path: Path) -> None:
    """The drop of a probability, from two passes of the plain model; where the answers are wrong, what is first is told."""
    model = plain_model(tiny["llama"])
    check = {"ablate": "1.2", "method": "zero", "drop_in": "answer_prob", "at_least": -50}
    (row,) = measured(tiny["llama"], tmp_path, {"family": "texts", "texts": texts_of(LITERALS)}, [check])
    before: dict[str, list[float]] = {}
    after: dict[str, list[float]] = {}
    head: list[HeadOrMlp] = [(1, 2)]
    wrong, to_foil = [], 0
    for one in LITERALS:
        ids, answers, foils = one.ids(), *([WORDS.index(word) for word in each] for each in (one.answers, one.foils))
        clean, without = model.logits(ids), model.ablated(ids, head, "zero")
        before.setdefault(one.answers[0], []).append(metrics(clean, clean, ids, answers, foils)["answer_prob"])
        after.setdefault(one.answers[0], []).append(metrics(without, clean, ids, answers, foils)["answer_prob"])
        first = int(clean[-1].argmax())
        if first not in answers:
            wrong.append(WORDS[first])
            to_foil += first in foils
    expected = {text: 1 - float(np.mean(after[text])) / float(np.mean(before[text])) for text in before}
    assert {one["answer"]: one["value"] for one in row["by_answer"]} == pytest.approx(expected, abs=1e-5)
    assert wrong, "or nothing is tested"
    assert row["clean"]["wrong"] == [to_foil, len(wrong)]
    assert {word for word, _ in row["clean"]["wrong_first"]} <= set(wrong)


def test_many_answers_other_prompts_and_medians_are_not_told_apart(tiny: dict[str, Path], tmp_path: Path) -> None:
    """More answers than a table holds, "some head", a rank, and a comparison with other prompts have no such values."""
    names = [word for word in WORDS if word.isalnum()][: MOST_ANSWERS + 1]
    assert len(set(names)) == MOST_ANSWERS + 1
    texts = [{"text": "Adam is 1. Bob is", "answer": f" {name}", "foil": " 9"} for name in names]
    shown = {"head": "1.1", "attends": "end -> any", "at_least": 0.0}
    (many,) = measured(tiny["llama"], tmp_path, {"family": "texts", "texts": texts}, [shown])
    assert many["by_answer"] is None
    few = {"family": "texts", "texts": texts[:2]}
    rank = {"ablate": "1.1", "method": "zero", "after": "answer_rank", "observe": True}
    some = {"heads": {"any": "all"}, "attends": "end -> any", "at_least": 0.0}
    assert [row["by_answer"] for row in measured(tiny["llama"], tmp_path, few, [rank, some])] == [None, None]


def test_the_words_of_answers() -> None:
    """One table for checks on the same prompts, another where the answers are others; nothing without any."""
    each = [{"answer": " 5", "n": 7, "value": 0.25}, {"answer": " 10", "n": 1, "value": None}]
    row: dict[str, Any] = {"index": 1, "head": "14.3", "estimate": 0.3, "by_answer": each}
    other = {**row, "index": 3, "by_answer": [{"answer": " 6", "n": 2, "value": 0.5}, each[0]]}
    second = {**row, "index": 2, "by_answer": [each[0], {**each[1], "value": 0.9}]}
    told = control_tables.by_answer([row, second, other, {**row, "by_answer": None}])
    assert told is not None
    assert told.count("| check, head or part | all |") == 2
    assert "| `5`<br>n = 7 | `10`<br>n = 1 |" in told and "| 1<br>14.3 | 0.3 | 0.25 | – |" in told
    assert "| 3<br>14.3 | 0.3 | 0.5 | 0.25 |" in told
    assert control_tables.by_answer([{**row, "by_answer": None}]) is None
    assert "By answer: `␣5` 0.25 (n = 7), `␣10` – (n = 1)." in words.beside(row)
