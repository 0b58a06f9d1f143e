"""The reference model does what `circuits.models.reference` says of it: every expectation is computed from tokens."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.models import reference
from circuits.models.reference_weights import build_weights, residual, token_codes
from circuits.prompts import words

NAMED = "{word} is {member}."
INTERSPERSED = "{word} done in {member}."
Edit = Callable[[torch.Tensor], torch.Tensor]


class Sequences(NamedTuple):
    """A batch of number sequences: ids [batch, pos], and the answer and foil id of each."""

    ids: torch.Tensor
    answers: list[int]
    foils: list[int]


@pytest.fixture(scope="module")
def built() -> tuple[Any, Any]:
    return reference.build_reference()


@pytest.fixture(scope="module")
def model(built: tuple[Any, Any]) -> Any:
    return built[0]


@pytest.fixture(scope="module")
def tokenizer(built: tuple[Any, Any]) -> Any:
    return built[1]


def encode(tokenizer: Any, texts: Sequence[str]) -> torch.Tensor:
    return torch.tensor([tokenizer(text).input_ids for text in texts])


def text_of(template: str, heads: Sequence[str], members: Sequence[int]) -> str:
    """Items for all members; the last head starts an unfinished item."""
    items = [template.format(word=head, member=member) for head, member in zip(heads, members, strict=False)]
    return " ".join([*items, template.split("{member}")[0].format(word=heads[len(members)]).rstrip()])


def sequences(tokenizer: Any, template: str, length: int, count: int, seed: int = 0) -> Sequences:
    """Increasing numbers from a random start, every start in turn."""
    rng = Random(f"{template}{length}{seed}")
    pool = words.FIRST_NAMES if template == NAMED else words.NOUNS
    starts = [1 + index % (12 - length) for index in range(count)]
    shown = [range(start, start + length) for start in starts]
    texts = [text_of(template, rng.sample(pool, length + 1), members) for members in shown]
    numbers = [members[-1] for members in shown]
    ids = [[tokenizer.convert_tokens_to_ids(str(n + step)) for n in numbers] for step in (1, 0)]
    return Sequences(encode(tokenizer, texts), ids[0], ids[1])


def shuffled(tokenizer: Any, template: str, length: int, count: int) -> tuple[torch.Tensor, list[int]]:
    """Prompts with shuffled members, no member behind its predecessor, and each one's last member."""
    rng = Random(f"reference {template}{length}")
    texts, last = [], []
    while len(texts) < count:
        members = rng.sample(range(1, 13), length)
        if all(b != a + 1 for a, b in pairwise(members)):
            texts.append(text_of(template, rng.sample(words.FIRST_NAMES, length + 1), members))
            last.append(members[-1])
    return encode(tokenizer, texts), last


def repeats(tokenizer: Any, length: int, count: int, seed: int = 0) -> torch.Tensor:
    """BOS, then a block of different random tokens, twice."""
    rng = Random(f"repeats {length} {seed}")
    blocks = [rng.sample(range(2, len(tokenizer)), length) for _ in range(count)]
    return torch.tensor([[tokenizer.bos_token_id, *block, *block] for block in blocks])


def jumbles(tokenizer: Any, count: int) -> torch.Tensor:
    """Tokens drawn with replacement from few, numerals among them: chains of repeats, neighbours equal."""
    rng = Random("jumbles")
    few = tokenizer.convert_tokens_to_ids(["1", "2", "12", "Adam", "is", "."])
    return torch.tensor([[tokenizer.bos_token_id, *rng.choices(few, k=40)] for _ in range(count)])


def expected_row(head: str, tokens: Sequence[str], query: int) -> list[int]:
    """The positions that a head must attend to, equally, from ``query``; written without the weights."""
    earlier = range(1, query)
    copies = [k for k in earlier if tokens[k] == tokens[query]]
    after_copies = [k for k in earlier if k > 1 and tokens[k - 1] == tokens[query]]
    numbers = [k for k in earlier if tokens[k].isdigit()]
    targets = {
        "0.0": [max(query - 1, 0)],
        "0.1": [max(query - 3, 0)],
        "0.2": [0],
        "0.3": [query],
        "1.0": copies,
        "1.1": numbers if tokens[query].isdigit() else [],
        "1.2": [k for k in after_copies if k in numbers][-1:],
        "1.3": [0],
        "2.0": after_copies,
        "2.1": [],
        "2.2": list(range(query + 1)),
        "2.3": copies[-1:],
    }
    return targets[head] or [0]


