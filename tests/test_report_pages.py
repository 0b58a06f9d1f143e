"""What a reader finds on the pages: first things first, questions answered, the run repeatable."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_report_markdown import FILE, check, claim, pages, record

from circuits.plugin.options import _FLAGS
from circuits.report.markdown import write_reports
from circuits.report.pages import rank_text
from circuits.report.scope import other_versions
from circuits.report.terminal import claims_section, counts_line
from circuits.report.write import is_checkout

PAGE = "hypotheses--smollm2--heads.md"


def refuted(name: str, high: float, **more: Any) -> dict[str, Any]:
    row = check(estimate=0.1, low=0.0, high=high, corrected=None, verdict="refuted")
    return claim(name, verdict="refuted", checks=[row], claim=f"Claim {name}.", **more)


def front_of(folder: Path, *claims: dict[str, Any], **more: Any) -> str:
    return pages(folder, record(*claims, **more))["README.md"]


def rows_under(front: str, heading: str) -> list[str]:
    """The rows of the first table below a heading."""
    below = front.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in below.splitlines() if line.startswith("| ")][1:]


def test_the_strongest_refutation_comes_first(tmp_path: Path) -> None:
    """Refutations that nobody expected stand above known negatives, and among each the farthest beyond its bound."""
    front = front_of(
        tmp_path,
        refuted("weak", 0.35, expected="refuted", met=True),
        refuted("strong", 0.12, expected="refuted", met=True),
        refuted("surprise", 0.3, expected="supported", met=False),
        claim("held"),
    )
    found = [re.findall(r"Claim (\w+)\.", row)[0] for row in rows_under(front, "The strongest refutations")]
    assert found == ["surprise", "strong", "weak"]
    shown = rows_under(front, "The strongest refutations")
    assert shown[0].startswith("| **not expected**<br>")
    assert shown[0].endswith("| 0.117 (0.6 arms) |"), "0.417 - 0.3 and an arm of 0.2"
    assert shown[1].startswith("| known negative<br>")
    assert front.index("## The strongest refutations") < front.index("## Claims")


def test_a_run_without_surprises_says_so(tmp_path: Path) -> None:
    """When only known negatives are refuted the page says that nothing else was."""
    front = front_of(tmp_path, refuted("known", 0.2, expected="refuted", met=True))
    assert "No claim was refuted that its suite expects to hold." in front
    assert "The strongest refutations" not in front_of(tmp_path / "none", claim())


def test_many_known_negatives_are_folded_and_no_surprise_is(tmp_path: Path) -> None:
    """The table shows the first known negatives and folds the rest; every unexpected refutation stays in sight."""
    known = [refuted(f"k{k}", 0.2 + k / 100, expected="refuted", met=True) for k in range(12)]
    front = front_of(tmp_path / "known", *known)
    assert len(rows_under(front, "The strongest refutations")) >= 8
    assert "<summary>4 more, all of them known negatives</summary>" in front
    surprises = [refuted(f"s{k}", 0.2 + k / 100, expected="supported", met=False) for k in range(12)]
    front = front_of(tmp_path / "surprises", *surprises)
    assert "all of them known negatives" not in front
    assert front.count("| **not expected**<br>") == 12


def test_claims_that_missed_their_expectation_otherwise_are_named(tmp_path: Path) -> None:
    """A known negative that held and a claim that stayed undecided are listed with what was expected."""
    front = front_of(
        tmp_path,
        claim("held", expected="refuted", met=False, claim="It held."),
        claim(
            "open", verdict="inconclusive", met=False, claim="It stayed open.", checks=[check(verdict="inconclusive")]
        ),
    )
    below = front.partition("## Not as expected")[2]
    assert "REFUTED:" not in below
    assert f"- SUPPORTED though a known negative: [It held.]({PAGE}#held)" in below
    assert f"- INCONCLUSIVE, expected supported: [It stayed open.]({PAGE}#open)" in below
    assert "Not as expected" not in front_of(tmp_path / "none", claim())


def test_refuted_claims_count_among_those_not_as_expected(tmp_path: Path) -> None:
    """The section says how many were refuted and leads to their table, also where there is nothing else to list."""
    surprises = [refuted(f"s{k}", 0.2, expected="supported", met=False) for k in range(2)]
    line = "- REFUTED: {}, at the top of [the strongest refutations](#strongest-refutations)\n"
    missed = claim("held", expected="refuted", met=False, claim="It held.")
    for name, claims, listed in (
        ("one", surprises[:1], [line.format("1 claim")]),
        ("all", [*surprises, missed], [line.format("2 claims"), "- SUPPORTED though a known negative: [It held.]"]),
    ):
        front = front_of(tmp_path / name, *claims)
        below = front.partition("\n## Not as expected\n")[2].partition("\n<a id")[0]
        assert below.count("\n- ") == len(listed)
        assert all(text in below for text in listed)
        assert front.count('<a id="strongest-refutations"></a>') == 1
        assert "Refutations that were not expected stand first, then the others" in front


def test_faults_of_a_suite_are_no_claim(tmp_path: Path) -> None:
    """They are shown and not counted: neither among the claims of the front page, its counts, nor those of the HTML page."""
    faults = claim(
        "(suite)", verdict=None, status="invalid", met=False, checks=[], prompts={}, yaml="", reason="unknown key 'x'",
        claim="The suite itself.", faults=["x.yaml:3:1: unknown key 'x'"],
    )  # fmt: skip
    broken = claim("wrong", verdict=None, status="invalid", met=False, checks=[], faults=["x.yaml:9:1: no head"])
    write_reports(tmp_path, record(claim("a"), broken, faults), html=True)
    front, page = ((tmp_path / name).read_text() for name in ("README.md", "report.html"))
    assert "1 of 2 claims was tested, on `smollm2-135m`. 1 suite has faults outside its claims." in front
    assert "\n| INVALID | 1 | 1 |\n" in front
    assert "1 supported, 1 invalid." in front
    assert "- Not counted as a claim: [The suite itself.](" in front
    assert "<b>1 of 2 claims</b> was tested, on <code>smollm2-135m</code>. 1 was refused by the loader." in page
    assert "1 suite has faults outside its claims.</p>" in page
    assert page.count("<b>1</b><span>invalid</span>") == 1
    assert len(re.findall(r"<tr [^>]*data-outside", page)) == 1
    assert counts_line(record(claim("a"), broken, faults)["claims"]) == (
        "2 claims: 1 measured, 1 invalid; 1 not as expected; 1 suite has faults outside its claims"
    )
    assert counts_line({"x": faults, "y": faults}) == "0 claims; 2 suites have faults outside their claims"


def test_figures_of_several_checks_have_texts_that_differ(tmp_path: Path) -> None:
    """Each begins with the number of its check, one that two checks share with both; a single check needs none."""
    figures = [{"path": f"figures/{name}.png", "alt": "Pattern of head 16.8"} for name in "abb"]
    rows = [check(index=place, figure=figure) for place, figure in enumerate(figures, 1)]
    page = pages(tmp_path, record(claim(checks=rows)))[PAGE]
    assert "![check 1: Pattern of head 16.8](figures/a.png)" in page
    assert "![checks 2 and 3: Pattern of head 16.8](figures/b.png)" in page
    assert "![Pattern of head 16.8](figures/a.png)" in pages(tmp_path / "one", record(claim(checks=rows[:1])))[PAGE]


def test_vacuous_is_defined_alike_wherever_it_is_explained(tmp_path: Path) -> None:
    """Uniform attention or shuffled weights: in the report, on the terminal, in the option's help and in the README."""
    page = pages(tmp_path, record(claim(vacuous=True)))
    root = Path(__file__).resolve().parent.parent
    shown = "".join(text for line in claims_section(record(claim(vacuous=True))["claims"]) for text, _ in line)
    texts = {
        "front page": page["README.md"].partition("## How to read this report")[2],
        "suite page": page[PAGE], "terminal": shown, "help": dict(_FLAGS)["--circuit-strict"],
        "README": (root / "README.md").read_text().partition("## Verdicts")[2],
        "options": (root / "docs" / "options.md").read_text(),
    }  # fmt: skip
    for name, text in texts.items():
        assert re.search("VACUOUS.{0,120}uniform attention.{0,30}shuffled weights", " ".join(text.split())), name


