"""Direct paths equal a head computed by hand from the hidden states, and the reference model's true values."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from measuring import LITERALS, WORDS, plain_model
from oracle import HeadOrMlp, Plain, metrics

from circuits.claims.heads import Component, parse_component
from circuits.measure.ablation import CleanRun, clean_run
from circuits.measure.metrics import END_METRICS, Values
from circuits.measure.paths import PathPatch, measure_path
from circuits.models.load import LoadedModel, load
from circuits.models.reference_weights import residual, token_codes
from circuits.models.source import resolve
from circuits.prompts.prompt import TokenPrompt

tiny = measuring.tiny  # their heads move little: `models` makes them louder

PATHS = (
    "0.1 -> 1.0.q",
    "0.1 -> 1.3.k",
    "0.3 -> 2.2.v",
    "1.2 -> 3.1.q",
    "1.2 -> 3.1.k",
    "1.2 -> 3.0.k",
    "1.2 -> 3.1.v",
    "2.0 -> 3.3.k",
    "2.0 -> 3.3.v",
    "MLP0 -> 1.2.q",
    "MLP0 -> 3.2.k",
    "MLP2 -> 3.0.v",
    "0.1 -> logits",
    "3.1 -> logits",
    "MLP1 -> logits",
    "MLP3 -> logits",
)


def patch_of(text: str, **more: Any) -> PathPatch:
    sender, receiver = text.split(" -> ")
    if receiver == "logits":
        return PathPatch(parse_component(sender), None, "logits", **more)
    head, _, into = receiver.rpartition(".")
    return PathPatch(parse_component(sender), parse_component(head), into, **more)


def prompt_of(
    ids: Sequence[int], corrupted: Sequence[int] | None, answers: Sequence[int], foils: Sequence[int]
) -> TokenPrompt:
    partner = None if corrupted is None else tuple(corrupted)
    return TokenPrompt(
        tuple(ids), partner, tuple(answers), tuple(foils), {}, (-1,) * len(ids), None, True, "t", "a prompt"
    )


def literal_prompts() -> list[TokenPrompt]:
    return [
        prompt_of(one.ids(), one.partner(), *([WORDS.index(w) for w in words] for words in (one.answers, one.foils)))
        for one in LITERALS
    ]


def cleanly(model: LoadedModel, prompts: Sequence[TokenPrompt], layers: Sequence[int] = (), **more: Any) -> CleanRun:
    return clean_run(model, prompts, layers, **{"loss": False, "batch_tokens": 24, **more})


class ByHand:
    """A tiny model whose norms, projections, rotation and softmax are written out, in float64."""

    def __init__(self, plain: Plain):
        self.plain = plain
        plain.model.double().requires_grad_(False)
        self.config = plain.model.config
        self.d_head = self.config.hidden_size // plain.heads
        self.groups = self.config.num_key_value_heads if plain.llama else plain.heads

    def norm(self, x: Any, module: Any) -> Any:
        """RMS norm (Llama) or LayerNorm (GPT-2) of Float[pos, d_model]."""
        if self.plain.llama:
            return x / (x.pow(2).mean(-1, keepdim=True) + self.config.rms_norm_eps).sqrt() * module.weight.double()
        x = x - x.mean(-1, keepdim=True)
        scale = (x.pow(2).mean(-1, keepdim=True) + self.config.layer_norm_epsilon).sqrt()
        return x / scale * module.weight.double() + module.bias.double()

    def stream(self, ids: Sequence[int]) -> list[Any]:
        """The residual streams Float[pos, d_model] entering each layer, then the final norm."""
        import torch

        found: list[Any] = []
        inner = self.plain.model.model if self.plain.llama else self.plain.model.transformer
        ends = [*self.plain.layers, inner.norm if self.plain.llama else inner.ln_f]

        def keep(module: Any, args: Any, kwargs: Any) -> None:
            found.append((args[0] if args else kwargs["hidden_states"])[0].double().clone())

        handles = [module.register_forward_pre_hook(keep, with_kwargs=True) for module in ends]
        with torch.no_grad():
            self.plain.model(torch.tensor([list(ids)]))
        for handle in handles:
            handle.remove()
        return found

    def write(self, ids: Sequence[int], part: HeadOrMlp) -> Any:
        """What a head (its z through its rows of the output projection) or an MLP adds: Float[pos, d_model]."""
        value = self.plain.activations(ids, [part])[part].double()
        layer, head = part
        if head is None:
            return value
        rows = slice(head * self.d_head, (head + 1) * self.d_head)
        if self.plain.llama:
            return value @ self.plain.layers[layer].self_attn.o_proj.weight[:, rows].double().T
        return value @ self.plain.layers[layer].attn.c_proj.weight[rows].double()

    def project(self, layer: int, head: int, into: str, normed: Any) -> Any:
        """q, k or v of one query head (its group's k and v), before rotation: Float[pos, d_head]."""
        place = head if into == "q" else head * self.groups // self.plain.heads
        rows = slice(place * self.d_head, (place + 1) * self.d_head)
        if self.plain.llama:
            module = getattr(self.plain.layers[layer].self_attn, f"{into}_proj")
            return normed @ module.weight[rows].double().T
        joint = self.plain.layers[layer].attn.c_attn
        at = "qkv".index(into) * self.config.hidden_size
        columns = slice(at + rows.start, at + rows.stop)
        return normed @ joint.weight[:, columns].double() + joint.bias[columns].double()

    def rotated(self, x: Any) -> Any:
        """Llama's rotary embedding of Float[pos, d_head]; GPT-2 has none."""
        import torch

        if not self.plain.llama:
            return x
        half = self.d_head // 2
        angles = torch.arange(len(x)).double()[:, None] * 10000.0 ** (-torch.arange(half).double() / half)
        left, right = x[:, :half], x[:, half:]
        return torch.cat([left * angles.cos() - right * angles.sin(), right * angles.cos() + left * angles.sin()], 1)

    def z(self, layer: int, head: int, streams: Mapping[str, Any]) -> Any:
        """A head's output Float[pos, d_head] when q, k and v read these residual streams."""
        import torch

        block = self.plain.layers[layer]
        normalise = block.input_layernorm if self.plain.llama else block.ln_1
        q, k, v = (self.project(layer, head, i, self.norm(streams[i], normalise)) for i in "qkv")
        scores = self.rotated(q) @ self.rotated(k).T / self.d_head**0.5
        visible = torch.ones_like(scores).tril().bool()
        return scores.masked_fill(~visible, float("-inf")).softmax(-1) @ v

    def unembedded(self, stream: Any) -> np.ndarray:
        """Logits Float[pos, vocabulary] of a final residual stream."""
        inner = self.plain.model.model if self.plain.llama else self.plain.model.transformer
        final = inner.norm if self.plain.llama else inner.ln_f
        logits: np.ndarray = (self.norm(stream, final) @ self.plain.model.lm_head.weight.double().T).numpy()
        return logits

    def patched(
        self, ids: Sequence[int], partner: Sequence[int], path: PathPatch, heads: Sequence[int] | None = None
    ) -> np.ndarray:
        """Logits Float[pos, vocabulary] with a path patched (``heads``: into these heads of the layer instead)."""
        import torch

        part = (path.sender.layer, path.sender.head)
        with torch.no_grad():
            streams = self.stream(ids)
            delta = self.write(partner, part) - self.write(ids, part)
            if path.receiver is None:
                return self.unembedded(streams[-1] + delta)
            assert path.receiver.head is not None
            layer = path.receiver.layer
            values: dict[HeadOrMlp, Any] = {}
            for head in heads or [path.receiver.head]:
                read = dict.fromkeys("qkv", streams[layer])
                read[path.input] = streams[layer] + delta
                values[layer, head] = self.z(layer, head, read)
            with self.plain.replaced(values):
                return self.plain.logits(ids)

    def values(
        self, prompts: Sequence[TokenPrompt], path: PathPatch, heads: Sequence[int] | None = None
    ) -> list[dict[str, float]]:
        found = []
        for one in prompts:
            assert one.corrupted is not None
            logits = self.patched(one.ids, one.corrupted, path, heads)
            found.append(metrics(logits, self.plain.logits(one.ids), one.ids, one.answers, one.foils))
        return found


@pytest.fixture(scope="module")
def loud(tiny: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny models with louder heads, so that a direct path into one of them moves the logits."""
    root = tmp_path_factory.mktemp("loud")
    for name, folder in tiny.items():
        shutil.copytree(folder, root / name)
        model = plain_model(folder).model
        for weight_name, weight in model.named_parameters():
            factors = {"q_proj": 2.0, "k_proj": 2.0, "o_proj": 4.0, "down_proj": 0.5}
            factors |= {"c_attn.weight": 4.0, "attn.c_proj.weight": 6.0, "mlp.c_proj": 0.3}
            weight.data *= next((factor for part, factor in factors.items() if part in weight_name), 1.0)
        model.save_pretrained(str(root / name))
    return {name: root / name for name in tiny}


@pytest.fixture(scope="module")
def hands(loud: dict[str, Path]) -> dict[str, ByHand]:
    return {name: ByHand(plain_model(folder)) for name, folder in loud.items()}


@pytest.fixture(scope="module")
def models(loud: dict[str, Path]) -> dict[str, LoadedModel]:
    return {name: load(resolve({"path": str(folder)})) for name, folder in loud.items()}


@pytest.fixture(scope="module")
def precise(loud: dict[str, Path]) -> dict[str, LoadedModel]:
    return {name: load(resolve({"path": str(folder)}), dtype="float64") for name, folder in loud.items()}


@pytest.fixture(scope="module")
def reference() -> LoadedModel:
    return load(resolve("reference"))


def close(found: Values, expected: Sequence[Mapping[str, float]], tolerance: float = 1e-4) -> None:
    """Assert that every metric of every prompt agrees."""
    for name in END_METRICS:
        if name != "top_token":
            right = [one[name] for one in expected]
            np.testing.assert_allclose(found[name], right, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_head_computed_by_hand_is_the_model_s_own(name: str, hands: dict[str, ByHand]) -> None:
    """The oracle itself: with nothing patched, its heads and logits are those of plain transformers."""
    hand, ids = hands[name], LITERALS[0].ids()
    streams = hand.stream(ids)
    for layer, head in ((0, 1), (2, 3), (3, 0)):
        own = hand.plain.activations(ids, [(layer, head)])[layer, head]
        np.testing.assert_allclose(hand.z(layer, head, dict.fromkeys("qkv", streams[layer])), own.double(), atol=1e-4)
    np.testing.assert_allclose(hand.unembedded(streams[-1]), hand.plain.logits(ids), atol=1e-4)


@pytest.mark.parametrize("text", PATHS)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_every_path_equals_the_head_computed_by_hand(
    name: str, text: str, hands: dict[str, ByHand], models: dict[str, LoadedModel], precise: dict[str, LoadedModel]
) -> None:
    """Each metric of each prompt equals the oracle's to 1e-4, and in float64 the effect is the oracle's to 0.5%."""
    prompts, path = literal_prompts(), patch_of(text)
    expected = hands[name].values(prompts, path)
    close(measure_path(models[name], cleanly(models[name], prompts), path), expected)
    run = cleanly(precise[name], prompts)
    found = measure_path(precise[name], run, path)
    effect = np.array([one["logit_diff"] for one in expected]) - run.values["logit_diff"]
    moved = np.abs(effect).max()
    assert moved > 5e-5, "the path does something, so that agreement says something"
    np.testing.assert_allclose(found["logit_diff"] - run.values["logit_diff"], effect, rtol=0, atol=moved / 200)
    assert np.isnan(found["loss"]).all()


def test_another_sender_receiver_or_input_is_noticed(hands: dict[str, ByHand], models: dict[str, LoadedModel]) -> None:
    """The oracle's number for a neighbouring path is not the one measured."""
    prompts = literal_prompts()
    found = measure_path(models["llama"], cleanly(models["llama"], prompts), patch_of("1.2 -> 3.1.k"))["logit_diff"]
    for other in ("1.1 -> 3.1.k", "1.3 -> 3.1.k", "1.2 -> 3.0.k", "1.2 -> 3.1.q", "1.2 -> 3.1.v", "MLP1 -> 3.1.k"):
        wrong = [one["logit_diff"] for one in hands["llama"].values(prompts, patch_of(other))]
        assert np.abs(found - wrong).max() > 1e-2, other


@pytest.mark.parametrize("text", ["1.2 -> 3.1.k", "1.2 -> 2.2.v"])
def test_the_other_heads_of_the_group_keep_the_clean_key_and_value(
    text: str, hands: dict[str, ByHand], models: dict[str, LoadedModel]
) -> None:
    """Under grouped k/v, patching the whole group is another number, and not the one measured."""
    prompts, path = literal_prompts(), patch_of(text)
    assert path.receiver is not None and path.receiver.head is not None
    first = path.receiver.head // 2 * 2  # two heads share a key and value
    found = measure_path(models["llama"], cleanly(models["llama"], prompts), path)["logit_diff"]
    own = [one["logit_diff"] for one in hands["llama"].values(prompts, path)]
    group = [one["logit_diff"] for one in hands["llama"].values(prompts, path, heads=(first, first + 1))]
    np.testing.assert_allclose(found, own, atol=1e-4, rtol=1e-4)
    assert np.abs(found - group).max() > 1e-2


def test_the_loss_is_measured_where_it_is_asked_for(hands: dict[str, ByHand], models: dict[str, LoadedModel]) -> None:
    """The whole-prompt loss equals the oracle's, on a path into a head and on one to the logits."""
    prompts = literal_prompts()
    run = cleanly(models["gpt2"], prompts, loss=True)
    for text in ("0.1 -> 2.3.v", "MLP2 -> logits"):
        path = patch_of(text, loss=True)
        right = [one["loss"] for one in hands["gpt2"].values(prompts, path)]
        np.testing.assert_allclose(measure_path(models["gpt2"], run, path)["loss"], right, atol=1e-4)


def test_values_do_not_depend_on_batches_or_kept_residuals(models: dict[str, LoadedModel]) -> None:
    """One prompt a batch or many, with or without kept residual streams: the same numbers; batches are counted."""
    prompts, path = literal_prompts(), patch_of("1.2 -> 3.1.k")
    seen: list[tuple[int, int]] = []
    one = measure_path(
        models["llama"], cleanly(models["llama"], prompts, batch_tokens=1), path, lambda *n: seen.append(n)
    )
    many = measure_path(models["llama"], cleanly(models["llama"], prompts, [1, 3], batch_tokens=999), path)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for name in END_METRICS:
        np.testing.assert_allclose(one[name], many[name], atol=1e-5, err_msg=name)


SENDERS = st.one_of(
    st.builds(Component, st.integers(0, 2), st.integers(0, 3)), st.builds(Component, st.integers(0, 2), st.none())
)


@st.composite
def paths(draw: st.DrawFn) -> PathPatch:
    """Any path of a model of four layers of four heads."""
    sender = draw(SENDERS)
    if draw(st.booleans()):
        return PathPatch(sender, None, "logits")
    receiver = Component(draw(st.integers(sender.layer + 1, 3)), draw(st.integers(0, 3)))
    return PathPatch(sender, receiver, draw(st.sampled_from("qkv")))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=paths(), ids=st.lists(st.integers(2, 59), min_size=1, max_size=9), name=st.sampled_from(["llama", "gpt2"]))
def test_a_sender_that_writes_the_same_changes_nothing(
    path: PathPatch, ids: list[int], name: str, models: dict[str, LoadedModel]
) -> None:
    """Where the partner is the prompt itself, every metric is exactly the clean one, whatever the path."""
    prompts = [prompt_of([0, *ids], [0, *ids], [2], [3])]
    run = cleanly(models[name], prompts)
    found = measure_path(models[name], run, path)
    for metric in END_METRICS:
        assert found[metric].tolist() == run.values[metric].tolist(), metric
    assert found["kl"].tolist() == [0.0]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=paths(), ids=st.lists(st.integers(2, 59), min_size=2, max_size=9), data=st.data())
