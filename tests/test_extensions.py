"""A project's own families, roles, scores and metrics: offered, refused, loaded, measured and shown."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests_of_plugin import project, run_pytest

from circuits.answers import Answers
from circuits.cli import main
from circuits.commands.lint import lint
from circuits.errors import CircuitsError, PromptFault
from circuits.evaluate import Evaluator, Options, items_of, knowledge, load
from circuits.extensions import ENTRY_POINTS, Family, Metric, Role, Score, extensions
from circuits.prompts import registry
from circuits.prompts.own import MetricName, code_of, files_of, marked
from circuits.prompts.prompt import Prompt, PromptPair, Span
from circuits.prompts.registry import FAMILIES

ROLE = Role("digit", doc="A digit.", find=lambda text: [(i, i + 1) for i, c in enumerate(text) if c.isdigit()])
LOOKS = Score("looks_back", doc="Attention to n-1.", selector="any -> n-1")
MASS = Score("largest", doc="The mean of the largest weight.", value=lambda a, prompt: a[:, 1:].max(-1).mean(-1))
MARGIN = Metric("margin", doc="A metric.", value=lambda logits, p: float(logits[p.answers[0]] > logits[p.foils[0]]), low=0.0, high=1.0, zero=True, foil=True)  # fmt: skip
ALL = (ROLE, LOOKS, MASS, MARGIN)

SUITE = """\
suite: Own
model: reference
sampling: {min: 32, max: 32}
prompts: {numerals: {family: named_sequence, members: numerals}}
claims:
"""


def written(folder: Path, *claims: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(SUITE + "".join(f"  c{number}: {{claim: It is., prompts: numerals, {claim}}}\n" for number, claim in enumerate(claims)))  # fmt: skip
    return path


def answered(folder: Path, own: tuple[Any, ...], *claims: str, cache: bool = False) -> list[dict[str, Any]]:
    """The entries of claims on the reference model."""
    path = written(folder, *claims)
    know = knowledge(extra=own)
    suite = load(path, know, path.name)
    assert not suite.all_faults, [fault.render() for fault in suite.all_faults]
    evaluator = Evaluator(Options(), folder / "values" if cache else None, own=know.own)
    items = items_of(suite, folder)
    evaluator.plan(items)
    return [evaluator.evaluate(item).entry for item in items]


def faults(folder: Path, own: tuple[Any, ...], claim: str) -> list[str]:
    suite = load(written(folder, claim), knowledge(extra=own), "own.yaml")
    return [f"{fault.message}: {fault.hint}" for fault in suite.all_faults]


def test_a_session_knows_what_was_handed_to_it_and_nothing_else() -> None:
    """Records are there by name; a session without them has none."""
    found = extensions(ALL)
    assert found.roles == {"digit": ROLE} and found.metrics == {"margin": MARGIN}
    assert set(found.scores) == {"looks_back", "largest"} and set(found.families) == set(FAMILIES)
    assert extensions().roles == extensions().scores == extensions().metrics == {}


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (("no record",), "an extension given by the project is no Family, Role, Score or Metric but str: 'no record'"),
        ((replace(MARGIN, name="kl"),), "the metric 'kl' given by the project (test_extensions.py) has the name of one of"),
        ((replace(MARGIN, name="top7"),), "'top7' given by the project (test_extensions.py) has the name of one of the"),
        ((replace(LOOKS, name="induction"),), "the score 'induction' given by the project (no code) has the name of one"),
        ((replace(ROLE, name="end"),), "is a word of the selector language; rename it"),
        ((replace(ROLE, name="S2"),), "has the name of a role of the family ioi; rename it"),
        ((ROLE, replace(ROLE, doc="Another.")), "has the name of another one (test_extensions.py); rename it"),
        ((replace(MARGIN, name="a-b"),), "cannot be written in a claim; use letters, digits and _"),
        ((replace(MARGIN, doc=" "),), "has no doc: say in one sentence what it is"),
        ((replace(MARGIN, low=1.0),), "has the range 1.0 to 1.0; low must be below high"),
        ((replace(MARGIN, low=math.nan),), "has the range nan to 1.0; low must be below high"),
        ((replace(MARGIN, value=3),), "has a int where its function belongs"),
        ((replace(LOOKS, selector=None),), "needs one of the two: selector, or value(attention, prompt)"),
        ((replace(MASS, selector="any -> n-1"),), "needs one of the two"),
        ((replace(LOOKS, selector="any -> "),), "has a selector that cannot be read: 'any -> '"),
        ((replace(LOOKS, families=("ioii",)),), "names the family 'ioii', which there is not"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_one_clear_error(extra: tuple[Any, ...], said: str) -> None:
    """A taken name, a name that cannot be written, a missing function and a bad range are said with the file."""
    with pytest.raises(CircuitsError) as error:
        extensions(extra)
    assert said in str(error.value)


def test_entry_points_offer_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package adds roles, scores and metrics, one record or a list of them."""

    class Point:
        def __init__(self, found: object) -> None:
            self.name, self.value, self.found = "mine", "package:MINE", found

        def load(self) -> object:
            return self.found

    offered: dict[str, object] = {"circuits.roles": ROLE, "circuits.scores": [LOOKS, MASS], "circuits.metrics": MARGIN}
    monkeypatch.setattr(registry, "entry_points", lambda group: [Point(offered[group])] if group in offered else [])
    found = extensions()
    assert [*found.roles, *found.scores, *found.metrics] == ["digit", "looks_back", "largest", "margin"]
    assert set(ENTRY_POINTS) == set(offered)
    offered["circuits.metrics"] = replace(MARGIN, name="loss")
    with pytest.raises(CircuitsError, match=r"from the entry point 'mine' \(package:MINE\) \(test_extensions.py\) has"):
        extensions()


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("ablate: '1.2', drop_in: margn, at_least: 5%", "unknown metric 'margn': did you mean 'margin'?"),
        ("head: '0.0', score: look_back, at_least: 0.5", "unknown score 'look_back': did you mean 'looks_back'?"),
        ("head: '0.0', attends: digt -> n-1, at_least: 0.5", "did you mean 'digit'?"),
        ("ablate: '1.2', after: margin, at_most: 1", "at_most 1: no value can miss this bound: this check's values lie between 0 and 1"),
        ("ablate: '1.2', drop_in: plain, at_least: 5%", "drop_in: plain means nothing, because plain has no meaningful zero: use change_in: plain"),
        ("head: '0.0', score: of_ioi, at_least: 0.5", "the own score of_ioi is defined on ioi, but prompt set 'numerals' is of family named_sequence: use a prompt set of family ioi"),
        ("head: '0.0', score: of_s2, at_least: 0.5", "the own score of_s2 (S2 -> n-1) needs 'S2', which 'numerals' has not"),
        ("head: '0.0', score: looks_back, members: numerals, at_least: 0.5", "'members' belongs to copying and successor, not to looks_back"),
    ],
)  # fmt: skip
def test_faults_of_claims_on_own_things_say_what_to_write(tmp_path: Path, claim: str, said: str) -> None:
    """Misspelt names, bounds that no value can miss and unsuited prompts are found without weights."""
    more = (replace(MARGIN, name="plain", zero=False), replace(LOOKS, name="of_ioi", families=("ioi",)), replace(LOOKS, name="of_s2", selector="S2 -> n-1"))  # fmt: skip
    found = faults(tmp_path, (*ALL, *more), claim)
    assert len(found) == 1 and said in found[0], found