def test_skipped_claims_do_not_bury_the_measured_ones(tmp_path: Path) -> None:
    """Any number of skipped claims is one closed part with its reason, below the table, and no row of it."""
    gone = {
        "status": "skipped",
        "verdict": "unmeasurable",
        "met": None,
        "reason": "gpt2: no copy is cached",
        "checks": [],
    }
    many = [claim(f"g{k}", file="hypotheses/gpt2.yaml", claim="Never measured.", **gone) for k in range(126)]
    front = front_of(tmp_path, claim("a", claim="It was measured."), *many)
    assert front.count("<details>") == 1
    assert "<summary>126 skipped: gpt2: no copy is cached</summary>" in front
    assert front.index("It was measured.") < front.index("126 skipped:")
    assert "Never measured." not in front
    assert front.index("126 skipped:") < front.index("## Where the numbers come from")


def test_a_row_shows_the_check_that_decides(tmp_path: Path) -> None:
    """Of three checks the one nearest to its bound is shown, with its bar, and the others are counted."""
    rows = [check(index=1, low=0.55), check(index=2, head="9.2", low=0.42), check(index=3, low=0.5)]
    (row,) = [line for line in rows_under(front_of(tmp_path, claim(checks=rows)), "Claims") if "SUPPORTED" in line]
    assert "(and 2 more)" in row
    assert (
        "| 0.618 [0.42, 0.642]<br>`0\u00a0·····│═══●─────\u00a01`<br>at least 0.417 | 9.2 | lift 11.3<br>n = 67 |"
        in row
    )
    assert row.count("`0\u00a0") == 1


def test_what_was_not_measured_has_no_bar(tmp_path: Path) -> None:
    """A check without a value is said to be not measured, on both pages, and nothing is drawn."""
    rows = [check(estimate=None, low=None, high=None, effect=None, verdict="unmeasurable", reason="no token")]
    found = pages(tmp_path, record(claim(verdict="unmeasurable", met=False, checks=rows)))
    for text in found.values():
        assert "not measured" in text
        assert "\u00a0" not in text


def options(**more: Any) -> dict[str, Any]:
    return {"seed": None, "n": None, "permuted": 5, "robust": False, "fdr": None, "fresh": False, "models": [], **more}


def run_with(**more: Any) -> dict[str, Any]:
    return {"3": {**record()["runs"]["3"], "transformers": "5.24.0", **more}}


def commands(front: str) -> list[str]:
    """The commands as a shell reads them: a line that goes on is one with the next."""
    block = front.partition("## How to reproduce it")[2].partition("```sh\n")[2].partition("\n```")[0]
    assert max(map(len, block.splitlines())) <= 70  # paper and a phone hold them
    return re.sub(r" \\\n +", " ", block).splitlines()


def test_the_front_page_says_how_to_repeat_the_run(tmp_path: Path) -> None:
    """Commit, versions, suites, seed, size, models and switches of the run stand in the commands."""
    asked = options(seed=7, n=64, robust=True, models=["gpt2"])
    front = front_of(tmp_path, claim(), runs=run_with(options=asked, checkout=True))
    assert commands(front) == [
        "git checkout deadbee",
        'pip install -e . "torch==2.13.0" "transformer-lens==4.3.0" "transformers==5.24.0"',
        f"pytest {FILE} --circuit-no-cache --circuit-device=cpu --circuit-dtype=float32 --circuit-seed=7 --circuit-n=64 "
        "--circuit-permuted=5 --circuit-robust --circuit-model=gpt2=DIR",
    ]
    assert "DIR is the folder or file with the weights whose digest stands above." in front


def test_a_project_of_its_own_installs_the_package_by_name(tmp_path: Path) -> None:
    """Only in the package's own checkout is it installed from there; a record that does not say where it was made says that."""
    named = 'pip install "pytest-circuits==0.1.0" "torch==2.13.0" "transformer-lens==4.3.0" "transformers==5.24.0"'
    fronts = {
        known: front_of(tmp_path / str(known), claim(), runs=run_with(options=options(), checkout=known))
        for known in (True, False, None)
    }
    assert [commands(front)[0] for front in fronts.values()] == ["git checkout deadbee"] * 3
    assert commands(fronts[True])[1].startswith("pip install -e . ")
    assert commands(fronts[False])[1] == commands(fronts[None])[1] == named
    told = {known: "was not recorded (an earlier version wrote the record)" in front for known, front in fronts.items()}
    assert told == {True: False, False: False, None: True}
    assert is_checkout(Path(__file__).resolve().parent.parent)
    assert not is_checkout(tmp_path)


