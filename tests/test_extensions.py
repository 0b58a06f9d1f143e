"""A project's own families, roles, scores and metrics: offered, refused, loaded, measured and shown."""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
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
from circuits.items import own_code
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
        ((replace(MARGIN, name="foil_first"),), "'foil_first' given by the project (test_extensions.py) has the name of one"),
        ((replace(LOOKS, name="induction"),), "the score 'induction' given by the project (no code) has the name of one"),
        ((replace(ROLE, name="end"),), "is a word of the selector language; rename it"),
        ((replace(ROLE, name="S2"),), "has the name of a role of the family ioi; rename it"),
        ((ROLE, replace(ROLE, doc="Another.")), "has the name of another one (test_extensions.py); rename it"),
        ((replace(MARGIN, name="a-b"),), "cannot be written in a claim; use letters, digits and _"),
        ((replace(MARGIN, doc=" "),), "has no doc: say in one sentence what it is"),
        ((replace(MARGIN, low=1.0),), "has the range 1.0 to 1.0; low must be below high"),
        ((replace(MARGIN, low=math.nan),), "has the range nan to 1.0; low must be below high"),
        ((replace(MARGIN, high=math.nan),), "has the range 0.0 to nan; low must be below high"),
        ((replace(MARGIN, value=3),), "has a int where its function belongs"),
        ((replace(LOOKS, selector=None),), "needs one of the two: selector, or value(attention, prompt)"),
        ((replace(MASS, selector="any -> n-1"),), "needs one of the two"),
        ((replace(LOOKS, selector="any -> "),), "has a selector that cannot be read: 'any -> '"),
        ((replace(FAMILIES["ioi"], name="mine", requires={"logit_diff": 0.0}),), "the prompt family 'mine' (no code) requires 'logit_diff', which cannot be required; it takes top1, top5, ..., answer_prob"),
        ((replace(FAMILIES["ioi"], name="mine", requires={"topmost": 0.0}),), "requires 'topmost', which cannot be required"),
        ((replace(FAMILIES["ioi"], name="mine", requires={"top5": 50}),), "requires top5: 50; write a number that is at least 0 and less than 1"),
        ((replace(FAMILIES["ioi"], name="mine", requires_top1="0.5"),), "requires top1: '0.5'; write a number"),
        ((replace(LOOKS, families=("ioii",)),), "names the family 'ioii', which there is not"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_one_clear_error(extra: tuple[Any, ...], said: str) -> None:
    """A taken name, a name that cannot be written, a missing function and a bad range are said with the file."""
    with pytest.raises(CircuitsError) as error:
        extensions(extra)
    assert said in str(error.value)


@pytest.mark.parametrize(("low", "high"), [(-math.inf, math.inf), (0.0, math.inf), (-math.inf, 0.0)])
def test_the_ends_of_a_metric_need_not_be_known(low: float, high: float) -> None:
    """A metric without a range, or with one end of it, can be added."""
    metric = replace(MARGIN, low=low, high=high)
    assert extensions((metric,)).metrics == {"margin": metric}


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
    assert code_of(FAMILIES["ioi"]) == code_of(replace(FAMILIES["ioi"], doc="Prose decides nothing."))


MADE = """\
import functools, re
from dataclasses import dataclass

def maker(k):
    def value(logits, prompt):
        return float(k)
    return value

def taking(k, logits, prompt):
    return float(k)

@dataclass
class Made:  # it has an __eq__ and so no hash
    k: object

    def __call__(self, logits, prompt):
        return float(self.k)

    def method(self, logits, prompt):
        return float(self.k)

class Slotted:
    __slots__ = ("k", "never")

    def __init__(self, k):
        self.k = k

    def __call__(self, logits, prompt):
        return float(self.k)

def within(k):
    inner = maker(k)
    return lambda logits, prompt: inner(logits, prompt)

def of_array(k):
    import numpy
    weights = numpy.full(3, k)
    return lambda logits, prompt: float(weights[0])

def of_pattern(k):
    pattern = re.compile(f"a{k}")
    return lambda text: [match.span() for match in pattern.finditer(text)]

def by_default(k):
    return lambda logits, prompt, k=k: float(k)

def half_made(k):
    def value(logits, prompt):
        return float(k) + later
    if k < 0:
        later = 1.0
    return value

ways = {
    "closure": maker, "partial": lambda k: functools.partial(taking, k), "object": Made, "method": lambda k: Made(k).method,
    "slots": Slotted, "function in a closure": within, "array": of_array, "pattern": of_pattern, "default": by_default,
    "cached": lambda k: functools.cache(maker(k)), "object in a partial": lambda k: functools.partial(Made(k)),
    "empty cell": half_made, "set": lambda k: maker(frozenset({"x", "y", str(k)})),
}
"""


def made(folder: Path) -> ModuleType:
    (folder / "made.py").write_text(MADE)
    return imported(folder / "made.py")


WAYS = ("closure", "partial", "object", "method", "slots", "function in a closure", "array", "pattern", "default", "cached",
        "object in a partial", "empty cell", "set")  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["metric", "role", "family"])
