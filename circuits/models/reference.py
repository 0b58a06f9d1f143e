"""The reference model: a small transformer with known heads, the oracle of the tests and the offline demo.

Nothing is trained or downloaded; the weights are set by hand in `reference_weights.py`. Importing this module
imports neither torch nor numpy: shape, head descriptions and digest cost nothing.

What the whole model does, for a prompt with BOS in front:

* Number sequences ("Adam is 1. Bob is 2. Carl is"): MLP0 marks the numerals; 1.2 goes from the last token to the
  nearest numeral behind an earlier copy of that token and writes the next numeral to the logits (18). 2.0, the
  induction head, spreads over all those numerals and copies them: it works against the answer
  (logit difference = 18 - 20 / number of shown members). One shown member is copied, not continued.
* Repeated tokens: 2.0 finds the one earlier copy of the last token and repeats what followed it (logit 20).
* 2.1 is the backup of 1.2: it does the same, but only where MLP1 did not see 1.2 bring exactly one numeral. Zero
  and mean ablation of 1.2 wake it (a mean is a blend of numerals, and MLP1's marker needs one above 1/2); a wrong
  numeral (resample ablation) does not. Where the nearest numeral is 12 neither has anything to say.
* 0.0 feeds 1.2, 2.0 and 2.1. On number sequences its *mean* ablation changes nothing (the token before a member
  is the same in every reference prompt), its zero ablation destroys the answer: the method is part of a claim.
* What it cannot do: continue number words, months or any other sequence but the numerals (it has the words), or
  numerals that follow a word seen for the first time ("Adam 1. Bob 2. Carl").

Position 0 is where heads rest that find nothing. The descriptions hold with BOS there. Without BOS both tasks still
work, but a numeral at position 0 is not seen, and 1.0 and 2.3 may rest there although a copy was found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from circuits.prompts import words

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedTokenizerFast

LAYERS = 3
HEADS_PER_LAYER = 4
REFERENCE_SHAPE: tuple[int, int] = (LAYERS, HEADS_PER_LAYER)
"""(layers, heads per layer)."""
REFERENCE_CONTEXT = 128
"""Longest input in tokens, BOS included."""

BOS = "<bos>"
UNKNOWN = "<unk>"

_PUNCTUATION = tuple(".,?!:;-")
_TEMPLATE_WORDS = (
    "is",
    "in",
    "at",
    "now",
    "done",
    "lost",
    "born",
    "on",
    "was",
    "the",
    "a",
    "to",
    "and",
    "of",
)
_MORE_NAMES = ("Dora",)

HEADS: Mapping[str, str] = MappingProxyType(
    {
        "0.0": "previous token: attends to n-1 and writes which token it was",
        "0.1": "three back: attends to n-3, to position 0 from the first three positions",
        "0.2": "first: attends to position 0",
        "0.3": "self: attends to its own position",
        "1.0": "duplicate token: attends to every earlier copy of the token equally, to position 0 when none",
        "1.1": "number to number: from a numeral to all earlier numerals equally, to position 0 otherwise",
        "1.2": "successor: from any token to the nearest numeral behind an earlier copy of it (position 0 when "
        "none), writes the next numeral to the logits",
        "1.3": "nothing: attends to position 0 and writes exactly zero",
        "2.0": "induction: attends to the token after every earlier copy equally (position 0 when none) and "
        "copies it to the logits",
        "2.1": "backup successor: what 1.2 does, where 1.2 brought nothing; position 0 otherwise",
        "2.2": "uniform: attends to all visible tokens equally",
        "2.3": "nearest duplicate: attends to the nearest earlier copy of the token, to position 0 when none",
    }
)
"""What each head does by construction. 0.1-0.3, 1.0, 1.1, 2.2, 2.3 write where nothing reads: removing them
changes no logit. 1.2 and 2.1 write nothing for the numeral 12."""

MLPS: Mapping[str, str] = MappingProxyType(
    {
        "MLP0": "marks numerals and their values; without it no number head works",
        "MLP1": "marks where 1.2 brought exactly one numeral, which silences the backup 2.1",
        "MLP2": "nothing: exactly zero",
    }
)
"""What each MLP does by construction."""


def vocabulary() -> tuple[str, ...]:
    """Every token by id: BOS, unknown, the numerals 1..12, then the words of the prompt families."""
    numerals, *others = (words.SEQUENCES[name] for name in ("numerals", *sorted({*words.SEQUENCES} - {"numerals"})))
    pools = (
        numerals,
        _PUNCTUATION,
        _TEMPLATE_WORDS,
        words.FIRST_NAMES,
        _MORE_NAMES,
        words.NOUNS,
        words.PLACES,
        words.OBJECTS,
        *others,
    )
    return tuple(dict.fromkeys((BOS, UNKNOWN, *(word for pool in pools for word in pool))))


def reference_digest() -> str:
    """The hash ("sha256:...") of the source that defines the weights (this module, the weights, the word pools)."""
    here = Path(__file__)
    digest = hashlib.sha256()
    for path in (here, here.with_name("reference_weights.py"), Path(words.__file__)):
        digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return f"sha256:{digest.hexdigest()}"


def build_reference() -> tuple[TransformerBridge, PreTrainedTokenizerFast]:
    """The model (eval mode, float32, CPU, no gradients) and its tokenizer, made anew at each call.

    The tokenizer adds BOS itself unless told not to (``add_special_tokens=False``).
    The caller's random state is left as it was.
    """
    import torch
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources import boot_native

    from circuits.models.reference_weights import POSITIONS, build_weights

    tokens = vocabulary()
    tokenizer = _tokenizer(tokens)
    numerals = [tokens.index(numeral) for numeral in words.SEQUENCES["numerals"]]
    weights = build_weights(len(tokens), tokens.index(BOS), numerals)
    config = TransformerBridgeConfig(
        d_model=weights.d_model,
        d_head=weights.d_head,
        n_heads=weights.heads,
        n_layers=weights.layers,
        n_ctx=POSITIONS,
        d_vocab=weights.vocabulary,
        d_mlp=weights.d_mlp,
        act_fn="relu",
        normalization_type=None,
        init_weights=False,
        default_padding_side="right",
    )
    with torch.random.fork_rng(devices=[]):  # torch draws initial weights that are overwritten below
        bridge: Any = boot_native(config, tokenizer=tokenizer, model_name="reference")
    state = {name: torch.from_numpy(array) for name, array in weights.state.items()}
    bridge.load_state_dict(state, strict=True)
    bridge.eval()
    bridge.requires_grad_(False)
    return bridge, tokenizer


def _tokenizer(tokens: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """One token a word, number or mark of punctuation; white space is no token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {word: index for index, word in enumerate(tokens)}
    core = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    core.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, ids[BOS])])
    make: Any = PreTrainedTokenizerFast  # its signature has no types
    tokenizer: PreTrainedTokenizerFast = make(
        tokenizer_object=core,
        name_or_path="reference",  # the bridge looks it up
        add_bos_token=True,  # else the bridge asks the hub for a tokenizer that does
        bos_token=BOS,
        eos_token=BOS,
        pad_token=BOS,
        unk_token=UNKNOWN,
        model_max_length=REFERENCE_CONTEXT,
    )
    return tokenizer