def test_a_claims_line_carries_the_options_of_its_run(tmp_path: Path) -> None:
    """Seed, size, device, precision and the claim's own model stand in it; another run's options do not."""
    asked = options(seed=7, n=40, models=["gpt2", "smollm2-135m"])
    two = {**run_with(options=asked, device="cuda:1", dtype="bfloat16"), "4": run_with(options=options(seed=9))["3"]}
    page = pages(tmp_path, record(claim("a"), claim("b", run="4"), runs=two))[PAGE]
    assert (
        f"Measure it again: `pytest {FILE}::a --circuit-no-cache --circuit-device=cuda:1 --circuit-dtype=bfloat16 "
        "--circuit-seed=7 --circuit-n=40 --circuit-permuted=5 --circuit-model=smollm2-135m=DIR`. DIR is the folder"
    ) in page
    assert (
        f"`pytest {FILE}::b --circuit-no-cache --circuit-device=cpu --circuit-dtype=float32 --circuit-seed=9 " in page
    )
    assert page.count("DIR is the folder") == 1


def test_what_the_commands_cannot_promise_is_said(tmp_path: Path) -> None:
    """Uncommitted changes, a missing commit, unrecorded options and fresh prompts are each named."""
    texts = {
        "changes": ({"git": "deadbee+changes", "options": options()}, "The working tree had uncommitted changes"),
        "no git": (
            {"git": None, "code": "sha256:c0de", "options": options()},
            "Its code had the digest `sha256:c0de`.",
        ),
        "old": ({}, "The options of this run were not recorded"),
        "fresh": ({"options": options(fresh=True, seed=9)}, "the seed alone draws a few others"),
    }
    for name, (facts, said) in texts.items():
        front = front_of(tmp_path / name, claim(), runs=run_with(**facts))
        assert said in front, name
        assert [other for _, other in texts.values() if other in front] == [said]
    assert commands(front_of(tmp_path / "none", claim(), runs=run_with(git=None)))[0].startswith("pip install")


def test_runs_with_other_options_have_commands_of_their_own(tmp_path: Path) -> None:
    """A report of two unlike runs says of each how to repeat it; alike ones share their lines."""
    two = {**run_with(options=options(seed=1)), "4": {**run_with(options=options(seed=2))["3"]}}
    front = front_of(tmp_path, claim("a"), claim("b", run="4"), runs=two)
    assert front.count("```sh") == 2
    assert "Run 3:\n\n```sh" in front
    same = {**run_with(options=options()), "4": run_with(options=options())["3"]}
    assert front_of(tmp_path / "same", claim("a"), claim("b", run="4"), runs=same).count("```sh") == 1


def test_history_is_shown_where_it_is_recorded(tmp_path: Path) -> None:
    """A line on earlier wordings stands beside the claim on both pages, and nothing stands there without one."""
    found = pages(tmp_path, record(claim("a", history="edited 3 times before it held"), claim("b")))
    assert "(edited 3 times) |" in found["README.md"]  # how, the claim's section says
    assert found[PAGE].count("edited 3 times before it held") == 1
    for text in found.values():
        assert text.lower().count("history:") <= 1
    assert "History: edited 3 times before it held" in found[PAGE]


def test_a_suite_page_says_how_many_of_its_claims_had_other_versions(tmp_path: Path) -> None:
    """Also that the ledger knows of none; without a ledger nothing is said."""
    told = {"ledger": True, "question": "q"}
    versions = [{"now": False, "bounds": [], "decisions": []}, {"now": True, "bounds": [], "decisions": []}]
    edited = claim("b", **told, versions=versions, history="edited once")
    recoded = claim("c", **told, versions=versions[1:], history="decided more than once")
    skipped = claim("d", **told, status="skipped", verdict=None)
    assert other_versions([claim("a")]) == ""
    none = (
        "none of the 2 claims with a verdict here was ever decided in another version, as far as `ledger.jsonl` knows."
    )
    assert other_versions([claim("a", **told), recoded, skipped]) == none
    said = "1 of the 2 claims with a verdict here was also decided in other versions (none with other bounds)"
    assert other_versions([claim("a", **told), edited]).startswith(said)
    moved = [{**versions[0], "bounds": ["at_least 0.5"]}, {**versions[1], "bounds": ["at_least 0.4"]}]
    looser = claim("e", **told, versions=moved, history="edited once")
    assert (
        "2 of the 3 claims with a verdict here were also decided in other versions (1 with other bounds)"
        in other_versions([claim("a", **told), edited, looser])
    )
    front = pages(tmp_path / "moved", record(edited, looser))["README.md"]
    assert "(edited once)" in front and "(edited once, with other bounds)" in front
    page = pages(tmp_path / "none", record())[PAGE]
    assert "**Other versions**" not in page
    line = {
        "time": "2030-01-01",
        "id": "x.yaml::y",
        "claim": "c",
        "question": "q",
        "bounds": [],
        "n": 3,
        "seed": 0,
        "verdict": "refuted",
    }
    (tmp_path / "ledger.jsonl").write_text(json.dumps(line) + "\n")
    write_reports(tmp_path, record(), html=True)
    for name in (PAGE, "report.html"):
        assert "the claim with a verdict here was never decided in another version" in (tmp_path / name).read_text()


def test_a_set_of_prompts_is_defined_on_the_page(tmp_path: Path) -> None:
    """Every parameter, lists too, what is required of the model and the text of BOS."""
    entry = claim()
    parameters = {"length": 4, "centuries": ["11", "12"], "shown": True, "own": {"a": [1, 2]}}
    entry["prompts"]["numerals"] |= {"parameters": parameters, "requires": {"top1": 0.4}, "roles": {"day": r"\w+day"}}
    page = pages(tmp_path, record(entry))[PAGE]
    assert "- Parameters: `centuries: [11, 12]`, `length: 4`, `own: {a: [1, 2]}`, `shown: true`\n" in page
    assert "- An intervention on them is measured only where the model surely has `top1` above 0.4" in page
    assert "BOS (<code>&lt;&#124;im&#95;start&#124;&gt;</code>) in front" in page
    assert "- Roles (regular expressions): `day: \\w+day`" in page


