"""What figures say of what was measured: the words that evidence puts on them, and the names of their files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuits.effects import place_of_share
from circuits.evaluate import Evaluator, Options, items_of, knowledge, load
from circuits.report.figure_words import few, foot, known_distances

HEAD = """suite: s
model: reference
sampling: {sampling}
prompts:
  numerals: {{family: named_sequence, members: numerals, template: "{{name}} is {{member}}.", length: 4}}
  same: {{family: named_sequence, members: numerals, template: "{{name}} is {{member}}.", length: 4}}
  ioi: {{family: ioi}}
  repeats: {{family: repeated_tokens, length: 20}}
circuits:
  sequence: {{heads: ["0.0", "1.2", "2.0", "2.1"], mlps: [0, 1]}}
  four: {{heads: ["0.0", "1.2", "2.0", "2.1"]}}
claims:
"""


def drawn(
    tmp_path: Path, claims: str, sampling: str = "{min: 8, max: 8}", random: int = 0
) -> tuple[list[tuple[str, Any]], list[dict[str, Any]]]:
    """Every figure of some claims with the name of its file, and the claims' rows."""
    path, found, rows = tmp_path / "s.yaml", [], []
    path.write_text(HEAD.format(sampling=sampling) + claims)
    loaded = load(path, knowledge(), "s.yaml")
    assert not loaded.all_faults, [fault.render() for fault in loaded.all_faults]

    def draw(figure: Any, name: str) -> str:
        found.append((name, figure))
        return name

    evaluator = Evaluator(Options(permuted=0, random=random), draw=draw)
    for item in items_of(loaded, tmp_path):
        rows += evaluator.evaluate(item).entry["checks"]
    return found, rows


def of_kind(found: list[tuple[str, Any]], kind: str) -> list[Any]:
    return [figure for _, figure in found if type(figure).__name__ == kind]


def checks(*each: str, head: str | None = None, prompts: str = "numerals", name: str = "c") -> str:
    """A claim with some checks in braces."""
    listed = "".join(f"\n      - {{{one}}}" for one in each)
    return (
        f"  {name}:\n    claim: x\n    prompts: {prompts}\n"
        + (f'    head: "{head}"\n' if head else "")
        + f"    checks:{listed}\n"
    )


def is_same(one: Any, other: Any) -> bool:
    """Whether two figures hold the same words and numbers."""
    if type(one) is not type(other):
        return False
    for field in fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        alike = (
            np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
            if isinstance(left, np.ndarray) and isinstance(right, np.ndarray)
            else type(left) is type(right) and left == right
        )
        if not alike:
            return False
    return True


def test_an_ablation_within_a_circuit_is_compared_with_the_circuit(tmp_path: Path) -> None:
    """Its values are those of the circuit alone, its axis says so, and both titles name the circuit."""
    claims = checks(
        "ablate: '1.2', method: zero, within: sequence, drop_in: logit_diff, at_least: 10%",
        "ablate: '1.2', method: zero, within: sequence, after: top1, at_least: 0.1",
        "ablate: '1.2', method: zero, drop_in: logit_diff, at_least: 0",
    )
    found, rows = drawn(tmp_path, claims)
    within, alone = of_kind(found, "AblationFigure")
    (ranks,) = of_kind(found, "RankFigure")
    assert (within.before, ranks.before, alone.before) == ("circuit alone", "circuit alone", "clean")
    assert within.title == "logit_diff without 1.2 within sequence (zero) on numerals"
    assert ranks.title == "Answer's rank without 1.2 within sequence (zero) on numerals"
    assert "within" not in alone.title
    assert within.clean.mean() == pytest.approx(rows[0]["parts"]["F(C)"], abs=1e-5)
    assert alone.clean.mean() == pytest.approx(rows[0]["clean"]["logit_diff"], abs=1e-5)
    assert within.meaning == "logit difference between answer and foil"
    assert "within sequence" in rows[0]["figure"]["alt"]


EVERYTHING = (
    checks("attends: any -> n-3, at_least: 0.4", "attends: any -> n-3, more_than: any -> n-1, by_at_least: 0", head="0.1")
    + checks("score: induction, at_least: 0.1", head="2.0", prompts="repeats", name="score")
    + checks(
        "ablate: '1.2', method: zero, drop_in: logit_diff, at_least: 0",
        "ablate: '1.2', method: zero, after: top1, at_least: 0.1",
        "keep_only: sequence, method: zero, recovers: logit_diff, at_least: 0, random: 3",
        "loss_map: ['1.2', '2.0'], method: zero, observe: true",
        name="rest",
    )
)  # fmt: skip


