"""``circuits show``: which claim is meant, what is said of it, and how it is drawn."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests_of_plugin import Run, environment, results

from circuits.cli import main
from circuits.report.plain import Look, bars, plain, shade
from circuits.report.record import load_record
from circuits.report.show import claim_lines, find_claims, near_claims, profile_lines
from circuits.report.terminal import Line, numbers

ROOT = Path(__file__).resolve().parent.parent


def text_of(lines: Any) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines]


@pytest.fixture
def inside(cold: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run of every outcome."""
    monkeypatch.chdir(cold.folder)
    monkeypatch.setenv("COLUMNS", "90")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return cold.folder


def test_a_claim_is_shown_with_everything_the_record_has(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verdict, words, numbers, controls, profile, run, figures and YAML; each number is the record's."""
    assert main(["show", "good"]) == 0
    out = capsys.readouterr().out
    entry = results(inside)["claims"]["hypotheses/all.yaml::good"]
    (row,) = entry["checks"]
    assert out.startswith("SUPPORTED  good\n0.0 is a previous-token head.\n")
    assert f"\n  {numbers(row)}; at_least 0.6; n={row['n']}\n" in out
    assert f"Under uniform attention over the visible tokens the value would be {row['uniform']:.3g}" in out
    assert "models with shuffled weights satisfy this bound" in out.replace("\n    ", " ")
    assert "where 0.0 looks on numerals (" in out
    assert f"measured in run {entry['run']} on " in out
    assert f"\n  reports/{row['figure']['path']}\n" in out
    assert "(not there any more)" not in out
    assert out.endswith(f"hypotheses/all.yaml:{entry['line']}\n{entry['yaml'].rstrip()}\n")
    assert all(len(line) <= 90 for line in out.split("hypotheses/all.yaml:")[0].splitlines() if "/" not in line)


@pytest.mark.parametrize(
    ("claim", "first"),
    [
        ("bad", "REFUTED  bad  (NOT as expected)"),
        ("negative", "REFUTED  negative  (expected: refuted)"),
        ("faulty", "INVALID  faulty  (NOT as expected)"),
        ("hypotheses/all.yaml::GOOD", "SUPPORTED  good"),
        ("many[repeats]", "SUPPORTED  many[repeats]"),
        ("undone", "UNMEASURABLE  undone  (NOT as expected)"),
    ],
)
def test_the_first_line_is_the_outcome(
    claim: str, first: str, inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exact id is enough though it is part of other ids too, whatever its capitals."""
    assert main(["show", claim]) == 0
    assert capsys.readouterr().out.splitlines()[0] == first


def test_several_claims_are_listed_and_none_is_guessed_at(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Part of several ids: all of them with their verdicts; of none: the nearest ids; exit status 2."""
    assert main(["show", "swept"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("circuits: 'swept' is part of 2 claims of reports/results.json; name one of them:")
    assert said.out.splitlines() == [
        f"  SUPPORTED    hypotheses/all.yaml::swept[swept,length={length}]" for length in (3, 4)
    ]
    assert main(["show", "refusd"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "circuits: no claim of reports/results.json has 'refusd' in its id: did you mean 'refused'?\n"
    assert main(["show", "?"]) == 2
    assert "`circuits show` alone lists them all" in capsys.readouterr().err


def test_without_a_claim_all_are_listed(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each claim of the record, with its verdict."""
    assert main(["show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == sorted(results(inside)["claims"])
    assert "  REFUTED      hypotheses/all.yaml::bad" in lines


def test_without_a_record_it_says_what_writes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on standard error, with exit status 1."""
    monkeypatch.chdir(tmp_path)
    assert main(["show", "x", "--report", "elsewhere"]) == 1
    said = capsys.readouterr().err
    assert said == (
        "circuits: there is no elsewhere/results.json: `pytest hypotheses/` writes it; another folder: --report DIR\n"
    )


def test_json_is_the_record(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The claim's entry, its run and its model, unchanged."""
    assert main(["show", "good", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    record = results(inside)
    assert found["claim"] == record["claims"]["hypotheses/all.yaml::good"]
    assert found["run"] == record["runs"][found["claim"]["run"]]
    assert found["model"] == record["models"]["reference"]
    assert all((inside / path).is_file() for path in found["figures"])


def test_what_was_skipped_has_no_number(cold: Run) -> None:
    """A skipped claim shows what it asks and why it was skipped, and no value."""
    record = load_record(cold.folder / "reports" / "results.json")
    (node,) = [node for node, entry in record["claims"].items() if entry["status"] == "skipped"][:1]
    lines = text_of(claim_lines(node, record, cold.folder / "reports", Look()))
    assert lines[0].startswith("SKIPPED  ")
    start = next(place for place, line in enumerate(lines) if line.startswith("check 1"))
    assert lines[start + 1].startswith("  not measured; ")
    assert "None" not in "\n".join(lines)


def test_colours_are_for_terminals_only(
    inside: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captured output has none; FORCE_COLOR asks for them; NO_COLOR is stronger."""
    main(["show", "good"])
    bare = capsys.readouterr().out
    assert "\x1b" not in bare
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["show", "good"])
    coloured = capsys.readouterr().out
    assert coloured.startswith("\x1b[32mSUPPORTED\x1b[0m")
    monkeypatch.setenv("NO_COLOR", "1")
    main(["show", "good"])
    assert capsys.readouterr().out == bare


@pytest.mark.parametrize("no_colour", [False, True])
def test_a_terminal_gets_colours_and_its_own_width(cold: Run, no_colour: bool) -> None:
    """On a pseudo terminal of 60 columns: colours unless NO_COLOR is set, and no sentence is wider."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    parent, child = os.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 60, 0, 0))
    env = environment(cold.folder, TERM="xterm", **({"NO_COLOR": "1"} if no_colour else {}))
    for name in ("COLUMNS", "FORCE_COLOR", *(() if no_colour else ("NO_COLOR",))):
        env.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "circuits.cli", "show", "good"], cwd=cold.folder, env=env, stdout=child
    )
    os.close(child)
    out = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:  # the other end was closed
            break
        if not piece:
            break
        out += piece
    os.close(parent)
    assert process.wait() == 0
    text = out.decode()
    assert ("\x1b[32mSUPPORTED" in text) is not no_colour
    sentences = [line for line in text.replace("\r", "").splitlines() if line.startswith("  Mean attention mass")]
    assert sentences
    assert all(20 < len(line) <= 60 for line in sentences)


def test_nothing_heavy_is_loaded(cold: Run) -> None:
    """A claim is shown from JSON alone: no torch, numpy, pandas or matplotlib."""
    code = (
        "import sys, circuits.cli\nstatus = circuits.cli.main(['show', 'good'])\n"
        "print({'torch', 'transformers', 'numpy', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules), status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cold.folder, env=environment(cold.folder), capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "set() 0", done.stderr


PROFILE = {
    "head": "1.2", "prompts": "p", "n": 3, "bos": 0.25, "marked": [2], "offsets": [0.0, 0.4, 0.8, None],
    "classes": ["bos", "name", "never"], "matrix": [[1.0, 0.0, None], [0.3, 0.7, 0.0], [None, None, None]],
}  # fmt: skip


def test_distances_are_bars_and_claimed_ones_are_marked() -> None:
    """A bar a distance, relative to the highest; null is a dash; the claimed distance has a mark under it."""
    lines = text_of(profile_lines(PROFILE, Look(80)))
    assert lines[0] == "where 1.2 looks on p (3 prompts)"
    assert lines[2] == "    ·▄█–"
    assert lines[3] == "      ^  claimed"
    assert lines[5] == "    most: n-2 0.8, n-1 0.4; BOS apart: 0.25"


def test_classes_are_shades_with_numbers_where_there_is_room() -> None:
    """A cell is a shade and its number; a class without queries has no row; a narrow terminal keeps the shades."""
    wide = text_of(profile_lines(PROFILE, Look(80)))
    assert wide[7].split() == ["bos", "name", "never"]
    assert wide[8].split() == ["bos", "█", "1.00", "0.00", "–", "–"]
    assert wide[9].split() == ["name", "░", "0.30", "▓", "0.70", "0.00"]
    assert len(wide) == 10
    narrow = text_of(profile_lines(PROFILE, Look(24)))
    assert narrow[-3].split() == ["1", "2", "3"]
    assert narrow[-2].split() == ["bos", "██", "––", "1"]


def test_an_output_without_block_elements_gets_digits() -> None:
    """Tenths of the highest as digits, shades as signs of ASCII."""
    look = Look(80, unicode=False)
    assert bars([1.0, 0.0, 0.5, None], look, 1.0) == "904-"
    assert shade(1.0, look) + shade(0.3, look) + shade(None, look) == "#.-"
    assert all(line.isascii() for line in text_of(profile_lines(PROFILE, look)) if "–" not in line)


def test_markdown_is_taken_off() -> None:
    """Escapes, emphasis and entities go, code keeps its backticks."""
    assert plain(r"a\_b \[x\] **bold** &lt;tag&gt; `n-1`") == "a_b [x] bold <tag> `n-1`"
    assert plain("<code>a&#124;b</code>") == "`a|b`"


def test_history_tells_the_run_and_what_other_choices_gave() -> None:
    """When and with what; from the cache; flipped; not a discovery; and each other choice with its verdict."""
    entry = {
        "id": "a", "status": "cached", "verdict": "refuted", "met": False, "expected": "supported", "run": "2", "cached": True,
        "checks": [{"index": 1, "kind": "ablate", "check": "ablate: 1.2 (mean), drop_in: logit_diff", "percent": True,
                    "verdict": "refuted", "estimate": 0.1, "low": 0.05, "high": 0.15, "n": 8, "bound": "at_least 20%"}],
        "flipped": {"from": "supported", "to": "refuted"},
        "fdr": {"alpha": 0.05, "claims": 7, "discovery": False},
        "robust": [{"choice": "method", "value": "zero", "verdict": "supported", "estimates": [0.25], "reason": None},
                   {"choice": "bos", "value": "false", "verdict": "unmeasurable", "estimates": [None], "reason": "x"}],
    }  # fmt: skip
    run = {
        "started": "2026-01-02T03:04:05+00:00",
        "circuits": "9.9",
        "dtype": "float32",
        "device": "cpu",
        "git": "f" * 40,
    }
    record = {"claims": {"x.yaml::a": entry}, "runs": {"2": run}, "models": {}}
    lines = text_of(claim_lines("x.yaml::a", record, Path("reports"), Look(200)))
    start = lines.index("history")
    assert lines[start + 1 : start + 7] == [
        "  measured in run 2 on 2026-01-02 03:04:05 UTC: circuits 9.9, float32 on cpu, git ffffffffffff",
        "  the last run took it from the cache",
        "  Among the 7 claims tested in its run, this one is not a discovery at a false discovery rate of 5% (e-BH).",
        "  Flipped: SUPPORTED on the prompts of the run before, REFUTED on these.",
        "  with method zero: SUPPORTED (25%)",
        "  with bos false: UNMEASURABLE (–)",
    ]


def test_ids_are_found_by_the_most_exact_rule() -> None:
    """A node id, else an id, else a part; and the nearest ids of a misspelt one."""
    claims = {
        "a.yaml::head": {"id": "head"},
        "a.yaml::head-2[x]": {"id": "head-2", "variant": "x"},
        "b.yaml::head-2[y]": {"id": "head-2", "variant": "y"},
    }
    assert find_claims(claims, "head") == ["a.yaml::head"]
    assert find_claims(claims, "HEAD-2") == ["a.yaml::head-2[x]", "b.yaml::head-2[y]"]
    assert find_claims(claims, "a.yaml::head-2") == ["a.yaml::head-2[x]"]
    assert find_claims(claims, "ead") == sorted(claims)
    assert near_claims(claims, "haed-2")[0].startswith("head-2[")
    assert near_claims(claims, "zzzzzz") == []


def test_every_claim_of_this_repository_can_be_shown() -> None:
    """No claim shows a null as text, and no Markdown is left."""
    record = load_record(ROOT / "reports" / "results.json")
    assert record["claims"]
    for node, entry in record["claims"].items():
        lines: list[Line] = list(claim_lines(node, record, ROOT / "reports", Look(80)))
        shown = "\n".join(text_of(lines)).removesuffix(str(entry["yaml"]).rstrip())
        assert not [bad for bad in ("None", "nan", "**", "\\_", "&lt;") if bad in shown], node