def test_a_later_position_never_reaches_back(
    path: PathPatch, ids: list[int], data: st.DataObject, models: dict[str, LoadedModel]
) -> None:
    """Attention is causal: a difference in the partner's last token cannot move an earlier position's loss."""
    other = data.draw(st.integers(2, 59))
    partner = [0, *ids[:-1], other]
    prompts = [prompt_of([0, *ids], partner, [2], [3])]
    run = cleanly(models["llama"], prompts, loss=True)
    found = measure_path(models["llama"], run, replace(path, loss=True))
    # The loss scores positions up to the last but one.
    np.testing.assert_allclose(found["loss"], run.values["loss"], atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "gpt2", "reference"])
def test_nothing_is_left_behind(name: str, models: dict[str, LoadedModel], reference: LoadedModel) -> None:
    """After paths were measured, and after one that failed, the model is as it was: same logits, no hook, no flag."""
    import torch

    model = {**models, "reference": reference}[name]
    prompts = literal_prompts()
    tokens = torch.tensor([prompts[0].ids])

    def logits() -> Any:
        with torch.no_grad():
            return model.bridge(tokens)

    before = logits()
    run = cleanly(model, prompts)
    for text in ("0.1 -> 2.0.k", "MLP0 -> 1.3.q", "1.2 -> logits"):
        measure_path(model, run, patch_of(text))
    broken = cleanly(model, [replace(prompts[0], corrupted=None)])
    with pytest.raises(ValueError, match="corrupted partner"):
        measure_path(model, broken, patch_of("0.1 -> 2.0.k"))
    with pytest.raises(IndexError):
        measure_path(model, run, PathPatch(Component(0, 1), Component(2, 99), "k"))
    assert torch.equal(logits(), before)
    assert not any(point.fwd_hooks for point in model.bridge.hook_dict.values())
    assert not any("forward" in vars(block) for block in model.bridge.blocks)
    assert not any(
        getattr(block.attn.config, flag, False)
        for block in model.bridge.blocks
        for flag in ("use_split_qkv_input", "use_attn_in", "use_attn_result")
    )


