"""The record: merging runs, strict JSON, null for what was not measured."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.errors import CircuitsError
from circuits.report.record import (
    clean_numbers,
    empty_record,
    estimate_text,
    load_record,
    merge,
    newest_run,
    number,
    write_record,
)

FILES = ("hypotheses/a.yaml", "hypotheses/b.yaml")
NODES = tuple(f"{file}::c{k}" for file in FILES for k in range(3))


def entry(node: str, value: float = 0.5, **more: Any) -> dict[str, Any]:
    file, _, name = node.partition("::")
    found = {"id": name, "file": file, "model": "m", "run": None, "status": "measured", "cached": False}
    return {**found, "checks": [{"estimate": value}], **more}


def step(old: dict[str, Any], values: dict[str, float], **keys: Any) -> dict[str, Any]:
    claims = {node: entry(node, value) for node, value in values.items()}
    return merge(old, {"circuits": "0.1.0"}, {"m": {"digest": "d"}}, claims, present=keys.pop("present", {}), **keys)


values = st.dictionaries(st.sampled_from(NODES), st.floats(0, 1), max_size=len(NODES))


@given(first=values, second=values)
def test_partial_run_touches_only_its_own_claims(first: dict[str, float], second: dict[str, float]) -> None:
    """Claims that a run did not select keep their entry to the letter; the others get the run's."""
    old = step(empty_record(), first)
    before = copy.deepcopy(old)
    new = step(old, second)
    assert old == before, "merge changed what it was given"
    assert set(new["claims"]) == set(first) | set(second)
    for node in NODES:
        if node in second:
            assert new["claims"][node]["checks"] == [{"estimate": second[node]}]
            assert new["claims"][node]["run"] == "2"
        elif node in first:
            assert new["claims"][node] == old["claims"][node]


@given(chosen=values, order=st.randoms())
def test_order_of_claims_changes_nothing(chosen: dict[str, float], order: Any) -> None:
    """The record after a run does not depend on the order in which its claims finished."""
    shuffled = list(chosen.items())
    order.shuffle(shuffled)
    left, right = step(empty_record(), chosen), step(empty_record(), dict(shuffled))
    assert json.dumps(left) == json.dumps(right)


@given(chosen=values, again=values)
def test_every_run_id_resolves_and_only_used_runs_stay(chosen: dict[str, float], again: dict[str, float]) -> None:
    """Each claim's run is in the record, and a run is there only if a claim uses it or it is the newest."""
    record = step(step(empty_record(), chosen), again)
    used = {claim["run"] for claim in record["claims"].values()}
    assert used <= set(record["runs"])
    assert set(record["runs"]) == used | {newest_run(record)}


def test_claims_that_left_a_collected_file_are_dropped() -> None:
    """A renamed claim disappears with its file collected, and stays when the file was not."""
    old = step(empty_record(), dict.fromkeys(NODES, 0.5))
    new = step(old, {NODES[0]: 0.1}, present={FILES[0]: {NODES[0], NODES[1]}})
    assert set(new["claims"]) == {NODES[0], NODES[1], *NODES[3:]}


def test_claims_of_deleted_files_are_dropped() -> None:
    """Entries of files that are gone leave the record, with the runs and models only they used."""
    old = step(empty_record(), {NODES[0]: 0.5})
    old["models"]["unused"] = {"digest": "x"}
    new = merge(old, {}, {}, {}, present={}, gone={FILES[0]})
    assert new["claims"] == {}
    assert new["models"] == {}
    assert list(new["runs"]) == ["2"]


def test_cached_claim_keeps_the_run_that_measured_it() -> None:
    """A cached claim refers to its old run; one the record does not know refers to the new run."""
    old = step(empty_record(), {NODES[0]: 0.5})
    cached = {node: entry(node, status="cached", cached=True) for node in NODES[:2]}
    new = merge(old, {}, {}, cached, present={})
    assert new["claims"][NODES[0]]["run"] == "1"
    assert new["claims"][NODES[1]]["run"] == "2"


def test_a_cached_claim_of_another_question_belongs_to_the_run_that_asked_it() -> None:
    """Numbers of seed 0 from the cache are not filed under the run of seed 7 that the record knows; alike ones are."""
    node = NODES[0]
    asked = {"seed": 7, "n": None, "models": []}
    cpu = {"dtype": "float32", "device": "cpu"}
    old = merge(empty_record(), {**cpu, "options": asked}, {}, {node: entry(node)}, present={})
    cached = {node: entry(node, status="cached", cached=True)}
    found = {
        name: merge(old, {**cpu, **run}, {}, cached, present={})["claims"][node]["run"]
        for name, run in {
            "alike": {"options": asked},
            "another model's place": {"options": {**asked, "models": ["gpt2"]}},
            "another seed": {"options": {**asked, "seed": None}},
            "its model's place": {"options": {**asked, "models": ["m"]}},
            "another precision": {"options": asked, "dtype": "bfloat16"},
            "not recorded": {"options": None},
        }.items()
    }
    assert found == {
        "alike": "1", "another model's place": "1", "another seed": "2", "its model's place": "2",
        "another precision": "2", "not recorded": "1",
    }  # fmt: skip


def test_run_ids_count_on_past_nine() -> None:
    """Run ids are ordered as numbers, so the run after 9 is 10 and then 11."""
    record = empty_record()
    for _ in range(11):
        record = step(record, {NODES[0]: 0.5})
    assert list(record["runs"]) == ["11"]
    assert newest_run({"runs": {"9": {}, "10": {}}}) == "10"


