"""What lint says before anything is measured: how many prompts a bound needs, what uniform attention gives."""

from __future__ import annotations

import gc
import itertools
import math
from pathlib import Path

import pytest

from circuits.claims.claim import Bound
from circuits.claims.dry import DryRun
from circuits.cli import main
from circuits.evaluate import knowledge, load
from circuits.foresight import (
    Power,
    _enough,
    _out_of_reach,
    power,
    power_line,
    power_warnings,
    uniform_warnings,
    value_span,
)
from circuits.verdict.estimate import infer_bounded

HEAD = """\
suite: Foresight
model: reference
sampling: {min: 32, max: 64}
prompts:
  numerals: {family: named_sequence, members: numerals}
  repeats: {family: repeated_tokens}
  few: {family: texts, texts: [{text: "a b c"}], roles: {word: "[a-z]"}}
claims:
"""


def suite(tmp_path: Path, *checks: str) -> Path:
    claims = "".join(
        f'  c{i}: {{claim: c, {"" if "prompts:" in check else "prompts: numerals, "}head: "0.0", {check}}}\n'
        for i, check in enumerate(checks)
    )
    path = tmp_path / "foresight.yaml"
    path.write_text(HEAD + claims)
    return path


def checks(tmp_path: Path, *written: str) -> list[object]:
    found = load(suite(tmp_path, *written), knowledge())
    assert not [fault.render() for claim in found.claims for fault in claim.faults]
    return [claim.checks[0] for claim in found.claims]


def test_the_power_formula_by_hand(tmp_path: Path) -> None:
    """n = ln(40) (2 s^2 / D^2 + R / D): R and D from the bound and the range, s a fifth and D a tenth of the range."""
    need = math.log(40.0)
    at_most, at_least, differs, band = checks(
        tmp_path,
        "attends: any -> n-1, at_most: 0.05",
        "attends: any -> n-1, at_least: 0.4",
        "attends: any -> n-1, more_than: any -> self, by_at_least: 0.2",
        "ablate: '0.0', method: zero, change_in: top1, between: [-20%, 20%]",
    )
    found = power(at_most, 0.95)  # type: ignore[arg-type]
    assert found is not None
    least = found.least
    assert infer_bounded([0.0] * least).below(0.05) >= need > infer_bounded([0.0] * (least - 1)).below(0.05)
    assert least > need * 0.95 / 0.05  # the rate of growth when the best bet is known from the start
    assert found.usual == math.ceil(need * (2 * 0.04 / 0.05**2 + 0.95 / 0.05))
    found = power(at_least, 0.95)  # type: ignore[arg-type]
    assert found is not None
    assert found.usual == math.ceil(need * (2 * 0.04 / 0.01 + 4.0))
    assert infer_bounded([1.0] * found.least).above(0.4) >= need > infer_bounded([1.0] * (found.least - 1)).above(0.4)
    found = power(differs, 0.95)  # type: ignore[arg-type]
    assert found is not None
    assert found.usual == math.ceil(need * (8.0 + 1.2 / 0.2))
    found = power(band, 0.95)  # type: ignore[arg-type]
    assert found is not None
    middle = infer_bounded([0.0] * found.least, -1.0, 1.0)  # both sides, from the middle of the band
    assert min(middle.above(-0.2), middle.below(0.2)) >= need


def test_fewer_prompts_than_the_formula_says_do_not_decide(tmp_path: Path) -> None:
    """Betting on values that are all at the best end decides with the least number, and not with one less."""
    for bound in (0.02, 0.05, 0.1, 0.3):
        (check,) = checks(tmp_path, f"attends: any -> n-1, at_most: {bound}")
        found = power(check, 0.95)  # type: ignore[arg-type]
        assert found is not None
        fewer, enough = infer_bounded([0.0] * (found.least - 1)), infer_bounded([0.0] * found.least)
        assert fewer.below(bound) < math.log(40.0) <= enough.below(bound)


def test_only_means_of_bounded_values_have_a_span(tmp_path: Path) -> None:
    """Logits have none unless a range cuts them; lift and ratios have none."""
    written = (
        ("attends: any -> n-1, statistic: lift, at_least: 2", None),
        ("attends: any -> n-1, at_least: 0.2", (0.0, 1.0)),
        ("prompts: repeats, score: previous_token, at_least: 0.2", (0.0, 1.0)),
        ("score: copying, members: numerals, at_least: 0.2", None),
        ("ablate: '0.0', method: zero, after: top1, at_most: 0.2", (0.0, 1.0)),
        ("ablate: '0.0', method: zero, after: logit_diff, at_most: 2", None),
        ("ablate: '0.0', method: zero, after: logit_diff, range: [-4, 6], at_most: 2", (-4.0, 6.0)),
        ("ablate: '0.0', method: zero, change_in: logit_diff, range: [-4, 6], at_most: 2", (-10.0, 10.0)),
        ("ablate: '0.0', method: zero, drop_in: top1, at_most: 20%", None),
    )
    for (text, span), check in zip(written, checks(tmp_path, *(text for text, _ in written)), strict=True):
        assert value_span(check) == span, text  # type: ignore[arg-type]


