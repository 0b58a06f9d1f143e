"""Losses of single tokens against plain transformers, the in-context-learning score, and the map of losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measuring import LITERALS, WORDS, Literal, plain_model
from oracle import HeadOrMlp

from circuits.claims.heads import Component
from circuits.measure import losses as module
from circuits.measure.ablation import Ablation, Reference, clean_run
from circuits.measure.losses import in_context_learning, measure_token_losses, pca_map
from circuits.measure.variants import measure_ablation
from circuits.models.load import LoadedModel, load
from circuits.models.source import resolve
from circuits.prompts.prompt import TokenPrompt
from circuits.prompts.registry import FAMILIES
from circuits.prompts.tokens import build

tiny = measuring.tiny
PARTS: list[HeadOrMlp] = [(0, 1), (2, None), (3, 3)]
ABLATED = tuple(Component(layer, head) for layer, head in PARTS)


def prompt_of(one: Literal) -> TokenPrompt:
    """A literal as the model sees it, made without the prompt stage."""
    answers, foils = (tuple(WORDS.index(word) for word in words) for words in (one.answers, one.foils))
    roles = {role: tuple(map(tuple, spans)) for role, spans in one.shown.roles.items()}
    ids, partner = tuple(one.ids()), tuple(one.partner())
    return TokenPrompt(ids, partner, answers, foils, roles, tuple(one.shown.item), None, True, "texts", one.text)


def plain_prompt(length: int, **roles: Sequence[int]) -> TokenPrompt:
    spans = {role: (tuple(places),) for role, places in roles.items()}
    return TokenPrompt(tuple(range(length)), None, (), (), spans, (-1,) * length, None, True, "t", "")


PROMPTS = [prompt_of(one) for one in LITERALS]


def alike(length: int) -> list[tuple[int, ...]]:
    return [p.corrupted for p in PROMPTS if p.corrupted is not None and len(p.corrupted) == length]


def token_losses(logits: np.ndarray, ids: Sequence[int]) -> list[float]:
    """-log softmax of each next token, one at a time, from logits Float[pos, vocabulary]."""
    found = []
    for place in range(len(ids) - 1):
        weights = np.exp(logits[place] - logits[place].max())
        found.append(-float(np.log(weights[ids[place + 1]] / weights.sum())))
    return found


@pytest.fixture(scope="module")
def models(tiny: dict[str, Path]) -> dict[str, LoadedModel]:
    return {name: load(resolve({"path": str(folder)})) for name, folder in tiny.items()}


def reference_of(model: LoadedModel) -> Reference:
    return Reference(model, lambda template, length: alike(length), 24)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_token_losses_agree_with_transformers(name: str, models: dict[str, LoadedModel], tiny: dict[str, Path]) -> None:
    """Clean and ablated by each method, every token's loss equals the plain model's, in the order of the prompts."""
    plain, reference = plain_model(tiny[name]), reference_of(models[name])
    before = [token_losses(plain.logits(prompt.ids), prompt.ids) for prompt in PROMPTS]
    for method in (None, "mean", "zero", "resample"):
        asked = None if method is None else Ablation(ABLATED, method)
        found = measure_token_losses(models[name], PROMPTS, asked, reference, batch_tokens=24)
        for prompt, losses, clean in zip(PROMPTS, found, before, strict=True):
            if method is None:
                expected = clean
            else:
                rows = alike(len(prompt.ids))
                logits = plain.ablated(prompt.ids, PARTS, method, prompt.corrupted, rows)
                expected = token_losses(logits, prompt.ids)
                assert max(abs(a - b) for a, b in zip(expected, clean, strict=True)) > 0.01
            np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_an_ablation_begun_from_the_clean_run_has_the_same_losses(name: str, models: dict[str, LoadedModel]) -> None:
    """From the highest residual stream below it that was kept; a stream that is not that of the prompts is noticed."""
    model, reference = models[name], reference_of(models[name])
    run = clean_run(model, PROMPTS, [1, 2], loss=False, batch_tokens=24)
    for method in ("mean", "zero", "resample"):
        asked = Ablation((Component(2, 1), Component(3)), method)
        assert run.start(asked) == 2
        whole = measure_token_losses(model, PROMPTS, asked, reference, batch_tokens=24)
        begun = measure_token_losses(model, PROMPTS, asked, reference, batch_tokens=24, run=run)
        for one, other in zip(whole, begun, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    run.residuals[2] = [stream + 0.5 for stream in run.residuals[1]]
    wrong = measure_token_losses(model, PROMPTS, asked, reference, batch_tokens=24, run=run)
    assert max(abs(one - other).max() for one, other in zip(whole, wrong, strict=True)) > 1e-3


def test_their_mean_is_the_loss_of_the_prompt(models: dict[str, LoadedModel]) -> None:
    """The metric ``loss`` of an ablation is the mean of its token losses, at some positions too."""
    model = models["llama"]
    run = clean_run(model, PROMPTS, [0], loss=True, batch_tokens=1000)
    for at in (None, "name"):
        asked = Ablation(ABLATED, "resample", True, at)
        values = measure_ablation(model, run, asked, None)["loss"]
        found = measure_token_losses(model, PROMPTS, asked, None, batch_tokens=1000)
        np.testing.assert_allclose([one.mean() for one in found], values, rtol=1e-6)


def test_an_ablation_changes_no_loss_before_it(models: dict[str, LoadedModel]) -> None:
    """What is replaced at the second member moves only the tokens after it; at the end it moves none."""
    for model in models.values():
        clean = measure_token_losses(model, PROMPTS, None, None, batch_tokens=1000)
        at_member = measure_token_losses(
            model, PROMPTS, Ablation(ABLATED, "zero", at="member[2]"), None, batch_tokens=99
        )
        at_end = measure_token_losses(model, PROMPTS, Ablation(ABLATED, "zero", at="end"), None, batch_tokens=1000)
        for number, member in enumerate([7, 8, None, 7]):
            np.testing.assert_allclose(at_end[number], clean[number], rtol=1e-5)
            np.testing.assert_allclose(at_member[number][:member], clean[number][:member], rtol=1e-5)
            if member is not None:
                assert abs(at_member[number][member:] - clean[number][member:]).max() > 1e-3


def test_losses_do_not_depend_on_how_they_are_cut(
    models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few positions at a time, or all; progress counts the batches; a prompt of one token has no loss."""
    prompts = [*PROMPTS, plain_prompt(1)]
    whole = measure_token_losses(models["gpt2"], prompts, None, None, batch_tokens=24)
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(module, "_POSITIONS", 3)
    cut = measure_token_losses(
        models["gpt2"], prompts, None, None, batch_tokens=24, progress=lambda done, total: seen.append((done, total))
    )
    for one, other, prompt in zip(whole, cut, prompts, strict=True):
        assert one.shape == (len(prompt.ids) - 1,)
        np.testing.assert_array_equal(one, other)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]  # two of eleven tokens, then one of each other length


