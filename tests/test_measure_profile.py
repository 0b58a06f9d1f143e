"""Profiles of heads: attention by distance and from class to class, against explicit loops over plain attention."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

import measuring
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measuring import LITERALS, Literal, plain_model, without_bos
from oracle import Shown

from circuits.claims.selector import parse
from circuits.measure.attention import measure_attention
from circuits.measure.cells import Question
from circuits.measure.profile import (
    MOST_CLASSES,
    Classes,
    Profile,
    Tally,
    classes_of,
    profile_arrays,
    profile_from,
    profile_json,
    profile_key,
)
from circuits.models.load import LoadedModel, load
from circuits.models.source import resolve
from circuits.prompts.prompt import TokenPrompt
from circuits.prompts.registry import FAMILIES
from circuits.prompts.tokens import build

tiny = measuring.tiny
HEADS = [(0, 3), (1, 2), (3, 0)]
NAMED = ("name", "member", "is", "period")  # what is asked for: names, then the template's word, then the mark


def prompt_of(shown: Shown, ids: Sequence[int], text: str, skip: Sequence[str] = ()) -> TokenPrompt:
    roles = {role: tuple(map(tuple, spans)) for role, spans in shown.roles.items() if role not in skip}
    return TokenPrompt(tuple(ids), None, (), (), roles, tuple(shown.item), None, shown.bos, "t", text)


def bare(count: int, roles: dict[str, list[list[int]]], bos: bool = True, text: str = "") -> TokenPrompt:
    """A prompt of which only the roles matter."""
    return prompt_of(Shown(["x"] * count, roles, [0] * count, bos), range(count), text)


def by_loops(
    patterns: Sequence[np.ndarray], shown: Sequence[Shown], named: Sequence[str]
) -> tuple[list[float], float, dict[tuple[str, str], float]]:
    """(offsets, BOS, class to class) of one head's patterns Float[query, key], from every cell by itself."""
    by_distance: dict[int, list[float]] = {}
    to_bos: list[float] = []
    sums: dict[tuple[str, str], list[float]] = {}

    def name(one: Shown, place: int) -> str:
        if one.is_bos(place):
            return "bos"
        return next((role for role in named if one.has(role, place)), "other")

    for pattern, one in zip(patterns, shown, strict=True):
        for query in range(len(one.words)):
            row: dict[str, float] = {}
            for key in range(query + 1):
                value = float(pattern[query, key])
                row[name(one, key)] = row.get(name(one, key), 0.0) + value
                if one.is_bos(query):
                    continue
                if one.is_bos(key):
                    to_bos.append(value)
                else:
                    by_distance.setdefault(query - key, []).append(value)
            for key_class in ("bos", *named, "other"):
                sums.setdefault((name(one, query), key_class), []).append(row.get(key_class, 0.0))
    offsets = [float(np.mean(by_distance[distance])) for distance in range(max(by_distance) + 1)]
    matrix = {pair: float(np.mean(values)) for pair, values in sums.items()}
    return offsets, float(np.mean(to_bos)) if to_bos else math.nan, matrix


def assert_same(found: Profile, expected: tuple[list[float], float, dict[tuple[str, str], float]]) -> None:
    offsets, bos, matrix = expected
    np.testing.assert_allclose(found.offsets, offsets, atol=1e-5)
    assert found.bos is None if math.isnan(bos) else found.bos == pytest.approx(bos, abs=1e-5)
    for row, query in enumerate(found.classes):
        for column, key in enumerate(found.classes):
            assert found.matrix[row, column] == pytest.approx(matrix[query, key], abs=1e-5), (query, key)


@pytest.fixture(scope="module")
def reference() -> tuple[LoadedModel, list[TokenPrompt]]:
    model = load(resolve("reference"))
    family = FAMILIES["named_sequence"]
    return model, build(family, {"members": "numerals", "length": 4}, model.tokenizer, 0, "prompts", 6)


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("skip", [(), ("is",)])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_profiles_agree_with_loops_over_plain_attention(
    name: str, skip: tuple[str, ...], bos: bool, tiny: dict[str, Path]
) -> None:
    """Offsets, BOS and every cell of the class table equal the oracle's to 1e-5; those of another head do not."""
    literals: Sequence[Literal] = LITERALS
    shown = [one.shown if bos else without_bos(one.shown) for one in literals]
    prompts = [prompt_of(s, one.ids(bos), one.text, skip) for s, one in zip(shown, literals, strict=True)]
    named = [role for role in NAMED if role not in skip]
    model = load(resolve({"path": str(tiny[name])}))
    _, _, found = measure_attention(model, prompts, [], {}, profiles_of=HEADS, batch_tokens=30)
    assert list(found) == HEADS
    plain = plain_model(tiny[name])
    attention = [plain.attention(one.ids(bos)) for one in literals]
    for layer, head in HEADS:
        profile = found[layer, head]
        assert profile.classes == (*(("bos",) if bos else ()), *named, *(("other",) if skip else ()))
        assert profile.n == len(literals)
        assert_same(profile, by_loops([one[layer, head] for one in attention], shown, named))
        np.testing.assert_allclose(profile.matrix.sum(1), 1.0, atol=1e-5)
    with pytest.raises(AssertionError):
        assert_same(found[1, 2], by_loops([one[2, 1] for one in attention], shown, named))


