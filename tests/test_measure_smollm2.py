"""A real pretrained model: every attention form and ablation on literal prompts equals plain transformers.

Takes about a minute; skipped where the weights of smollm2-135m cannot be had.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attention_forms import BOS_FORMS, COMBINED, FORMS, MORE, PAIRS, Expected
from measuring import answer, rows, same, suite
from oracle import METRICS, HeadOrMlp, Plain, Shown, effect, metrics

MODEL = "smollm2-135m"
SLOW_REAL_MODEL = True
TOLERANCE = 1e-3
ROLES = {
    "name": r"(Big )?(Adam|Bob|Carl|Emma|Dan|Kate|Mary|John|A|B|C)\b",
    "member": r"\d+",
    "is": r"\bis\b",
    "period": r"\.",
}


def shown(words: str, item: str, name: Any = (), member: Any = (), is_: Any = (), period: Any = ()) -> Shown:
    """Tokens with "_" for a space in front; the number of the item of each token ("-": none)."""
    roles = {"name": name, "member": member, "is": is_, "period": period}
    return Shown(("<bos> " + words).split(), roles, [-1 if mark == "-" else int(mark) for mark in "-" + item])


# (text, answer, foil, corrupted, what the model sees; token of the answer, of the foil)
PROMPTS: list[tuple[str, str, str, str, Shown, str, str]] = [
    (
        "Adam is 1. Bob is 2. Carl is", " 3", " 2", "Adam is 7. Bob is 4. Carl is",
        shown("Adam _is _ 1 . _Bob _is _ 2 . _Carl _is _", "0000011111222",
              [[1], [6], [11]], [[4], [9]], [[2], [7], [12]], [[5], [10]]), "3", "2",
    ),
    (
        "Emma is 4. Dan is 5. Kate is", " 6", " 5", "Emma is 9. Dan is 2. Kate is",
        shown("Em ma _is _ 4 . _Dan _is _ 5 . _Kate _is _", "00000011111222",
              [[1, 2], [7], [12]], [[5], [10]], [[3], [8], [13]], [[6], [11]]), "6", "5",
    ),
    (
        "Big Adam is 5. Bob is 6. Big Adam is", " 7", " 6", "Big Carl is 8. Bob is 3. Big Carl is",
        shown("Big _Adam _is _ 5 . _Bob _is _ 6 . _Big _Adam _is _", "000000111112222",
              [[1, 2], [7], [12, 13]], [[5], [10]], [[3], [8], [14]], [[6], [11]]), "7", "6",
    ),
    (
        "Bob is 8. Big Bob is", " 9", " 8", "Carl is 4. Big Adam is",
        shown("Bob _is _ 8 . _Big _Bob _is _", "000001111",
              [[1], [6, 7]], [[4]], [[2], [8]], [[5]]), "9", "8",
    ),
    (
        "When Mary and John went to the store, John gave a drink to", " Mary", " John",
        "When Anna and Paul went to the store, Carl gave a drink to",
        shown("When _Mary _and _John _went _to _the _store , _John _gave _a _drink _to", "0" * 14,
              [[2], [4], [10]]), "_Mary", "_John",
    ),
    (
        "The cat sat on the mat. The cat sat on the", " mat", " dog", "The dog ran on the hill. The cat sat on the",
        shown("The _cat _sat _on _the _mat . _The _cat _sat _on _the", "000000011111", period=[[7]]), "_mat", "_dog",
    ),
    (
        "A is 10. B is 11. C is", " 12", " 11", "A is 73. B is 46. C is",
        shown("A _is _ 1 0 . _B _is _ 1 1 . _C _is _ 1", "0000001111112222",
              [[1], [7], [13]], [[4, 5], [10, 11]], [[2], [8], [14]], [[6], [12]]), "2", "1",
    ),
    (
        "January, February, March,", " April", " March", "April, January, June,",
        shown("January , _February , _March ,", "000000"), "_April", "_March",
    ),
]  # fmt: skip
HEADS = [(0, 4), (14, 3), (16, 0), (18, 6), (29, 8)]
PARTS: dict[str, list[HeadOrMlp]] = {
    "late head": [(23, 3)],
    "mlp": [(4, None)],
    "heads and mlp over layers": [(6, 1), (16, 0), (18, 6), (12, None)],
}
FEW = ("logit_diff", "top1", "answer_prob", "prob_diff", "pair_prob")


class Real:
    """The oracle: a fresh transformers model of the same folder, and its own tokenizer."""

    def __init__(self) -> None:
        import torch

        from circuits.errors import CircuitsError
        from circuits.models.fetch import gguf_folder
        from circuits.models.folder import read_folder
        from circuits.models.source import resolve

        try:
            folder = gguf_folder(resolve(MODEL))
        except CircuitsError as problem:
            pytest.skip(f"the weights of {MODEL} cannot be had here: {problem}")
        model, tokenizer, _ = read_folder(folder, MODEL, torch.float32)
        self.plain = Plain(model)
        known = {word for *_, seen, right, wrong in PROMPTS for word in (*seen.words[1:], right, wrong)}
        self.number = {word: tokenizer.convert_tokens_to_ids(word.replace("_", "\u0120")) for word in known}
        self.bos = tokenizer.bos_token_id
        self.ids = [[self.bos, *(self.number[word] for word in one[4].words[1:])] for one in PROMPTS]
        self.partners = []
        for text, right, _, corrupted, seen, _, _ in PROMPTS:
            whole = tokenizer(text + right, add_special_tokens=False)["input_ids"]
            length = len(seen.words) - 1
            assert [self.bos, *whole[:length]] == self.ids[len(self.partners)]  # the words written above are the tokens
            partner = tokenizer(corrupted + right, add_special_tokens=False)["input_ids"][:length]
            self.partners.append([self.bos, *partner])
        self.logits = [self.plain.logits(ids) for ids in self.ids]

    def read(self, number: int, logits: np.ndarray) -> dict[str, float]:
        answers, foils = ([self.number[PROMPTS[number][place]]] for place in (5, 6))
        return metrics(logits, self.logits[number], self.ids[number], answers, foils)

    def ablated(self, parts: list[HeadOrMlp], method: str) -> list[dict[str, float]]:
        found = []
        for number, ids in enumerate(self.ids):
            alike = [row for row in self.partners if len(row) == len(ids)]
            found.append(self.read(number, self.plain.ablated(ids, parts, method, self.partners[number], alike)))
        return found


@pytest.fixture(scope="module")
def real() -> Real:
    """The oracle's model, read once."""
    return Real()