def test_the_score_on_text_is_token_500_minus_token_50() -> None:
    """BOS is token 0: 501 tokens are needed, and entry t - 1 is token t's loss."""
    prompts = [plain_prompt(501), plain_prompt(500), plain_prompt(600), plain_prompt(1)]
    losses = [np.arange(1, len(prompt.ids), dtype=np.float64) ** 2 for prompt in prompts]
    score = in_context_learning(losses, prompts)
    np.testing.assert_array_equal(score.values, [500**2 - 50**2, np.nan, 500**2 - 50**2, np.nan])
    assert (score.note, score.names) == ("loss at token 500 minus loss at token 50", ("token 500", "token 50"))
    np.testing.assert_array_equal(score.late, [500**2, np.nan, 500**2, np.nan])
    np.testing.assert_array_equal(score.early, [50**2, np.nan, 50**2, np.nan])
    losses[0][[499, 49]] = np.inf
    losses[2][499] = np.inf
    np.testing.assert_array_equal(in_context_learning(losses, prompts).values, [np.inf, np.nan, np.inf, np.nan])


@pytest.mark.parametrize("bos", [True, False])
def test_the_score_on_repeated_tokens_is_second_minus_first_half(
    bos: bool, models: dict[str, LoadedModel], tiny: dict[str, Path]
) -> None:
    """Means over the tokens of each copy, from the plain model; without BOS the very first token has no loss."""
    model, plain = models["llama"], plain_model(tiny["llama"])
    prompts = build(FAMILIES["repeated_tokens"], {"length": 7}, model.tokenizer, 0, "prompts", 5, bos)
    losses = measure_token_losses(model, prompts, None, None, batch_tokens=1000)
    score = in_context_learning(losses, prompts)
    assert score.note == "second-half minus first-half loss"
    for value, late, early, prompt in zip(score.values, score.late, score.early, prompts, strict=True):
        each = token_losses(plain.logits(prompt.ids), prompt.ids)
        assert len(each) == (14 if bos else 13)
        assert (late, early) == pytest.approx((np.mean(each[-7:]), np.mean(each[:-7])), abs=1e-5)
        assert value == pytest.approx(np.mean(each[-7:]) - np.mean(each[:-7]), abs=1e-5)