def test_all_literal_texts_stand_on_the_page_with_what_their_intervals_speak_of(tmp_path: Path) -> None:
    """Each with its answer, foil and partner; of a census it is said that it speaks of no others."""
    entry = claim()
    texts = [{"text": "A is", "answer": " 2", "foil": " 1", "corrupted": "B is"}, {"text": "C is"}, "D is"]
    entry["prompts"]["numerals"] |= {"family": "texts", "parameters": {"texts": texts}}
    write_reports(tmp_path, record(entry), html=True)
    page, html = ((tmp_path / name).read_text() for name in (PAGE, "report.html"))
    assert (
        "- Texts (3, all of them):\n  - `A is`, answer `␣2`, foil `␣1`, corrupted `B is`\n  - `C is`\n  - `D is`\n"
        in page
    )
    assert "- All texts of the suite are used. Intervals take them for independent draws:" in page
    assert "Parameters:" not in page and "see the YAML" not in page
    assert "<li><code>C is</code></li>" in html
    entry["prompts"]["numerals"] |= {"parameters": {}, "census": True}
    page = pages(tmp_path / "census", record(entry))[PAGE]
    assert "a value is exact for them, and speaks of no others" in page and "independent draws:" not in page


CONTROLS = {
    "broken": {"value": 0.602, "holds": True},
    "permuted": [{"value": 0.11, "holds": False}, {"value": 0.5, "holds": True}],
}
QUESTIONS = {
    "On how many prompts and which text was head 16.8 measured?": (
        "for 16.8 on 67 prompts of `numerals`",
        "- First prompt: `Adam is 1. Bob is`",
        "- **Templates**: `{name} is {member}.`",
    ),
    "Would another head have passed?": ("heads of the model that satisfy the bound", "| 13 of 270 |"),
    "What would have refuted it?": (
        "it would have been refuted had the whole corrected interval (97.5%, the error divided by 2) been below 0.417",
    ),
    "Is the value due to the structure of the prompts?": (
        "the prompts' corrupted partners",
        "| 0.602, satisfies it too |",
        "Corrupted partners, check 1: the bound is met there, too.",
    ),
    "Would a model that learned nothing come to it?": (
        "models with shuffled weights",
        "| 1 of 2 satisfy it (0.11 to 0.5) |",
    ),
    "What would a head do that looks everywhere alike?": ("under uniform attention", "| 0.0553 |"),
    "How sure is the number?": ("**0.618 [0.584, 0.642]**", "95% interval (betting interval, guaranteed)"),
    "What did others report?": ("| 1 | 16.8 | 0.7 (arXiv 2211.00593) | 0.618 [0.584, 0.642] |",),
    "How do I measure it again?": (
        f"`pytest {FILE}::three-back --circuit-no-cache --circuit-device=cpu --circuit-dtype=float32`",
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_readers_question_is_answered_by_the_page(question: str, tmp_path: Path) -> None:
    """Each question of a sceptical reader has its answer on the suite's page, outside of what is folded away or in the YAML."""
    row = check(controls=CONTROLS, reported={"value": 0.7, "source": "arXiv 2211.00593"})
    page = pages(tmp_path, record(claim(checks=[row])))[PAGE]
    folded = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    for answer in QUESTIONS[question]:
        assert answer in folded, answer


def test_what_a_suite_expects_is_said_in_words(tmp_path: Path) -> None:
    """No YAML stands in the sentences; a reason that speaks of "refuted" makes no known negative."""
    failing, known = "{xfail: too few prompts; refuted elsewhere}", "{refuted: [2]}"
    page = pages(tmp_path, record(claim("a", expected=failing), claim("b", expected=known)))[PAGE]
    assert "This claim is expected to fail: too few prompts; refuted elsewhere. It came out" in page
    assert "a check of this claim is known to be false: check 2 is expected to be refuted. It came out" in page
    assert "{xfail" not in page and "{refuted" not in page and page.count("**Known negative**") == 1


def test_an_ablation_says_what_became_of_the_answers(tmp_path: Path) -> None:
    """Means before and after, answers lost and what is first now stand in a table; without them there is none."""
    row = check(
        kind="ablate", ablated=["23.3"], head=None, statistic="drop_in", metric="logit_diff", baseline={"clean": 4.71, "ablated": 2.13},
        lost=[12, 31], fell_to=[[" 4", 7], [" 5", 3], [" 6", 1], [" 7", 1]], ranks={"median": 2.0, "counts": {"1": 19, "2": 12}},
    )  # fmt: skip
    page = pages(tmp_path, record(claim(checks=[row])))[PAGE]
    assert (
        "| 1<br>23.3 | 4.71<br>2.13<br>`logit_diff` | 12 of 31 | `␣4` (7), `␣5` (3), `␣6` (1) and 1 other token (1 prompt) | 2 (n = 31) |"
        in page
    )
    assert "another right one may be first" not in page
    old = {**row}
    del old["lost"]  # as a record of an older version has it
    page = pages(tmp_path / "old", record(claim(checks=[old])))[PAGE]
    assert "| `␣4` (7), `␣5` (3), `␣6` (1) and 1 other token (1 prompt) |" in page
    gained = {**row, "ranks": {"median": 1.0, "counts": {"1": 25, "2": 6}}}
    assert "| 12 of 31<br>then first on 25 of 31 |" in pages(tmp_path / "gained", record(claim(checks=[gained])))[PAGE]
    fifth = {**gained, "metric": "top5"}  # answers lost from the first five are no first choices
    assert "then first on" not in pages(tmp_path / "fifth", record(claim(checks=[fifth])))[PAGE]
    tied = pages(tmp_path / "tied", record(claim(checks=[{**row, "tied_after": 4}])))[PAGE]
    assert "| 12 of 31<br>4 first by a tie |" in tied
    several = {**row, "clean": {"top1": 0.5, "right_answers": 9, "right_first": 0.583}, "right_after": 0.25}
    page = pages(tmp_path / "several", record(claim(checks=[several])))[PAGE]
    assert "| 12 of 31<br>any right one first: 58.3%, then 25% |" in page
    within = pages(tmp_path / "within", record(claim(checks=[{**several, "right_before": 0.5}])))[PAGE]
    assert "any right one first: 50%, then 25% |" in within  # of what the circuit alone has first
    assert "where it was lost another right one may be first" in page
    assert "What the intervention did" not in pages(tmp_path / "none", record())[PAGE]


def test_claims_about_the_same_part_are_linked(tmp_path: Path) -> None:
    """Each section names the page's other claims about one of its heads; a circuit is not about each of its parts."""
    many = ["1.5", *(f"0.{head}" for head in range(4))]
    lost = check(
        head=None, ablated=["9.1"], kind="ablate", check="ablate: 9.1 (mean), drop_in: logit_diff", estimate=0.5
    )
    other = {**lost, "estimate": 0.25}
    found = pages(
        tmp_path,
        record(
            claim("a", heads=["1.5"], checks=[check(estimate=0.7)]), claim("b", heads=["1.5", "2.0"], verdict="refuted"), claim("c", heads=["3.0"]), claim("d", heads=many),
            claim("e", heads=["9.1"], checks=[other]), claim("f", heads=["9.1"], checks=[lost]), claim("g", heads=["9.1"], checks=[lost], verdict="refuted"),
        ),
    )[PAGE]  # fmt: skip
    aside = "; claims about more than 3 parts aside."
    assert f"Also about 1.5 on this page: [b](#b) (refuted){aside}" in found
    assert f"Also about 1.5 or 2.0 on this page: [a](#a) (supported){aside}" in found
    assert "Also about 9.1 on this page: [g](#g) (refuted, by the same measurement) and [e](#e) (supported)." in found
    assert found.count("Also about") == 5
    more = [claim("e", heads=["9.1"], checks=[other, lost]), claim("f", heads=["9.1"], checks=[lost])]
    assert "[e](#e) (supported, in part by the same measurement)" in pages(tmp_path / "part", record(*more))[PAGE]
    gone = {"status": "skipped", "verdict": "unmeasurable", "met": None, "checks": [check(estimate=None)]}
    none = pages(tmp_path / "none", record(claim("e", heads=["9.1"], **gone), claim("f", heads=["9.1"], **gone)))[PAGE]
    assert "[e](#e) (skipped)" in none, "nothing was measured of either"


def test_the_points_of_a_map_of_losses_stand_in_a_table(tmp_path: Path) -> None:
    """Mean loss and how far each lies from the first point, whatever the plane shows; no interval is pretended."""
    points = [
        {"name": "clean", "kind": "clean", "x": 0.0, "y": 0.0, "loss": 3.0, "apart": 0.0},
        {"name": "23.3", "kind": "ablation", "x": 1.0, "y": 0.5, "loss": 3.1, "apart": 0.25},
    ]
    row = check(kind="loss_map", points=points, explained=[0.7, 0.2], estimate=None, low=None, high=None, verdict=None)
    page = pages(tmp_path, record(claim(checks=[row])))[PAGE]
    assert "| check | point | what it is | mean loss | apart | PC1 | PC2 |" in page
    assert "| 1 | `23.3` | the model without it | 3.1 | 0.25 | 1 | 0.5 |" in page
    assert "these are shown, not judged, and have no interval" in page
    assert "The points of the map" not in pages(tmp_path / "none", record())[PAGE]


def test_the_words_above_an_interventions_table_are_about_its_columns(tmp_path: Path) -> None:
    """What "answers lost" and "median rank" mean is said where the table has such a column, and only there."""
    base = {"kind": "ablate", "ablated": ["23.3"], "head": None, "statistic": "drop_in", "metric": "prob_diff",
            "baseline": {"clean": 0.63, "ablated": 0.25}}  # fmt: skip
    without = pages(tmp_path / "a", record(claim(checks=[check(**base)])))[PAGE]
    assert "**What the intervention did**\n\n| check, head or part |" in without
    ranked = pages(tmp_path / "b", record(claim(checks=[check(**base, lost=[12, 31], ranks={"median": 2.0})])))[PAGE]
    assert (
        "**What the intervention did** (answers lost: of the prompts whose first choice was the answer before; one that ties for the "
        "first place is not lost; median rank: of the answer afterwards)\n\n| check, head or part |"
    ) in ranked


BARE = {"heads_passing": None, "uniform": None, "head": None}
ALONE = {"kind": "ablate", "statistic": "drop_in", "ablated": ["23.3"], **BARE}
RANDOM = {"count": 1, "holding": 0, "n": 32, "seed": 0, "each": [{"parts": ["6.1"], "value": 0.02, "holds": False}]}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (ALONE, True),
        ({**ALONE, "kind": "path", "statistic": "drop_in"}, True),
        ({**ALONE, "kind": "keep_only", "statistic": "recovers"}, True),
        ({**ALONE, "kind": "keep_only", "statistic": "recovers", "random": {"as_good": 0, "count": 8}}, False),
        ({**ALONE, "rank": [1, 270]}, False),
        ({**ALONE, "controls": {"broken": None, "permuted": [], "random": RANDOM}}, False),
        ({**ALONE, "controls": {"broken": None, "permuted": [], "random": None}}, True),
        ({**ALONE, "statistic": "interaction"}, True),
        ({**ALONE, "kind": "keep_only", "statistic": "minimality"}, True),
        ({**ALONE, "statistic": "partial_necessity"}, False),
        ({**ALONE, "observe": True, "verdict": None}, False),
        ({**ALONE, "estimate": None, "low": None, "high": None, "verdict": "unmeasurable"}, False),
        ({}, False),
    ],
)
def test_an_intervention_that_nothing_is_compared_with_says_so(
    more: dict[str, Any], said: bool, tmp_path: Path
) -> None:
    """A verdict on an intervention without a rank, random circuits or random parts is named as one without a base rate."""
    page = pages(tmp_path, record(claim(checks=[check(**more)])))[PAGE]
    line = "**No base rate** (check 1): what the same intervention on parts that the claim does not name would come to was not measured by this claim."
    assert (line in page) is said
    assert ("No base rate" in page) is said
    single = said and more["kind"] == "ablate"
    assert ("A check with `top:` ablates every head alone and ranks them." in page) is single