def test_written_record_is_strict_json_and_reads_back(tmp_path: Path) -> None:
    """NaN and infinities become null, numpy numbers plain ones, floats have 6 digits, keys are sorted."""
    path = tmp_path / "deep" / "results.json"
    record = step(empty_record(), {NODES[0]: 0.5})
    record["claims"][NODES[0]]["checks"] = [
        {
            "low": math.nan,
            "high": -math.inf,
            "estimate": np.float32(0.25),
            "n": np.int64(64),
            "ok": np.bool_(True),
        },
        {"estimate": 0.123456789, "list": np.array([1.0, np.nan]), "big": 123456789, "tuple": (1, 2)},
    ]
    write_record(path, record)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not strict JSON")

    data = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    first, second = data["claims"][NODES[0]]["checks"]
    assert first == {"low": None, "high": None, "estimate": 0.25, "n": 64, "ok": True}
    assert second == {"estimate": 0.123457, "list": [1.0, None], "big": 123456789, "tuple": [1, 2]}
    assert load_record(path) == data
    assert list(data) == sorted(data)
    before = path.read_bytes()
    write_record(path, load_record(path))
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["results.json"], "no temporary file is left"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_cleaning_twice_is_cleaning_once(value: Any) -> None:
    """Cleaned and rounded data is strict JSON and stays as it is when cleaned again."""
    once = clean_numbers(value, 6)
    json.dumps(once, allow_nan=False)
    assert clean_numbers(once, 6) == once


def test_unwritable_value_is_an_error() -> None:
    """An object without a JSON form is refused with its type, not written as text."""
    with pytest.raises(TypeError, match="not object"):
        clean_numbers({"x": object()})


def test_failed_write_leaves_the_old_record(tmp_path: Path) -> None:
    """When the new record cannot be written, the old file is still whole."""
    path = tmp_path / "results.json"
    write_record(path, empty_record())
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_record(path, {"format": 1, "claims": {"x": object()}})
    assert path.read_bytes() == before


def test_missing_record_is_empty(tmp_path: Path) -> None:
    """The first run starts from a record without claims."""
    assert load_record(tmp_path / "none.json") == {"format": 1, "runs": {}, "models": {}, "claims": {}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"not valid JSON \(line 1.*move or delete it"),
        ("<<<<<<< HEAD\n{}", "not valid JSON"),
        ("[]", "no record of this program"),
        ('{"runs": {}}', "no `format`"),
        ('{"format": 2}', "format 2, this version reads and writes format 1"),
        ('{"format": true}', "no `format`"),
        ('{"format": 1, "claims": []}', "`claims` of the record is not a mapping"),
        ('{"format": 1, "claims": {"a": 3}}', "`claims` of the record is not a mapping"),
    ],
)
def test_broken_record_says_what_to_do(tmp_path: Path, text: str, message: str) -> None:
    """A record that cannot be used is an error with the file's name and a remedy, never overwritten silently."""
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(CircuitsError, match=f"(?s)results.json: .*{message}"):
        load_record(path)


@pytest.mark.parametrize(
    ("value", "percent", "shown"),
    [
        (None, False, "–"),
        (None, True, "–"),
        (0, False, "0"),
        (0.61234, False, "0.612"),
        (0.43349, True, "43.3%"),
        (-0.1, True, "-10%"),
        (1234.5, False, "1,234"),
        (0.0000123456, False, "1.23e-5"),
        (64, False, "64"),
        (3.8e-44, False, "<1e-6"),
        (-2e-9, False, "about 0"),
        (-2e-9, True, "about 0%"),
        (3e-9, True, "<1e-6%"),
        (3e-8, True, "3e-6%"),
    ],
)
def test_number_shows_three_digits(value: float | None, percent: bool, shown: str) -> None:
    """Numbers have three significant digits, and null is a dash, never 0."""
    assert number(value, percent) == shown


def test_rounding_never_moves_a_limit_across_its_bound() -> None:
    """A limit just below the bound keeps as many digits as it takes to look below it."""
    assert number(0.39996, beside=[0.4]) == "0.39996"
    assert number(0.4, beside=[0.4]) == "0.4"
    assert number(0.09996, True, beside=[0.1, None]) == "9.996%"
    assert number(2e-7, beside=[0, 1e-7]) == "2e-7"
    assert number(2e-7, beside=[0, 0.5]) == "<1e-6"
    assert number(-2e-9, True, beside=[0, None]) == "just below 0%"


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        ((-5.43457, -5.43223, -5.42988), ("-5.435", "-5.432", "-5.43")),
        ((0.5801, 0.61, 0.6444), ("0.58", "0.61", "0.644")),
        ((0.5, 0.5, 0.5), ("0.5", "0.5", "0.5")),  # a constant sample that is a census
        ((0.123456781, 0.123456782, 0.123456783), ("0.123457", "0.123457", "0.123457")),
        ((None, 0.61, 0.64), ("–", "0.61", "0.64")),
    ],
)
def test_the_ends_of_an_interval_are_told_apart(ends: tuple[float | None, ...], shown: tuple[str, ...]) -> None:
    """With more digits than three where they would look alike, up to six."""
    row = dict(zip(("low", "estimate", "high"), ends, strict=True))
    assert tuple(estimate_text(row, key) for key in row) == shown


def test_reading_a_record_imports_nothing_heavy() -> None:
    """The warm path, loading and merging records, pulls in neither pandas, tabulate, matplotlib nor torch."""
    heavy = "{'pandas', 'tabulate', 'matplotlib', 'torch', 'scipy', 'numpy'}"
    code = f"import sys, circuits.report.record, circuits.report.markdown; print({heavy} & set(sys.modules))"
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "set()"