def test_a_path_has_one_key_and_reads_as_written() -> None:
    """Equal paths are equal, hash alike and have one canonical JSON text; different ones have different keys."""
    assert len({patch_of("0.0 -> 2.0.k"), patch_of("0.0 -> 2.0.k"), patch_of("0.0 -> 2.0.q")}) == 2
    assert json.loads(patch_of("MLP0 -> 2.10.k").key) == ["path", "MLP0", "2.10", "k"]
    assert json.loads(patch_of("1.2 -> logits").key) == ["path", "1.2", None, "logits"]
    assert len({patch_of(text, loss=loss).key for text in PATHS for loss in (False, True)}) == 2 * len(PATHS)
    assert [str(patch_of(text)) for text in PATHS] == list(PATHS)


@pytest.mark.parametrize(
    ("sender", "receiver", "into", "message"),
    [
        ("2.0", "2.1", "q", "2.0 -> 2.1.q: the receiver's layer must be above the sender's"),
        ("MLP2", "2.1", "q", "MLP2 -> 2.1.q: the receiver's layer must be above the sender's"),
        ("0.0", "MLP2", "q", "0.0 -> MLP2.q: a path ends in q, k or v of a head, or in logits"),
        ("0.0", "2.1", "z", "0.0 -> 2.1.z: a path ends in q, k or v of a head, or in logits"),
        ("0.0", None, "q", "a path into 'q' needs a receiving head; only logits has none"),
    ],
)
def test_a_path_that_no_model_has_is_refused(sender: str, receiver: str | None, into: str, message: str) -> None:
    """The error says which path, and what a path may be."""
    with pytest.raises(ValueError) as caught:
        PathPatch(parse_component(sender), None if receiver is None else parse_component(receiver), into)
    assert str(caught.value) == message