def test_a_missing_base_rate_names_the_claim_that_has_one(tmp_path: Path) -> None:
    """Random sets beside the same parts on prompts of the same set, in another claim of the page; no other parts or prompt set."""

    def cost(circuit: str, **more: Any) -> dict[str, Any]:
        return check(**{**ALONE, "circuit": {"name": circuit, "heads": ["23.3"], "mlps": None}, **more})

    drawn = {"as_good": 0, "count": 20}
    claims = [
        claim(id="lost", checks=[cost("seven")]),
        claim(id="necessary", checks=[cost("seven", statistic="partial_necessity", random=drawn)]),
        claim(id="another", checks=[cost("four", statistic="partial_necessity", random=drawn, ablated=["6.1"])]),
        claim(id="elsewhere", checks=[cost("seven", statistic="partial_necessity", random=drawn, prompts="months")]),
    ]
    page = pages(tmp_path, record(*claims))[PAGE]
    assert "Random sets beside the same parts on prompts of the same set: [necessary](#necessary)." in page
    own = claim(checks=[cost("seven"), cost("seven", index=2, statistic="partial_necessity", random=drawn)])
    assert "No base rate" not in pages(tmp_path, record(own))[PAGE]  # the claim itself has one
    few = cost("seven", controls={"broken": None, "permuted": [], "random": RANDOM})
    page = pages(tmp_path, record(claim(id="lost", checks=[few]), claims[1]))[PAGE]
    assert "No base rate" not in page
    assert "More random sets beside the same parts on prompts of the same set: [necessary](#necessary)." in page
    alone = pages(tmp_path, record(claims[0], claims[2]))[PAGE]
    assert "No base rate" in alone and "Random sets beside" not in alone


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"holds": True}, "check 1: the bound is met there, too."),
        ({"holds": False}, "check 1: the bound is missed there."),
        ({"holds": False, "value": None}, None),
        ({"holds": True, "bound_low": None, "bound_high": 0.9}, None),  # little is little where there is nothing, too
        ({"holds": False, "verdict": "refuted"}, None),
    ],
)
def test_what_the_corrupted_partners_show_is_said(more: dict[str, Any], told: str | None, tmp_path: Path) -> None:
    """Of a supported bound from below, in either case."""
    broken = {"value": 0.3, "holds": more.pop("holds")} | ({"value": more.pop("value")} if "value" in more else {})
    row = check(controls={"broken": broken, "permuted": []}, **more)
    page = pages(tmp_path, record(claim(checks=[row])))[PAGE]
    assert ("Corrupted partners, check 1:" in page) is (told is not None)
    assert told is None or told in page
    assert "met on the prompts and missed on the *corrupted partners* hangs on what they change" in page
    assert "*corrupted partners*" not in pages(tmp_path / "none", record(claim(checks=[check(controls=None)])))[PAGE]