AXES = "; axes: tokens of the first prompt"


def test_every_figure_says_of_which_model_and_how_many_prompts_it_is(tmp_path: Path) -> None:
    """At its foot, whatever its kind."""
    found, _ = drawn(tmp_path, EVERYTHING)
    kinds = {type(figure).__name__ for _, figure in found}
    assert kinds == {
        "AttentionFigure", "ProfileFigure", "ScoreFigure", "AblationFigure", "RankFigure", "EffectsFigure", "LossMapFigure"
    }  # fmt: skip
    for _, figure in found:
        tokens = AXES if type(figure).__name__ == "AttentionFigure" else ""
        assert figure.foot == f"reference, 8 prompts, seed 0{tokens}"


def test_a_figure_of_fewer_prompts_than_the_check_says_so(tmp_path: Path) -> None:
    """Patterns are of the first prompts with the first one's template and length, profiles of the first ones."""
    claims = checks("attends: any -> n-1, at_least: 0.99", head="0.0", prompts="numerals")
    found, (row,) = drawn(tmp_path, claims, "{min: 32, max: 64}")
    assert row["n"] == 64
    (pattern,), (profile,) = of_kind(found, "AttentionFigure"), of_kind(found, "ProfileFigure")
    assert (pattern.n, profile.n) == (32, 32)
    assert pattern.foot == f"reference, mean over the first 32 prompts; the check has 64, seed 0{AXES}"
    assert profile.foot == "reference, the first 32 prompts; the check has 64, seed 0"

    found, (row,) = drawn(tmp_path, claims.replace("numerals", "ioi"), "{min: 8, max: 16}")
    (pattern,), (profile,) = of_kind(found, "AttentionFigure"), of_kind(found, "ProfileFigure")
    assert pattern.n < row["n"]
    of = (
        f"{pattern.n} of all {row['n']} prompts that have the first one's template and its {len(pattern.labels)} tokens"
    )
    assert pattern.foot == f"reference, mean over the {of}; the check has {row['n']}, seed 0{AXES * (pattern.n > 1)}"
    assert profile.foot == f"reference, {row['n']} prompts, seed 0"

    found, (row,) = drawn(tmp_path, claims.replace("numerals", "ioi"), "{min: 32, max: 128}")
    (pattern,), (profile,) = of_kind(found, "AttentionFigure"), of_kind(found, "ProfileFigure")
    assert pattern.n < profile.n < row["n"]
    of = f"the {pattern.n} of the first {profile.n} prompts that have the first one's template and its "
    assert pattern.foot.startswith(f"reference, mean over {of}")
    assert pattern.foot.endswith(f"; the check has {row['n']}, seed 0{AXES * (pattern.n > 1)}")


def test_where_a_folder_lies_is_not_told() -> None:
    """A model from this machine is named by its folder alone, one of a hub as it is; a score from weights has no seed."""
    assert foot("/home/me/models/mine/", "3 prompts", 1) == "mine, 3 prompts, seed 1"
    assert foot("./mine", "3 members", None) == "mine, 3 members"
    assert foot("owner/name", "1 prompt", 0) == "owner/name, 1 prompt, seed 0"


def test_no_two_figures_share_a_file_and_equal_ones_do(tmp_path: Path) -> None:
    """One name is one figure, word by word; the same check in two claims is drawn into one file."""
    ablations = [
        "ablate: '1.2', method: zero, after: top1, at_least: 0.1",
        "ablate: '1.2', method: zero, change_in: top5, at_most: 0.5",
        "ablate: '1.2', method: zero, within: sequence, after: top1, at_least: 0.1",
        "ablate: '1.2', method: zero, within: four, after: top1, at_least: 0.1",
    ]
    comparisons = [
        f"attends: any -> n-3, more_than: {{attends: any -> n-1, head: '{head}'}}, by_at_least: 0" for head in ("0.2", "0.3")
    ]  # fmt: skip
    claims = "".join(
        checks(*ablations, prompts=prompts, name=f"{prompts}{k}")
        + checks(*comparisons, head="0.1", prompts=prompts, name=f"{prompts}{k}a")
        + checks("score: induction, at_least: 0.1", head="2.0", prompts="repeats", name=f"{prompts}{k}s")
        + checks("score: induction, at_least: 0.2", head="2.0", prompts="repeats", name=f"{prompts}{k}t")
        for prompts in ("numerals", "same")
        for k in range(2)
    )
    found, _ = drawn(tmp_path, claims)
    for name, figure in found:
        for other, another in found:
            assert (name == other) == is_same(figure, another), (name, other)
    assert len({name for name, _ in found}) < len(found) / 2


