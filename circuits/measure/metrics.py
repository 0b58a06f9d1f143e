"""What a prompt's logits say: the metrics of DESIGN 3.3, each one number per prompt.

All are read at ``end`` (the position that predicts the answer) except ``loss``. ``answer`` and
``foil`` are token ids; probabilities are softmax over the whole vocabulary, logs natural.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.errors import Unmeasurable
from circuits.prompts.own import Metric, place_of
from circuits.prompts.prompt import TokenPrompt

if TYPE_CHECKING:
    import torch

Values = dict[str, NDArray[np.float64]]

_OF_ANSWER = ("answer_logit", "answer_logprob", "answer_prob", "answer_rank", "right_first", "answer_tied")
_OF_FOIL = ("logit_diff", "pair_prob", "prob_diff", "foil_first")
ROUNDING = 1e-6
"""How far outside its range a project's own number may lie through rounding; it is clipped."""
END_METRICS = (*_OF_ANSWER, *_OF_FOIL, "kl", "top_token")


def end_metrics(
    logits: torch.Tensor,
    prompts: Sequence[TokenPrompt],
    clean: torch.Tensor | None = None,
    own: Sequence[Metric] = (),
) -> Values:
    """Every end metric of a batch: Float[prompt] each.

    ``logits``: Float[batch, vocabulary] at the last position. ``clean``: the unablated model's
    logits, for ``kl`` = KL(clean || these); without it kl is 0 by definition. Metrics that need an
    answer or a foil are NaN for prompts without one. Where the logits hold no numbers (NaN or +inf),
    every metric of the prompt is infinite, so that it is never taken for one without a value (nor for
    a right answer: no logit is larger than NaN). ``top_token`` is the id of the largest logit; ``right_first``
    and ``foil_first`` are whether it is that of any answer (the first of them counts where it ties, too) and of any foil: 0 or
    1; ``answer_tied`` is how many other tokens have the very logit of the answer. ``own``: metrics of the project's, by their names; raises Unmeasurable where one fails or leaves its range.

    - logit_diff = logit[answer] - logit[foil]; pair_prob = sigmoid(logit_diff)
    - answer_rank = 1 + the number of tokens with a strictly larger logit
    - prob_diff = sum of answer probabilities - sum of foil probabilities (their sets)
    """
    import torch

    logits = precise(logits)
    broken = (torch.isnan(logits) | torch.isposinf(logits)).any(-1).tolist()
    logprobs = torch.log_softmax(logits, -1)
    probs = logprobs.exp()
    size = len(prompts)
    found: Values = {name: np.full(size, np.nan) for name in END_METRICS}
    found["top_token"] = logits.argmax(-1).cpu().numpy().astype(float)
    if clean is None:
        found["kl"] = np.zeros(size)
    else:
        clean_logprobs = torch.log_softmax(precise(clean), -1)
        each = clean_logprobs.exp() * (clean_logprobs - logprobs)
        # A token that is impossible to the clean model (-inf) adds nothing.
        divergence = torch.where(torch.isneginf(clean_logprobs), 0.0, each).sum(-1)
        found["kl"] = _finite_or_inf(divergence.clamp_min(0.0).cpu().numpy())
    if own:
        plain = logits.cpu().numpy()
        plain.setflags(write=False)  # it shares its memory with what the package's own metrics are read from
        for metric in own:
            numbers = [np.inf if broken[row] else own_value(metric, plain[row], prompts[row]) for row in range(size)]
            found[metric.name] = np.array(numbers, dtype=np.float64)
    for row, prompt in enumerate(prompts):
        if broken[row]:
            found["kl"][row] = np.inf
            for name in (*_OF_ANSWER, *_OF_FOIL):
                known = prompt.answers if name in _OF_ANSWER else prompt.answers and prompt.foils
                found[name][row] = np.inf if known else np.nan
            continue
        if not prompt.answers:
            continue
        answer = prompt.answers[0]
        found["answer_logit"][row] = float(logits[row, answer])
        found["answer_logprob"][row] = float(logprobs[row, answer])
        found["answer_prob"][row] = float(probs[row, answer])
        found["answer_rank"][row] = 1 + int((logits[row] > logits[row, answer]).sum())
        found["answer_tied"][row] = int((logits[row] == logits[row, answer]).sum()) - 1
        top = found["top_token"][row]
        found["right_first"][row] = float(top in prompt.answers or found["answer_rank"][row] == 1)
        if prompt.foils:
            found["foil_first"][row] = float(top in prompt.foils)
            difference = float(logits[row, answer] - logits[row, prompt.foils[0]])
            found["logit_diff"][row] = difference
            found["pair_prob"][row] = 1 / (1 + np.exp(-np.clip(difference, -700, 700)))
            found["prob_diff"][row] = float(
                probs[row, list(prompt.answers)].sum() - probs[row, list(prompt.foils)].sum()
            )
    return found