def test_heads_of_a_check_that_differ_on_the_partners_are_told_apart(tmp_path: Path) -> None:
    """One sentence a kind, each naming its heads; where all are alike the number of the check is enough."""
    rows = [
        check(head=head, controls={"broken": {"value": value, "holds": holds}, "permuted": []})
        for head, value, holds in (("6.1", 0.5, True), ("5.8", 0.1, False))
    ]
    page = pages(tmp_path, record(claim(checks=rows)))[PAGE]
    told = "Corrupted partners, check 1 (5.8): the bound is missed there; check 1 (6.1): the bound is met there, too."
    assert told in page


def test_a_comparison_of_two_prompt_sets_says_what_was_not_asked(tmp_path: Path) -> None:
    """It has no controls on partners or shuffled weights; one of two heads on the same prompts has."""
    for prompts, told in (("shuffled", True), ("numerals", False)):
        other = {"attends": "any -> n-3", "head": "1.1", "prompts": prompts, "n": 32}
        page = pages(tmp_path, record(claim(checks=[check(more_than="any -> n-3", other=other, prompts="numerals")])))[
            PAGE
        ]
        assert ("Two prompt sets (check 1): partners and shuffled weights were not asked." in page) is told


def test_the_two_sides_of_a_comparison_stand_in_the_table(tmp_path: Path) -> None:
    """Below the difference that the estimate is; a row with one side has none."""
    page = pages(tmp_path, record(claim(checks=[check(sides={"left": 0.377, "right": 0.0271})])))[PAGE]
    assert "<br>0.377 against 0.0271 |" in page
    one = pages(tmp_path / "one", record(claim(checks=[check(sides={"left": 0.377, "right": None})])))[PAGE]
    assert " against " not in one.partition("## three-back")[2].partition("**What was measured")[0]


def test_a_page_of_skipped_claims_says_what_would_be_shown(tmp_path: Path) -> None:
    """Family, rules and parameters need no tokenizer; nothing of a first prompt, and no number."""
    facts = {
        "family": "greater_than",
        "foil_rule": "The foils are tokens.",
        "corruption": "It becomes 01.",
        "drawn": "A noun is drawn.",
    }
    gone = {
        "status": "skipped",
        "verdict": "unmeasurable",
        "met": None,
        "reason": "no copy",
        "checks": [check(estimate=None)],
    }
    asked = {"min": 32, "max": 256, "seed": 0, "confidence": 0.95}
    skipped = claim(prompts={"years": facts}, sampling=asked, **gone)
    page = pages(tmp_path, record(skipped))[PAGE]
    decided = "Each would be decided on 32 to 256 prompts of each set (seed 0; literal texts: all of them), as soon as every 95% interval lies wholly on one side"
    assert decided in page
    cost = check(
        check="ablate: 9.1 (mean), drop_in: prob_diff", kind="ablate", statistic="drop_in", metric="prob_diff", method="mean",
        ablated=["9.1"], head=None, estimate=None,
    )  # fmt: skip
    path = check(
        check="path: 9.1 -> logits, drop_in: logit_diff", kind="path", statistic="drop_in", metric="logit_diff",
        path={"sender": "9.1", "receiver": None, "input": "logits"}, head=None, estimate=None, index=2,
    )  # fmt: skip
    meant = pages(tmp_path / "meant", record(claim(sampling=asked, **{**gone, "checks": [cost, path]})))[PAGE]
    told = "Relative drop of the probability of the answers minus that of the foils, (clean - ablated) / clean with the means over"
    assert f"- **Check 1.** {told} prompts, when the output of head 9.1 is replaced by its mean over" in meant
    assert "- **Check 2.** Relative drop of the logit difference between answer and foil, (clean - patched)" in meant
    other = claim("b", prompts={"years": facts}, sampling={**asked, "seed": 7}, **gone)
    assert "Each would be decided" not in pages(tmp_path / "two", record(skipped, other))[PAGE]
    assert "**Prompts `years`**: family `greater_than`." in page and "- How they are drawn: A noun is drawn." in page
    assert "- Foil: The foils are tokens." in page and "- Corrupted partner: It becomes 01." in page
    assert "**Not tested**: anything" in page and "First prompt" not in page


def test_random_circuits_stand_beside_a_recovery_in_the_table(tmp_path: Path) -> None:
    """How many do as well, and what they come to."""
    random = {"as_good": 0, "count": 8, "median": -0.007, "min": -0.01, "max": 0.111}
    row = check(**{**ALONE, "kind": "keep_only", "statistic": "recovers", "percent": True, "random": random})
    assert (
        "| 0 of 8 recover as much; median -0.7% (-1% to 11.1%) |" in pages(tmp_path, record(claim(checks=[row])))[PAGE]
    )


