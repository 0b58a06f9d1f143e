"""How the intervals of a page were made: only what occurs there, true to the code."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_report_markdown import check, claim, pages, record

from circuits.measure import series
from circuits.report import words
from circuits.report.markdown import write_reports
from circuits.report.methods import TITLE, divided, how_made
from circuits.verdict import circuit_rows, estimate
from circuits.verdict.anytime_t import quantile
from circuits.verdict.nonnegative import infer_nonnegative

PAGE = "hypotheses--smollm2--heads.md"
ASSUMPTIONS = (estimate.NEAR_NORMAL, estimate.UNSEEN_WITHIN_RANGE, circuit_rows.RANDOM_ASSUMPTION)


def made(*rows: dict[str, Any]) -> str:
    return how_made([{"checks": list(rows)}])


METHODS = {
    "betting": "betting interval", "betting (two samples)": "betting, two samples", "betting (ratio)": "betting (ratio)",
    "t": "t interval", "fieller": "Fieller interval", "rule-of-three": "rule-of-three interval",
    "clopper-pearson": "Clopper-Pearson interval", "t, lower end betting": "lower end by betting",
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_each_method_is_explained_where_it_occurs_and_no_other(name: str) -> None:
    """One bullet for each method of the page's rows."""
    told = made(check(interval=name))
    explained = {title for title in METHODS.values() if f"\n- **{title}**" in told}
    assert explained == {METHODS[name]} | ({"t interval"} if name.startswith("t,") else set())


def test_the_methods_are_those_that_the_estimates_name() -> None:
    """What the code calls its methods has an explanation."""
    values = np.linspace(0.1, 0.9, 20)
    found = [
        estimate.bounded_mean(values), estimate.share(values > 0.5), estimate.mean_t(values), estimate.mean_t(np.ones(20)),
        estimate.ratio_of_means(values, values[::-1] + 1), infer_nonnegative(values)(0.95),
    ]  # fmt: skip
    for each in found:
        assert made(check(interval=each.method)).count("\n- **") >= 2, each.method


def test_a_page_ends_with_how_its_intervals_were_made(tmp_path: Path) -> None:
    """Folded, with a link at the top; the same stands on the HTML page; without an interval there is none."""
    write_reports(tmp_path, record(), html=True)
    page, html = ((tmp_path / name).read_text() for name in (PAGE, "report.html"))
    assert page.count(f"<summary>{TITLE}</summary>") == 1 and "(#intervals) stands at the end. Of" in page
    assert page.rstrip().endswith("</details>") and page.index(TITLE) > page.index("[Contents](#contents)")
    assert f"<summary>{TITLE}</summary>" in html and "betting interval" in html
    none = pages(tmp_path / "none", record(claim(checks=[check(interval=None, low=None, high=None)])))[PAGE]
    assert TITLE not in none and "#intervals" not in none


def test_how_n_was_decided_is_told_from_the_rows() -> None:
    """Sampled in blocks, or fixed in advance; the numbers are those of the rows."""
    told = made(
        check(n=60, skipped=4, most=64, looks=2), check(n=32, most=256, looks=1), check(n=12, most=12, looks=1),
        check(n=99, most=99, looks=1, observe=True), check(n=20, most=20, looks=1, unit="random circuits"),
    )  # fmt: skip
    assert (
        "Here at most 64 to 256 prompts were to be drawn and 32 to 64 were taken; 1 of 2 measurements took them all."
        in told
    )
    assert "1 bounded measurement took all of 12 prompts in one look" in told
    assert "blocks of 32, later of about a quarter" in told
    grid = list(series.grid(1, 2000))
    assert grid[0][1] == grid[1][1] == 32 and all(0.15 < size / done < 0.26 for done, size in grid[8:-1])


def test_the_level_is_said_with_its_error_and_why_intervals_are_wide() -> None:
    """The standard errors are what the quantile of the t e-process gives; of betting nothing is said of them."""
    told = made(check(interval="fieller"))
    assert "95% (each end is wrong with probability at most 2.5%)" in told
    least, most = map(float, re.findall(r"reaches (\S+) to (\S+) standard errors", told)[0])
    found = [quantile(n, 0.025) for n in range(12, 1001, 4)]
    assert round(min(found), 1) == least and round(max(found), 1) == most
    assert "standard errors" not in made(check(interval="betting"))


