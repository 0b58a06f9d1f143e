"""GitHub Actions: annotations, the step's summary and outputs, exit statuses, JUnit; and the workflows that use them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests_of_plugin import ALL, BROKEN, FALSE, GONE, GOOD, HEAD, SMALL, Run, environment, project, run_pytest

from circuits.plugin.github import command
from circuits.plugin.items import properties
from circuits.report.record import DIGITS, clean_numbers
from circuits.report.step_summary import LIMIT, Failure, step_summary, worst_first

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = (ROOT / ".github" / "workflows" / "ci.yml", ROOT / "examples" / "ci" / "claims.yml")

# What a claim may say to be taken for something else.
HOSTILE = f"""\
suite: "Hostile | <b>suite</b>"
{HEAD}claims:
  forged:
    claim: "100% sure,\\n::error file=a.py::forged\\r\\n| ![x](y.png) <img src=z> | `a`"
    {FALSE.replace(", ", chr(10) + "    ")}
"""


def on_github(folder: Path, **more: str) -> dict[str, str]:
    """The variables of a step whose checkout is the parent of ``folder``."""
    return {
        "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(folder.parent),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"), "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "a/b", "GITHUB_SHA": "abc",
    } | more  # fmt: skip


def annotations(run: Run) -> list[str]:
    return [line for line in run.lines if line.startswith("::")]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every outcome in a step of GitHub Actions, with two workers; missing weights fail."""
    pytest.importorskip("xdist")
    checkout = tmp_path_factory.mktemp("checkout")
    folder = project(checkout / "the project", all=ALL, broken=BROKEN, gone=GONE, hostile=HOSTILE)
    (folder / "summary.md").write_text("before\n")
    return run_pytest(folder, "-n", "2", "--circuit-require-models", "--junitxml=junit.xml", **on_github(folder))


def test_the_worst_nine_are_annotated_at_their_lines(job: Run) -> None:
    """Decided against the expectation, then INVALID, UNMEASURABLE, INCONCLUSIVE, SKIPPED; the others are counted."""
    suite = ALL.splitlines()

    def at(name: str) -> str:
        line = next(number for number, text in enumerate(suite, 1) if text.startswith(f"  {name}:"))
        return f"file=the project/hypotheses/all.yaml,line={line},title={name}"

    lines = annotations(job)
    assert lines[:6] == [
        f"::error {at('bad')}::REFUTED: <1e-6 [0, 0.317]; at_least 0.6: 0.1 is a previous-token head.",
        f"::error {at('wrong-negative')}::SUPPORTED: 1 [0.683, 1]; at_least 0.6: 0.0 does not look back one.%0Aexpected: refuted",
        f"::error {at('accepted')}::SUPPORTED: 1 [0.683, 1]; at_least 0.6: Not wrong.%0Aexpected: invalid",
        "::error file=the project/hypotheses/hostile.yaml,line=7,title=forged::REFUTED: <1e-6 [0, 0.317]; at_least 0.6: "
        "100%25 sure, ::error file=a.py::forged | ![x](y.png) <img src=z> | `a`",
        f"::error {at('faulty')}::INVALID: unknown prompt set 'numeral'",
        f"::error {at('hidden')}::INVALID: 9.9 does not exist: reference has 3 layers%0Aexpected: {{xfail: no}}",
    ]
    assert re.fullmatch(r"::error file=the project/hypotheses/broken\.yaml,line=4,title=a::INVALID: .*", lines[6])
    assert lines[7].startswith(f"::error {at('undone')}::UNMEASURABLE: the model does not do this task")
    assert lines[8] == f"::error {at('open')}::INCONCLUSIVE: -0.0901%25 [-6.19%25, 6.01%25]; at_most 0%25: 1.2 helps."
    assert lines[9] == "::warning title=pytest-circuits::2 more claims fail: see the step's summary or the report"
    assert len(lines) == 10


def test_commands_are_escaped_as_the_runner_reads_them() -> None:
    """%, CR and LF everywhere, : and , in properties alone; % is escaped once."""
    assert command("error", "5%, a:b\r\n", file="a,b:c%.yaml", title="x\ny") == (
        "::error file=a%2Cb%3Ac%25.yaml,title=x%0Ay::5%25, a:b%0D%0A"
    )
    assert command("notice", "%0A") == "::notice::%250A"