def test_another_head_of_a_comparison_is_said_to_be_elsewhere(tmp_path: Path) -> None:
    """The legend names the head that is shown and the one that is not; within one pattern both sides are drawn."""
    claims = checks(
        "attends: any -> n-3, more_than: {attends: any -> n-1, head: '0.2'}, by_at_least: 0",
        "attends: any -> n-3, more_than: any -> n-1, by_at_least: 0",
        head="0.1",
    )
    other, within = of_kind(drawn(tmp_path, claims)[0], "AttentionFigure")
    assert other.cells_label == "any -> n-3 (head 0.1)"
    assert other.elsewhere == "compared with any -> n-1 of head 0.2: not drawn here"
    assert other.other_label is None
    assert (within.cells_label, within.other_label, within.elsewhere) == ("any -> n-3", "any -> n-1", None)


def test_distances_are_numbers_where_the_prompts_give_them(tmp_path: Path) -> None:
    """n-{period-1} is n-9 on repeats of ten tokens; where nothing is known it stands as a subtraction."""
    claims = checks(
        "attends: 'second_copy -> n-{period-1}', more_than: 'second_copy -> n-{period}', by_at_least: 0",
        "attends: 'second_copy -> n-{period-1}', top: 1",
        head="2.0", prompts="repeats",
    )  # fmt: skip
    found, _ = drawn(tmp_path, claims)
    (figure,), (score,) = of_kind(found, "AttentionFigure"), of_kind(found, "ScoreFigure")
    distance = int(np.subtract(*np.argwhere(np.tril(figure.cells))[0]))
    assert figure.cells_label == f"second_copy -> n-{distance}"
    assert figure.other_label == f"second_copy -> n-{distance + 1}"
    assert score.title == f"attention, second_copy -> n-{distance} on repeats"
    from circuits.claims.claim import Attends
    from circuits.claims.selector import read

    text = "any -> n-{period-1}, n-{2*period+3}, n-{period}, n-{3*period}"
    what = Attends(read("any -> n-{period-1}")[0], "mass", ())  # type: ignore[arg-type]
    assert known_distances(text, what, {}) == "any -> n-(period - 1), n-(2*period + 3), n-period, n-(3*period)"
    assert known_distances(text, what, {"period": 5}).startswith("any -> n-4, ")


def test_the_highest_head_is_marked_beside_the_claimed_one(tmp_path: Path) -> None:
    """Where another head has the highest value it is outlined as such; where the claimed one has it there is nothing to add."""
    claims = checks("score: induction, at_most: 0.9", head="0.0", prompts="repeats") + checks(
        "score: induction, at_least: 0.1", head="2.0", prompts="repeats", name="best"
    )
    found, rows = drawn(tmp_path, claims)
    other, best = of_kind(found, "ScoreFigure")
    assert (other.claimed, other.beside, other.why_beside) == (((0, 0),), ((2, 0),), "the highest of all heads")
    assert (best.claimed, best.beside) == (((2, 0),), ())
    assert rows[0]["figure"]["alt"].endswith("0.0 outlined, and 2.0 as the highest of all heads")


