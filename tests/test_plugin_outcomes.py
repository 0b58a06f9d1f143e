"""Every verdict and expectation, as pytest shows it: letters, words, sections, JUnit, exit status."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests_of_plugin import ALL, MANY, Run, run_pytest


@pytest.fixture(scope="module")
def verbose(cold: Run) -> Run:
    """The same again: everything comes from the cache."""
    folder = cold.folder.with_name("again")
    shutil.copytree(cold.folder, folder)
    return run_pytest(folder, "-v", "--tb=short")


def test_letters(cold: Run) -> None:
    """A letter a claim, I and U beside pytest's own, in the order of the file."""
    letters = {
        line.split()[0]: line.split()[1] for line in cold.lines if re.match(r"hypotheses/\w+\.yaml [.FIUsxX]+ ", line)
    }
    assert letters == {
        "hypotheses/all.yaml": ".F.IU.F.xX.FFF....",
        "hypotheses/broken.yaml": "F",
        "hypotheses/gone.yaml": "ss",
    }
    assert cold.status == 1


def test_words(verbose: Run) -> None:
    """With -v each claim stands under its node id, with the word of its outcome."""
    words = dict(re.findall(r"^hypotheses/all\.yaml::(\S+) ([A-Z]+)", verbose.out, re.M))
    passed = ("good", "scored", "negative", "partly", "refused", *MANY)
    failed = ("bad", "wrong-negative", "accepted", "faulty", "hidden")
    expected = dict.fromkeys(passed, "PASSED") | dict.fromkeys(failed, "FAILED")
    expected |= {"open": "INCONCLUSIVE", "undone": "UNMEASURABLE", "hoped": "XFAIL", "surprise": "XPASS"}
    assert words == expected


def test_a_refuted_claim_fails_with_its_numbers_and_its_yaml(cold: Run) -> None:
    """The failure shows estimate, interval, bound, controls and the lines of the suite; no traceback."""
    part = cold.out.split("hypotheses/all.yaml: bad _", 1)[1].split("\n____", 1)[0]
    assert "REFUTED: <1e-6 [0, 0.317]; at_least 0.6: 0.1 is a previous-token head." in part
    assert "check 1: 0.1 attends: any -> n-1 on numerals = <1e-6 [0, 0.317]; at_least 0.6; n=12: REFUTED" in part
    assert re.search(r"under uniform attention: 0\.\d+", part)
    assert "1 of 12 heads of this model satisfy this bound" in part
    line = ALL.splitlines().index(next(text for text in ALL.splitlines() if text.startswith("  bad:"))) + 1
    assert f"hypotheses/all.yaml:{line}:\n      bad: {{claim: 0.1 is a previous-token head." in part
    assert "Traceback" not in cold.out
    assert ".py:" not in cold.out


def test_inconclusive_and_unmeasurable_have_sections(cold: Run) -> None:
    """Outcomes that pytest does not list get sections that say why, and lines in the short summary."""
    text = cold.out
    inconclusive = text.split("= INCONCLUSIVE =", 1)[1].split("= UNMEASURABLE =", 1)[0]
    assert "hypotheses/all.yaml: open _" in inconclusive
    assert "the 95% interval contains the bound, so these 12 prompts do not decide it" in inconclusive
    unmeasurable = text.split("= UNMEASURABLE =", 1)[1].split("= claims =", 1)[0]
    assert "UNMEASURABLE: the model does not do this task surely enough: clean top1 is 0" in unmeasurable
    short = text.split("= short test summary info =", 1)[1]
    assert "\nINCONCLUSIVE hypotheses/all.yaml::open - -0" in short
    assert "\nUNMEASURABLE hypotheses/all.yaml::undone - the model does not do this" in short
    assert "1 inconclusive, 1 unmeasurable" in cold.lines[-1]


def test_expectations(cold: Run) -> None:
    """A known negative passes when refuted and fails when supported; a valid claim cannot be expected invalid."""
    assert "SUPPORTED: 1 [0.683, 1]; at_least 0.6: 0.0 does not look back one.\nexpected: refuted" in cold.out
    assert "SUPPORTED: 1 [0.683, 1]; at_least 0.6: Not wrong.\nexpected: invalid" in cold.out
    entries = cold.results["claims"]
    met = {name.split("::")[1]: entry["met"] for name, entry in entries.items() if "all.yaml" in name}
    assert [name for name, value in met.items() if not value] == [
        "accepted", "bad", "faulty", "hidden", "open", "surprise", "undone", "wrong-negative"
    ]  # fmt: skip