def test_an_own_role_and_a_role_of_the_prompt_set_must_differ(tmp_path: Path) -> None:
    """A slot of a template that is called like the project's role is a fault at the prompt set."""
    path = written(tmp_path, "head: '0.0', attends: digit -> n-1, at_least: 0.5")
    path.write_text(
        path.read_text().replace("members: numerals}", "members: numerals, template: '{digit} is {member}.'}")
    )
    found = load(path, knowledge(extra=ALL)).all_faults
    assert any(
        "role 'digit' of prompt set 'numerals' has the name of the project's own role" in f.message for f in found
    )


def test_own_things_are_measured(tmp_path: Path) -> None:
    """A selector's name is the selector; a computed score and a metric come to what they must on the reference model."""
    plain, named, computed, metric, role = answered(
        tmp_path,
        ALL,
        "head: '0.0', attends: any -> n-1, at_least: 0.5",
        "head: '0.0', score: looks_back, at_least: 0.5",
        "head: '2.2', score: largest, at_most: 0.9",
        "ablate: ['1.2', '2.1'], after: margin, at_most: 0.9",
        "head: '1.1', attends: digit -> earlier member, at_least: 0.5",
    )
    assert [each["verdict"] for each in (plain, named, computed, metric, role)] == ["supported"] * 5
    assert named["checks"][0]["estimate"] == plain["checks"][0]["estimate"]
    # 2.2 attends to all visible keys equally, so its largest weight is 1/(i+1), and the value under uniform attention its own.
    row = computed["checks"][0]
    length = len(computed["prompts"]["numerals"]["tokens"])
    assert row["estimate"] == pytest.approx(np.mean([1 / k for k in range(2, length + 1)]), abs=1e-4)
    assert row["uniform"] == pytest.approx(row["estimate"], abs=1e-4)
    assert row["controls"]["broken"] is not None and row["heads_passing"][1] == 12 and row["guaranteed"]
    row = metric["checks"][0]
    assert row["baseline"]["clean"] == 1.0 and row["metric"] == "margin" and type(row["metric"]) is str
    assert [own["name"] for own in metric["own"]] == ["margin"] and "own" not in plain
    assert role["own"][0]["kind"] == "role" and role["own"][0]["file"] == "test_extensions.py"


