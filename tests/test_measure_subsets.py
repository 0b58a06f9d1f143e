"""Complements, subsets and random sets of components: seeded, distinct, of the right size and place."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.claims.claim import Circuit
from circuits.claims.heads import Component, parse_component
from circuits.errors import Unmeasurable
from circuits.measure.subsets import complement, random_circuits, random_sets_outside, subsets

few = settings(max_examples=60, deadline=None)


def names(text: str) -> tuple[Component, ...]:
    return tuple(parse_component(word) for word in text.split())


@st.composite
def models(draw: Any) -> tuple[Circuit, int, int]:
    """A circuit of a small model, its layers and its heads a layer; MLPs named (perhaps none) or not."""
    layers, heads = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    everything = [Component(layer, head) for layer in range(layers) for head in range(heads)]
    chosen = draw(st.lists(st.sampled_from(everything), unique=True))
    mlps = draw(st.none() | st.lists(st.sampled_from([Component(layer) for layer in range(layers)]), unique=True))
    return Circuit("c", tuple(chosen), None if mlps is None else tuple(mlps)), layers, heads


def test_the_complement_is_what_the_definition_says() -> None:
    """Heads outside the circuit; MLPs only where the circuit names MLPs, and all of them for an empty list."""
    heads = names("0.1 1.0")
    assert complement(Circuit("c", heads), 2, 2) == names("0.0 1.1")
    assert complement(Circuit("c", heads, ()), 2, 2) == names("0.0 MLP0 1.1 MLP1")
    assert complement(Circuit("c", heads, names("MLP1")), 2, 2) == names("0.0 MLP0 1.1")
    assert complement(Circuit("c", names("0.0 0.1 1.0 1.1")), 2, 2) == ()


@few
@given(models())
def test_a_circuit_and_its_complement_are_the_whole_model(drawn: tuple[Circuit, int, int]) -> None:
    """They share nothing, and together have every head once, and every MLP once where MLPs are named."""
    circuit, layers, heads = drawn
    outside = complement(circuit, layers, heads)
    together = [*circuit.components, *outside]
    assert len(set(together)) == len(together) == layers * heads + (0 if circuit.mlps is None else layers)


@few
@given(models(), st.integers(1, 40), st.integers(0, 3))
def test_subsets_are_distinct_and_begin_with_the_empty_one(
    drawn: tuple[Circuit, int, int], count: int, seed: int
) -> None:
    """min(count, 2^n) distinct subsets of the circuit; the order of its components does not matter."""
    components = drawn[0].components[:6]
    found = subsets(components, count, seed)
    assert found[0] == frozenset()
    assert len(set(found)) == len(found) == min(count, 2 ** len(components))
    assert all(one <= set(components) for one in found)
    assert subsets(components[::-1], count, seed) == found
    assert subsets(components, max(1, count - 1), seed) == found[: max(1, count - 1)]


def test_all_subsets_are_there_when_enough_are_asked_for() -> None:
    """Three components have eight subsets."""
    three = names("0.1 1.0 MLP1")
    every = {frozenset(chosen) for size in range(4) for chosen in itertools.combinations(three, size)}
    for count in (8, 9, 1000):
        assert set(subsets(three, count, 0)) == every
    assert subsets((), 10, 0) == (frozenset(),)
    with pytest.raises(ValueError, match="at least one subset must be asked for, not 0"):
        subsets(three, 0, 0)


def test_each_component_is_in_half_of_the_subsets() -> None:
    """60 components (more than a double has bits): each is in 1000 of 2000 subsets, give or take five sigma."""
    sixty = tuple(Component(layer, head) for layer in range(6) for head in range(10))
    found = subsets(sixty, 2001, 3)[1:]
    for component in sixty:
        assert abs(sum(component in one for one in found) - 1000) < 5 * 2000**0.5 / 2
    assert {len(one) for one in found} > set(range(25, 36))


@few
@given(models(), st.integers(0, 30), st.integers(0, 3))
def test_random_circuits_have_the_circuits_size(drawn: tuple[Circuit, int, int], count: int, seed: int) -> None:
    """As many heads and MLPs of the model, none twice, no two alike, none the circuit; fewer only where fewer exist."""
    circuit, layers, heads = drawn
    found = random_circuits(circuit, layers, heads, count, seed)
    sets = {frozenset(one.components) for one in found}
    n_mlps = len(circuit.mlps or ())
    possible = sum(1 for _ in itertools.combinations(range(layers * heads), len(circuit.heads)))
    possible *= sum(1 for _ in itertools.combinations(range(layers), n_mlps))
    assert len(sets) == len(found) == min(count, possible - 1)
    assert frozenset(circuit.components) not in sets
    for one in found:
        assert len(set(one.heads)) == len(one.heads) == len(circuit.heads)
        assert all(c.head is not None and c.layer < layers and c.head < heads for c in one.heads)
        assert (one.mlps is None) == (circuit.mlps is None)
        assert len(set(one.mlps or ())) == len(one.mlps or ()) == n_mlps
        assert all(c.head is None and c.layer < layers for c in one.mlps or ())
    assert random_circuits(circuit, layers, heads, max(0, count - 1), seed) == found[: max(0, count - 1)]


@few
@given(models(), st.integers(0, 30), st.integers(0, 3))
def test_random_sets_outside_touch_none_of_the_components(
    drawn: tuple[Circuit, int, int], count: int, seed: int
) -> None:
    """As many heads and MLPs from the rest of the model, distinct; Unmeasurable where the rest is too small."""
    circuit, layers, heads = drawn
    inside = circuit.components
    n_mlps = len(circuit.mlps or ())
    room = layers * heads - len(circuit.heads), layers - n_mlps
    if len(circuit.heads) > room[0] or n_mlps > room[1]:
        with pytest.raises(Unmeasurable, match=f"has only {room[0] if len(circuit.heads) > room[0] else room[1]} ther"):
            random_sets_outside(inside, layers, heads, count, seed)
        return
    found = random_sets_outside(inside, layers, heads, count, seed)
    possible = sum(1 for _ in itertools.combinations(range(room[0]), len(circuit.heads)))
    possible *= sum(1 for _ in itertools.combinations(range(room[1]), n_mlps))
    assert len({frozenset(one) for one in found}) == len(found) == min(count, possible)
    for one in found:
        assert not set(one) & set(inside)
        assert sum(c.head is not None for c in one) == len(circuit.heads)
        assert sum(c.head is None for c in one) == n_mlps
        assert all(c.layer < layers and (c.head is None or c.head < heads) for c in one)


def test_too_few_heads_outside_say_so() -> None:
    """The reason names what is wanted and what is left."""
    with pytest.raises(Unmeasurable) as problem:
        random_sets_outside(names("0.0 0.1 1.0"), 2, 2, 40, 0)
    assert str(problem.value) == (
        "random sets of the same size need 3 heads from outside the ablated components, but the model has only 1 there"
    )


def test_random_circuits_are_uniform_over_the_heads() -> None:
    """Each of 60 heads is in 4 of 60 of 1500 circuits of four heads: 100, give or take five sigma."""
    found = random_circuits(Circuit("c", names("0.0 1.1 2.2 3.3")), 6, 10, 1500, 5)
    for layer, head in itertools.product(range(6), range(10)):
        times = sum(Component(layer, head) in one.heads for one in found)
        assert abs(times - 100) < 5 * (1500 * (1 / 15) * (14 / 15)) ** 0.5


def test_draws_are_the_same_everywhere() -> None:
    """Written down once: the same seed gives these sets on every machine and version; another seed does not."""
    circuit = Circuit("c", names("0.1 1.0 2.1"), names("MLP1"))
    drawn = {
        "subsets": [" ".join(sorted(map(str, one))) for one in subsets(circuit.components, 4, 7)],
        "circuits": [" ".join(map(str, one.components)) for one in random_circuits(circuit, 3, 3, 3, 7)],
        "outside": [" ".join(map(str, one)) for one in random_sets_outside(circuit.components, 3, 3, 3, 7)],
    }
    assert drawn == {
        "subsets": ["", "2.1 MLP1", "0.1", "0.1 2.1 MLP1"],
        "circuits": ["0.0 1.1 2.2 MLP0", "0.1 1.1 2.0 MLP2", "1.1 1.2 2.0 MLP0"],
        "outside": ["1.1 1.2 2.2 MLP2", "0.0 0.2 1.1 MLP2", "MLP0 1.1 1.2 2.0"],
    }
    assert random_circuits(circuit, 3, 3, 3, 8) != random_circuits(circuit, 3, 3, 3, 7)
    assert subsets(circuit.components, 4, 8) != subsets(circuit.components, 4, 7)