def test_an_invalid_claim_fails_alone(cold: Run) -> None:
    """Its faults are shown with place and caret; xfail does not hide them; the neighbours run."""
    assert "INVALID: unknown prompt set 'numeral'" in cold.out
    assert re.search(r"hypotheses/all\.yaml:\d+:\d+: unknown prompt set 'numeral'\n +faulty: .*\n +\^{7}\n", cold.out)
    assert re.search(r"FAILED hypotheses/all\.yaml::hidden - INVALID: 9\.9 does not exist", cold.out)


def test_an_unparsable_file_is_one_failing_item(cold: Run) -> None:
    """The other suites run."""
    assert cold.out.count("FAILED hypotheses/broken.yaml::") == 1
    assert "INVALID: not valid YAML" in cold.out
    assert "hypotheses/broken.yaml:4:" in cold.out


def test_missing_weights_skip_with_one_line(cold: Run) -> None:
    """All skips of a suite share a line that says what to do, in the claims section and in pytest's summary."""
    reason = (
        "gpt2: the Hugging Face hub cannot be reached and no copy is cached; give a local folder with --circuit-model"
    )
    skipped = [line for line in cold.lines if reason in line]
    assert skipped[0].startswith(f"SKIPPED 2 claims: {reason}")
    assert skipped[1].startswith("SKIPPED [2] hypotheses/gone.yaml:1: gpt2: the Hugging Face hub")
    assert len(skipped) == 2


def test_the_claims_section_lists_every_claim(cold: Run) -> None:
    """Verdict, estimate, interval, bound, expectation, counts and reasons, in the order of the file."""
    verdicts = cold.verdicts()
    claims = [
        line.split(":")[0].strip() for line in ALL.split("claims:")[1].splitlines() if re.match(r"  [\w-]+:", line)
    ]
    assert [name for name in verdicts if name in claims] == [name for name in claims if name not in ("many", "swept")]
    assert set(MANY) <= set(verdicts)
    assert verdicts["open"] == "INCONCLUSIVE"
    assert verdicts["refused"] == verdicts["faulty"] == "INVALID"
    section = cold.out.split("= claims =", 1)[1]
    assert "hypotheses/all.yaml: All outcomes (reference)\n  SUPPORTED     good\n" in section
    assert "                0.0 attends: any -> n-1 on numerals = 1 [0.683, 1]; at_least 0.6; n=12\n" in section
    assert "REFUTED       negative  (expected: refuted)\n" in section
    assert "REFUTED       partly  (expected: {refuted: [2]})\n" in section
    assert "21 claims: 15 measured, 2 skipped, 4 invalid; 9 not as expected\nreport: reports/README.md" in section


def test_a_second_run_says_that_it_measured_nothing(verbose: Run) -> None:
    """Every measured claim is now from the cache, and said to be."""
    section = verbose.out.split("= claims =", 1)[1]
    assert "21 claims: 15 cached, 2 skipped, 4 invalid; 9 not as expected" in section
    assert "SUPPORTED     good  (cached)" in section
    assert "(expected: refuted; cached)" in section


def test_junit_has_flat_properties(cold: Run) -> None:
    """The file parses; each claim is a test case with its verdict and its rows' numbers."""
    root = ET.parse(Path(cold.folder / "junit.xml")).getroot()
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert len(cases) == 21
    properties = {p.get("name"): p.get("value") for p in cases["partly"].iter("property")}
    assert properties["verdict"] == "refuted"
    assert properties["expected"] == "{refuted: [2]}"
    assert properties["head.1"] == "0.0"
    assert float(properties["estimate.2"] or "nan") < 1e-6
    assert float(properties["low.1"] or "nan") == pytest.approx(0.683, abs=1e-3)
    failure = cases["open"].find("failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("INCONCLUSIVE: ")
    skipped = cases["first"].find("skipped")
    assert skipped is not None
    assert str(skipped.get("message")).startswith("gpt2: the Hugging Face hub cannot be reached")
