"""A Hugging Face tokenizer with the small interface that prompts use."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from circuits.errors import ModelInvalid

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class HFTokenizer:
    """Adaptor to ``circuits.prompts.prompt.Tokenizer``.

    ``bos_id`` is the tokenizer's own bos_token_id (GPT-2: <|endoftext|>, SmolLM2: <|im_start|>).
    ``vocabulary_size`` is the smaller of the tokenizer's length and the model's embedding rows, so that
    every id below it exists in both. ``hf`` is the wrapped tokenizer.
    """

    def __init__(self, hf: PreTrainedTokenizerBase, *, name: str, embedding_rows: int) -> None:
        """Wrap ``hf``; ModelInvalid for a tokenizer that cannot tell where its tokens lie in a text."""
        if not getattr(hf, "is_fast", False):
            raise ModelInvalid(
                f"{name}: its tokenizer ({type(hf).__name__}) gives no character offsets, which roles need; "
                "add a tokenizer.json to the model's folder (tokenizers that have one give offsets)"
            )
        self.hf = hf
        self.name = name
        self.vocabulary_size: int = min(len(hf), embedding_rows)
        bos = hf.bos_token_id
        self.bos_id: int | None = int(bos) if isinstance(bos, int) and bos < self.vocabulary_size else None
        special = {int(token) for token in hf.all_special_ids}
        special |= {int(token) for token, added in hf.added_tokens_decoder.items() if added.special}
        self.special_ids: frozenset[int] = frozenset(special)

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids of ``text`` without any added special token, and each token's (start, end) characters.

        Raises ModelInvalid when an id has no embedding: tokenizer and weights do not belong together.
        """
        coded = self.hf(text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)
        ids = [int(token) for token in cast("list[int]", coded["input_ids"])]
        if ids and max(ids) >= self.vocabulary_size:
            raise ModelInvalid(
                f"{self.name}: the tokenizer gives id {max(ids)} for a token of {text!r}, but the model has "
                f"{self.vocabulary_size} token embeddings; tokenizer and weights do not belong together"
            )
        pairs = cast("list[tuple[int, int]]", coded["offset_mapping"])
        return ids, [(int(start), int(end)) for start, end in pairs]

    def decode(self, token_id: int) -> str:
        """One token as readable text, its leading space kept (SentencePiece decoders drop it)."""
        text = str(self.hf.decode([token_id], clean_up_tokenization_spaces=False))
        piece = self.hf.convert_ids_to_tokens(token_id)
        if isinstance(piece, str) and piece.startswith("\u2581") and not text.startswith(" "):
            return " " + text
        return text
