"""Sets of components around a circuit: its complement, subsets of it, and random sets of its size.

Everything is seeded and the same on every machine (``circuits.prompts.draws``), and the first sets of a
draw do not depend on how many are asked for. Layers, heads and MLPs count from 0; the components of a
set are in the order of ``component_order``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import lru_cache
from math import comb
from random import Random
from typing import Any, TypeVar

from circuits.claims.claim import Circuit
from circuits.claims.heads import Component
from circuits.errors import Unmeasurable
from circuits.prompts.draws import sample, stream_of

T = TypeVar("T")


def component_order(component: Component) -> tuple[int, bool, int]:
    """The key that sorts components as a model computes them: by layer, its heads, then its MLP."""
    return component.layer, component.head is None, component.head or 0


def complement(circuit: Circuit, layers: int, heads: int) -> tuple[Component, ...]:
    """What ``keep_only`` ablates: all heads outside the circuit, and all MLPs outside it where it names MLPs.

    A circuit that names none (``mlps`` None) keeps every MLP; one with ``mlps`` () keeps none.
    ``layers`` and ``heads`` (a layer) are the model's.
    """
    outside = [head for head in all_heads(layers, heads) if head not in set(circuit.heads)]
    if circuit.mlps is not None:
        outside += [mlp for mlp in all_mlps(layers) if mlp not in set(circuit.mlps)]
    return _ordered(outside)


def subsets(components: Iterable[Component], count: int, seed: int) -> tuple[frozenset[Component], ...]:
    """``count`` distinct subsets K of the components: the empty one first, the others at random.

    Each component is in K or not with probability 1/2, as completeness is sampled in arXiv 2211.00593,
    section 4. All 2^n subsets where no more than ``count`` exist. ValueError where ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"at least one subset must be asked for, not {count}")
    among = _ordered(set(components))
    rng = _stream(seed, "subsets", among)

    def draw() -> frozenset[Component]:
        return frozenset([component for component in among if rng.random() < 0.5])

    empty: frozenset[Component] = frozenset()
    return _distinct(draw, min(count, 2 ** len(among)), [empty])


def random_circuits(circuit: Circuit, layers: int, heads: int, count: int, seed: int) -> tuple[Circuit, ...]:
    """``count`` distinct random circuits of the size of ``circuit``, none of them the circuit itself.

    Each has as many heads, uniformly among all heads of the model, and, where the circuit names MLPs, as
    many of them among all MLPs; where it names none, neither does a random one. Fewer come back where
    fewer exist, none for a circuit that is the whole model.
    """
    named = circuit.mlps is not None
    own = _ordered(set(circuit.components))
    n_heads, n_mlps = _sizes(own)
    every_head, every_mlp = all_heads(layers, heads), all_mlps(layers)
    rng = _stream(seed, "random circuits", own, layers=layers, heads=heads)

    def draw() -> tuple[Component, ...]:
        return _ordered([*sample(rng, every_head, n_heads), *sample(rng, every_mlp, n_mlps)])

    possible = comb(len(every_head), n_heads) * comb(len(every_mlp), n_mlps) - 1
    drawn = _distinct(draw, min(count, possible) + 1, [own])[1:]
    return tuple(
        Circuit(
            name=f"random {number}",
            heads=tuple(one for one in found if one.head is not None),
            mlps=tuple(one for one in found if one.head is None) if named else None,
        )
        for number, found in enumerate(drawn, 1)
    )


def random_sets_outside(
    components: Iterable[Component], layers: int, heads: int, count: int, seed: int
) -> tuple[tuple[Component, ...], ...]:
    """``count`` distinct random sets of as many heads and MLPs as ``components`` has, from those outside it.

    Drawn uniformly: the reference sets of partial necessity (arXiv 2410.13032). Fewer come back where
    fewer exist. Raises Unmeasurable where too few components are left outside.
    """
    inside = _ordered(set(components))
    outside_heads = [head for head in all_heads(layers, heads) if head not in inside]
    outside_mlps = [mlp for mlp in all_mlps(layers) if mlp not in inside]
    n_heads, n_mlps = _sizes(inside)
    for kind, wanted, left in (("head", n_heads, outside_heads), ("MLP", n_mlps, outside_mlps)):
        if wanted > len(left):
            raise Unmeasurable(
                f"random sets of the same size need {_counted(wanted, kind)} from outside the ablated "
                f"components, but the model has only {len(left)} there"
            )
    rng = _stream(seed, "random sets outside", inside, layers=layers, heads=heads)

    def draw() -> tuple[Component, ...]:
        return _ordered([*sample(rng, outside_heads, n_heads), *sample(rng, outside_mlps, n_mlps)])

    possible = comb(len(outside_heads), n_heads) * comb(len(outside_mlps), n_mlps)
    return _distinct(draw, min(count, possible), [])


def random_sets_among(
    components: Iterable[Component], among: Iterable[Component], layers: int, heads: int, count: int, seed: int
) -> tuple[tuple[Component, ...], ...]:
    """``count`` distinct random sets of as many heads and MLPs as ``components`` has, from those of ``among`` outside it.

    Each takes the first that it may take of one random order of all parts of the model, uniformly drawn: sets of
    different checks then share most of their parts, and so their runs. Fewer come back where fewer exist.
    """
    inside, rest = set(components), set(among)
    n_heads, n_mlps = _sizes(inside)
    left = _sizes(rest - inside)
    numbers = itertools.count()

    def draw() -> tuple[Component, ...]:
        orders = _random_order(layers, heads, seed, next(numbers))
        sizes = zip(orders, (n_heads, n_mlps), strict=True)
        return _ordered(
            part for order, wanted in sizes for part in [p for p in order if p in rest and p not in inside][:wanted]
        )

    return _distinct(draw, min(count, comb(left[0], n_heads) * comb(left[1], n_mlps)), [])


@lru_cache(maxsize=64)
def _random_order(
    layers: int, heads: int, seed: int, number: int
) -> tuple[tuple[Component, ...], tuple[Component, ...]]:
    """The ``number``-th random order of all heads, and of all MLPs; drawn once, for every check of a run asks for the first few."""
    rng = _stream(seed, "random parts", (), number=number, layers=layers, heads=heads)
    every_head, every_mlp = (sample(rng, every, len(every)) for every in (all_heads(layers, heads), all_mlps(layers)))
    return tuple(every_head), tuple(every_mlp)


def _distinct(draw: Callable[[], T], count: int, first: list[T]) -> tuple[T, ...]:
    """``first`` and then draws not seen before, ``count`` in all; the caller knows that so many exist."""
    found = dict.fromkeys(first)
    while len(found) < count:
        found.setdefault(draw())
    return tuple(found)


def _stream(seed: int, stream: str, components: Iterable[Component], **more: Any) -> Random:
    return stream_of(seed, stream, "circuit", {"components": [str(component) for component in components], **more})


def _ordered(components: Iterable[Component]) -> tuple[Component, ...]:
    return tuple(sorted(components, key=component_order))


def _sizes(components: Iterable[Component]) -> tuple[int, int]:
    """How many heads and how many MLPs."""
    listed = list(components)
    heads = sum(component.head is not None for component in listed)
    return heads, len(listed) - heads


def all_heads(layers: int, heads: int) -> list[Component]:
    """Every head of a model with ``heads`` heads a layer, layer by layer."""
    return [Component(layer, head) for layer in range(layers) for head in range(heads)]


def all_mlps(layers: int) -> list[Component]:
    """Every MLP of a model."""
    return [Component(layer) for layer in range(layers)]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