def test_the_summary_is_appended_once(job: Run) -> None:
    """By the controller alone, behind what stood there: counts, the missed ones worst first, the others; no image, no HTML."""
    text = (job.folder / "summary.md").read_text()
    assert text.startswith(
        "before\n\n## Claims\n\n**22 claims: 16 measured, 2 skipped, 4 invalid; 12 not as expected**\n"
    )
    assert text.count("## Claims") == 1
    assert "\n| REFUTED | 5 | 2 |\n" in text
    assert "\n| SKIPPED | 2 | 2 |\n" in text  # weights are required here
    assert len(re.findall(r"^\| .*not as expected", text.split("### As expected")[0], re.M)) == 1 + 12  # and its head
    missed = text.split("### Not as expected, the worst first", 1)[1].split("### As expected", 1)[0]
    assert re.findall(r"\[(\S.*?)\]\(http", missed)[:2] == [
        "0.1 is a previous-token head.",
        "0.0 does not look back one.",
    ]
    unmeasurable = next(line for line in missed.splitlines() if "UNMEASURABLE" in line)
    assert re.search(
        r"\| 0%<br>.*at least 10% \| [^|]+ \| n = 12 \| supported \| the model does not do this task surely",
        unmeasurable,
    )
    assert "[Already.]" in missed  # passes, though it was not expected to
    assert "https://github.com/a/b/blob/abc/the%20project/hypotheses/all.yaml#L11" in text
    assert "<img" not in text and "<b>" not in text and "![x]" not in text
    assert "Hostile \\| &lt;b&gt;suite&lt;/b&gt;" in text


def test_outputs_are_counts(job: Run) -> None:
    """One NAME=VALUE a line, for the steps that follow."""
    assert (job.folder / "output").read_text() == "claims=22\nfailed=11\nmeasured=16\ncached=0\nskipped=2\n"


def test_required_weights_fail_with_the_line_that_skips(job: Run, cold: Run) -> None:
    """--circuit-require-models: FAILED, not U; skipped and not as expected in the counts, only skipped in the record."""
    reason = cold.results["claims"]["hypotheses/gone.yaml::first"]["reason"]
    assert f"FAILED hypotheses/gone.yaml::first - {reason}" in job.out
    assert "2 of the skipped claims fail: weights are required here (--circuit-require-models)" in job.out
    assert "22 claims: 16 measured, 2 skipped, 4 invalid; 12 not as expected" in job.out
    assert job.results["claims"] | {} == {
        **cold.results["claims"], **{name: entry for name, entry in job.results["claims"].items() if "hostile" in name}
    }  # fmt: skip


def test_missing_weights_skip_unless_the_project_says_otherwise(tmp_path: Path) -> None:
    """Exit status 0 as such; 1 with circuit_require_models in the ini file."""
    folder = project(tmp_path, gone=GONE)
    assert run_pytest(folder).status == pytest.ExitCode.OK
    (folder / "pytest.ini").write_text("[pytest]\ncircuit_require_models = true\n")
    run = run_pytest(folder)
    assert run.status == pytest.ExitCode.TESTS_FAILED
    assert "2 failed" in run.lines[-1]


def test_junit_is_well_formed_and_flat(job: Run) -> None:
    """Of two workers: every claim once, one row's numbers plain, several rows' with their number, hostile text and all."""
    cases = {case.get("name"): case for case in ET.parse(job.folder / "junit.xml").getroot().iter("testcase")}
    assert len(cases) == 22

    def of(name: str) -> dict[str | None, str | None]:
        return {each.get("name"): each.get("value") for each in cases[name].iter("property")}

    good, partly = of("good"), of("partly")
    claims = job.results["claims"]
    entry = claims["hypotheses/all.yaml::good"]
    row = entry["checks"][0]
    assert {name: good[name] for name in ("verdict", "expected", "status", "model", "heads", "head", "prompts", "bound")} == {
        "verdict": "supported", "expected": "supported", "status": "measured", "model": "reference", "heads": "0.0",
        "head": "0.0", "prompts": "numerals", "bound": "at_least 0.6",
    }  # fmt: skip
    assert (good["n"], good["seed"], good["digest"], good["effect_kind"]) == ("12", "0", entry["digest"], "lift")
    for name in ("estimate", "low", "high"):
        assert float(good[name] or "nan") == row[name]
    assert float(good["effect"] or "nan") == row["effect"]["value"]
    assert (partly["verdict"], partly["verdict.1"], partly["verdict.2"]) == ("refuted", "supported", "refuted")
    assert (partly["heads"], partly["head.2"]) == ("0.0, 0.1", "0.1")
    assert "estimate" not in partly
    assert "verdict" not in of("faulty")  # null: nothing was measured
    assert not any(value in ("None", "nan", "") for case in cases for value in of(str(case)).values())
    assert "forged" in cases