def prompt_set() -> dict[str, Any]:
    texts = [{"text": p[0], "answer": p[1], "foil": p[2], "corrupted": p[3]} for p in PROMPTS]
    return {"p": {"family": "texts", "roles": ROLES, "texts": texts}}


def test_attention_on_a_real_model_agrees_with_transformers(real: Real, tmp_path: Path) -> None:
    """Each selector form, statistic, exclusion and comparison equals output_attentions to 1e-3, for five heads."""
    asked: list[dict[str, Any]] = [{"attends": form} for form in (*FORMS, *BOS_FORMS)]
    asked += [{"attends": f, "statistic": s} for f in COMBINED for s in ("top1", "lift")]
    asked += [{"attends": f, "statistic": s, "excluding": ["bos", "self"]} for f in COMBINED for s in ("mass", "top1")
              if f != "any -> self"]  # fmt: skip
    asked += [{"attends": left, "more_than": right} for left, right in PAIRS]
    heads = [f"{layer}.{head}" for layer, head in HEADS]
    claims = {
        f"c{i}": {"heads": heads, "prompts": "p", "checks": [{**one, "observe": True}]} for i, one in enumerate(asked)
    }
    entries, _ = answer(tmp_path / "s.yaml", suite(MODEL, prompt_set(), claims))
    patterns = [real.plain.attention(ids)[[layer for layer, _ in HEADS]] for ids in real.ids]
    chosen = [np.stack([each[i, head] for i, (_, head) in enumerate(HEADS)])[:, None] for each in patterns]
    oracle = Expected([one[4] for one in PROMPTS], chosen, {**FORMS, **MORE, **BOS_FORMS})
    worst = 0.0
    for index, one in enumerate(asked):
        truth = oracle.row(one["attends"], one.get("statistic", "mass"), one.get("excluding", []), one.get("more_than"))
        for place, row in enumerate(rows(entries[f"c{index}"])):
            worst = max(worst, same(row["estimate"], float(truth["estimate"][place, 0]), TOLERANCE))
            same(row["uniform"], truth["uniform"])
            assert row["n"] == truth["n"][place, 0]
            if one.get("excluding"):
                same(row["removed_mass"], float(truth["removed"][place, 0]), TOLERANCE)
    assert worst < TOLERANCE


def test_ablations_on_a_real_model_agree_with_transformers(real: Real, tmp_path: Path) -> None:
    """Each method and effect form, on each metric, equals torch's own hooks to 1e-3."""
    claims = {}
    asked = [(title, method) for title in PARTS for method in ("mean", "zero", "resample")]
    pairs = [("drop_in", m) for m in FEW] + [(e, m) for e in ("change_in", "after") for m in METRICS]
    for number, (title, method) in enumerate(asked):
        names = [f"MLP{layer}" if head is None else f"{layer}.{head}" for layer, head in PARTS[title]]
        base = {"ablate": names, "method": method, "observe": True}
        claims[f"c{number}"] = {"prompts": "p", "checks": [{**base, kind: metric} for kind, metric in pairs]}
    entries, _ = answer(tmp_path / "s.yaml", suite(MODEL, prompt_set(), claims))
    clean = [real.read(number, logits) for number, logits in enumerate(real.logits)]
    everything = [part for parts in PARTS.values() for part in parts]
    for ids in real.partners:
        real.plain.activations(ids, everything)  # one pass for all that is asked below
    worst = 0.0
    for number, (title, method) in enumerate(asked):
        after = real.ablated(PARTS[title], method)
        for row in rows(entries[f"c{number}"]):
            metric, kind = row["metric"], row["statistic"]
            before, now = [c[metric] for c in clean], [a[metric] for a in after]
            if metric != "answer_rank":  # its mean is no number to show
                same(row["baseline"]["ablated"], float(np.mean(now)), TOLERANCE)
                worst = max(worst, same(row["estimate"], effect(kind, before, now), TOLERANCE))
    assert worst < TOLERANCE
    assert float(np.mean([c["top1"] for c in clean])) > 0.5  # it is a model that does something