def test_a_page_whose_texts_are_all_used_says_that_it_looked_once() -> None:
    """Nothing was stopped early there; where one measurement could be, the page says what that allows."""
    once = made(check(n=12, most=12, looks=1))
    assert "however early" not in once and "(on this page all were taken in one look)" in once
    both = made(check(n=12, most=12, looks=1), check(n=32, most=256, looks=1))
    assert "however early the sampling stopped" in both and "one look)" not in both


def test_the_correction_says_by_what_the_error_was_divided() -> None:
    """The number is that which the correction was made with, also from a rounded level."""
    for times in (2, 3, 4, 7, 24, 90):
        level = float(f"{estimate.corrected(0.95, times):.6g}")
        assert divided(check(corrected={"confidence": level})) == times
    told = made(check(), check(corrected={"confidence": 0.9875}, bound_high=1.0))
    assert "97.5% by 2 and 98.8% by 4" in told and "twice for a band" in told
    assert "Corrected interval" not in made(check(corrected={"confidence": 0.95}))
    assert words.corrected_level(check(corrected={"confidence": 0.9875})) == "98.8%, the error divided by 4"


def test_the_level_of_some_head_is_explained_apart() -> None:
    """It is corrected for the number of heads, and is no level of the page's other intervals."""
    some = check(confidence=0.999815, any={"of": 270, "passing": 3})
    assert "some head of m" in made(some) and "99.98" not in made(some, check())
    assert "some head" not in made(check())


@pytest.mark.parametrize("assumption", ASSUMPTIONS)
def test_every_assumption_of_the_code_is_said_in_english(assumption: str) -> None:
    """The words of the record are those of the code, and the page has a clause for each."""
    told = words.trust(check(guaranteed=False, assumption=assumption))
    assert assumption not in told and "it assumes" in told.replace("and it", "it") and "not guaranteed: " in told


def test_what_is_guaranteed_is_said_of_what_decides() -> None:
    """Of a place among heads the comparison; of an interval of two methods the end that took part."""
    ranked = check(k=1, interval="rule-of-three", guaranteed=False, assumption=estimate.NEAR_NORMAL)
    assert words.trust(ranked).startswith(
        " (rule-of-three interval, the comparison with other heads, which decides, is not guaranteed: it assumes values"
    )
    lower = check(interval="rule-of-three, lower end betting", guaranteed=True)
    assert words.trust(lower) == (
        " (rule-of-three interval, its lower end by betting, which alone took part in the verdict and is guaranteed)"
    )
    upper = check(interval="t, lower end betting", guaranteed=False, assumption=estimate.NEAR_NORMAL)
    assert words.trust(upper).startswith(" (t interval, its lower end by betting, not guaranteed: it assumes values")


def test_a_rule_of_three_is_as_wide_as_it_is_said_to_be() -> None:
    """3/n of the range of the metric at 95%, more above."""
    found = estimate.mean_t(np.full(30, 5.0), observed_range=2.0)
    assert math.isclose(found.high - found.value, 3 / 30 * 2.0)
    assert "3/n (at 95%; more above)" in made(check(interval=found.method))


def test_it_is_said_what_the_means_of_an_ablation_are_taken_over() -> None:
    """Only where outputs are replaced by means; of literal texts they are their own partners, which nobody drew."""
    mean = check(method="mean", reference={"n": 128}, prompts="p")
    assert "drawn apart from the measured ones" in made(mean)
    assert "drawn apart" not in made(check(method="zero"), check())
    texts = {"checks": [mean], "prompts": {"p": {"family": "texts"}}}
    own = how_made([texts])
    assert "each prompt's own among them" in own and "drawn apart" not in own
    both = how_made([texts, {"checks": [mean], "prompts": {"p": {"family": "ioi"}}}])
    assert "each prompt's own among them" in both and "drawn apart from the measured ones" in both
    assert "Literal texts are not drawn" in own and "Literal texts" not in made(mean)