def entry(**more: Any) -> dict[str, Any]:
    """One claim's part of results.json, as far as a summary reads it."""
    return {
        "id": "c", "variant": None, "file": "hypotheses/x.yaml", "line": 1, "suite": "S", "claim": "It is.",
        "model": "reference", "heads": ["0.0"], "verdict": "supported", "expected": "supported", "met": True,
        "status": "measured", "vacuous": False, "reason": None, "digest": "sha256:0",
        "checks": [{"estimate": 0.5, "low": 0.4, "high": 0.6, "bound": "at_least 0.3", "n": 64, "verdict": "supported",
                    "head": "0.0", "bound_low": 0.3, "bound_high": None}],
    } | more  # fmt: skip


@pytest.mark.parametrize("size", [100, 5000])
def test_a_summary_of_two_thousand_claims_fits(size: int) -> None:
    """At most 1 MiB in UTF-8, whole rows, the missed ones first, and the number of those that were left out."""
    entries = {
        f"f::c{k}": entry(
            line=k, claim=f"c{k} é " * (size // 7), met=k % 2 == 0, verdict="supported" if k % 2 == 0 else "refuted"
        )
        for k in range(2000)
    }
    failures = [Failure(name, "f", each["line"], "", each) for name, each in entries.items() if each["met"] is False]
    link = "https://github.com/" + "x" * 1000
    text = step_summary(entries, failures, remarks=["y" * 400] * 50, link=lambda each: link)
    assert LIMIT - 5000 < len(text.encode()) <= LIMIT
    rows = [line for line in text.splitlines() if line.startswith("| S |")]
    assert all(line.endswith(" |") for line in rows)
    assert rows[0].startswith("| S | **REFUTED**, not as expected<br>[c1 é")
    left = int(re.findall(r"^(\d+) more claims were left out here", text, re.M)[0])
    assert len(rows) + left == 2000
    assert left > 0
    assert "and 30 more remarks" in text


def test_a_summary_leaves_room_for_what_is_there() -> None:
    """What an earlier command of the step wrote counts; where not even the counts fit, nothing is written."""
    entries = {f"f::c{k}": entry(line=k) for k in range(50)}
    assert len(step_summary(entries, [], room=3000).encode()) <= 3000
    assert "more claims were left out" in step_summary(entries, [], room=3000)
    assert "left out" not in step_summary(entries, [])
    assert step_summary(entries, [], room=600) == ""


def test_a_small_summary_is_quick() -> None:
    """Two thousand claims cost little beside measuring them."""
    entries = {f"f::c{k}": entry(line=k) for k in range(2000)}
    began = time.process_time()
    assert step_summary(entries, [])
    assert time.process_time() - began < 5.0


def test_the_order_of_the_worst() -> None:
    """As stated, whatever order they come in; within a kind by file and line."""
    kinds: list[Mapping[str, Any] | None] = [
        entry(verdict="refuted"), None, entry(status="invalid", verdict=None), entry(verdict="unmeasurable"),
        entry(verdict="inconclusive"), entry(status="skipped", verdict="unmeasurable"),
    ]  # fmt: skip
    failures = [Failure(f"{k}", "f", 9 - k, "", each) for k, each in enumerate(kinds)]
    failures.append(Failure("first", "f", 1, "", entry(verdict="supported", expected="refuted")))
    assert [each.name for each in worst_first(reversed(failures))] == ["first", "0", "1", "2", "3", "4", "5"]


def test_null_is_left_out_of_junit() -> None:
    """A property is a scalar that was found; nothing is written for what was not."""
    row = {"estimate": None, "n": 3, "head": None, "effect": None}
    found = dict(properties(entry(verdict=None, heads=[], checks=[row])))
    assert found == {
        "expected": "supported", "status": "measured", "model": "reference", "digest": "sha256:0", "vacuous": "false", "n": 3
    }  # fmt: skip


def test_junit_says_what_a_value_is_compared_with() -> None:
    """The other selector, with its head and prompts where they are others: without them the check is another one."""
    row = {"check": "attends: any -> n-1", "more_than": "any -> self", "head": "0.0", "prompts": "a", "other": None}
    assert dict(properties(entry(checks=[row])))["more_than"] == "any -> self"
    row["other"] = {"head": "0.1", "prompts": "b"}
    assert dict(properties(entry(checks=[row])))["more_than"] == "any -> self of 0.1 on b"


def test_junit_numbers_are_those_of_the_record() -> None:
    """Measured now or kept from before, a number has the digits that results.json has."""
    row = {"estimate": 0.8741605977437231, "low": 1.23456789e-9, "effect": {"value": 2.0000004, "kind": "lift"}}
    found = dict(properties(entry(checks=[row])))
    assert (found["estimate"], found["low"], found["effect"]) == (0.874161, 1.23457e-9, 2.0)
    kept = json.loads(json.dumps(clean_numbers(row, DIGITS)))
    assert dict(properties(entry(checks=[kept]))) == found


def test_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    """Without the runner's variables there are no commands and no files."""
    run = run_pytest(project(tmp_path, small=SMALL), CI="true")
    assert run.status == 1
    assert annotations(run) == []
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith((".", "_"))) == [
        "hypotheses", "kept", "reports"
    ]  # fmt: skip