@pytest.mark.parametrize(
    ("own", "claim", "said"),
    [
        (replace(MARGIN, value=lambda logits, prompt: 1.5), "ablate: '1.2', drop_in: margin, at_least: 5%", "gave 1.5 on "),
        (replace(MARGIN, value=lambda logits, prompt: 1 / 0), "ablate: '1.2', drop_in: margin, at_least: 5%", "ZeroDivisionError"),
        (replace(MARGIN, value=lambda logits, prompt: logits.__setitem__(0, 0.0)), "ablate: '1.2', drop_in: margin, at_least: 5%", "read-only"),
        (replace(MASS, value=lambda a, prompt: a.sum(-1).sum(-1)), "head: '0.0', score: largest, at_least: 0.5", "outside its range 0 to 1"),
        (replace(MASS, value=lambda a, prompt: 0.5), "head: '0.0', score: largest, at_least: 0.5", "not one number for each head"),
    ],
)  # fmt: skip
def test_a_function_that_fails_stops_only_its_own_claim(tmp_path: Path, own: Any, claim: str, said: str) -> None:
    """UNMEASURABLE, with the record, its file and the reason; a claim on the same prompts is measured."""
    others = ("ablate: '1.2', drop_in: logit_diff, observe: true", "head: '0.0', attends: any -> n-1, at_least: 0.5")
    broken, *fine = answered(tmp_path, (own,), claim, *others)
    assert broken["verdict"] == "unmeasurable" and said in broken["reason"]
    assert f"the project's own {'metric' if own.name == 'margin' else 'score'}" in broken["reason"]
    assert "test_extensions.py" in broken["reason"]
    assert fine[0]["checks"][0]["estimate"] is not None and fine[1]["verdict"] == "supported"