def test_the_front_page_says_on_which_models_claims_were_tested(tmp_path: Path) -> None:
    """With their numbers where there are several, what the reference model is, and on which nothing could be tested."""
    gone = claim("c", model="gpt2", status="skipped", verdict="unmeasurable", met=None, reason="no copy", checks=[])
    front = front_of(tmp_path / "a", claim("a"), claim("b", model="reference"), gone)
    assert (
        "on `reference` (1, whose weights are set by hand, so that the truth is known) and `smollm2-135m` (1)." in front
    )
    assert "Nothing was tested on `gpt2` (1 claims), whose weights could not be had." in front
    assert "Nothing was tested on" not in front_of(tmp_path / "b", claim("a"))


def test_prompts_that_are_the_same_under_another_name_are_told(tmp_path: Path) -> None:
    """Two claims about one set of prompts are no two sets of prompts."""
    facts = {"family": "named_sequence", "n": 32, "digest": "sha256:1"}
    one, other = claim("a", prompts={"numerals": facts}), claim("b", prompts={"period_5": facts})
    third = claim("c", prompts={"more": {**facts, "digest": "sha256:2"}})
    page = pages(tmp_path, record(one, other, third))[PAGE]
    assert page.count("The same prompts stand on this page under other names:") == 2
    assert "under other names: `period_5`" in page and "under other names: `numerals`" in page


def test_answers_lost_beside_the_worst_of_several_subsets_are_the_whole_circuits(tmp_path: Path) -> None:
    """The answers that are lost are those of the circuit before any part of it is removed."""
    row = check(
        **{**ALONE, "kind": "keep_only", "statistic": "completeness", "circuit": {"name": "seven", "heads": ["6.1"], "mlps": None},
           "ablated": None, "worst": {"removed": ["6.1"], "value": 1.0}, "lost": [3, 32], "baseline": {"clean": 4.0, "ablated": 1.0}}
    )  # fmt: skip
    assert "| 1<br>seven alone, whole |" in pages(tmp_path, record(claim(checks=[row])))[PAGE]


def test_a_circuit_is_told_with_its_parts_and_where_it_comes_from(tmp_path: Path) -> None:
    """Once a claim, however many checks are about it; without a source the page says that the suite gives none."""
    circuit = {
        "name": "seven",
        "heads": ["23.3", "6.1"],
        "mlps": [0],
        "source": {"title": "backward elimination, seed 1"},
    }
    rows = [check(**{**ALONE, "circuit": circuit}), check(**{**ALONE, "index": 2, "circuit": circuit})]
    page = pages(tmp_path, record(claim(checks=rows)))[PAGE]
    line = "**Circuit `seven`**: heads 23.3 and 6.1 and MLP0. How it was found: backward elimination, seed 1."
    assert page.count(line) == 1
    bare = {**circuit, "mlps": None, "source": None}
    page = pages(tmp_path, record(claim(checks=[check(**{**ALONE, "circuit": bare})])))[PAGE]
    assert "heads 23.3 and 6.1; every MLP stays. The suite does not say how it was found." in page


def test_what_is_only_observed_meets_no_expectation(tmp_path: Path) -> None:
    """Neither "as expected: yes" nor counted among the decided ones."""
    seen = claim(verdict=None, met=True, checks=[check(observe=True, verdict=None, bound=None, bound_low=None)])
    found = pages(tmp_path, record(seen))
    assert "| yes |" not in found[PAGE] and "as expected |" not in found[PAGE]
    both = pages(tmp_path, record(seen, claim(id="met")))["README.md"]
    assert "| OBSERVED | 1 | – |" in both and "| SUPPORTED | 1 | 0 |" in both


def test_a_skipped_claim_says_what_it_compares(tmp_path: Path) -> None:
    """The other side with its head and prompts, and the statistic: the check's own text has only one side."""
    row = check(
        estimate=None, low=None, high=None, verdict="unmeasurable", statistic="lift", more_than="end -> first",
        other={"attends": "end -> first", "head": "0.3", "prompts": "shuffled"},
    )  # fmt: skip
    page = pages(tmp_path, record(claim(status="skipped", met=None, verdict="unmeasurable", checks=[row])))[PAGE]
    assert ", more than end -> first of 0.3 on shuffled; lift`" in page


def test_answers_lost_without_two_parts_are_told_of_both(tmp_path: Path) -> None:
    """The row of an interaction is named after one part; the answers are lost without both."""
    row = check(
        **{
            **ALONE,
            "statistic": "interaction",
            "given_ablated": ["20.8"],
            "lost": [18, 31],
            "baseline": {"clean": 4.0, "ablated": 1.0},
        }
    )
    page = pages(tmp_path, record(claim(checks=[row])))[PAGE]
    assert "23.3 and 20.8, together |" in page
    assert "18 lose it without both parts." in page


def test_some_heads_together_say_so_beside_the_bound(tmp_path: Path) -> None:
    """The interval shown is the best head's and may cross the bound: what supports is what several heads come to."""
    some = {"of": 270, "passing": 10, "best": "23.3", "among": None, "together": True}
    told = "at least 0.417, sure of several heads together"
    for together, verdict in ((True, "supported"), (False, "supported"), (True, "inconclusive")):
        row = check(any={**some, "together": together}, verdict=verdict)
        page = pages(tmp_path, record(claim(checks=[row], verdict=verdict)))[PAGE]
        assert (told in page) is (together and verdict == "supported")


def test_the_front_page_says_what_a_page_without_a_history_does_not_show(tmp_path: Path) -> None:
    """A reader who asks whether a bound was moved after looking is told what the report can and cannot show of that."""
    reading = front_of(tmp_path, claim()).partition('<a id="how-to-read"></a>')[2].replace("\n", " ")
    for told in (
        "nothing here shows whether they were written before or after the numbers were seen",
        "without that line `ledger.jsonl` knows of none",
        "names the strongest: `circuits scan MODEL` ranks all heads",
        "**no base rate**",
    ):
        assert told in reading, told


def test_contents_name_the_head_that_decided(tmp_path: Path) -> None:
    """Of a claim about several heads the contents show one number, and whose it is; a claim without numbers has a dash."""
    rows = [check(head="20.8"), check(head="20.7", estimate=0.45, low=0.42, high=0.48, corrected=None)]
    gone = claim(
        "c", status="skipped", verdict="unmeasurable", met=None, reason="no copy", checks=[check(estimate=None)]
    )
    page = pages(tmp_path, record(claim("20.8-reads", checks=rows), gone))[PAGE]
    table = page.partition('<a id="contents"></a>')[2].partition("\n\nIn `QUERY")[0].strip().splitlines()
    assert table[0] == "| verdict, claim, deciding check | estimate [interval], bound | head or part |"
    (told,) = [line for line in table if "(#20.8-reads)" in line]
    assert re.search(r"\| 0\.45 \[0\.42, 0\.48\]<br>`.+`<br>at least 0\.417 \| 20\.7 \|", told)
    assert "(#20.8-reads)<br>`attends: " in told
    assert "(#c) | – | – |" in "\n".join(table)