def test_one_prompt_without_copies_makes_it_the_score_on_text() -> None:
    """Roles of some prompts only do not make a set repeated; no prompts give no values."""
    copies = plain_prompt(5, first_copy=[1, 2], second_copy=[3, 4])
    found = in_context_learning([np.array([1.0, 2, 4, 9])], [copies])
    assert (list(found.values), found.note) == ([5.0], "second-half minus first-half loss")
    mixed = [copies, plain_prompt(5, first_copy=[1, 2])]
    score = in_context_learning([np.ones(4)] * 2, mixed)
    assert np.isnan(score.values).all()
    assert score.note == "loss at token 500 minus loss at token 50"
    assert in_context_learning([], []).values.shape == (0,)


numbers = st.floats(-1e3, 1e3, allow_subnormal=False)


@st.composite
def tables(draw: Any) -> np.ndarray:
    points, features = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    rows = [draw(st.lists(numbers, min_size=features, max_size=features)) for _ in range(points)]
    return np.array(rows)


@settings(max_examples=80, deadline=None)
@given(tables())
def test_the_map_is_the_best_flat_picture(rows: np.ndarray) -> None:
    """Centred columns whose variances are the two largest eigenvalues of the covariance; shares of the trace."""
    xy, explained = pca_map(rows)
    assert np.isfinite(xy).all()
    assert xy.shape == (len(rows), 2)
    centred = rows - rows.mean(0)
    values = np.sort(np.linalg.eigvalsh(centred.T @ centred))[::-1]
    size = max(1.0, float(abs(rows).max()))
    two = np.append(values, 0.0)[:2]
    np.testing.assert_allclose(xy.T @ xy, np.diag(two), atol=1e-8 * size**2)
    np.testing.assert_allclose(xy.sum(0), 0.0, atol=1e-8 * size)
    assert (explained >= 0).all()
    assert explained.sum() <= 1 + 1e-12
    if values.sum() > 1e-6 * size**2:
        np.testing.assert_allclose(explained, two / values.sum(), atol=1e-6)


@settings(max_examples=80, deadline=None)
@given(tables().filter(lambda rows: rows.shape[1] <= 2), st.integers(-5, 5))
def test_two_features_keep_their_distances(rows: np.ndarray, shift: int) -> None:
    """In two dimensions the map is a rotation: distances stay, and adding a constant to all rows changes none."""
    size = max(1.0, float(abs(rows).max()))
    wide = np.column_stack([rows + shift, np.zeros((len(rows), 2))])
    for xy in (pca_map(rows)[0], pca_map(wide)[0]):
        for i in range(len(rows)):
            before, after = (np.linalg.norm(each - each[i], axis=1) for each in (rows, xy))
            np.testing.assert_allclose(after, before, atol=1e-7 * size)


def test_the_sign_of_an_axis_is_fixed() -> None:
    """The largest loading is positive: a point with more of that feature lies right, whatever the order of rows."""
    rows = np.array([[0.0, 0, 1], [3, 1, 1], [9, -1, 1], [1, 0.5, 1]])
    xy, explained = pca_map(rows)
    assert list(np.argsort(xy[:, 0])) == [0, 3, 1, 2]
    assert xy[1, 1] > xy[2, 1]
    np.testing.assert_allclose(pca_map(rows[::-1])[0], xy[::-1], atol=1e-12)
    opposite = np.array([[1.0, -1], [-1, 1], [2, -2]])  # two loadings of one size: the first of them is positive
    assert list(np.argsort(pca_map(opposite)[0][:, 0])) == [1, 0, 2]
    assert explained[0] > explained[1] > 0


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((3, 4)),
        np.full((3, 4), 0.1),
        np.array([[0.1, 0.7, 1e9]] * 7),
        np.empty((3, 0)),
        np.ones((1, 5)),
        np.full((2, 3), np.inf),
        np.full((2, 3), np.nan),
    ],
)
def test_what_does_not_vary_is_at_zero(rows: np.ndarray) -> None:
    """Equal rows, one row, no feature, or none that is finite: zeros, never NaN or rounding blown up."""
    xy, explained = pca_map(rows)
    np.testing.assert_array_equal(xy, np.zeros((len(rows), 2)))
    np.testing.assert_array_equal(explained, np.zeros(2))


def test_features_without_numbers_are_left_out_and_one_axis_leaves_the_other_at_zero() -> None:
    """An infinite loss takes its token out of the map; points on a line have no second axis."""
    rows = np.array([[1.0, np.inf, 4], [2, 0, 4], [4, 1, 4]])
    xy, explained = pca_map(rows)
    np.testing.assert_allclose(xy, [[-4 / 3, 0], [-1 / 3, 0], [5 / 3, 0]], atol=1e-12)
    np.testing.assert_allclose(explained, [1, 0])
    for scale in (1e-200, 1e200):
        np.testing.assert_allclose(pca_map(rows[:, ::2] * scale)[0], xy * scale, atol=1e-12 * scale)
