"""Attention through the whole pipeline equals plain transformers, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import measuring
import pytest
from attention_forms import BOS_FORMS, COMBINED, EXCLUSIONS, FORMS, MORE, PAIRS, Expected, Form, anything, back
from measuring import (
    HEADS,
    LAYERS,
    LITERALS,
    ROLES,
    Literal,
    answer,
    plain_model,
    rows,
    same,
    suite,
    texts_of,
    without_bos,
)

tiny = measuring.tiny

ASKED: list[dict[str, Any]] = [
    *[{"attends": form} for form in FORMS],
    *[
        {"attends": form, "statistic": statistic, "excluding": excluding}
        for form in COMBINED
        for statistic in ("mass", "top1", "lift")
        for excluding in EXCLUSIONS
        if not (form == "any -> self" and "self" in excluding)
    ],
    *[
        {"attends": left, "more_than": right, "statistic": statistic, "excluding": excluding}
        for left, right in PAIRS
        for statistic, excluding in (("mass", []), ("top1", ["bos"]), ("lift", []), ("mass", ["self"]))
        if not ("self" in excluding and left.startswith("first"))
        and not ("bos" in excluding and "first" in left + right)
    ],
]


def expected(folder: Path, forms: Mapping[str, Form], bos: bool, literals: Sequence[Literal] = LITERALS) -> Expected:
    """The oracle on a model's folder."""
    model = plain_model(folder)
    shown = [one.shown if bos else without_bos(one.shown) for one in literals]
    return Expected(shown, [model.attention(one.ids(bos)) for one in literals], forms)


BOUNDS = {"mass": 0.2, "top1": 0.3, "lift": 1.1}


def check_of(asked: dict[str, Any], heads: list[str]) -> dict[str, Any]:
    statistic = asked.get("statistic", "mass")
    bound = {"by_at_least": 0.05} if "more_than" in asked else {"at_least": BOUNDS[statistic]}
    kept = {key: value for key, value in asked.items() if value != []}
    return {**kept, **bound, "heads": heads}


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_every_attention_form_agrees_with_transformers(
    name: str, bos: bool, tiny: dict[str, Path], tmp_path: Path
) -> None:
    """Estimate, sides, uniform value, removed mass and passing heads of every form equal the oracle's to 1e-5."""
    forms = {**FORMS, **MORE, **(BOS_FORMS if bos else {})}
    if not bos:
        forms["any -> bos"] = forms["any -> first"]
    asked = ASKED + ([{"attends": form} for form in BOS_FORMS] if bos else [])
    asked = [one for one in asked if bos or "bos" not in one.get("excluding", ())]
    heads = ["1.2", "3.0"]
    claims = {f"c{i}": {"prompts": "p", "checks": [check_of(one, heads)]} for i, one in enumerate(asked)}
    prompts = {"p": {"family": "texts", "bos": bos, "roles": ROLES, "texts": texts_of(LITERALS)}}
    entries, _ = answer(tmp_path / "s.yaml", suite({"path": str(tiny[name])}, prompts, claims))
    oracle = expected(tiny[name], forms, bos)
    worst = 0.0
    for index, one in enumerate(asked):
        statistic, excluding, right = one.get("statistic", "mass"), one.get("excluding", []), one.get("more_than")
        truth = oracle.row(one["attends"], statistic, excluding, right)
        least = 0.05 if right else BOUNDS[statistic]
        for row, (layer, head) in zip(rows(entries[f"c{index}"]), ((1, 2), (3, 0)), strict=True):
            worst = max(worst, same(row["estimate"], truth["estimate"][layer, head]))
            same(row["uniform"], truth["uniform"])
            assert row["n"] == truth["n"][layer, head]
            if right:
                same(row["sides"]["left"], truth["left"][layer, head])
                same(row["sides"]["right"], truth["right"][layer, head])
            if excluding:
                same(row["removed_mass"], truth["removed"][layer, head])
            else:
                assert row["removed_mass"] is None
            assert row["heads_passing"] == [int((truth["estimate"] >= least).sum()), LAYERS * HEADS]
    assert worst < 1e-5
    wrong = oracle.row("any -> n-1", "mass", [])["estimate"]
    assert abs(wrong[1, 2] - wrong[2, 1]) > 1e-3  # the comparison would notice another head


PERIODS = {"n-{period}": 4, "n-{period-1}": 3, "n-{2*period-1}": 7, "n-{period+1}": 5}


def test_offsets_by_period_use_the_items_of_the_tokens(tiny: dict[str, Path], tmp_path: Path) -> None:
    """n-{a*period+b} of texts whose items have four tokens each equals the plain offset."""
    even = (LITERALS[0], LITERALS[3])
    forms = {f"any -> {text}": (anything, back(steps), False) for text, steps in PERIODS.items()}
    claims = {
        f"c{i}": {"head": "2.1", "prompts": "p", "attends": form, "at_least": 0.1} for i, form in enumerate(forms)
    }
    prompts = {"p": {"family": "texts", "texts": texts_of(even)}}
    entries, _ = answer(tmp_path / "s.yaml", suite({"path": str(tiny["llama"])}, prompts, claims))
    oracle = expected(tiny["llama"], forms, True, even)
    for index, form in enumerate(forms):
        (row,) = rows(entries[f"c{index}"])
        same(row["estimate"], oracle.row(form, "mass", [])["estimate"][2, 1])


@pytest.mark.parametrize("order", [["other", "period"], ["period", "other"]])
def test_texts_without_a_common_period_do_not_spoil_other_questions(
    order: list[str], tiny: dict[str, Path], tmp_path: Path
) -> None:
    """n-{period} on texts some of which have no period is UNMEASURABLE; its neighbours are measured."""
    claims = {
        "period": {"head": "2.1", "prompts": "p", "attends": "any -> n-{period}", "at_least": 0.1},
        "other": {"head": "2.1", "prompts": "p", "attends": "any -> n-1", "at_least": 0.1},
    }
    prompts = {"p": {"family": "texts", "texts": texts_of(LITERALS)}}
    entries, _ = answer(
        tmp_path / "s.yaml", suite({"path": str(tiny["gpt2"])}, prompts, {name: claims[name] for name in order})
    )
    (row,) = rows(entries["period"])
    assert (row["verdict"], row["estimate"], row["n"]) == ("unmeasurable", None, 0)
    assert "no common length" in row["reason"]
    assert row["heads_passing"] is None
    (row,) = rows(entries["other"])
    assert math.isfinite(row["estimate"])