# --- the reference model, whose true values follow from its construction ---


@cache
def codes(vocabulary: int) -> np.ndarray:
    return np.asarray(token_codes(residual(vocabulary), vocabulary, 0), dtype=float)


class Said:
    """Logits at the end as sums of what 2.0 copies (20 for the token itself) and the next numeral (18 for each)."""

    def __init__(self, model: LoadedModel):
        self.ids = model.bridge.tokenizer.convert_tokens_to_ids
        self.size = int(model.bridge.cfg.d_vocab)

    def logits(self, copied: Mapping[str, float], following: Sequence[str] = ()) -> np.ndarray:
        """``copied``: attention of 2.0 by token; ``following``: each numeral that a successor head says."""
        each = codes(self.size)
        total = sum((share * 10 * each @ each[self.ids(word)] for word, share in copied.items()), np.zeros(self.size))
        for word in following:
            total[self.ids(word)] += 18
        return total

    def prompt(self, text: str, partner: str, answer: str, foil: str) -> TokenPrompt:
        rows = [[0, *(self.ids(word) for word in words.split())] for words in (text, partner)]
        return prompt_of(rows[0], rows[1], [self.ids(answer)], [self.ids(foil)])


REPEAT = ("Adam Bob Carl Dora Adam", "Emma Adam Frank Grace Adam", "Bob", "Carl")
NUMBERS = ("Adam is 1 . Bob is 2 . Carl is", "Adam is 7 . Bob is 4 . Carl is", "3", "2")
SILENT = ("Adam is 1 . Bob is 2 . Carl is", "Adam in 7 . Bob in 4 . Carl is", "3", "2")
COPIED = {"1": 0.5, "2": 0.5}