def test_batches_change_no_profile_and_profiles_change_nothing_else(tiny: dict[str, Path]) -> None:
    """One prompt at a time or all at once; values and mean patterns are bit for bit those without profiles."""
    model = load(resolve({"path": str(tiny["llama"])}))
    prompts = [prompt_of(one.shown, one.ids(), one.text) for one in LITERALS]
    asked = Question(parse("any -> n-1"), parse("member -> is"), "mass", ("bos",))
    runs = [
        measure_attention(model, prompts, [asked], {}, patterns_of=[(2, 1)], profiles_of=heads, batch_tokens=size)
        for heads, size in (([], 1000), ([(1, 2)], 1000), ([(1, 2)], 1))
    ]
    assert runs[0][2] == {}
    for name, value in vars(runs[0][0][asked]).items():
        np.testing.assert_array_equal(getattr(runs[1][0][asked], name), value)
    np.testing.assert_array_equal(runs[1][1][2, 1], runs[0][1][2, 1])
    together, alone = runs[1][2][1, 2], runs[2][2][1, 2]
    np.testing.assert_allclose(alone.offsets, together.offsets, atol=1e-6)
    np.testing.assert_allclose(alone.matrix, together.matrix, atol=1e-6)


def test_reference_heads_have_the_profiles_they_were_built_with(
    reference: tuple[LoadedModel, list[TokenPrompt]],
) -> None:
    """0.1 looks exactly three back, 2.2 at everything alike, 1.1 from number to number."""
    model, prompts = reference
    length = len(prompts[0].ids)
    assert {len(prompt.ids) for prompt in prompts} == {length}
    _, _, found = measure_attention(model, prompts, [], {}, profiles_of=[(0, 1), (2, 2), (1, 1)])
    three, flat, numbers = found[0, 1], found[2, 2], found[1, 1]
    expected = np.zeros(length - 1)
    expected[3] = 1.0
    np.testing.assert_allclose(three.offsets, expected, atol=1e-4)
    assert three.bos == pytest.approx(3 / (length - 1), abs=1e-4)  # positions 1, 2 and 3
    # position q sees q + 1 keys; a key that is d back and not BOS is there from q = d + 1 on
    shares = [np.mean([1 / (q + 1) for q in range(d + 1, length)]) for d in range(length - 1)]
    np.testing.assert_allclose(flat.offsets, shares, atol=1e-4)
    assert flat.bos == pytest.approx(np.mean([1 / (q + 1) for q in range(1, length)]), abs=1e-4)
    assert numbers.classes == ("bos", "name", "member", "is", "period")
    row = dict(zip(numbers.classes, numbers.matrix[numbers.classes.index("member")], strict=True))
    # the first of four members finds no number, the others only numbers
    assert row == {
        "bos": pytest.approx(1 / 4, abs=1e-4),
        "member": pytest.approx(3 / 4, abs=1e-4),
        **dict.fromkeys(("name", "is", "period"), pytest.approx(0, abs=1e-4)),
    }
    row = dict(zip(flat.classes, flat.matrix[flat.classes.index("member")], strict=True))
    assert row["bos"] == pytest.approx(np.mean([1 / (q + 1) for q in (3, 7, 11, 15)]), abs=1e-4)
    assert row["member"] == pytest.approx(np.mean([k / (4 * k) for k in (1, 2, 3, 4)]), abs=1e-4)
    assert abs(found[0, 1].offsets[3] - flat.offsets[3]) > 0.5, "another head has another profile"


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[np.ndarray], list[Shown], int]:
    """Prompts of one length with random roles (any may overlap) and random causal patterns."""
    count, length, bos = draw(st.integers(1, 4)), draw(st.integers(1, 7)), draw(st.booleans())
    shown = []
    places = st.lists(st.integers(0, length - 1), min_size=1, max_size=3)
    for _ in range(count):
        roles = draw(st.dictionaries(st.sampled_from(["a", "b", "c", "period"]), st.lists(places, max_size=2)))
        shown.append(Shown(["x"] * length, roles, [0] * length, bos))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    raw = np.tril(rng.random((count, length, length)) ** 4 + 1e-9)
    return list(raw / raw.sum(-1, keepdims=True)), shown, draw(st.integers(1, count))