def own_value(metric: Metric, logits: NDArray[np.float64], prompt: TokenPrompt) -> float:
    """A project's own metric of one prompt (NaN: it has none). Raises Unmeasurable where it fails or leaves its range."""
    about = f"the project's own metric {metric.name!r} ({place_of(metric)})"
    if ((metric.answer or metric.foil) and not prompt.answers) or (metric.foil and not prompt.foils):
        return float("nan")
    try:
        value = float(metric.value(logits, prompt))
    except Exception as error:  # whatever a project's own function raises becomes one line
        raise Unmeasurable(f"{about} failed on {prompt.text!r}: {type(error).__name__}: {error}") from error
    if not np.isnan(value) and not metric.low - ROUNDING <= value <= metric.high + ROUNDING:
        raise Unmeasurable(
            f"{about} gave {value:g} on {prompt.text!r}, outside its range {metric.low:g} to {metric.high:g}"
        )
    return float(np.clip(value, metric.low, metric.high))


def next_token_loss(logits: torch.Tensor, tokens: torch.Tensor) -> NDArray[np.float64]:
    """Mean next-token loss (nats) over each prompt: Float[prompt].

    ``logits``: Float[batch, pos, vocabulary]; ``tokens``: Int[batch, pos]. Position p is scored on
    token p+1, so the first token (BOS) is context only and the answer is not part of it. NaN for
    prompts of one token, infinite where a logit is no number.
    """
    import torch

    if tokens.shape[1] < 2:
        return np.full(len(tokens), np.nan)
    logprobs = torch.log_softmax(precise(logits[:, :-1]), -1)
    taken = logprobs.gather(-1, tokens[:, 1:, None].to(logprobs.device))[..., 0]
    return _finite_or_inf((-taken.mean(-1)).cpu().numpy())


def precise(values: torch.Tensor) -> torch.Tensor:
    """The values in float64, which Apple GPUs do not have: theirs come to the CPU."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def _finite_or_inf(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.inf)


def metric_values(name: str, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """One metric by its name; ``topK`` is 1 where the answer's rank is at most K, else 0.

    Where there is no rank (NaN) or no finite number (infinite), ``topK`` is that too.
    """
    match = re.fullmatch(r"top(\d+)", name)
    if match is None:
        return values[name]
    rank = values["answer_rank"]
    return np.where(np.isfinite(rank), (rank <= int(match[1])).astype(float), rank)


def on_foils(run: Mapping[str, NDArray[np.float64]], chosen: NDArray[np.bool_]) -> int | None:
    """On how many of the chosen prompts, Bool[prompt], a foil is first in a run; None where the prompts have no foils."""
    foil = run["foil_first"]
    return int(foil[chosen].sum()) if np.isfinite(foil).any() and np.isfinite(foil[chosen]).all() else None


def most_frequent(texts: Iterable[Any], most: int) -> list[list[Any]]:
    """[token as text, number of prompts], the most frequent tokens first, then by their text; at most ``most``."""
    counts = Counter(map(str, texts))
    return [[text, count] for text, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]]