# (prompt, path, what 2.0 copies, the numerals said)
TRUE_VALUES: list[tuple[tuple[str, str, str, str], str, dict[str, float], list[str]]] = [
    # 2.0 looks for "the token before me was Adam": 0.0 tells its keys. In the partner Adam stands one later,
    # so the key path makes 2.0 copy Carl (the clean token there); its query and value read the token itself.
    (REPEAT, "0.0 -> 2.0.k", {"Carl": 1.0}, []),
    (REPEAT, "0.0 -> 2.0.q", {"Bob": 1.0}, []),
    (REPEAT, "0.0 -> 2.0.v", {"Bob": 1.0}, []),
    (REPEAT, "0.0 -> logits", {"Bob": 1.0}, []),
    # What 2.2 writes nobody reads. 2.0 itself copies Frank in the partner: the token after Adam there.
    (REPEAT, "0.0 -> 2.2.v", {"Bob": 1.0}, []),
    (REPEAT, "2.0 -> logits", {"Frank": 1.0}, []),
    # In the partner 1.2 says what follows 4. 2.1 does not read what 1.2 writes, only MLP1's mark of it.
    (NUMBERS, "1.2 -> logits", COPIED, ["5"]),
    (NUMBERS, "1.2 -> 2.1.q", COPIED, ["3"]),
    (NUMBERS, "1.2 -> 2.1.k", COPIED, ["3"]),
    # The value that 1.2 carries comes from MLP0; where it looks from MLP0's mark, which is the same in both.
    (NUMBERS, "MLP0 -> 1.2.v", COPIED, ["5"]),
    (NUMBERS, "MLP0 -> 1.2.k", COPIED, ["3"]),
    (NUMBERS, "0.0 -> 1.2.k", COPIED, ["3"]),  # before each numeral stands "is" in both
    # Here it stands nowhere, so 1.2 rests. Everything above is recomputed: MLP1 sees nothing done, 2.1 wakes.
    (SILENT, "0.0 -> 1.2.k", COPIED, ["3"]),
    # MLP1 tells 2.1's query that 1.2 did its work. In the partner it did not: 2.1 says the answer once more.
    (SILENT, "MLP1 -> 2.1.q", COPIED, ["3", "3"]),
    (SILENT, "MLP1 -> 2.1.k", COPIED, ["3"]),
    (SILENT, "MLP1 -> 2.1.v", COPIED, ["3"]),
    (SILENT, "MLP1 -> 2.0.q", COPIED, ["3"]),
    (SILENT, "1.2 -> logits", COPIED, []),
]