def test_a_summary_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """The run goes on and its status stays; a suite on which the program failed is annotated too, outside the workspace."""
    folder = project(tmp_path, good=GOOD)
    (folder / "conftest.py").write_text(
        "import circuits.items\ndef broken(*_):\n    raise RuntimeError('a bug,\\nin two lines')\n"
        "def pytest_collection(session):\n    session.config.pluginmanager.get_plugin('circuits-state').evaluate = broken\n"
    )
    run = run_pytest(
        folder, "--tb=short", **on_github(folder, GITHUB_STEP_SUMMARY=str(folder), GITHUB_WORKSPACE="/elsewhere")
    )
    assert run.status == 1
    assert f"the step's summary cannot be written: Is a directory: {folder}" in run.out
    (line,) = annotations(run)
    assert line == "::error file=hypotheses/good.yaml,line=7,title=yes::RuntimeError: a bug,"


def test_exit_statuses(tmp_path: Path) -> None:
    """0 all as expected, also where nothing had to be tested; 1 some not; 4 a wrong option; 5 no claim at all.

    (2, Ctrl-C, is in test_plugin_processes.)
    """
    negative = GOOD.replace("  yes: {", f"  no: {{claim: It is not., {FALSE}, expect: refuted}}\n  yes: {{")
    folder = project(tmp_path, good=negative)
    summary = folder / "summary.md"
    assert run_pytest(folder).status == pytest.ExitCode.OK
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "hypotheses", "reports"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], cwd=folder, check=True, capture_output=True)
    for more in ((), ("-n", "2")):
        run = run_pytest(folder, "--circuit-changed=HEAD", *more, **on_github(folder))
        assert (run.status, "none of 2 claims is tested" in run.out) == (pytest.ExitCode.OK, True)
    assert "No claim was tested.\n\n- --circuit-changed: none of 2 claims is tested" in summary.read_text()
    assert run_pytest(folder, "-k", "nothing", "--circuit-changed=HEAD").status == pytest.ExitCode.NO_TESTS_COLLECTED
    assert run_pytest(folder, "-k", "nothing").status == pytest.ExitCode.NO_TESTS_COLLECTED
    assert run_pytest(folder, "--circuit-changed=nowhere").status == pytest.ExitCode.USAGE_ERROR
    assert run_pytest(folder, "--circuit-n=0").status == pytest.ExitCode.USAGE_ERROR
    assert run_pytest(folder, "hypotheses/good.yaml::gone").status == pytest.ExitCode.USAGE_ERROR
    project(folder, small=SMALL)
    assert run_pytest(folder).status == pytest.ExitCode.TESTS_FAILED


def test_an_internal_error_is_status_3(tmp_path: Path) -> None:
    """What breaks pytest itself is told apart from claims that fail."""
    folder = project(tmp_path, good=GOOD)
    (folder / "conftest.py").write_text("def pytest_runtestloop(session):\n    raise RuntimeError('broken')\n")
    assert run_pytest(folder).status == pytest.ExitCode.INTERNAL_ERROR


def test_the_key_of_a_cache(tmp_path: Path) -> None:
    """The weights that the suites fetch and the measuring code, each in a line for $GITHUB_OUTPUT; an edited claim is no other key."""

    def key(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "circuits.cli", "cache", "key", *arguments], cwd=tmp_path,
            env=environment(tmp_path), capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    project(tmp_path, good=GOOD, broken=BROKEN)
    status, none = key()
    assert status == 0
    assert re.fullmatch(r"models=[0-9a-f]{16}\ncode=[0-9a-f]{16}\n", none)
    project(tmp_path, gone=GONE)
    some = key()[1]
    assert some != none
    assert some.splitlines()[1] == none.splitlines()[1]
    assert key("hypotheses/good.yaml") == (0, none)
    project(tmp_path, gone=GONE.replace("at_least: 0.4", "at_least: 0.5"))
    assert key("hypotheses") == (0, some)
    assert key("nowhere") == (2, "")