@given(cases())
def test_rows_sum_to_one_and_nothing_is_lost(case: tuple[list[np.ndarray], list[Shown], int]) -> None:
    """Whatever overlaps: each position is in one class, rows sum to 1, distances and BOS hold all attention."""
    patterns, shown, size = case
    prompts = [prompt_of(one, range(len(one.words)), "") for one in shown]
    classes = classes_of(prompts)
    tally = Tally(prompts, classes)
    for start in range(0, len(prompts), size):
        tally.add(np.stack(patterns[start : start + size]), range(start, min(start + size, len(prompts))))
    profile = tally.profile()
    np.testing.assert_allclose(profile.matrix.sum(1), 1.0, atol=1e-9)
    assert sorted({int(k) for one in classes.of for k in one}) == list(range(len(classes.names)))
    length = len(patterns[0]) - shown[0].bos
    with_key = len(prompts) * np.arange(length, 0, -1)
    total = float(profile.offsets @ with_key) + (profile.bos or 0.0) * len(prompts) * length
    assert total == pytest.approx(len(prompts) * length)
    if length:
        named = [name for name in classes.names if name not in ("bos", "other")]
        offsets, bos, _ = by_loops(patterns, shown, named)
        np.testing.assert_allclose(profile.offsets, offsets, atol=1e-9)
        assert profile.bos == (None if math.isnan(bos) else pytest.approx(bos))


def test_a_position_belongs_to_its_first_role() -> None:
    """Slots come before words and marks, in the first prompt's order; of two that begin together the smaller one."""
    roles = {
        "period": [[4]], "is": [[2]], "member": [[3]], "item": [[1, 2, 3, 4]], "name": [[1]], "all": [[1]],
    }  # fmt: skip
    first = bare(7, roles, text="Adam is 1. Bob")
    second = bare(5, {"late": [[1]], "member": [[2]]}, text="Big 4 .")
    found = classes_of([first, second])
    assert found.names == ("bos", "all", "item", "member", "late", "other")
    # "all" and "name" are equally small: by name, so "name" has nothing; the wide "item" leaves nothing to "is"
    assert [found.names[k] for k in found.of[0]] == ["bos", "all", "item", "item", "item", "other", "other"]
    assert [found.names[k] for k in found.of[1]] == ["bos", "late", "member", "other", "other"]
    plain = classes_of([bare(6, {key: spans for key, spans in roles.items() if key in NAMED}, text="Adam is 1. B")])
    assert plain.names == ("bos", *NAMED, "other")


def test_there_are_at_most_twelve_classes() -> None:
    """Roles beyond the limit join "other"; a role named "other" stays apart from the rest; no BOS, no class for it."""
    many = {f"r{place:02}": [[place + 1]] for place in range(20)}
    found = classes_of([bare(21, many)])
    assert len(found.names) == MOST_CLASSES == 12
    assert found.names == ("bos", *(f"r{place:02}" for place in range(10)), "other")
    assert [int(k) for k in found.of[0]] == [*range(11), *[11] * 10]
    exact = classes_of([bare(12, {f"r{place:02}": [[place + 1]] for place in range(11)})])
    assert exact.names == ("bos", *(f"r{place:02}" for place in range(11)))
    assert classes_of([bare(3, {"other": [[1]]}, bos=False)]).names == ("other", "the rest")
    assert classes_of([bare(1, {})]).names == ("bos",)


def test_a_class_without_queries_and_attention_without_numbers_are_null() -> None:
    """NaN in the matrix is None in plain JSON, which never holds a NaN."""
    prompt = bare(2, {})
    tally = Tally([prompt], Classes(("bos", "nobody", "other"), (np.array([0, 2]),)))
    tally.add(np.array([[[1.0, 0.0], [1 / 3, 2 / 3]]]), [0])
    shown = profile_json(tally.profile())
    assert shown == {
        "offsets": [0.66667],
        "bos": 0.33333,
        "classes": ["bos", "nobody", "other"],
        "matrix": [[1.0, 0.0, 0.0], [None, None, None], [0.33333, 0.0, 0.66667]],
        "n": 1,
    }
    broken = Tally([prompt], classes_of([prompt]))
    broken.add(np.full((1, 2, 2), np.nan), [0])
    text = json.dumps(profile_json(broken.profile()), allow_nan=False)
    assert json.loads(text)["offsets"] == [None]
    assert json.loads(text)["bos"] is None


@pytest.mark.parametrize("bos", [0.25, None])
def test_the_cache_gives_back_what_it_was_given(bos: float | None) -> None:
    """A profile survives its arrays on disk; arrays with something missing are no profile."""
    profile = Profile(np.array([0.5, 0.25]), bos, ("bos", "the rest"), np.array([[1.0, 0.0], [np.nan, np.nan]]), 7)
    file = io.BytesIO()
    np.savez(file, **profile_arrays(profile))  # type: ignore[arg-type]
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        kept = {name: stored[name] for name in stored.files}
    found = profile_from(kept)
    assert found is not None
    assert (found.bos, found.classes, found.n) == (profile.bos, profile.classes, profile.n)
    np.testing.assert_array_equal(found.offsets, profile.offsets)
    np.testing.assert_array_equal(found.matrix, profile.matrix)
    assert profile_from({name: array for name, array in kept.items() if name != "matrix"}) is None
    assert profile_from(None) is None
    assert profile_key((1, 12)) != profile_key((11, 2))