def test_what_is_baked_into_a_function_is_part_of_its_code(tmp_path: Path, way: str, kind: str) -> None:
    """One file, two arguments: two codes, and the same one for the same argument, however the function was made."""
    make = made(tmp_path).ways[way]
    one, again, other = (code_of(MAKERS[kind](make(k))) for k in (1, 1, 2))
    assert one == again != other


def test_every_way_of_making_a_function_is_tried(tmp_path: Path) -> None:
    """No way of the file is left out above."""
    assert tuple(made(tmp_path).ways) == WAYS


def test_the_code_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Neither addresses nor the order of sets are part of it."""
    made(tmp_path)
    text = (
        "import made; from circuits.prompts.own import Metric, code_of\n"
        "print(*(code_of(Metric('m', 'M.', made.ways[way](1))) for way in made.ways))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", text], cwd=tmp_path, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1 and len(found.pop().split()) == len(WAYS)


@pytest.mark.parametrize("way", ["closure", "object"])
def test_another_argument_of_a_factory_is_measured_again(tmp_path: Path, way: str) -> None:
    """An answer that the cache has for one argument is not believed of another."""
    make = made(tmp_path).ways[way]
    claim = "ablate: ['1.2', '2.1'], after: margin, at_most: 0.5"
    found = [answered(tmp_path, (replace(MARGIN, value=make(k)),), claim, cache=True)[0] for k in (0.0, 1.0, 1.0)]
    assert [(each["verdict"], each["status"]) for each in found] == [
        ("supported", "measured"),
        ("refuted", "measured"),
        ("refuted", "cached"),
    ]


IOI = FAMILIES["ioi"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        *((MARGIN, replace(MARGIN, **change)) for change in ({"low": -1.0}, {"high": 2.0}, {"zero": False}, {"rises": True},
                                                             {"answer": False}, {"foil": False})),
        (LOOKS, replace(LOOKS, selector="any -> n-2")),
        (LOOKS, replace(LOOKS, families=("ioi",))),
        (replace(IOI, name="mine"), replace(IOI, name="mine", requires_top1=0.1)),
        (replace(IOI, name="mine"), replace(IOI, name="mine", requires={"prob_diff": 0.1})),
        (replace(IOI, name="mine"), replace(IOI, name="mine", exhaustive=True)),
        (replace(IOI, name="mine"), replace(IOI, name="mine", parameters=(replace(IOI.parameters[0], default="x"), *IOI.parameters[1:]))),
        (replace(IOI, name="mine"), replace(IOI, name="mine", marks=(ROLE,))),
    ],
)  # fmt: skip
def test_what_a_record_says_beside_its_function_is_part_of_its_code(old: Any, new: Any) -> None:
    """Each field that decides a value or a verdict; a family that a project made of the package's has a code too."""
    assert code_of(old) != code_of(new)
    assert code_of(old) == code_of(replace(old, doc="Other words."))


def test_a_family_of_the_package_under_other_requirements_is_own_code(tmp_path: Path) -> None:
    """What it requires is in the answer's key, and what it says is told in the report."""
    keys = []
    for least in (0.1, 0.9, 0.9):
        family = replace(FAMILIES["named_sequence"], name="mine", requires_top1=least)
        know = knowledge(extra=[family])
        path = written(tmp_path, "ablate: '1.2', drop_in: logit_diff, at_least: 5%")
        path.write_text(path.read_text().replace("named_sequence", "mine"))
        (item,) = items_of(load(path, know, "own.yaml"), tmp_path)
        assert [each.own for each in own_code(item, know.own)] == [family]
        keys.append(Answers(tmp_path, Options(), tmp_path, None, know.own).key(item))
    assert keys[0] != keys[1] == keys[2] is not None


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


FAILING = """\
from dataclasses import replace

from circuits.prompts.registry import FAMILIES


def broken(parameters, tokenizer, seed, stream):
    yield {body}


def pytest_circuits_extensions():
    return [replace(FAMILIES["ioi"], name="mine", doc="Of the project.", pairs=broken)]
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("nowhere", "(conftest.py, line 7) failed: NameError: name 'nowhere' is not defined"),
        ("'a text'", "(conftest.py) failed: TypeError: pairs must yield PromptPair, not str"),
    ],
)
def test_a_family_that_fails_is_said_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], body: str, said: str
) -> None:
    """By lint as a warning, which needs no model; by a run as what is wrong with the claim. It is no fault of the package."""
    folder = project(tmp_path, own=SUITE.replace("{family: named_sequence, members: numerals}", "{family: mine}") + "  a: {claim: A., head: '0.0', prompts: numerals, attends: any -> n-1, at_least: 0.5}\n")  # fmt: skip
    (folder / "pyproject.toml").write_text("")
    (folder / "conftest.py").write_text(FAILING.format(body=body))
    monkeypatch.chdir(folder)
    assert lint(["hypotheses"]) == 0
    warned = "hypotheses/own.yaml:4:21: warning: prompt set 'numerals' gives no prompts: the own prompt family 'mine' "
    assert warned + said in capsys.readouterr().out
    found = run_pytest(folder)
    assert found.status == 1 and f"INVALID: the own prompt family 'mine' {said}" in found.out
    assert "internal error" not in found.out