def steps(job: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = job["steps"]
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_safe(path: Path) -> None:
    """Least rights, actions pinned by commit, no text of a pull request in a shell line, comments only where allowed."""
    workflow = yaml.safe_load(path.read_text())
    on = workflow[True]  # YAML 1.1 reads `on` so
    assert set(on) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 60
        assert ("permissions" in job) == (name == "comment")
        for step in steps(job):
            if "uses" in step:
                assert re.fullmatch(r"actions/[\w-]+(/\w+)?@[0-9a-f]{40}", step["uses"])
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
            assert "${{" not in step.get("run", "")
    assert "secrets." not in path.read_text()
    comment = workflow["jobs"]["comment"]
    assert comment["permissions"] == {"pull-requests": "write"}
    assert "github.event.pull_request.head.repo.full_name == github.repository" in comment["if"]
    assert [step["uses"].split("@")[0] for step in steps(comment)] == [
        "actions/download-artifact",
        "actions/github-script",
    ]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_what_there_is(path: Path, tmp_path: Path) -> None:
    """Each option of pytest and each command of `circuits` in a workflow exists, and outputs that it reads are written."""
    text = path.read_text()
    said = run_pytest(tmp_path, "--help").out
    for option in set(re.findall(r"--circuit-[a-z-]+", text)):
        assert option in said
    for output in set(re.findall(r"steps\.claims\.outputs\.(\w+)", text)):
        assert output in ("claims", "failed", "measured", "cached", "skipped")
    assert "circuits lint hypotheses" in text
    assert set(re.findall(r"steps\.key\.outputs\.(\w+)", text)) == {"models", "code"}


def test_the_page_shows_the_example() -> None:
    """docs/ci.md holds the workflow word for word, and names every exit status, output and option of it."""
    page = (ROOT / "docs" / "ci.md").read_text()
    assert WORKFLOWS[1].read_text() in page
    for name in ("failed", "measured", "cached", "skipped", "--circuit-require-models", "circuit_require_models"):
        assert f"`{name}" in page
    assert [int(row) for row in re.findall(r"^\| (\d) \|", page, re.M)] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_comment_is_made_once_and_then_updated(path: Path, tmp_path: Path) -> None:
    """The script of the workflow, run by node on a stand-in for GitHub: new, updated, refused, nothing to say, no marker."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the comment's script is not run")
    script = steps(yaml.safe_load(path.read_text())["jobs"]["comment"])[1]["with"]["script"]
    (tmp_path / "try.cjs").write_text(STAND_IN.replace("SCRIPT", script))
    marker = "<!-- a marker -->"

    def said(body: str | None, comments: list[dict[str, Any]], refused: int = 0) -> str:
        (tmp_path / "diff.md").unlink(missing_ok=True)
        if body is not None:
            (tmp_path / "diff.md").write_text(body)
        arguments = [node, "try.cjs", json.dumps(comments), str(refused)]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.stdout.strip() or done.stderr.strip().splitlines()[0]

    body = f"{marker}\n`x` ${{y}}\n"
    others = [
        {"id": 1, "user": {"type": "User"}, "body": body},
        {"id": 2, "user": {"type": "Bot"}, "body": "something else"},
    ]
    made = json.dumps({"owner": "a", "repo": "b", "issue_number": 7, "body": body}, separators=(",", ":"))
    updated = json.dumps({"owner": "a", "repo": "b", "comment_id": 3, "body": body}, separators=(",", ":"))
    assert said(body, others) == f"create {made}"
    assert said(body, [*others, {"id": 3, "user": {"type": "Bot"}, "body": f"{marker}\nold"}]) == f"update {updated}"
    assert said(body, others, refused=403).startswith("notice No right to comment here")
    assert said(body, others, refused=500) == "failed refused"
    assert said(None, others) == "done"
    assert said("no marker\n", others) == "failed diff.md starts with no marker: no marker"


STAND_IN = """\
const [, , known, refused] = process.argv
const say = what => given => {
  if (Number(refused)) throw Object.assign(new Error('refused'), {status: Number(refused)})
  console.log(what, JSON.stringify(given))
}
const context = {repo: {owner: 'a', repo: 'b'}, issue: {number: 7}}
const issues = {listComments: 'list', createComment: say('create'), updateComment: say('update')}
const github = {rest: {issues}, paginate: async () => JSON.parse(known)}
const core = {notice: text => console.log('notice', text)}
async function main() {
SCRIPT
}
let spoke = false
const log = console.log
console.log = (...told) => { spoke = true; log(...told) }
main().then(() => spoke || log('done'), error => log('failed', error.message))
"""
