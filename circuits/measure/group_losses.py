"""Token losses of a group: of the clean model or without some components, and scores that are made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from circuits.measure.ablation import Ablation
from circuits.measure.cache import digest
from circuits.measure.group import Group
from circuits.measure.losses import InContext, in_context_learning, measure_token_losses
from circuits.measure.plan import name_of
from circuits.measure.series import Series
from circuits.measure.view import View
from circuits.prompts.prompt import TokenPrompt

IN_CONTEXT = "in-context-learning score"


def losses_name(ablation: Ablation | None) -> str:
    """The name under which token losses are kept."""
    return json.dumps(["token losses", name_of(ablation)[0] if ablation is not None else None])


def token_losses(view: View, ablation: Ablation | None) -> list[NDArray[np.float64]]:
    """Next-token losses (nats) of each prompt: Float[pos-1]; ``ablation`` None is the clean model."""
    return [losses for block in view.blocks for losses in _of_block(block, ablation)]


def tokens_digest(series: Series) -> str:
    """Digest of the tokens of all prompts, ids and texts: equal where two tokenizers read the prompts alike.

    Ids alone would not do: random tokens are drawn by id. May raise PromptFault or Unmeasurable, as ``prompts`` does.
    """
    key = digest([series.key, "tokens", series.most])
    known: str | None = series.cache.load_json(key)
    if known is None:
        ids = [prompt.ids for prompt in series.prompts]
        decode = series.model().tokenizer.decode
        texts = [[token, decode(token)] for token in sorted({token for each in ids for token in each})]
        known = digest([series.cycle, ids, texts])
        series.cache.save_json(key, known)
    return known


def in_context_on_partners(view: View) -> float | None:
    """The mean in-context-learning score where the model is shown the corrupted partners of the first block's prompts.

    None where there are no partners, NaN where no prompt has the score. Of ``repeated_tokens`` the first copy is another
    then: what is left of the score is not learned from a repeat.
    """
    block = view.blocks[0]
    partners = [replace(p, ids=p.corrupted) for p in block.prompts if p.corrupted is not None]
    if len(partners) < len(block.prompts):
        return None

    def measure() -> dict[str, NDArray[np.float64]]:
        each = _measured(block, partners, None, f"corrupted partners of {block.prompt_set.title}")
        return {"values": in_context_learning(each, partners).values}

    values = block.arrays("in-context-learning score on partners", {"values"}, measure)["values"]
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def _of_block(group: Group, ablation: Ablation | None) -> list[NDArray[np.float64]]:
    def measure() -> dict[str, NDArray[np.float64]]:
        each = _measured(group, group.prompts, ablation, group.prompt_set.title, own=True)
        return {"losses": np.concatenate(each), "lengths": np.array([len(losses) for losses in each])}

    found = group.arrays(losses_name(ablation), {"losses", "lengths"}, measure)
    return list(np.split(found["losses"], np.cumsum(found["lengths"])[:-1]))


def _measured(
    group: Group, prompts: Sequence[TokenPrompt], ablation: Ablation | None, where: str, own: bool = False
) -> list[NDArray[np.float64]]:
    """Token losses of prompts with a group's model and settings, with progress; ``where`` names them in it.

    ``own``: they are the group's prompts, whose clean run is begun from where there are several ablations.
    """
    without = "" if ablation is None else f" without {', '.join(map(str, ablation.components))}"
    title = f"token losses{without} on {where}: {len(prompts)} prompts"
    group.progress(title)
    return measure_token_losses(
        group.model(),
        prompts,
        ablation,
        group.reference if ablation is not None and ablation.method == "mean" else None,
        variables=group.prompt_set.variables,
        batch_tokens=group.settings.batch_tokens,
        progress=lambda done, total: group.progress(f"{title} ({done}/{total})"),
        run=group.clean_run_for_losses() if own and ablation is not None else None,
    )


def in_context(view: View) -> InContext:
    """The in-context-learning score of each prompt, and which form of it that is."""
    key = view.key_of(IN_CONTEXT)
    found = view.series.cache.load(key)
    if found is None or not {"late", "early", "names", "note"} <= found.keys():
        score = in_context_learning(token_losses(view, None), view.prompts)
        told = {"names": np.array(score.names), "note": np.array(score.note)}
        view.series.cache.save(key, {"late": score.late, "early": score.early, **told})
        return score
    late, early = (str(name) for name in found["names"])
    return InContext(found["late"], found["early"], (late, early), str(found["note"]))