@pytest.mark.parametrize(
    ("words", "text", "copied", "said"), TRUE_VALUES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_the_reference_model_s_true_values_are_hit(
    words: tuple[str, str, str, str],
    text: str,
    copied: dict[str, float],
    said: list[str],
    reference: LoadedModel,
) -> None:
    """Logits of answer and foil with a path patched follow from the construction, to 1e-5."""
    speaker = Said(reference)
    prompt = speaker.prompt(*words)
    expected = speaker.logits(copied, said)
    found = measure_path(reference, cleanly(reference, [prompt]), patch_of(text))
    answer, foil = expected[prompt.answers[0]], expected[prompt.foils[0]]
    np.testing.assert_allclose(found["answer_logit"], [answer], atol=1e-5)
    np.testing.assert_allclose(found["logit_diff"], [answer - foil], atol=1e-5)
    probabilities = np.exp(expected - expected.max())
    np.testing.assert_allclose(
        found["answer_prob"], [probabilities[prompt.answers[0]] / probabilities.sum()], atol=1e-5
    )


def test_the_clean_reference_model_says_what_the_paths_start_from(reference: LoadedModel) -> None:
    """Without a path: the repeated token at 20, the next numeral at 18 over two copied ones at 10."""
    speaker = Said(reference)
    prompts = [speaker.prompt(*words) for words in (REPEAT, NUMBERS, SILENT)]
    clean = cleanly(reference, prompts).values
    repeated, counted = speaker.logits({"Bob": 1.0}), speaker.logits(COPIED, ["3"])
    for row, (prompt, logits) in enumerate(zip(prompts, (repeated, counted, counted), strict=True)):
        assert clean["answer_logit"][row] == pytest.approx(logits[prompt.answers[0]], abs=1e-5)
        assert clean["logit_diff"][row] == pytest.approx(logits[prompt.answers[0]] - logits[prompt.foils[0]], abs=1e-5)


@pytest.mark.parametrize("text", ["1.3 -> 2.0.q", "1.3 -> 2.0.k", "1.3 -> 2.1.v", "1.3 -> logits", "MLP2 -> logits"])
def test_a_sender_that_writes_nothing_has_no_effect_at_all(text: str, reference: LoadedModel) -> None:
    """The head and the MLP that write exactly zero change no metric in the last digit."""
    speaker = Said(reference)
    run = cleanly(reference, [speaker.prompt(*words) for words in (REPEAT, NUMBERS, SILENT)])
    found = measure_path(reference, run, patch_of(text))
    for metric in END_METRICS:
        assert found[metric].tolist() == run.values[metric].tolist(), metric