def test_effects_are_told_without_the_yaml(tmp_path: Path) -> None:
    """Titles, labels and axes are words; what F, A and G stood for is said by name; random circuits are beside them."""
    claims = checks(
        "keep_only: sequence, method: zero, recovers: logit_diff, at_least: 0, random: 3",
        "keep_only: sequence, method: zero, recovers: logit_diff, normalised: true, at_least: 0, random: 3",
        "keep_only: sequence, method: zero, sufficiency: logit_diff, at_least: 0, random: 4",
        "ablate: four, method: zero, partial_necessity: logit_diff, at_least: 0, random: 4",
    ) + checks(
        "ablate: '1.2', method: zero, drop_in: logit_diff, given_ablated: '2.1', interaction: {at_least: 0}", name="both"
    )  # fmt: skip
    found, rows = drawn(tmp_path, claims)
    plain, normalised, enough, needed, both = of_kind(found, "EffectsFigure")
    labels = [[row[0] for row in figure.rows] for figure in (plain, normalised, enough, needed, both)]
    assert rows[0]["figure"] == rows[1]["figure"], "two forms of one recovery share a figure"
    share, fraction = "sequence: F(C)/F(M)", "sequence, normalised: (F(C)-F(0))/(F(M)-F(0))"
    random = "3 random circuits of as many (median, range)"
    assert labels[0] == labels[1] == [share, fraction, random, f"normalised: {random}"]
    assert [row[4] for row in plain.rows] == ["claimed", "claimed", "random", "random"]
    assert labels[2] == ["sequence", "4 random circuits of as many (median, range)"]
    assert labels[3] == ["without four", "4 random circuits of as many (median, range)"]
    assert labels[4] == [
        "interaction: B minus A", "A: drop without 1.2", "B: further drop without 1.2, 2.1 already gone",
    ]  # fmt: skip
    assert plain.detail.startswith(
        "F: mean logit_diff of the model (M), of sequence alone (C) and of no head or MLP kept (0)"
    )
    assert plain.quantity == "share of logit_diff: logit difference between answer and foil"
    assert enough.rows[0][1] == pytest.approx(abs(rows[2]["parts"]["F(M)"] - rows[2]["parts"]["F(C)"]))
    assert f"{100 * rows[2]['estimate']:.3g}% of 4 random ones are farther" in enough.detail
    assert enough.quantity.endswith("; 0 is as good as the model")
    assert needed.rows[0][1] == pytest.approx(abs(rows[3]["parts"]["F(M)"] - rows[3]["parts"]["F(M\\C)"]))
    assert both.rows[0][1] == pytest.approx(both.rows[2][1] - both.rows[1][1], abs=1e-6)
    assert all(
        "keep_only" not in figure.title and "ablate:" not in figure.title for figure in (plain, enough, needed, both)
    )
    assert {figure.foot for figure in (plain, enough, needed, both)} == {"reference, 8 prompts, seed 0"}


def test_random_parts_stand_in_the_figures_of_ablations(tmp_path: Path) -> None:
    """Where the means of the first eight prompts lie without each; none where none were asked for, or of the answer's rank."""
    effects = ("drop_in: logit_diff", "change_in: logit_diff", "after: logit_diff")
    asked = [f"ablate: '1.2', method: resample, {effect}, between: [-200, 200]" for effect in effects]
    claims = checks(*asked, "ablate: '1.2', method: resample, after: top1, between: [0.1, 0.9]")
    claims += checks(
        "ablate: '1.2', method: zero, drop_in: logit_diff, given_ablated: '2.1', interaction: {between: [-9, 9]}", name="both"
    )  # fmt: skip
    found, rows = drawn(tmp_path, claims, "{min: 32, max: 32}", random=11)
    drop, change, after = of_kind(found, "AblationFigure")
    first = float(drop.clean[:8].mean())
    values = [one["value"] for one in rows[0]["controls"]["random"]["each"]]
    assert drop.others == pytest.approx(np.array([(first, first * (1 - value)) for value in values]))
    for figure in (change, after):
        assert np.array(figure.others) == pytest.approx(np.array(drop.others))
        assert figure.others_on == ", first 8 prompts"
    assert len({after for _, after in drop.others}) > 1
    (both,) = of_kind(found, "EffectsFigure")
    label, value, low, high, kind = both.rows[-1]
    interactions = [one["value"] for one in rows[4]["controls"]["random"]["each"]]
    assert label == "interaction of 10 others in place of 1.2 (median, range)"
    middle = float(np.median(interactions))
    assert (low, value, high, kind) == (min(interactions), pytest.approx(middle), max(interactions), "random")
    found, _ = drawn(tmp_path, claims, "{min: 32, max: 32}")
    assert all(figure.others == () for figure in of_kind(found, "AblationFigure"))