def test_lint_warns_of_bounds_that_max_cannot_decide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only where even unanimous prompts are too few; the hardest bound of the suite is told in any case."""
    path = suite(tmp_path, "attends: any -> n-1, at_most: 0.02", "attends: any -> n-1, at_least: 0.4")
    found = load(path, knowledge())
    (warning,) = power_warnings(found)
    assert "c0: at_most 0.02 needs at least 210 prompts" in warning
    assert "max: 64" in warning
    line = power_line(found)
    assert line is not None
    assert "the hardest bound is at_most 0.02 of c0. It takes 210 prompts" in line
    assert main(["lint", str(path)]) == 0
    out = capsys.readouterr().out
    assert warning.partition("warning: ")[2] in out
    assert line.partition("power: ")[2] in out


def test_a_bound_at_the_best_value_is_said_to_be_out_of_reach(tmp_path: Path) -> None:
    """No number of prompts is named for it, constant data do not support it, and the hardest bound is another one."""
    written = (
        "attends: any -> n-1, at_most: 0",
        "attends: any -> n-1, at_least: 1",
        "attends: any -> n-1, more_than: any -> self, by_at_least: 1",
        "ablate: '0.0', method: zero, after: logit_diff, range: [-4, 6], at_most: -4",
        "attends: any -> n-1, at_least: 0.4",
    )
    found = load(suite(tmp_path, *written), knowledge())
    warnings = list(power_warnings(found))
    assert len(warnings) == 4
    assert all(
        "no number of sampled prompts can support this" in text and "loosen the bound" in text for text in warnings
    )
    line = power_line(found)
    assert line is not None
    assert "the hardest bound is at_least 0.4 of c4. " in line
    for check in checks(tmp_path, *written[:4]):
        assert power(check, 0.95) == Power(check.bound.text, None, None)  # type: ignore[arg-type,attr-defined]
    for n in (1, 100, 100_000):  # betting never gains against the end itself
        assert infer_bounded([0.0] * n).below(0.0) <= 0.0
        assert infer_bounded([1.0] * n).above(1.0) <= 0.0
    assert power_line(load(suite(tmp_path, written[0]), knowledge())) is None


@pytest.mark.parametrize(
    ("band", "alike"), [("[-1, 0.3]", "at_most: 0.3"), ("[0.7, 2]", "at_least: 0.7"), ("[0, 0.3]", "at_most: 0.3")]
)
def test_an_end_of_a_band_that_no_value_can_miss_asks_nothing(tmp_path: Path, band: str, alike: str) -> None:
    """Such a band needs the prompts that its other end needs alone; lint once failed on it."""
    written = f"attends: any -> n-1, between: {band}", f"attends: any -> n-1, {alike}"
    needed = [power(check, 0.95) for check in checks(tmp_path, *written)]  # type: ignore[arg-type]
    assert needed[0] is not None and needed[1] is not None
    assert needed[0].least == needed[1].least and needed[0].least is not None
    assert main(["lint", str(suite(tmp_path, f"attends: any -> n-1, between: {band}"))]) == 0


def test_more_prompts_than_are_tried_are_not_counted(tmp_path: Path) -> None:
    """A bound close to the best value is said to need more than what was tried, never the number at which the search ended."""
    found = load(suite(tmp_path, "attends: any -> n-1, at_most: 0.00001"), knowledge())
    (warning,) = power_warnings(found)
    assert "needs more than 10000 prompts even if all of them agree" in warning
    line = power_line(found)
    assert line is not None
    assert ". It takes more than 10000 prompts if all agree; more than 10000 if their mean" in line


def test_lint_warns_of_what_uniform_attention_satisfies(tmp_path: Path) -> None:
    """An easy lower bound, an upper bound that nothing exceeds; not a bound that uniform attention misses."""
    found = load(
        suite(
            tmp_path,
            "attends: 'any[late] -> any', at_least: 0.3",
            "attends: member -> earlier member, at_most: 0.5",
            "attends: member -> earlier member, at_least: 0.5",
            "attends: member -> previous member, more_than: member -> earlier member, by_at_least: 0",
        ),
        knowledge(),
    )
    warned = [warning.split(": ")[2] for warning in uniform_warnings(found, DryRun(knowledge().families))]
    assert warned == ["c0", "c1"]


def test_one_search_finds_the_bounds_that_are_out_of_reach() -> None:
    """Of bounds of every kind, range and need those that asking each of them by itself finds."""
    ends = [0.01, 0.05, 0.3, 0.5, 0.85, 0.9, 0.93, 0.96, 0.99, 0.999]
    bounds = [Bound("at_least", end, None, "") for end in ends] + [Bound("at_most", None, end, "") for end in ends]
    bounds += [Bound("between", low, high, "") for low, high in itertools.combinations(ends[::3], 2)]
    asked = [(span, bound, need) for span in ((0.0, 1.0), (-1.0, 1.0)) for bound in bounds for need in (3.7, 6.0)]
    for most in (1, 8, 40, 128):
        alone = {
            (span, bound.low, bound.high, need) for span, bound, need in asked if not _enough(most, span, bound, need)
        }
        assert _out_of_reach(most, asked) == alone
        assert 0 < len(alone) <= len(asked)


def test_loading_leaves_the_garbage_collector_as_it_was(tmp_path: Path) -> None:
    """It is off while a suite is read, and on again afterwards; who had switched it off finds it so."""
    path = suite(tmp_path, "attends: any -> n-1, at_least: 0.4")
    assert gc.isenabled()
    load(path, knowledge())
    assert gc.isenabled()
    gc.disable()
    try:
        load(path, knowledge())
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_two_suites_with_one_name_for_other_prompts_are_told_apart(tmp_path: Path) -> None:
    """What is remembered of a dry run goes by the prompts, not by their name."""
    know = knowledge()
    for members, selected in (("[a, b, c]", True), ("[e, f, g]", False)):
        own = f"family: named_sequence, members: {members}, length: 1, roles: {{own: '[abc]\\.'}}"
        (tmp_path / "t.yaml").write_text(f"suite: S\nmodel: reference\nprompts:\n  t: {{{own}}}\n")
        found = load(tmp_path / "t.yaml", know)
        assert bool(found.faults) != selected, [fault.render() for fault in found.faults]