def test_spans_outside_the_text_are_a_fault() -> None:
    """A role's function that fails or points nowhere is said with its text."""
    pair = PromptPair(Prompt("ab", roles={"x": (Span(0, 1),)}), None)
    found = marked(pair, [replace(ROLE, find=lambda text: [(1, 2), (0, 1)])]).clean.roles
    assert found == {"x": (Span(0, 1),), "digit": (Span(0, 1), Span(1, 2))}
    with pytest.raises(PromptFault, match="marks characters 1 to 3 of 'ab', which has 2"):
        marked(pair, [replace(ROLE, find=lambda text: [(1, 3)])])
    with pytest.raises(PromptFault, match="failed on 'ab': KeyError"):
        marked(pair, [replace(ROLE, find=lambda text: {}["a"])])


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("edited", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKERS: dict[str, Callable[[Any], Any]] = {
    "metric": lambda function: replace(MARGIN, value=function),
    "score": lambda function: replace(MASS, value=function),
    "role": lambda function: replace(ROLE, find=function),
    "family": lambda function: replace(FAMILIES["ioi"], name="mine", pairs=function),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_an_edited_function_is_another_code(tmp_path: Path, kind: str) -> None:
    """The digest is that of the file as it was imported: an edit counts from the next import on."""
    file = tmp_path / "mine.py"
    file.write_text("def f(*given):\n    return 1.0\n")
    first = MAKERS[kind](imported(file).f)
    before = code_of(first)
    file.write_text("def f(*given):\n    return 2.00\n")
    assert code_of(first) == before and files_of(first) == [file]
    assert code_of(MAKERS[kind](imported(file).f)) != before
    assert code_of(FAMILIES["ioi"]) == ""


def test_an_edited_metric_is_measured_again_and_nothing_else(tmp_path: Path) -> None:
    """Values of claims that use it are not taken from the cache; those of others are."""
    file = tmp_path / "mine.py"
    claims = (
        "ablate: ['1.2', '2.1'], after: margin, observe: true",
        "ablate: '1.2', drop_in: logit_diff, observe: true",
    )
    found = []
    for number in ("0.25", "0.75", "0.75"):
        file.write_text(f"def f(logits, prompt):\n    return {number}\n")
        own = (replace(MARGIN, value=imported(file).f),)
        found.append(answered(tmp_path, own, *claims, cache=True))
    statuses = [[each["status"] for each in run] for run in found]
    assert statuses == [
        ["measured"] * 2,
        ["measured", "cached"],
        ["cached"] * 2,
    ]
    assert [run[0]["checks"][0]["estimate"] for run in found] == [0.25, 0.75, 0.75]


def test_answers_are_kept_by_the_code_of_own_things(tmp_path: Path) -> None:
    """Another file of a metric is another answer's key, for the claims that use it alone."""
    path = written(
        tmp_path, "ablate: '1.2', after: margin, observe: true", "head: '0.0', attends: any -> n-1, at_least: 0.5"
    )
    keys = []
    for text in ("def f(*a): return 1", "def f(*a): return 0"):
        (tmp_path / "mine.py").write_text(text)
        know = knowledge(extra=[replace(MARGIN, value=imported(tmp_path / "mine.py").f)])
        answers = Answers(tmp_path, Options(), tmp_path, None, know.own)
        keys.append([answers.key(item) for item in items_of(load(path, know, "own.yaml"), tmp_path)])
    assert keys[0][0] != keys[1][0] and keys[0][1] == keys[1][1] and None not in keys[0]


CONFTEST = """\
from circuits.extensions import Role, Score

def pytest_circuits_extensions():
    return [Score("looks_back", doc="Attention to n-1.", selector="any -> n-1"){more}]
"""


def test_lint_reads_the_conftest_of_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What pytest would know, the linter knows; a conftest that fails is said with its path."""
    folder = project(tmp_path, own=SUITE + "  a: {claim: A., head: '0.0', prompts: numerals, score: looks_back, at_least: 0.5}\n")  # fmt: skip
    (folder / "pyproject.toml").write_text("")
    assert lint([str(folder / "hypotheses")]) == 1
    assert "unknown score 'looks_back'" in capsys.readouterr().out
    (folder / "conftest.py").write_text(CONFTEST.format(more=""))
    assert lint([str(folder / "hypotheses")]) == 0
    (folder / "hypotheses" / "conftest.py").write_text("def pytest_circuits_extensions():\n    return 1 / 0\n")
    with pytest.raises(CircuitsError, match=r"hypotheses/conftest.py cannot be run: ZeroDivisionError"):
        lint([str(folder / "hypotheses")])


def test_pytest_reads_conftests_of_subfolders_too(tmp_path: Path) -> None:
    """A conftest beside a suite adds to it though pytest finds it only while collecting; a clash fails each suite."""
    claim = "  {id}: {{claim: A., head: '0.0', prompts: numerals, score: {score}, at_least: 0.5}}\n"
    folder = project(tmp_path, first=SUITE + claim.format(id="a", score="looks_back"))
    (folder / "conftest.py").write_text(CONFTEST.format(more=""))
    deep = folder / "hypotheses" / "deep"
    deep.mkdir()
    (deep / "second.yaml").write_text(SUITE + claim.format(id="b", score="also_back"))
    (deep / "conftest.py").write_text(CONFTEST.format(more="").replace("looks_back", "also_back"))
    found = run_pytest(folder)
    assert found.verdicts() == {"a": "SUPPORTED", "b": "SUPPORTED"}, found.out
    assert "**Own code**: the score `looks_back`" in (folder / "reports" / "hypotheses--first.md").read_text()
    (deep / "conftest.py").write_text(CONFTEST.format(more="").replace("n-1.", "n-one."))
    found = run_pytest(folder)
    assert found.status == 1 and "the score 'looks_back' given by the project" in found.out
    assert "has the name of another one" in found.out


def test_a_metric_name_is_a_text_that_carries_its_record() -> None:
    """It equals and hashes as its text, so that claims that name it mean the same."""
    name = MetricName(MARGIN)
    assert name == "margin" and hash(name) == hash("margin") and name.record is MARGIN
    assert MARGIN.facts == (0.0, 1.0, True, True, True)
    assert isinstance(FAMILIES["ioi"], Family)


def test_a_family_made_by_the_package_is_known_by_what_it_was_given() -> None:
    """Two families that differ in their word pool alone have two codes, the same in every process."""
    from circuits.prompts.sequences import sequence_family

    given = {"name": "mine", "doc": "Mine.", "slot": "name", "template": "{name} is {member}."}
    one, again, other = (
        sequence_family(pool=pool, **given) for pool in (("Ada", "Bea"), ["Ada", "Bea"], ("Ada", "Cy"))
    )
    assert code_of(one) == code_of(again) != code_of(other)
    know = knowledge(extra=[other])
    assert know.own.families["mine"] is other


def test_explain_and_families_know_the_project_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A role of the conftest can be explained, a family of it is described."""
    (tmp_path / "conftest.py").write_text(
        "import re\nfrom dataclasses import replace\nfrom circuits.extensions import Role\n"
        "from circuits.prompts.registry import FAMILIES\n\n"
        "def pytest_circuits_extensions():\n"
        "    role = Role('odd', doc='Odd.', find=lambda t: [m.span() for m in re.finditer('[13579]', t)])\n"
        "    return [role, replace(FAMILIES['ioi'], name='mine', doc='Of the project.')]\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["families", "mine"]) == 0
    assert "mine: Of the project." in capsys.readouterr().out
    assert main(["explain", "odd -> n-1", "--text", "Adam is 1. Bob is 2.", "--model", "reference"]) == 0
    assert "odd" in capsys.readouterr().out