def test_a_recovery_with_another_bound_has_its_own_figure(tmp_path: Path) -> None:
    """A figure has one bound; beside the judged form the other one stands, which is not judged there."""
    claims = checks(
        "keep_only: sequence, method: zero, recovers: logit_diff, at_least: 0, random: 3",
        "keep_only: sequence, method: zero, recovers: logit_diff, normalised: true, at_least: 10%, random: 0",
    )
    found, rows = drawn(tmp_path, claims)
    plain, normalised = of_kind(found, "EffectsFigure")
    assert rows[0]["figure"] != rows[1]["figure"]
    assert [row[4] for row in plain.rows] == ["claimed", "beside", "random"]
    assert [row[4] for row in normalised.rows] == ["claimed", "beside"]
    assert (plain.bound_low, normalised.bound_low) == (0.0, 0.1)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.75, 0.8, 1.0])
@pytest.mark.parametrize("least", [True, False])
@pytest.mark.parametrize("nearer", [True, False])
def test_the_bound_on_a_share_lies_where_it_is_met(share: float, least: bool, nearer: bool) -> None:
    """At every distance, on the bound's side of the place or not, as the share counted there meets the bound or not."""
    random = [0.5, 1.0, 1.0, 2.0, 3.5, 4.0]
    place = place_of_share(random, share, least, nearer)
    for own in np.arange(0.25, 5, 0.25):
        counted = np.mean([other > own if nearer else other < own for other in random])
        meets = counted >= share if least else counted <= share
        if place is None:
            assert meets == ((share == 0) if least else (share == 1))
        elif least:
            assert meets == (own < place if nearer else own > place), own
        else:
            assert meets == (own >= place if nearer else own <= place), own


def test_the_bound_of_a_share_is_drawn(tmp_path: Path) -> None:
    """On the axis of distances, with the words of the claim: so many of the random ones are farther, or change it less."""
    claims = checks(
        "keep_only: sequence, method: zero, sufficiency: logit_diff, at_least: 70%, random: 9",
        "ablate: four, method: zero, partial_necessity: logit_diff, at_least: 50%, random: 9",
    )
    found, rows = drawn(tmp_path, claims)
    enough, needed = of_kind(found, "EffectsFigure")
    assert (enough.bound_low, needed.bound_high) == (None, None)
    for figure, row, end in ((enough, rows[0], enough.bound_high), (needed, rows[1], needed.bound_low)):
        assert row["random"]["min"] <= end <= row["random"]["max"]
        own = figure.rows[0][1]
        meets = own < end if figure is enough else own > end
        assert meets == (row["estimate"] >= row["bound_low"])
    assert enough.bound_words == "at least 70% of the random circuits are farther"
    assert needed.bound_words == "at least 50% of the random sets change it less"


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("6.1, 18.6, 20.4", "6.1, 18.6, 20.4"),
        ("6.1, 18.6, 20.4, 20.5", "6.1, 18.6 and 2 more heads"),
        ("6.1, MLP0, MLP1, MLP2", "6.1, MLP0 and 2 more MLPs"),
        ("6.1, 18.6, 20.4, MLP2", "6.1, 18.6 and 2 more parts"),
    ],
)
def test_many_components_are_told_by_the_first_ones(named: str, told: str) -> None:
    """How many more there are is said in words: "+ 2" could be read as a sum."""
    assert few(named) == told


def test_a_map_of_some_head_outlines_estimates_and_judges_no_head(tmp_path: Path) -> None:
    """An estimate that meets the bound may have an interval that crosses it."""
    found, (row,) = drawn(tmp_path, checks("heads: {any: all}, score: induction, at_least: 0.1", prompts="repeats"))
    (figure,) = of_kind(found, "ScoreFigure")
    assert (figure.outlined, figure.claimed) == ("estimates that meet the bound", ((2, 0),))
    assert row["figure"]["alt"].endswith("2.0 outlined (estimates that meet the bound)")


def test_no_head_is_called_the_highest_beside_one_that_is_as_high(tmp_path: Path) -> None:
    """1.2 and 2.1 both are perfect successor heads: whichever is claimed, none is higher."""
    claims = "".join(
        f'  c{head[0]}: {{claim: x, head: "{head}", score: successor, members: numerals, at_least: 0.5}}\n'
        for head in ("1.2", "2.1")
    )
    found, _ = drawn(tmp_path, claims)
    one, other = of_kind(found, "ScoreFigure")
    assert one.values[1, 2] == pytest.approx(one.values[2, 1])
    assert (one.claimed, one.beside, other.claimed, other.beside) == (((1, 2),), (), ((2, 1),), ())
