"""``circuits scan``: what it finds on the reference model is true by construction; what it suggests passes on a third seed."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests_of_plugin import NOWHERE, project

from circuits.claims.claim import Attends, Score, Suite
from circuits.claims.dry import DryRun
from circuits.claims.flow import flow
from circuits.claims.selector import parse
from circuits.cli import main
from circuits.commands.status import Status
from circuits.errors import CircuitsError, ModelUnavailable
from circuits.evaluate import Evaluator
from circuits.items import Options, knowledge, load
from circuits.report.plain import Look
from circuits.scan import show
from circuits.scan.prompts import head_of_suite, read_suite, sets_given
from circuits.scan.scan import Finding, Measured, Scan, Scanner
from circuits.scan.suggest import Candidate, Seeds, bound_for, candidates, median_head, suite_text, words_of
from circuits.scan.topics import Topic, roles_of, slug, topics_of

N, SEED = 40, 3
SETS = {
    "numerals": "{family: named_sequence, members: numerals}",
    "repeats": "{family: repeated_tokens, length: 20}",
}

# Head -> the description that is true of it by construction (HEADS in circuits/models/reference.py).
KNOWN = {
    "0.0": "previous_token",
    "0.1": "any -> n-3",
    "0.2": "any -> first",
    "0.3": "any -> self",
    "1.0": "duplicate_token",
    "1.1": "member -> earlier member",
    "1.2": "is -> previous member",
    "2.0": "induction",
    "2.3": "duplicate_token",
}
WRITES = {"1.2": "successor numerals", "2.1": "successor numerals", "2.0": "copying numerals"}


def scanner_of(
    sets: dict[str, str], *, n: int = N, seed: int = SEED, model: str = "reference", cache: Path | None = None
) -> Scanner:
    sampling = {"min": n, "max": n, "seed": seed, "confidence": 0.95}
    suite = read_suite(head_of_suite("Scan", model, sampling, sets), knowledge())
    return Scanner(Evaluator(Options(unseen=(seed,)), cache), suite, Path())


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return scanner_of(SETS)


@pytest.fixture(scope="module")
def scan(scanner: Scanner) -> Scan:
    return scanner.scan(scanner.topics(frozenset({"repeats"})))


@pytest.fixture(scope="module")
def findings(scanner: Scanner, scan: Scan) -> list[Finding]:
    return [scanner.finding(each, place) for each, place in scan.ranked()]


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, no hub, a cache of its own."""
    monkeypatch.chdir(tmp_path)
    for name, value in {**NOWHERE, "HF_HOME": str(tmp_path / "hf"), "CIRCUITS_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


# -- what is found ---------------------------------------------------------------------------------


def test_the_heads_that_are_known_are_found(findings: list[Finding]) -> None:
    """Each by its most specific description, with all of its attention and rank 1."""
    looks = {finding.head: finding for finding in findings if not finding.topic.weights}
    assert {head: looks[head].topic.text for head in KNOWN} == KNOWN
    for head in KNOWN:
        assert looks[head].estimate == pytest.approx(1.0, abs=1e-4)
        assert looks[head].rank == 1
        assert looks[head].heads == 12
    assert "2.2" not in looks  # uniform attention is what nothing stands out from


def test_what_heads_write_is_found_beside_where_they_look(findings: list[Finding]) -> None:
    """Scores from weights are exact, and a head has one of each kind at most."""
    writes = {finding.head: finding for finding in findings if finding.topic.weights}
    assert {head: finding.topic.text for head, finding in writes.items()} == WRITES
    assert all(finding.low is None and finding.estimate == 1.0 for finding in writes.values())
    assert len({(finding.head, finding.topic.weights) for finding in findings}) == len(findings)


def test_findings_are_ranked_by_how_much_they_stand_out(scan: Scan, findings: list[Finding]) -> None:
    """Value minus the larger of uniform attention and the model's median head, most first."""
    above = [finding.above for finding in findings]
    assert above == sorted(above, reverse=True)
    first = next(each for each in scan.measured if each.topic.text == "any -> first")
    found = next(finding for finding in findings if finding.head == "0.2")
    assert first.usual == pytest.approx(np.median(first.means))
    assert first.uniform is not None and first.usual > first.uniform
    assert found.above == pytest.approx(1.0 - np.median(first.means), abs=1e-6)


def test_every_description_of_every_head_is_there_when_asked(scan: Scan) -> None:
    """``every`` leaves out only what does not stand out."""
    every = scan.ranked(every=True)
    assert len(every) > len(scan.ranked())
    assert len(every) == sum(int((each.above > 1e-6).sum()) for each in scan.measured)
    assert {(id(each), place) for each, place in scan.ranked()} <= {(id(each), place) for each, place in every}


def entries_of(pytester: pytest.Pytester, *options: str) -> dict[str, dict[str, Any]]:
    """Claim -> its entry, from a run of pytest in this process without figures."""
    run = pytester.inline_run("--circuit-no-report", "--circuit-permuted=0", *options)
    reports = [report for report in run.getreports("pytest_runtest_logreport") if hasattr(report, "circuits")]
    found = {report.circuits["id"].split("::")[1]: report.circuits["entry"] for report in reports}
    assert run.ret == 0, {
        name: entry["reason"] or entry["verdict"] for name, entry in found.items() if not entry["met"]
    }
    return found


@pytest.mark.usefixtures("warm")
def test_a_value_is_what_pytest_records_for_the_same_claim(
    pytester: pytest.Pytester, scanner: Scanner, scan: Scan
) -> None:
    """Estimate, interval, uniform value, lift and rank, on the same seed and number of prompts."""
    on_prompts = [each for each in scan.measured if not each.topic.weights]
    chosen = [(each, (2, 2) if n % 2 else (n % 3, n % 4)) for n, each in enumerate(on_prompts) if n < 3 or n % 4 == 0]
    claims = []
    for number, (each, (layer, head)) in enumerate(chosen):
        kind = "score" if isinstance(each.topic.what, Score) else "attends"
        where = f'head: "{layer}.{head}", prompts: {each.topic.where}'
        claims.append(f"  c{number}: {{claim: C., {where}, {kind}: {flow(each.topic.text)}, observe: true}}\n")
    suite = head_of_suite("Same", "reference", {"min": 4, "max": 8, "seed": 0}, SETS) + "claims:\n" + "".join(claims)
    project(pytester.path, same=suite)
    entries = entries_of(pytester, f"--circuit-n={N}", f"--circuit-seed={SEED}")
    assert len(entries) == len(chosen) > 14
    for number, (each, place) in enumerate(chosen):
        row, found = entries[f"c{number}"]["checks"][0], scanner.finding(each, place)
        assert (row["n"], row["seed"]) == (found.n, SEED)
        for name in ("estimate", "low", "high", "uniform"):
            assert row[name] == pytest.approx(getattr(found, name), abs=1e-9), (each.topic.text, place, name)
        assert row["rank"] == [found.rank, found.heads]
        assert row["effect"]["value"] == pytest.approx(found.lift, abs=1e-9)
        assert each.means[place] == pytest.approx(row["estimate"], abs=1e-9)


def test_one_pass_a_block_answers_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All questions of a prompt set are read together, and a second scan runs nothing."""
    from circuits.measure import group

    passes = []
    original = group.clean_run
    monkeypatch.setattr(group, "clean_run", lambda *given, **named: passes.append("clean") or original(*given, **named))
    monkeypatch.setattr(group, "run_watch", lambda *given, **named: passes.append("attention"))
    first = scanner_of(SETS, cache=tmp_path / "values")
    found = first.scan(first.topics())
    assert passes == ["clean"] * 4  # two sets of 40 prompts, in blocks of 32 and 8; the clean run serves both
    again = scanner_of(SETS, cache=tmp_path / "values")
    monkeypatch.setattr(again.evaluator, "_model", lambda source: pytest.fail("the model was loaded"))
    same = again.scan(again.topics())
    assert len(passes) == 4
    for one, other in zip(found.measured, same.measured, strict=True):
        np.testing.assert_array_equal(one.means, other.means)


# -- what is asked ---------------------------------------------------------------------------------


def suite_of(sets: dict[str, str]) -> Suite:
    return read_suite(head_of_suite("Scan", "reference", {"min": 4, "max": 4}, sets), knowledge())


def test_two_questions_never_read_the_same_cells() -> None:
    """Where an earlier role is always the previous one, only one of the two is asked."""
    prompt_set = suite_of({"years": "{family: greater_than}"}).prompts["years"][0]
    texts = [topic.text for topic in topics_of(prompt_set, DryRun(knowledge().families))]
    assert "YY -> earlier XX1" in texts
    assert "YY -> previous XX1" not in texts
    assert "XX1 -> earlier YY" not in texts  # which selects nothing
    assert len(texts) == len(set(texts))


def test_roles_are_those_that_every_prompt_has() -> None:
    """A word of one of many templates is no role of a scan; a suite's own role is one in any case."""
    own = "{family: ioi, roles: {while: '\\bWhile\\b'}}"
    suite = suite_of({"ioi": "{family: ioi}", "own": own})
    dry = DryRun(knowledge().families)
    roles = roles_of(suite.prompts["ioi"][0], dry)
    assert {"IO", "S1", "S2", "place", "object"} <= set(roles)
    assert "while" not in roles
    assert "while" in roles_of(suite.prompts["own"][0], dry)


def test_scores_are_asked_on_repeated_tokens_only(scan: Scan) -> None:
    """The three scores of attention stand on the repeats, those of weights on no prompts."""
    scores = {(each.topic.text, each.topic.where) for each in scan.measured if isinstance(each.topic.what, Score)}
    assert scores == {
        ("previous_token", "repeats"), ("duplicate_token", "repeats"), ("induction", "repeats"),
        ("copying numerals", "weights"), ("successor numerals", "weights"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "yaml"),
    [
        (["ioi"], "{family: ioi}"),
        (["named_sequence"], "{family: named_sequence, members: numerals}"),
        (
            ["named_sequence", "members=a,b,c", "length=2"],
            "{family: named_sequence, members: [a, b, c], length: 2}",
        ),
        (
            ["named_sequence", "members=months", "template={name} is {member}."],
            '{family: named_sequence, members: months, template: "{name} is {member}."}',
        ),
    ],
)
def test_a_family_takes_its_parameters_from_the_command_line(given: list[str], yaml: str) -> None:
    """KEY=VALUE, and the numerals for a family that needs members."""
    assert sets_given([given], [], knowledge()) == {given[0]: yaml}


def test_a_set_of_a_suite_is_scanned_as_it_stands_there(inside: Path) -> None:
    """With its roles, and each variant of a sweep as a set of its own."""
    text = (
        "prompts:\n  swept: {family: named_sequence, members: numerals, bos: false, roles: {digit: '[0-9]+'}, "
        "sweep: {length: [3, 4]}}\n"
    )
    (inside / "own.yaml").write_text(text)
    sets = sets_given([["own.yaml#swept"]], [], knowledge())
    found = [variants[0] for variants in suite_of(sets).prompts.values()]
    assert list(sets) == ["swept-length-3", "swept-length-4"]
    assert [prompt_set.parameters["length"] for prompt_set in found] == [3, 4]
    assert all(not prompt_set.bos and prompt_set.roles == {"digit": "[0-9]+"} for prompt_set in found)


# -- what is suggested -----------------------------------------------------------------------------


@pytest.mark.usefixtures("warm")
def test_what_is_suggested_passes_on_a_third_seed(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """The known heads are claimed, lint finds nothing, and pytest supports every claim and refutes every control."""
    file = project(pytester.path) / "hypotheses" / "found.yaml"
    assert main(["scan", "reference", "--n", str(N), "--suggest", str(file)]) == 0
    said, text = capsys.readouterr().out, file.read_text()
    assert text.startswith("# yaml-language-server: $schema=suite.schema.json\n# Candidates of a scan of reference")
    assert f"for an editor: circuits schema --out {file.parent / 'suite.schema.json'}\n" in said
    assert "690 numbers looked at" in said
    assert "690 numbers" in text
    assert main(["lint", str(file)]) == 0
    capsys.readouterr()
    suite = load(file, knowledge(), "found.yaml")
    claimed, controls = [], []
    for claim in suite.claims:
        (controls if claim.expect.kind == "refuted" else claimed).append(claim)
    looks = {str(claim.heads[0]): claim.checks[0].text.partition(": ")[2] for claim in claimed if claim.variants}
    assert looks == KNOWN | {"1.3": "any -> first", "2.1": "any -> first"}
    assert {claim.checks[0].text for claim in controls} == {claim.checks[0].text for claim in claimed}
    assert suite.sampling.seed == 2
    entries = entries_of(pytester)
    expected = {claim.id: "supported" for claim in claimed} | {claim.id: "refuted" for claim in controls}
    assert {name: entry["verdict"] for name, entry in entries.items()} == expected
    assert not any(entry["vacuous"] for entry in entries.values())
    assert {row["seed"] for entry in entries.values() for row in entry["checks"]} == {2, None}


def test_a_candidate_that_does_not_hold_is_a_comment(scanner: Scanner, scan: Scan) -> None:
    """With its numbers; only what held its bound on the confirming seed is a claim."""
    seeds = Seeds(SEED)
    found = candidates(scanner, scan, 4, seeds)
    assert all(each.stands for each in found)
    lost, kept = next(each for each in found if each.head == "0.0"), next(each for each in found if each.head == "2.0")
    assert lost.row is not None and lost.row["seed"] == seeds.confirming
    failed = replace(lost, row=lost.row | {"verdict": "inconclusive"})
    text = suite_text(scanner, scan, [failed, kept], "reference", dict(SETS), seeds)
    suite = read_suite(text, knowledge())
    assert [claim.id for claim in suite.claims] == [f"head-2.0-{slug(kept.topic.text)}"]
    assert suite.sampling.seed == seeds.judging == SEED + 2
    assert f"# - 0.0, previous_token on repeats, at_least {lost.bound:g}: seed {SEED}: 1 [" in text


def test_the_confirming_prompts_are_others(scanner: Scanner, scan: Scan) -> None:
    """No prompt on which a bound was chosen takes part in its check, and all checks are corrected together."""
    found = candidates(scanner, scan, 30, Seeds(SEED))
    shown: dict[tuple[str, int], set[tuple[int, ...]]] = {}
    for series in scanner.evaluator.series.values():
        shown.setdefault((series.prompt_set.name, series.seed), set()).update(prompt.ids for prompt in series.prompts)
    for name in SETS:
        assert shown[name, SEED] and shown[name, SEED + 1]
        assert not shown[name, SEED] & shown[name, SEED + 1]
    assert {each.row["confidence"] for each in found if each.row} == {1 - 0.05 / len(found)}


def measured(means: list[list[float]], uniform: float | None = 0.1) -> Measured:
    values = np.array(means)
    prompt_set = suite_of(SETS).prompts["numerals"][0]
    topic = Topic(Attends(parse("any -> n-1")), prompt_set, 1)
    return Measured(topic, values, float(np.nanmedian(values)), uniform, N)


@pytest.mark.parametrize(
    ("low", "uniform", "usual", "bound"),
    [
        (0.936, 0.1, 0.1, 0.8),
        (0.5, 0.1, 0.1, 0.45),
        (0.19, 0.05, 0.0, 0.17),
        (0.19, 0.15, 0.0, None),  # uniform attention does nearly as much
        (0.5, 0.1, 0.46, None),  # half of the model's heads do as much
        (0.1, 0.01, 0.0, None),  # too little to be worth saying
    ],
)
def test_a_bound_has_slack_and_says_something(low: float, uniform: float, usual: float, bound: float | None) -> None:
    """A tenth below the interval, rounded down, above uniform attention and the median head."""
    assert bound_for(low, measured([[usual]], uniform)) == bound


def test_a_control_is_the_median_head() -> None:
    """Not the lowest one, which would be refuted too easily."""
    assert median_head(measured([[0.9, 0.0, 0.3], [0.2, 0.4, 0.1]])) in {(0, 2), (1, 0)}
    assert median_head(measured([[0.9, 0.0, float("nan")], [0.2, 0.2, 0.1]])) != (0, 2)


def test_a_control_is_never_a_claimed_head() -> None:
    """Half the heads are high: a claimed one is as near to the median as a low one, and a low one is taken."""
    half = measured([[0.9, 0.9], [0.1, 0.1]])
    assert half.usual == 0.5
    assert median_head(half) == (1, 0)
    assert median_head(half, {(1, 0)}) == (1, 1)
    assert median_head(half, {(1, 0), (1, 1)}) is None
    assert median_head(measured([[0.6, 0.5], [0.4, 0.1]])) == (1, 0)


def test_a_control_must_be_refuted() -> None:
    """A control that is supported, or not decided, stands for nothing."""
    finding = Finding(measured([[1.0]]).topic, "0.0", 1.0, 0.9, 1.0, N, 0.1, 10.0, 0.9, 1, 1)
    rows: list[dict[str, Any]] = [{"verdict": verdict} for verdict in ("supported", "inconclusive", "refuted")]
    assert [Candidate(finding, "0.0", 0.8, row).stands for row in rows] == [True, False, False]
    assert [Candidate(finding, "0.0", 0.8, row, negative=True).stands for row in rows] == [False, False, True]
    assert not Candidate(finding, "0.0", 0.8, None).stands


def test_a_claim_is_said_in_words() -> None:
    """The field's name of a score; tokens back, itself, the first position."""
    topic = measured([[1.0]]).topic
    assert (
        words_of("6.9", replace(topic, what=Attends(parse("any -> n-3"))))
        == "6.9 attends from each token to the token 3 back"
    )
    assert (
        words_of("6.9", replace(topic, what=Attends(parse("any -> self")))) == "6.9 attends from each token to itself"
    )
    assert words_of("6.9", replace(topic, what=Score("induction"))) == "6.9 is an induction head"


def test_texts_cannot_be_confirmed_on_themselves(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are scanned, but nothing is suggested that rests on the same prompts again."""
    texts = [f"{name} is 1. Bob is 2. Carl is 3. Dora is" for name in ("Adam", "Emma", "Jack", "Lucy", "Mary", "Tom")]
    scanner = scanner_of({"texts": flow({"family": "texts", "texts": texts})})
    scan = scanner.scan(scanner.topics())
    assert scan.facts["texts"]["n"] == len(texts)
    found = candidates(scanner, scan, 5, Seeds(SEED))
    assert found and not any(each.stands for each in found)
    assert {each.reason for each in found} == {"all given texts were scanned, so there are no others to check on"}
    given = [word for text in texts for word in ("--text", text)]
    assert main(["scan", "reference", *given, "--n", "4", "--top", "3", "--suggest", "new.yaml"]) == 1
    assert not (inside / "new.yaml").exists()
    assert "circuits: no claim is suggested: " in capsys.readouterr().err


# -- what is said ----------------------------------------------------------------------------------


def test_the_table_names_head_question_and_numbers(scan: Scan, findings: list[Finding]) -> None:
    """A line each, with interval, uniform value, lift and rank; what is exact says so."""
    lines = show.table(findings).splitlines()
    assert lines[0].split() == "head question prompts value interval uniform lift stands out by rank".split()
    line = next(line for line in lines if line.startswith("0.1 "))
    assert " any -> n-3 " in line and " numerals " in line and " 1 of 12" in line
    assert next(line for line in lines if "successor" in line).split()[4:6] == ["1", "exact"]
    assert f"{scan.cells:,} numbers looked at" in show.headline(scan, len(findings))
    assert "stands out by its value less that of\nuniform attention" in show.headline(scan, len(findings))
    assert scan.cells == sum(each.means.size for each in scan.measured) - 18  # nine heads write nothing, for two scores


def test_a_map_shades_every_head(scan: Scan) -> None:
    """A row a layer, the highest head named at its end; other shades where blocks cannot be shown."""
    each = show.measured_of(scan, "score: induction")[0]
    lines = show.map_text(each, Look()).splitlines()
    assert len(lines) == 2 + scan.layers
    assert lines[-1].startswith("    2  █") and lines[-1].endswith("2.0 1")
    assert "█" not in lines[2]
    assert "#" in show.map_text(each, Look(unicode=False))
    assert show.map_text(each, Look(unicode=False)).isascii()
    with_hole = replace(each, means=np.where(np.arange(4) == 1, np.nan, each.means))
    assert show.map_text(with_hole, Look()).splitlines()[2].startswith("    0    –")


def test_programs_get_everything(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json is the whole scan, with null for what there is none of; --out keeps it, with a table and maps."""
    out = inside / "out"
    assert (
        main(["scan", "reference", "--n", "8", "--json", "--out", str(out), "--map", "any -> n-3", "--top", "9"]) == 0
    )
    data = json.loads(capsys.readouterr().out)
    assert data == json.loads((out / "scan.json").read_text())
    assert (data["layers"], data["heads"], data["seed"], data["format"]) == (3, 4, 0, 1)
    assert all(np.shape(question["values"]) == (3, 4) for question in data["questions"])
    copying = next(question for question in data["questions"] if question["question"] == "copying numerals")
    assert copying["uniform"] is None and copying["values"][1][3] is None  # 1.3 writes nothing
    rows = list(csv.DictReader((out / "findings.csv").open()))
    assert len(rows) == len(data["findings"]) == 9
    assert [row["head"] for row in rows] == [finding["head"] for finding in data["findings"]]
    assert [path.name for path in out.glob("*.png")] == ["any-to-n-3-named-sequence.png"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["referense"],
            2,
            "unknown model 'referense': did you mean 'reference'? A folder, a .gguf file or a hub id (OWNER/NAME@REVISION)",
        ),
        (["reference", "--prompts", "ioy"], 2, "unknown prompt family 'ioy': did you mean 'ioi'?"),
        (["reference", "--prompts", "ioi", "template=ABBA"], 2, "did you mean 'templates'?"),
        (["reference", "--prompts", "ioi", "ABBA"], 2, "'ABBA' is no KEY=VALUE of family ioi"),
        (["reference", "--prompts", "no.yaml#x"], 2, "there is no suite no.yaml"),
        (
            ["reference", "--prompts", "sets.yaml#number"],
            2,
            "sets.yaml has no prompt set 'number': did you mean 'numbers'?",
        ),
        (["reference", "--map", "inductoin", "--n", "4"], 2, "no question 'inductoin': did you mean 'induction'?"),
        (["reference", "--dtype", "float31"], 2, "--dtype: unknown dtype 'float31'; did you mean 'float32'?"),
        (["reference", "--suggest", "sets.yaml"], 2, "there is already a sets.yaml"),
        (["reference", "--suggest", "found"], 2, "--suggest found: a suite is a .yaml file"),
        (["gpt2", "--n", "4"], 1, "gpt2"),
    ],
)
def test_a_mistake_is_one_line(
    inside: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    """On standard error: the nearest valid name, or what to do about weights that are not here (status 1)."""
    (inside / "sets.yaml").write_text("prompts: {numbers: {family: named_sequence, members: numerals}}\n")
    assert main(["scan", *arguments]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("circuits: ")
    assert message in said.err
    assert said.err.count("\n") == 1


def test_an_interrupted_scan_leaves_nothing_behind(
    inside: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is one line and status 130; no file is begun."""

    def stop(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("circuits.measure.group.clean_run", stop)
    assert main(["scan", "reference", "--n", "4", "--out", "out", "--suggest", "new.yaml"]) == 130
    assert capsys.readouterr().err.startswith("circuits: interrupted; ")
    assert not (inside / "out").exists() and not (inside / "new.yaml").exists()


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_one_line_that_goes_away(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    """On a terminal each step overwrites the last; elsewhere only what takes long has a line."""
    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("sys.stderr", written)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    status = Status()
    status.notice("loading")
    status.step("attention on x: 3 questions, 8 prompts")
    status.step("attention on x: 3 questions, 8 prompts (4/8)")  # too soon after the last to be seen
    status.clear()
    steps = ["loading", "attention on x: 3 questions, 8 prompts", ""]
    assert written.getvalue() == ("".join(f"\r{text}\x1b[K" for text in steps) if terminal else "loading\n")


def test_scores_that_cannot_be_had_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts that nobody named (the repeats) do not stop a scan; those that were named do; missing weights do."""
    sets = {"numerals": SETS["numerals"], "repeats": "{family: repeated_tokens, length: 90}"}  # 181 tokens are too many
    scanner = scanner_of(sets, n=4)
    optional = frozenset({"repeats"})
    found = scanner.scan(scanner.topics(optional), optional)
    assert found.notes and "a prompt has 181 tokens, but reference reads at most 128" in found.notes[0]
    assert list(found.facts) == ["numerals"]
    with pytest.raises(CircuitsError, match=r"repeats: a prompt has 181 tokens"):
        scanner.scan(scanner.topics(optional))

    def gone(source: object) -> None:
        raise ModelUnavailable("not here")

    missing = scanner_of(SETS, n=4)
    monkeypatch.setattr(missing.evaluator, "_model", gone)
    with pytest.raises(ModelUnavailable, match="not here"):
        missing.scan(missing.topics(), frozenset(SETS))