def patterns(model: Any, ids: torch.Tensor, layer: int) -> torch.Tensor:
    name = f"blocks.{layer}.attn.hook_pattern"
    with torch.no_grad():
        return model.run_with_cache(ids, names_filter=name)[1][name]


def last_logits(model: Any, ids: torch.Tensor, edits: Mapping[str, Edit] | None = None) -> torch.Tensor:
    """Logits [batch, vocabulary] at the end, with activations edited by hook name."""

    def hook(edit: Edit) -> Callable[..., torch.Tensor]:
        return lambda value, hook: edit(value)

    with torch.no_grad():
        hooks = [(name, hook(edit)) for name, edit in (edits or {}).items()]
        return model.run_with_hooks(ids, fwd_hooks=hooks)[:, -1]


def replaced(value: torch.Tensor | float, *heads: int) -> Edit:
    """Replaces z of those heads by a number, or by what ``value`` [..., head, d_head] holds for them."""

    def edit(z: torch.Tensor) -> torch.Tensor:
        z = z.clone()
        for head in heads:
            z[:, :, head] = value if isinstance(value, float) else value[..., head, :]
        return z

    return edit


def mean_of(model: Any, ids: torch.Tensor, name: str) -> torch.Tensor:
    """The mean over prompts of an activation, per position."""
    with torch.no_grad():
        return model.run_with_cache(ids, names_filter=lambda each: each == name)[1][name].mean(0)


def z_name(layer: int) -> str:
    return f"blocks.{layer}.attn.hook_z"


def differences(logits: torch.Tensor, prompts: Sequences) -> np.ndarray:
    rows = torch.arange(len(logits))
    return (logits[rows, prompts.answers] - logits[rows, prompts.foils]).numpy()


