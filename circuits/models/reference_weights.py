"""The reference model's weights, set by hand (numpy only; `reference.py` puts them into a transformer).

The residual stream is a row of named blocks. A token id ``t`` is written as two one-hots, ``t mod m`` and
``t mod (m + 1)``: two different ids agree in at most one of them (Chinese remainder theorem), so the product of
two codes is 2 for the same token and at most 1 otherwise. BOS has the zero code: it matches nothing, and a head
that rests on it writes nothing. Positions are one-hot.

A head's score is a sum of terms, each a query read times a key read, of small whole numbers. The target's score
lies at least 16 above all others (attention 1.0 in float32) or ties exactly with the other targets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]

POSITIONS = 128
"""Context length: the default of repeated random tokens (BOS and 2 x 50) fits."""
MEMBERS = 12
"""The numerals 1..12; value ``k`` lies at place ``k - 1`` of its block."""
COPY_LOGIT = 20.0
"""Logit of a token that the induction head copies with its whole attention."""
NEXT_LOGIT = 18.0
"""Logit of the next numeral. Above COPY_LOGIT / 2: two or more shown members are continued, not copied.
Below COPY_LOGIT: what followed the only earlier copy of a token is repeated, even when it is a numeral."""

MATCH = 50.0
"""Score of one agreeing half of a token code (a full match: 100)."""
PARK = 1.5 * MATCH
"""Score of position 0: half-way between a full match and the best wrong one."""
STEP = 16.0
"""Score per position for heads that take the nearest of several matches."""
STRONG = 5000.0
"""Score of one agreeing half for those heads: half of it exceeds STEP x POSITIONS by more than 16."""


@dataclass(frozen=True)
class Residual:
    """Named blocks of the residual stream; ``modulus`` is the smaller one of the token code."""

    modulus: int
    places: Mapping[str, slice]
    width: int

    def read(self, name: str) -> Matrix:
        """[d_model, width of the block]: the map that reads a block; its transpose writes the block."""
        return np.eye(self.width, dtype=np.float32)[:, self.places[name]]

    def write(self, name: str) -> Matrix:
        """[width of the block, d_model]."""
        return self.read(name).T


@dataclass(frozen=True)
class Head:
    """A head as score terms (query read [d_model, w], key read [d_model, w]) and what it moves.

    ``value`` [d_model, v] is read from the attended token, ``output`` [v, d_model] is what is written.
    """

    terms: Sequence[tuple[Matrix, Matrix]]
    value: Matrix
    output: Matrix


@dataclass(frozen=True)
class Mlp:
    """A ReLU layer: ``into`` [units, d_model], ``bias`` [units], ``out`` [d_model, units]."""

    into: Matrix
    bias: Matrix
    out: Matrix


@dataclass(frozen=True)
class Weights:
    """Everything a native TransformerLens model needs: its sizes and its state dict (arrays by name)."""

    layers: int
    heads: int
    d_model: int
    d_head: int
    d_mlp: int
    vocabulary: int
    state: Mapping[str, Matrix]


def residual(vocabulary: int) -> Residual:
    """The blocks for a vocabulary of that many ids."""
    modulus = max(MEMBERS, math.isqrt(vocabulary))
    while modulus * (modulus + 1) < vocabulary:
        modulus += 1
    code = 2 * modulus + 1
    blocks = {
        "one": 1,  # always 1
        "first": 1,  # 1 at position 0
        "recency": 1,  # the position as a number
        "position": POSITIONS,  # one-hot
        "token": code,  # the token's code
        "value": MEMBERS,  # MLP0: which numeral the token is, one-hot
        "numeral": 1,  # MLP0: 1 on numerals
        "before": code,  # 0.0: the previous token's code
        "carried": MEMBERS,  # 1.2: the numeral it found
        "done": 1,  # MLP1: 1 when 1.2 found one numeral, 0 when it brought none or a blend
        "next": MEMBERS,  # 1.2, 2.1: the numeral to say next; unembedded
        "copy": code,  # 2.0: the token to say next; unembedded
        "scratch": code,  # what the other heads write; nobody reads it
    }
    places: dict[str, slice] = {}
    width = 0
    for name, size in blocks.items():
        places[name] = slice(width, width + size)
        width += size
    return Residual(modulus, places, width)


def token_codes(stream: Residual, vocabulary: int, bos: int) -> Matrix:
    """[vocabulary, code width]: the code of each id, all zero for BOS."""
    codes = np.zeros((vocabulary, 2 * stream.modulus + 1), dtype=np.float32)
    ids = np.arange(vocabulary)
    codes[ids, ids % stream.modulus] = 1
    codes[ids, stream.modulus + ids % (stream.modulus + 1)] = 1
    codes[bos] = 0
    return codes


def build_weights(vocabulary: int, bos: int, numerals: Sequence[int]) -> Weights:
    """The whole model for ``vocabulary`` ids, BOS's id and the ids of the numerals 1..12 in order.

    The numerals' ids must be consecutive: then no two of their codes share a half.
    """
    if len(numerals) != MEMBERS or list(numerals) != list(range(numerals[0], numerals[0] + MEMBERS)):
        raise ValueError(f"the reference model needs {MEMBERS} numerals with consecutive ids, got {numerals}")
    stream = residual(vocabulary)
    codes = token_codes(stream, vocabulary, bos)
    layers = _heads(stream)
    mlps = (_numeral_detector(stream, numerals, codes), _done_marker(stream), None)
    sizes = [sum(term[0].shape[1] for term in head.terms) for row in layers for head in row]
    d_head = max(2 * stream.modulus + 1, *sizes)
    d_mlp = max(len(mlp.bias) for mlp in mlps if mlp is not None)

    state: dict[str, Matrix] = {}
    embed = np.zeros((vocabulary, stream.width), dtype=np.float32)
    embed[:, stream.places["one"]] = 1
    embed[:, stream.places["token"]] = codes
    state["embed.weight"] = embed
    place = np.zeros((POSITIONS, stream.width), dtype=np.float32)
    place[:, stream.places["position"]] = np.eye(POSITIONS)
    place[:, stream.places["recency"]] = np.arange(POSITIONS)[:, None]
    place[0, stream.places["first"]] = 1
    state["pos_embed.weight"] = place
    for index, (row, mlp) in enumerate(zip(layers, mlps, strict=True)):
        state |= _attention_state(f"blocks.{index}.attn", row, stream.width, d_head)
        state |= _mlp_state(f"blocks.{index}.mlp", mlp, stream.width, d_mlp)
    unembed = np.zeros((vocabulary, stream.width), dtype=np.float32)
    unembed[:, stream.places["copy"]] = codes * (COPY_LOGIT / 2)
    unembed[list(numerals), stream.places["next"]] = np.eye(MEMBERS) * NEXT_LOGIT
    state["unembed.weight"] = unembed
    state["unembed.bias"] = np.zeros(vocabulary, dtype=np.float32)
    return Weights(len(layers), len(layers[0]), stream.width, d_head, d_mlp, vocabulary, state)


def _heads(stream: Residual) -> tuple[tuple[Head, ...], ...]:
    """Every head of the model, layer by layer; what each does is said in `reference.HEADS`."""
    read = stream.read
    token, before, position = read("token"), read("before"), read("position")
    one, first, recency, numeral = read("one"), read("first"), read("recency"), read("numeral")
    scratch = (token, stream.write("scratch"))

    def back(steps: int) -> Matrix:
        """Query read: the position ``steps`` to the left as a one-hot; position 0 where there is none."""
        targets = np.maximum(np.arange(POSITIONS) - steps, 0)
        return position @ np.eye(POSITIONS, dtype=np.float32)[targets]

    park = (one, PARK * first)
    not_self = (position, -100 * position)
    previous = Head([(back(1), 100 * position)], token, stream.write("before"))
    three_back = Head([(back(3), 100 * position)], *scratch)
    to_first = Head([(one, 100 * first)], *scratch)
    to_self = Head([(position, 100 * position)], *scratch)

    duplicate = Head([(token, MATCH * token), not_self, park], *scratch)
    number = Head([(numeral, 100 * numeral), not_self, park], *scratch)
    # The next two take the nearest numeral that stands behind an earlier copy of the query token: both halves of
    # the code and "is a numeral" must hold (3 x STRONG), else position 0 wins (2.5 x STRONG).
    nearest_numeral = [
        (token, STRONG * before),
        (one, STRONG * numeral + STEP * recency + 2.5 * STRONG * first),
        (position, -4 * STRONG * position),
    ]
    successor = np.eye(MEMBERS, k=1, dtype=np.float32) @ stream.write("next")
    main = Head(nearest_numeral, read("value"), successor + stream.write("carried"))
    # What silences the backup is MLP1's marker, which a blend of numerals (mean ablation) does not raise.
    backup = Head([*nearest_numeral, (read("done"), -STRONG * numeral)], read("value"), successor)
    nothing = Head([(one, 100 * first)], 0 * token, 0 * stream.write("scratch"))

    induction = Head([(token, MATCH * before), not_self, park], token, stream.write("copy"))
    uniform = Head([(one, 0 * one)], *scratch)
    nearest_duplicate = Head(
        [
            (token, STRONG * token),
            (one, STEP * recency + 1.5 * STRONG * first),
            (position, -4 * STRONG * position),
        ],
        *scratch,
    )
    return (
        (previous, three_back, to_first, to_self),
        (duplicate, number, main, nothing),
        (induction, backup, uniform, nearest_duplicate),
    )


def _numeral_detector(stream: Residual, numerals: Sequence[int], codes: Matrix) -> Mlp:
    """MLP0: unit ``k`` is 1 when both halves of the token's code are those of numeral ``k``, else 0.

    At position 0 no numeral is seen, and further units erase the predecessor that 0.0 found there (the token
    itself). With BOS at position 0 both are zero anyway; without, heads that rest there would be drawn to it.
    """
    code = 2 * stream.modulus + 1
    into = [codes[list(numerals)] @ stream.write("token") - stream.write("first")]
    into.append(stream.write("before") + stream.write("first"))
    out = [stream.read("value") + stream.read("numeral"), -stream.read("before")]
    return Mlp(np.concatenate(into), np.full(MEMBERS + code, -1, dtype=np.float32), np.concatenate(out, axis=1))


def _done_marker(stream: Residual) -> Mlp:
    """MLP1: adds up clip(2 x - 1, 0, 1) over the carried numerals: 1 for a one-hot, 0 where none exceeds 1/2."""
    into = 2 * np.concatenate([stream.write("carried")] * 2)
    bias = np.repeat(np.array([-1, -2], dtype=np.float32), MEMBERS)
    out = stream.read("done") @ np.repeat(np.array([[1, -1]], dtype=np.float32), MEMBERS, axis=1)
    return Mlp(into, bias, out)


def _attention_state(prefix: str, heads: Sequence[Head], d_model: int, d_head: int) -> dict[str, Matrix]:
    """Query, key, value and output weights [out, in] of one layer; all biases are zero."""
    size = len(heads) * d_head
    query, key, value = (np.zeros((size, d_model), dtype=np.float32) for _ in range(3))
    output = np.zeros((d_model, size), dtype=np.float32)
    for index, head in enumerate(heads):
        at = index * d_head
        for asked, offered in head.terms:
            rows = slice(at, at + asked.shape[1])
            query[rows] = asked.T * math.sqrt(d_head)  # attention divides by it
            key[rows] = offered.T
            at += asked.shape[1]
        rows = slice(index * d_head, index * d_head + head.value.shape[1])
        value[rows] = head.value.T
        output[:, rows] = head.output.T
    state: dict[str, Matrix] = {
        f"{prefix}.{name}.weight": w for name, w in zip("qkvo", (query, key, value, output), strict=True)
    }
    state |= {f"{prefix}.{name}.bias": np.zeros(size, dtype=np.float32) for name in "qkv"}
    return state | {f"{prefix}.o.bias": np.zeros(d_model, dtype=np.float32)}


def _mlp_state(prefix: str, mlp: Mlp | None, d_model: int, d_mlp: int) -> dict[str, Matrix]:
    """Weights [out, in] and biases of one MLP, its unused units zero; None is the MLP that is exactly zero."""
    into = np.zeros((d_mlp, d_model), dtype=np.float32)
    bias = np.zeros(d_mlp, dtype=np.float32)
    out = np.zeros((d_model, d_mlp), dtype=np.float32)
    if mlp is not None:
        units = len(mlp.bias)
        into[:units], bias[:units], out[:, :units] = mlp.into, mlp.bias, mlp.out
    return {
        f"{prefix}.in.weight": into,
        f"{prefix}.in.bias": bias,
        f"{prefix}.out.weight": out,
        f"{prefix}.out.bias": np.zeros(d_model, dtype=np.float32),
    }