def test_every_link_within_a_page_has_its_place(tmp_path: Path) -> None:
    """No link of either page leads nowhere, whether anything was measured or not."""
    gone = {"status": "skipped", "verdict": "unmeasurable", "met": None, "reason": "no copy", "checks": []}
    for name, claims in {"measured": [claim()], "skipped": [claim(**gone)]}.items():
        for text in pages(tmp_path / name, record(*claims)).values():
            for anchor in re.findall(r"\]\(#([^)]+)\)", text):
                assert text.count(f'<a id="{anchor}"></a>') == 1, (name, anchor)


def test_contents_lead_to_every_claim_with_its_verdict(tmp_path: Path) -> None:
    """The table at the top of a page has each claim once, in its words, with its verdict and a link that exists."""
    known = {**refuted("k", 0.2, expected="refuted", met=True), "claim": "Nobody does."}
    claims = (
        claim("a", claim="One does."),
        {**refuted("b", 0.2, met=False), "claim": "Two do."},
        claim("c", variant="x,y=1"),
    )
    page = pages(tmp_path, record(*claims, known))[PAGE]
    table = page.partition('<a id="contents"></a>')[2].partition('<a id="scope"></a>')[0]
    assert re.findall(r"^\| (.+?)<br>\[(.*?)\]\(#(\w+)", table, re.MULTILINE)[:2] == [
        ("SUPPORTED", "One does.", "a"),
        ("**REFUTED**, not as expected", "Two do.", "b"),
    ]
    assert "`x, y=1`" in table and "| REFUTED (known negative)<br>[Nobody does.](#k)" in table
    for anchor in re.findall(r"\]\(#([^)]+)\)", table):
        assert page.count(f'<a id="{anchor}"></a>') == 1


def test_a_reason_that_all_claims_share_is_said_once(tmp_path: Path) -> None:
    """At the top of a page of skipped claims; no bars are explained where none is drawn."""
    gone = {"status": "skipped", "verdict": "unmeasurable", "met": None, "checks": [check(estimate=None)]}
    alike = pages(tmp_path / "a", record(claim("a", reason="no copy", **gone), claim("b", reason="no copy", **gone)))[
        PAGE
    ]
    assert alike.count("no copy") == 1 and alike.index("Skipped: no copy") < alike.index("(#a)")
    assert "The bars:" not in alike
    mixed = pages(tmp_path / "b", record(claim("a", reason="no copy", **gone), claim("b", reason="no disk", **gone)))[
        PAGE
    ]
    assert "Reason: no copy" in mixed and "Reason: no disk" in mixed and "Skipped:" not in mixed


def test_a_score_of_weights_stands_beside_a_head_that_knows_no_order(tmp_path: Path) -> None:
    """Of seven weekdays six have a next one, and five of seven are among five in any order."""
    asked = {
        "kind": "score",
        "statistic": "successor",
        "exact": True,
        "interval": None,
        "low": None,
        "high": None,
        "members": "weekdays",
    }
    for least, told in ((0.7, "| 0.714, satisfies it too |"), (0.75, "| 0.714 |")):
        page = pages(tmp_path, record(claim(checks=[check(n=6, estimate=0.833, bound_low=least, **asked)])))[PAGE]
        assert "members written in no order" in page and told in page
    copying = {**asked, "statistic": "copying"}
    page = pages(tmp_path, record(claim(checks=[check(n=4, estimate=1.0, bound_low=0.5, **copying)])))[PAGE]
    assert "| 1, satisfies it too |" in page
    silent = check(
        n=0, estimate=None, verdict="unmeasurable", **{**copying, "bound_low": 0.5}
    )  # a head that writes nothing
    for row in (silent, check()):
        assert "members written in no order" not in pages(tmp_path, record(claim(checks=[row])))[PAGE]


def test_what_an_author_writes_as_code_stays_code(tmp_path: Path) -> None:
    """In the notes at a suite's head, whose other marks are only shown."""
    page = pages(tmp_path, record(claim(notes="Beside *them* `reported` values stand.")))[PAGE]
    assert r"Beside \*them\* `reported` values stand." in page


def test_pages_are_made_again_quickly_without_the_heavy_libraries(tmp_path: Path) -> None:
    """`circuits report` on 60 claims takes under 5 seconds and imports neither torch nor any number or drawing library."""
    many = [claim(f"c{k}", checks=[check(controls=CONTROLS) for _ in range(6)]) for k in range(60)]
    (tmp_path / "results.json").write_text(json.dumps(record(*many)))
    heavy = ("torch", "matplotlib", "numpy", "scipy", "pandas", "transformers")
    script = (
        f"import sys; from circuits.cli import main; main(['report', {str(tmp_path)!r}]); "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    begun = time.monotonic()
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert time.monotonic() - begun < 5
    assert found.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / PAGE).read_text().count("\n## ") == 60


@pytest.mark.parametrize(
    ("rank", "tied", "text"),
    [
        ([3, 270], 0, "3 of 270"),
        ([6, 270], 264, "6 to 270 (tied) of 270"),
        ([3, 270], None, "3 of 270"),
        (None, None, "–"),
    ],
)
def test_a_place_shared_with_other_heads_is_said_to_be_shared(rank: Any, tied: int | None, text: str) -> None:
    """A head whose score of 0 equals that of 264 others is not the sixth of the model."""
    assert rank_text({"rank": rank, "rank_tied": tied}) == text


def test_only_what_has_a_bound_is_counted_with_what_decides(tmp_path: Path) -> None:
    """Beside one bounded check and an observed one nothing was chosen; of two bounded ones one decided."""
    seen = check(index=2, observe=True, verdict=None, bound=None, bound_low=None)
    assert "measurements)" not in pages(tmp_path / "a", record(claim(checks=[check(), seen])))[PAGE]
    assert (
        "(the deciding one of 2 measurements)"
        in pages(tmp_path / "b", record(claim(checks=[check(), check(index=2), seen])))[PAGE]
    )