def test_importing_needs_neither_torch_nor_numpy() -> None:
    """Shape, head descriptions and digest are to be had without loading torch or numpy."""
    code = (
        "import sys, circuits.models.reference as r; r.reference_digest(); r.HEADS, r.REFERENCE_SHAPE, r.vocabulary();"
        "sys.exit(bool({'torch', 'numpy', 'transformers', 'transformer_lens'} & set(sys.modules)))"
    )
    root = Path(reference.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_digest_is_the_hash_of_the_source() -> None:
    """The digest is sha256 over the bytes of the module, the weights and the word pools."""
    here = Path(reference.__file__)
    files = [here, here.parent / "reference_weights.py", Path(words.__file__)]
    joined = b"".join(file.read_bytes().replace(b"\r\n", b"\n") + b"\0" for file in files)
    assert reference.reference_digest() == "sha256:" + hashlib.sha256(joined).hexdigest()


def test_model_has_the_registered_shape(model: Any) -> None:
    """Layers, heads and context are those that lint reads; it is a float32 model in eval mode without gradients."""
    assert (model.cfg.n_layers, model.cfg.n_heads) == reference.REFERENCE_SHAPE
    assert model.cfg.n_ctx == reference.REFERENCE_CONTEXT
    layers, heads = reference.REFERENCE_SHAPE
    assert set(reference.HEADS) == {f"{layer}.{head}" for layer in range(layers) for head in range(heads)}
    assert set(reference.MLPS) == {f"MLP{layer}" for layer in range(layers)}
    assert not model.training
    assert {(p.dtype, p.requires_grad) for p in model.parameters()} == {(torch.float32, False)}


def test_building_is_repeatable_and_leaves_the_random_state_alone(model: Any, tokenizer: Any) -> None:
    """Two builds give the same logits, and the caller's next random number is the one it would have been."""
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    other, _ = reference.build_reference()
    assert torch.equal(torch.rand(1), expected)
    ids = jumbles(tokenizer, 4)
    assert torch.equal(last_logits(other, ids), last_logits(model, ids))


def test_every_word_is_one_token(tokenizer: Any) -> None:
    """Every word of every pool is one token that decodes to itself."""
    pools = [words.FIRST_NAMES, words.NOUNS, words.PLACES, words.OBJECTS, *words.SEQUENCES.values()]
    pools.append(("now", "at", "is", "in", "done", "lost", "born", ".", ","))
    pools.append(("Adam", "Bob", "Carl", "Dora", "Emma", "Van", "Hat"))
    for word in (word for pool in pools for word in pool):
        ids = tokenizer.encode(word, add_special_tokens=False)
        assert len(ids) == 1 and ids[0] != tokenizer.unk_token_id
        assert tokenizer.decode(ids) == word
    assert len(set(reference.vocabulary())) == len(reference.vocabulary()) == len(tokenizer)


def test_tokenizer_gives_bos_offsets_and_unknown(tokenizer: Any) -> None:
    """BOS comes first, offsets point into the text, white space is no token, other words are unknown."""
    text = "Adam is 12. Zyx, 1"
    out = tokenizer(text, return_offsets_mapping=True)
    assert tokenizer.convert_ids_to_tokens(out.input_ids) == [
        "<bos>",
        "Adam",
        "is",
        "12",
        ".",
        "<unk>",
        ",",
        "1",
    ]
    assert [text[a:b] for a, b in out.offset_mapping[1:]] == ["Adam", "is", "12", ".", "Zyx", ",", "1"]
    assert tokenizer.bos_token_id == out.input_ids[0] == 0
    assert tokenizer(text, add_special_tokens=False).input_ids == out.input_ids[1:]


@pytest.mark.parametrize("kind", ["named", "interspersed", "repeats", "jumbles"])
@pytest.mark.parametrize("layer", range(reference.LAYERS))
def test_attention_is_the_constructed_one(model: Any, tokenizer: Any, layer: int, kind: str) -> None:
    """Each head's whole pattern is uniform over its targets, on sequences, random repeats and jumbled tokens."""
    ids = {
        "named": lambda: sequences(tokenizer, NAMED, 4, 8).ids,
        "interspersed": lambda: sequences(tokenizer, INTERSPERSED, 6, 6).ids,
        "repeats": lambda: repeats(tokenizer, 30, 6),
        "jumbles": lambda: jumbles(tokenizer, 8),
    }[kind]()
    measured = patterns(model, ids, layer)
    for row, pattern in zip(ids, measured, strict=True):
        tokens = tokenizer.convert_ids_to_tokens(row)
        for head in range(reference.HEADS_PER_LAYER):
            expected = torch.zeros(len(tokens), len(tokens))
            for query in range(len(tokens)):
                targets = expected_row(f"{layer}.{head}", tokens, query)
                expected[query, targets] = 1 / len(targets)
            torch.testing.assert_close(pattern[head], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("length", range(2, 11))
@pytest.mark.parametrize("template", [NAMED, INTERSPERSED])
def test_number_sequences_are_continued(model: Any, tokenizer: Any, template: str, length: int) -> None:
    """The next numeral is first on every sequence, ahead of the last one by 18 - 20 / length."""
    prompts = sequences(tokenizer, template, length, 24)
    logits = last_logits(model, prompts.ids)
    assert logits.argmax(-1).tolist() == prompts.answers
    np.testing.assert_allclose(differences(logits, prompts), 18 - 20 / length, atol=1e-4)


@pytest.mark.parametrize(
    "template", ["{word} is now {member}.", "{word} is now at {member}.", "{word}, born {member},"]
)
def test_other_templates_are_continued(model: Any, tokenizer: Any, template: str) -> None:
    """Items of other lengths work too: nothing depends on the period."""
    prompts = sequences(tokenizer, template, 4, 24)
    assert last_logits(model, prompts.ids).argmax(-1).tolist() == prompts.answers


def test_shuffled_members_are_continued_from_the_last(model: Any, tokenizer: Any) -> None:
    """In broken order the successor of the last member is first; after a last 12 there is none."""
    ids, last = shuffled(tokenizer, NAMED, 4, 64)
    tops = tokenizer.convert_ids_to_tokens(last_logits(model, ids).argmax(-1))
    pairs = list(zip(tops, last, strict=True))
    assert all(int(top) == member + 1 for top, member in pairs if member != 12)
    assert {member for _, member in pairs} == set(range(1, 13))


def test_one_shown_member_is_copied(model: Any, tokenizer: Any) -> None:
    """One example is no sequence: the member shown beats its successor by 20 - 18."""
    prompts = sequences(tokenizer, NAMED, 1, 22)
    np.testing.assert_allclose(differences(last_logits(model, prompts.ids), prompts), -2, atol=1e-4)


def test_months_are_not_continued(model: Any, tokenizer: Any) -> None:
    """The model knows the words of other sequences but cannot continue them."""
    ids = encode(tokenizer, ["Adam is March. Bob is April. Carl is May. David is"])
    logits = last_logits(model, ids)[0]
    june = tokenizer.convert_tokens_to_ids("June")
    assert int((logits > logits[june]).sum()) >= 3


@pytest.mark.parametrize("length", [2, 5, 30, 50, 63])
def test_repeated_tokens_are_repeated(model: Any, tokenizer: Any, length: int) -> None:
    """The block's first token is first with logit 20, up to blocks that fill the context."""
    ids = repeats(tokenizer, length, 40)
    answers = ids[:, 1]
    logits = last_logits(model, ids)
    assert torch.equal(logits.argmax(-1), answers)
    torch.testing.assert_close(logits.gather(1, answers[:, None]), torch.full((40, 1), 20.0), atol=1e-4, rtol=0)


def test_both_tasks_work_without_bos(model: Any, tokenizer: Any) -> None:
    """Without BOS in front sequences are continued by the same margin and random tokens repeated."""
    prompts = sequences(tokenizer, NAMED, 4, 24)
    np.testing.assert_allclose(differences(last_logits(model, prompts.ids[:, 1:]), prompts), 13, atol=1e-4)
    ids = repeats(tokenizer, 30, 24)[:, 1:]
    assert torch.equal(last_logits(model, ids).argmax(-1), ids[:, 0])


def test_numerals_behind_new_words_are_not_continued(model: Any, tokenizer: Any) -> None:
    """Where the last token has no earlier copy there is nothing to go by, and every logit is 0."""
    ids = encode(tokenizer, ["Adam 1. Bob 2. Carl 3. David"])
    assert last_logits(model, ids).abs().max() < 1e-6


def test_repeats_win_against_the_next_numeral(model: Any, tokenizer: Any) -> None:
    """Where a numeral began the repeated block, it is repeated, not continued: 20 against 18."""
    rng = Random(1)
    one = tokenizer.convert_tokens_to_ids("1")
    for numeral in range(one, one + 11):
        block = [numeral, *rng.sample(range(20, len(tokenizer)), 9)]
        logits = last_logits(model, torch.tensor([[tokenizer.bos_token_id, *block, *block]]))[0]
        assert logits.argmax() == numeral
        assert logits[numeral] - logits[numeral + 1] == pytest.approx(2, abs=1e-4)


def test_the_head_that_does_nothing_writes_zero(model: Any, tokenizer: Any) -> None:
    """1.3 has zero value and output weights, so its z and its write are exactly zero."""
    d_head = model.cfg.d_head
    assert not model.W_V[1, 3].any() and not model.W_O[1, 3].any()
    with torch.no_grad():
        _, cache = model.run_with_cache(jumbles(tokenizer, 4), names_filter=lambda name: name == z_name(1))
    assert cache[z_name(1)].shape[-2:] == (4, d_head)
    assert not cache[z_name(1)][:, :, 3].any()


@pytest.mark.parametrize("head", ["0.1", "0.2", "0.3", "1.0", "1.1", "1.3", "2.2", "2.3"])
def test_heads_nobody_reads_change_no_logit(model: Any, tokenizer: Any, head: str) -> None:
    """Removing a head that writes where nothing reads leaves every logit as it was, yet only 1.3 writes nothing."""
    layer, index = map(int, head.split("."))
    prompts = sequences(tokenizer, NAMED, 4, 8)
    for ids in (prompts.ids, repeats(tokenizer, 20, 4)):
        edited = last_logits(model, ids, {z_name(layer): replaced(0.0, index)})
        torch.testing.assert_close(edited, last_logits(model, ids), atol=1e-5, rtol=0)
    z = mean_of(model, prompts.ids, z_name(layer))[:, index]
    wrote = (z @ model.W_O[layer, index]).abs().max()
    assert (wrote == 0) == (head == "1.3")


def test_backup_pair_under_zero_ablation(model: Any, tokenizer: Any) -> None:
    """Either successor head may be zeroed without any change; without both only the copying (-20 / 4) is left."""
    prompts = sequences(tokenizer, NAMED, 4, 24)
    main, backup = {z_name(1): replaced(0.0, 2)}, {z_name(2): replaced(0.0, 1)}
    for edits, expected in (({}, 13), (main, 13), (backup, 13), (main | backup, -5)):
        np.testing.assert_allclose(differences(last_logits(model, prompts.ids, edits), prompts), expected, atol=1e-4)


def test_backup_pair_survives_mean_ablation(model: Any, tokenizer: Any) -> None:
    """Under mean ablation each prompt's value is what counting the reference's last members predicts."""
    prompts = sequences(tokenizer, NAMED, 4, 24)
    ids, last = shuffled(tokenizer, NAMED, 4, 128)
    main = {z_name(1): replaced(mean_of(model, ids, z_name(1)), 2)}
    backup = {z_name(2): replaced(mean_of(model, ids, z_name(2)), 1)}

    share = np.bincount(last, minlength=14) / len(last)
    assert share.max() < 0.5  # else the marker of MLP1 would take the blend for a numeral
    foils = np.array([int(tokenizer.convert_ids_to_tokens(foil)) for foil in prompts.foils])
    blend = 18 * (share[foils] - share[foils - 1])  # how far the blend prefers the answer to the foil

    def measured(edits: Mapping[str, Edit]) -> np.ndarray:
        return differences(last_logits(model, prompts.ids, edits), prompts)

    np.testing.assert_allclose(measured(main), 13 + blend, atol=1e-4)
    np.testing.assert_allclose(measured(backup), 13, atol=1e-4)
    np.testing.assert_allclose(measured(main | backup), -5 + blend, atol=1e-4)
    assert abs(measured(main).mean() / 13 - 1) < 0.1
    assert measured(main | backup).max() < 0


def test_backup_reads_the_last_numeral_once_the_main_head_is_gone(model: Any, tokenizer: Any) -> None:
    """2.1 rests on position 0 until 1.2 is zeroed; then its pattern is the one that 1.2 has."""
    ids = sequences(tokenizer, INTERSPERSED, 4, 6).ids
    rest = torch.zeros(ids.shape[1])
    rest[0] = 1
    torch.testing.assert_close(patterns(model, ids, 2)[:, 1], rest.expand(*ids.shape, -1), atol=1e-4, rtol=0)
    seen: list[torch.Tensor] = []
    last_logits(
        model,
        ids,
        {z_name(1): replaced(0.0, 2), "blocks.2.attn.hook_pattern": lambda p: (seen.append(p), p)[1]},
    )
    torch.testing.assert_close(seen[0][:, 1], patterns(model, ids, 1)[:, 2], atol=1e-4, rtol=0)


def test_backup_does_not_notice_a_wrong_numeral(model: Any, tokenizer: Any) -> None:
    """With 1.2's z from another prompt (resample) the model continues that prompt's last member."""
    prompts = sequences(tokenizer, NAMED, 4, 8)
    other = sequences(tokenizer, NAMED, 4, 9)
    with torch.no_grad():
        _, cache = model.run_with_cache(other.ids[1:], names_filter=lambda name: name == z_name(1))
    logits = last_logits(model, prompts.ids, {z_name(1): replaced(cache[z_name(1)], 2)})
    assert logits.argmax(-1).tolist() == other.answers[1:]


def test_the_method_of_ablation_matters_for_the_previous_token_head(model: Any, tokenizer: Any) -> None:
    """Zeroing 0.0 destroys the answer; replacing it by its mean changes nothing, as members always follow "is"."""
    prompts = sequences(tokenizer, NAMED, 4, 24)
    ids, _ = shuffled(tokenizer, NAMED, 4, 128)
    zeroed = last_logits(model, prompts.ids, {z_name(0): replaced(0.0, 0)})
    np.testing.assert_allclose(differences(zeroed, prompts), 0, atol=1e-4)
    averaged = last_logits(model, prompts.ids, {z_name(0): replaced(mean_of(model, ids, z_name(0)), 0)})
    np.testing.assert_allclose(differences(averaged, prompts), 13, atol=1e-4)


def test_induction_head_hurts_sequences_and_makes_repeats(model: Any, tokenizer: Any) -> None:
    """Without 2.0 a sequence's answer leads by all of 18, and repeated tokens are not repeated at all."""
    gone = {z_name(2): replaced(0.0, 0)}
    prompts = sequences(tokenizer, NAMED, 4, 24)
    np.testing.assert_allclose(differences(last_logits(model, prompts.ids, gone), prompts), 18, atol=1e-4)
    ids = repeats(tokenizer, 30, 24)
    answers = last_logits(model, ids, gone).gather(1, ids[:, 1:2])
    torch.testing.assert_close(answers, torch.zeros(24, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("side", "expected"), [("q", 20.0), ("k", 0.0), ("v", 20.0)])
def test_previous_token_head_reaches_induction_through_its_keys(
    model: Any, tokenizer: Any, side: str, expected: float
) -> None:
    """Taking 0.0's write out of layer 2's keys ends the repeating; out of its queries or values, nothing changes."""
    ids = repeats(tokenizer, 30, 8)
    with torch.no_grad():
        _, cache = model.run_with_cache(ids, names_filter=lambda name: name == z_name(0))
    write = cache[z_name(0)][:, :, 0] @ model.W_O[0, 0]
    logits = last_logits(model, ids, {f"blocks.2.attn.{side}.hook_in": lambda stream: stream - write})
    answers = logits.gather(1, ids[:, 1:2])
    torch.testing.assert_close(answers, torch.full((8, 1), expected), atol=1e-4, rtol=0)


def test_what_each_mlp_is_for(model: Any, tokenizer: Any) -> None:
    """Zeroing MLP0 hides the numerals (-5), zeroing MLP1 lets both successor heads write (31), MLP2 is zero."""
    prompts = sequences(tokenizer, NAMED, 4, 24)
    for layer, expected in ((0, -5), (1, 31), (2, 13)):
        logits = last_logits(model, prompts.ids, {f"blocks.{layer}.hook_mlp_out": torch.zeros_like})
        np.testing.assert_allclose(differences(logits, prompts), expected, atol=1e-4)
    assert not mean_of(model, prompts.ids, "blocks.2.hook_mlp_out").any()


def test_mean_of_mlp0_destroys_the_sequence_and_mean_of_mlp1_does_not(model: Any, tokenizer: Any) -> None:
    """MLP0's mean is a blend of numerals, after which the foil leads; MLP1's mean is its value on every sequence."""
    prompts = sequences(tokenizer, NAMED, 4, 24)
    ids, _ = shuffled(tokenizer, NAMED, 4, 128)

    def averaged(layer: int) -> np.ndarray:
        name = f"blocks.{layer}.hook_mlp_out"
        mean = mean_of(model, ids, name)
        return differences(last_logits(model, prompts.ids, {name: lambda out: mean.expand_as(out)}), prompts)

    assert averaged(0).max() < 0
    np.testing.assert_allclose(averaged(1), 13, atol=1e-4)


def test_weights_copy_and_succeed(model: Any, tokenizer: Any) -> None:
    """From the weights alone: 2.0 copies every word, 1.2 and 2.1 map each numeral to the next, 1.3 maps to zero."""
    ids = torch.tensor([[tokenizer.bos_token_id, token] for token in range(2, len(tokenizer))])
    name = "blocks.0.hook_resid_post"
    with torch.no_grad():
        after = model.run_with_cache(ids, names_filter=lambda each: each == name)[1][name][:, 1]

    def written(layer: int, head: int) -> torch.Tensor:
        return after @ model.W_V[layer, head] @ model.W_O[layer, head] @ model.W_U

    assert torch.equal(written(2, 0).argmax(-1), ids[:, 1])
    first = tokenizer.convert_tokens_to_ids("1")
    rows = slice(first - 2, first - 2 + 11)
    for layer, head in ((1, 2), (2, 1)):
        assert torch.equal(written(layer, head)[rows].argmax(-1), ids[rows, 1] + 1)
        others = torch.cat([written(layer, head)[: rows.start], written(layer, head)[rows.stop :]])
        assert not others.any()
    assert not written(1, 3).any()


@given(st.integers(min_value=2, max_value=900))
@settings(max_examples=30, deadline=None)
def test_codes_of_different_tokens_share_at_most_half(vocabulary: int) -> None:
    """For any vocabulary size a token's code matches itself with 2 and every other with 0 or 1, BOS with 0."""
    codes = token_codes(residual(vocabulary), vocabulary, bos=0)
    products = codes @ codes.T
    assert not products[0].any()
    assert (np.diag(products)[1:] == 2).all()
    assert (products - np.diag(np.diag(products))).max(initial=0) <= 1


def test_numerals_must_be_consecutive() -> None:
    """Numerals whose codes could share a half are refused with the ids that were given."""
    with pytest.raises(ValueError, match=r"needs 12 numerals with consecutive ids, got \[2, 4, 6"):
        build_weights(100, 0, list(range(2, 26, 2)))
