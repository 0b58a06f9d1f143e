"""Faults in circuits, interventions, paths, scores of weights, groups of heads and comparisons.

Each is told with line, column, caret and what to do, and the neighbouring claims stay good.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from claims_kit import GOOD, HEAD, check, claim_of, read
from claims_kit import claim as claim_between

SETS = """  ioi: {family: ioi}
  swept: {family: named_sequence, members: numerals, sweep: {length: [3, 4]}}
  no_bos: {family: named_sequence, members: numerals, length: 4, bos: false}
  bare: {family: texts, texts: [A b c, D e f]}
  answered: {family: texts, texts: [{text: A b, answer: ' c'}, {text: D e, answer: ' f'}]}
  whole: {family: texts, texts: [{text: A b, answer: ' c', foil: ' d', corrupted: X b}]}
circuits:
  numbers: {heads: ["1.5", "4.4", "4.8"], mlps: [0, 1]}
  only_heads: {heads: ["1.5", "4.4"]}
  no_mlps: {heads: ["1.5"], mlps: []}
claims:
"""
TOP = HEAD.replace("claims:\n", SETS)

QUICK = GOOD.replace("prompts: num", "prompts: rep")  # whose dry run is the fastest


def claim(*lines: str, **parts: str) -> str:
    """A suite with the claim ``a`` between two good ones, see claims_kit."""
    return claim_between(*lines, **parts).replace(GOOD, QUICK)


Faulty = tuple[tuple[str, ...], list[str]]

KEEP = "keep_only: numbers"
ABLATE = 'ablate: "1.5"'
DROP = "drop_in: logit_diff"
BOUND = "at_least: 10%"
ATTENDS = "attends: member -> earlier member"

# what -> (lines of the claim with the faults marked, "message|hint" of each)
NAMES: dict[str, Faulty] = {
    "within misspelt": ((ABLATE, "within: «numbrs»", DROP, BOUND), ["unknown circuit 'numbrs'|did you mean 'numbers'?"]),
    "within unknown": ((ABLATE, "within: «xyz»", DROP, BOUND), ["unknown circuit 'xyz'|valid here: no_mlps, numbers"]),
    "within nothing": ((ABLATE, "«within»:", DROP, BOUND), ["within is empty|remove the key"]),
    "within a list": ((ABLATE, 'within: «["1.5", "4.4"]»', DROP, BOUND), ["takes the name of a circuit, not a list|circuits:"]),
    "within a mapping": ((ABLATE, "within: «{heads: []}»", DROP, BOUND), ["takes the name of a circuit, not a mapping"]),
    "keep_only misspelt": (("keep_only: «numbrs»", "recovers: logit_diff", BOUND), ["unknown circuit 'numbrs'|'numbers'"]),
    "keep_only a head": (("keep_only: «1.5»", "recovers: logit_diff", BOUND), ["unknown circuit '1.5'|valid here"]),
    "keep_only a list": (('keep_only: «["1.5"]»', "recovers: logit_diff", BOUND), ["takes the name of a circuit, not a list"]),
    "ablate misspelt": (("ablate: «numbrs»", DROP, BOUND), ["unknown circuit 'numbrs'|'numbers'"]),
    "ablate neither": (("ablate: «xyz»", DROP, BOUND), ["unknown circuit 'xyz'|valid here: no_mlps, numbers"]),
    "ablate no number": (("ablate: «1.x»", DROP, BOUND), ["'1.x' is not a head or an MLP|6.9 (or L6H9), or MLP3"]),
    "ablate circuit in a list": (("ablate: [1.1, «numbers»]", DROP, BOUND), ["is a circuit, which stands alone|ablate: numbers"]),
    "given misspelt": ((ABLATE, "given_ablated: «numbrs»", DROP, "interaction: {at_least: 5%}"), ["unknown circuit 'numbrs'|'numbers'"]),
    "given missing head": ((ABLATE, "given_ablated: [4.4, «4.9»]", DROP, "interaction: {at_least: 5%}"), ["4.9 does not exist"]),
    "given nothing": ((ABLATE, "given_ablated: «[]»", DROP, "interaction: {at_least: 5%}"), ["given_ablated is an empty list"]),
    "not a member": (("ablate: [1.5, «2.2»]", "within: numbers", DROP, BOUND), ["2.2 is not in circuit 'numbers'|1.5, 4.4, 4.8, MLP0, MLP1"]),
    "an MLP that is no member": (("ablate: «MLP2»", "within: numbers", DROP, BOUND), ["MLP2 is not in circuit 'numbers'"]),
    "an MLP where none stays": (("ablate: «MLP0»", "within: no_mlps", DROP, BOUND), ["MLP0 is not in circuit 'no_mlps'|its components: 1.5"]),
    "a circuit in a smaller one": (("ablate: «numbers»", "within: only_heads", DROP, BOUND), ["4.8 is not in circuit 'only_heads'"]),
}  # fmt: skip

INTERACTIONS: dict[str, Faulty] = {
    "no interaction": ((ABLATE, "«given_ablated»: 4.4", DROP), ["given_ablated without interaction|interaction: {at_least: 5%}"]),
    "interaction of nothing": ((ABLATE, "«interaction»: {at_least: 5%}", DROP), ["interaction without given_ablated|add given_ablated"]),
    "misspelt interaction": ((ABLATE, "given_ablated: 4.4", DROP, "«interacton»: {at_least: 5%}"), ["unknown key 'interacton'|'interaction'"]),
    "misspelt given": ((ABLATE, "«given_ablate»: 4.4", DROP, "interaction: {at_least: 5%}"), ["unknown key 'given_ablate'|'given_ablated'"]),
    "bound beside it": ((ABLATE, "given_ablated: 4.4", DROP, "interaction: {at_least: 5%}", "«at_most»: 1"), ["'at_most' stands beside interaction, whose bound stands inside|interaction: {"]),
    "bound beside an empty one": ((ABLATE, "given_ablated: 4.4", DROP, "interaction: {}", "«at_most»: 1"), ["'at_most' stands beside interaction"]),
    "top beside it": ((ABLATE, "given_ablated: 4.4", DROP, "interaction: {at_least: 5%}", "«top»: 3"), ["'top' stands beside interaction"]),
    "two bounds": ((ABLATE, "given_ablated: 4.4", DROP, "interaction: {at_least: 5%, «at_most»: 9%}"), ["two bounds on one check"]),
    "no bound inside": ((ABLATE, "given_ablated: 4.4", DROP, "interaction: «{}»"), ["this check has no bound|observe: true"]),
    "a number": ((ABLATE, "given_ablated: 4.4", DROP, "interaction: «5%»"), ["interaction must be a mapping with one bound, not the text '5%'|{at_least: 5%}"]),
    "misspelt bound": ((ABLATE, "given_ablated: 4.4", DROP, "interaction: {«atleast»: 5%}"), ["unknown key 'atleast' in interaction|'at_least'"]),
    "top inside": ((ABLATE, "given_ablated: 4.4", DROP, "interaction: {«top»: 5}"), ["unknown key 'top' in interaction"]),
    "no number": ((ABLATE, "given_ablated: 4.4", DROP, "interaction: {at_least: «five»}"), ["must be a number or a percent"]),
    "observed with a bound": ((ABLATE, "given_ablated: 4.4", DROP, "interaction: {at_least: 5%}", "«observe»: true"), ["an observed check has no bound|remove one"]),
    "overlap": (("ablate: [1.5, 4.4]", 'given_ablated: [4.5, «"4.4"»]', DROP, "interaction: {at_least: 5%}"), ["4.4 is ablated and given_ablated|one of the two"]),
    "overlap with a circuit": ((ABLATE, "given_ablated: «numbers»", DROP, "interaction: {at_least: 5%}"), ["1.5 is ablated and given_ablated"]),
    "within too": ((ABLATE, "within: numbers", "«given_ablated»: 4.4", DROP, "interaction: {at_least: 5%}"), ["within and given_ablated on one check|two checks"]),
    "another effect": ((ABLATE, "given_ablated: 4.4", "«change_in»: kl", "interaction: {at_least: 5%}"), ["an interaction names its metric with drop_in, not with change_in|drop_in: kl"]),
    "no effect": (("«ablate»: 1.5", "given_ablated: 4.4", "interaction: {at_least: 5%}"), ["no effect to measure|drop_in"]),
    "no zero": ((ABLATE, "given_ablated: 4.4", "drop_in: «loss»", "interaction: {at_least: 5%}"), ["loss has no meaningful zero|logit_diff"]),
    "a rank": ((ABLATE, "given_ablated: 4.4", "drop_in: «answer_rank»", "interaction: {at_least: 5%}"), ["a mean rank is no claim|top1"]),
    "of attention": ((ATTENDS, "«given_ablated»: 4.4", BOUND), ["'given_ablated' belongs to ablate, not to attends|remove it"]),
}  # fmt: skip

POSITIONS: dict[str, Faulty] = {
    "self": ((ABLATE, "at: «self»", DROP, BOUND), ["'self' is relative to a query token, and at: has none"]),
    "an offset": ((ABLATE, "at: «n-3»", DROP, BOUND), ["'n-K' is relative to a query token"]),
    "earlier": ((ABLATE, "at: «earlier» member", DROP, BOUND), ["'earlier' is relative|write end, a role"]),
    "previous": ((ABLATE, "at: end | «previous» member", DROP, BOUND), ["'previous' is relative"]),
    "duplicate": ((ABLATE, "at: «duplicate»", DROP, BOUND), ["'duplicate' is relative"]),
    "an arrow": ((ABLATE, "at: end «->» any", DROP, BOUND), ["at is one set of positions, without an arrow|write at: end"]),
    "a misspelt role": ((ABLATE, "at: «membr»", DROP, BOUND), ["unknown role 'membr': prompt set 'num'|'member'"]),
    "a role of another family": ((ABLATE, "at: «S2»", DROP, BOUND), ["unknown role 'S2'"]),
    "a position": ((ABLATE, "at: «5»", DROP, BOUND), ["a role is missing before '5'|write end, a role"]),
    "a list": ((ABLATE, "at: «[end]»", DROP, BOUND), ["at is a set of positions as text, not a list|write end"]),
    "nothing": ((ABLATE, "«at»:", DROP, BOUND), ["at is empty"]),
    "half a union": ((ABLATE, "at: end «|»", DROP, BOUND), ["a role is missing at the end|write end, a role"]),
    "a bad bracket": ((ABLATE, "at: member[«last»]", DROP, BOUND), ["unknown qualifier [last]|[late]"]),
    "never there": ((ABLATE, "at: «member[9]»", DROP, BOUND), ["selects nothing: no token of prompt set 'num' is 'member[9]'|such a prompt: '"]),
    "an empty half": ((ABLATE, "at: «first[late]»", DROP, BOUND), ["selects nothing"]),
    "at of attention": ((ATTENDS, "«at»: end", BOUND), ["'at' belongs to ablate, not to attends"]),
    "at of a circuit": ((KEEP, "recovers: logit_diff", "«at»: end", BOUND), ["'at' belongs to ablate, not to keep_only"]),
}  # fmt: skip

KEPT: dict[str, Faulty] = {
    "no statistic": (("«keep_only»: numbers", BOUND), ["keep_only has no statistic to measure|recovers: logit_diff"]),
    "misspelt statistic": ((KEEP, "«recover»: logit_diff", BOUND), ["unknown key 'recover'|'recovers'"]),
    "two statistics": ((KEEP, "recovers: logit_diff", "«faithfulness»: logit_diff", BOUND), ["two statistics on one check: 'recovers' and 'faithfulness'|two checks"]),
    "an effect of ablations": (("«keep_only»: numbers", "«drop_in»: logit_diff", BOUND), ["no statistic", "'drop_in' belongs to ablate or path, not to keep_only"]),
    "recovers without circuit": ((ABLATE, DROP, "«recovers»: logit_diff", BOUND), ["'recovers' belongs to keep_only, not to ablate"]),
    "recovers of nothing": (("«recovers»: logit_diff",), ["'recovers' belongs to keep_only, and the claim has none|add keep_only"]),
    "normalised of another": ((KEEP, "faithfulness: logit_diff", "«normalised»: true", "at_most: 2"), ["'normalised' belongs to recovers, not to faithfulness"]),
    "normalised neither": ((KEEP, "recovers: logit_diff", "normalised: «maybe»", BOUND), ["normalised must be true or false"]),
    "normalized": ((KEEP, "recovers: logit_diff", "«normalized»: true", BOUND), ["unknown key 'normalized'|'normalised'"]),
    "recovers kl": ((KEEP, "recovers: «kl»", BOUND), ["recovers: kl means nothing|use logit_diff"]),
    "recovers loss": ((KEEP, "recovers: «loss»", BOUND), ["recovers: loss means nothing|faithfulness: loss"]),
    "recovers a logit": ((KEEP, "recovers: «answer_logit»", BOUND), ["no meaningful zero|faithfulness: answer_logit"]),
    "recovers a rank": ((KEEP, "recovers: «answer_rank»", "observe: true"), ["a mean rank is no claim"]),
    "faithfulness of kl": ((KEEP, "faithfulness: «kl»", "at_most: 2"), ["kl means nothing, because the whole model's kl from itself is 0|logit_diff"]),
    "completeness of kl": ((KEEP, "completeness: «kl»", "at_most: 2"), ["kl means nothing"]),
    "sufficiency of a rank": ((KEEP, "sufficiency: «answer_rank»", "at_least: 0.9"), ["a mean rank is no claim"]),
    "misspelt metric": ((KEEP, "recovers: «logit_dif»", BOUND), ["unknown metric 'logit_dif'|'logit_diff'"]),
    "no metric": ((KEEP, "«recovers»:", BOUND), ["recovers is empty"]),
    "subsets of recovers": ((KEEP, "recovers: logit_diff", "«subsets»: 5", BOUND), ["'subsets' belongs to completeness and minimality, not to recovers"]),
    "random of completeness": ((KEEP, "completeness: logit_diff", "«random»: 5", "at_most: 1"), ["'random' belongs to recovers, faithfulness and sufficiency, not to completeness"]),
    "negative subsets": ((KEEP, "minimality: logit_diff", "subsets: «-1»", "at_least: 1"), ["subsets must be at least 1, not -1"]),
    "no subsets": ((KEEP, "completeness: logit_diff", "subsets: «0»", "at_most: 1"), ["subsets must be at least 1"]),
    "negative random": ((KEEP, "recovers: logit_diff", "random: «-5»", BOUND), ["random must be at least 0"]),
    "nothing compared": ((KEEP, "sufficiency: logit_diff", "random: «0»", "at_least: 0.9"), ["random must be at least 1"]),
    "too many": ((KEEP, "recovers: logit_diff", "random: «100000»", BOUND), ["random must be at most 1,000"]),
    "random a word": ((KEEP, "recovers: logit_diff", "random: «some»", BOUND), ["random must be a whole number"]),
    "random of a share": ((ABLATE, DROP, "«random»: 5", BOUND), ["'random' belongs to partial_necessity, not to drop_in"]),
    "subsets of ablate": ((ABLATE, DROP, "«subsets»: 5", BOUND), ["'subsets' belongs to keep_only, not to ablate"]),
    "within": ((KEEP, "recovers: logit_diff", "«within»: numbers", BOUND), ["'within' belongs to ablate, not to keep_only"]),
    "given": ((KEEP, "recovers: logit_diff", "«given_ablated»: 1.1", BOUND), ["'given_ablated' belongs to ablate"]),
    "top": ((KEEP, "recovers: logit_diff", "«top»: 3"), ["'top' belongs to attends, score or ablate, not to keep_only"]),
    "unknown method": ((KEEP, "method: «patch»", "recovers: logit_diff", BOUND), ["unknown method 'patch'|valid here: mean"]),
    "negative share recovered": ((KEEP, "recovers: top1", "at_least: «-1»"), ["no value can miss|at least 0"]),
    "negative faithfulness": ((KEEP, "faithfulness: logit_diff", "at_most: «-1»"), ["no value can reach|at least 0"]),
    "faithfulness of a share": ((KEEP, "faithfulness: top1", "at_most: «1»"), ["no value can miss|between 0 and 1"]),
    "completeness of prob_diff": ((KEEP, "completeness: prob_diff", "at_least: «2.5»"), ["no value can reach|between 0 and 2"]),
    "minimality below zero": ((KEEP, "minimality: logit_diff", "at_least: «-0.5»"), ["no value can miss"]),
    "sufficiency above one": ((KEEP, "sufficiency: logit_diff", "at_least: «95»"), ["no value can reach|did you mean 95%?"]),
    "by_at_least": ((KEEP, "recovers: logit_diff", "«by_at_least»: 5%"), ["there is no more_than|use at_least"]),
    "no bound": (("«keep_only»: numbers", "recovers: logit_diff"), ["no bound, so nothing could refute it"]),
    "necessity of a head": (("ablate: «1.5»", "partial_necessity: logit_diff", "at_least: 0.9"), ["partial_necessity compares a circuit with random sets|ablate: NAME"]),
    "necessity of a rank": (("ablate: numbers", "partial_necessity: «answer_rank»", "at_least: 0.9"), ["a mean rank is no claim"]),
    "necessity and a drop": (("ablate: numbers", "partial_necessity: logit_diff", "«drop_in»: top1", "at_least: 0.9"), ["two effects on one check"]),
    "necessity within": (("ablate: numbers", "«within»: numbers", "partial_necessity: logit_diff", "at_least: 0.9"), ["'within' does not go with partial_necessity|remove it"]),
    "necessity above one": (("ablate: numbers", "partial_necessity: logit_diff", "at_least: «1.2»"), ["no value can reach|between 0 and 1"]),
    "necessity of nothing random": (("ablate: numbers", "partial_necessity: logit_diff", "random: «0»", "at_least: 0.9"), ["random must be at least 1"]),
    "necessity ranked": (("ablate: only_heads", "partial_necessity: logit_diff", "«top»: 3"), ["top does not go with partial_necessity|at_least"]),
}  # fmt: skip

PATHS: dict[str, Faulty] = {
    "no arrow": (("path: «2.2 5.5.k»", DROP, BOUND), ["'2.2 5.5.k' has no arrow|2.2 -> 5.5.k"]),
    "another arrow": (("path: 2.2 «=>» 5.5.k", DROP, BOUND), ["'=>' is not the arrow of a path"]),
    "backward arrow": (("path: 5.5.k «<-» 2.2", DROP, BOUND), ["'<-' is not the arrow of a path|SENDER -> RECEIVER"]),
    "two arrows": (("path: 2.2 -> 5.5.k «->» logits", DROP, BOUND), ["two arrows in one path|two checks"]),
    "no sender": (("path: «->» 5.5.k", DROP, BOUND), ["the sender of the path is missing"]),
    "no receiver": (("path: 2.2 «->»", DROP, BOUND), ["the receiver of the path is missing"]),
    "no input": (("path: 2.2 -> «5.5»", DROP, BOUND), ["which input of 5.5?|5.5.q, 5.5.k or 5.5.v"]),
    "unknown input": (("path: 2.2 -> 5.5.«x»", DROP, BOUND), ["unknown input 'x' of 5.5|q, k and v"]),
    "input in capitals": (("path: 2.2 -> 5.5.«K»", DROP, BOUND), ["unknown input 'K' of 5.5|did you mean 5.5.k?"]),
    "another output": (("path: 2.2 -> 5.5.«z»", DROP, BOUND), ["unknown input 'z'"]),
    "input of the logits": (("path: 2.2 -> «logits.k»", DROP, BOUND), ["the logits have no input 'k'|logits alone"]),
    "misspelt logits": (("path: 2.2 -> «Logits»", DROP, BOUND), ["unknown receiver 'Logits'|'logits'"]),
    "from the logits": (("path: «logits» -> 5.5.k", DROP, BOUND), ["the logits send nothing"]),
    "into an MLP": (("path: 2.2 -> «MLP5»", DROP, BOUND), ["'MLP5' cannot receive|5.5.k"]),
    "into an MLP's input": (("path: 2.2 -> «MLP5.k»", DROP, BOUND), ["'MLP5.k' cannot receive"]),
    "no component": (("path: «embed» -> 5.5.k", DROP, BOUND), ["'embed' is not a head or an MLP|MLP3"]),
    "no receiver's head": (("path: 2.2 -> «foo.k»", DROP, BOUND), ["'foo.k' is not an input of a head|5.5.k, or logits"]),
    "a sender's input": (("path: «2.2.v» -> 5.5.k", DROP, BOUND), ["a sender has no input|write 2.2"]),
    "leading zeros": (("path: «02.2» -> 5.5.k", DROP, BOUND), ["'02.2' is not a head or an MLP|leading zeros"]),
    "downwards": (("path: 5.5 -> «2.2.k»", DROP, BOUND), ["5.5 does not write into 2.2: the receiver of a path lies in a layer above|did you mean 2.2 -> 5.5.k?"]),
    "one layer": (("path: 5.5 -> «5.6.k»", DROP, BOUND), ["lies in a layer above|layer 6 or above"]),
    "an MLP into its own layer": (("path: MLP5 -> «5.6.k»", DROP, BOUND), ["the heads of a layer come before its MLP|layer 6 or above"]),
    "missing sender": (("path: «2.9» -> 5.5.k", DROP, BOUND), ["2.9 does not exist: smollm2-135m has 9 heads|2.0 to 2.8"]),
    "missing receiver": (("path: 2.2 -> «30.1.k»", DROP, BOUND), ["30.1 does not exist: smollm2-135m has 30 layers"]),
    "both missing": (("path: «1.9» -> «5.11.k»", DROP, BOUND), ["1.9 does not exist", "5.11 does not exist"]),
    "a missing MLP": (("path: «MLP30» -> logits", DROP, BOUND), ["MLP30 does not exist"]),
    "a list": (("path: «[2.2, 5.5.k]»", DROP, BOUND), ["a path is text, not a list|SENDER"]),
    "a path of nothing": (("«path»:", DROP, BOUND), ["a path is text, not nothing"]),
    "no effect": (("«path»: 2.2 -> 5.5.k", BOUND), ["the path has no effect to measure|drop_in"]),
    "two effects": (("path: 2.2 -> 5.5.k", DROP, "«after»: top1", BOUND), ["two effects on one check"]),
    "drop in kl": (("path: 2.2 -> 5.5.k", "drop_in: «kl»", BOUND), ["no meaningful zero|change_in: kl"]),
    "loss": (("path: 2.2 -> 5.5.k", "change_in: «loss»", "at_least: 0.1"), ["loss is not measured along a path|answer_logprob"]),
    "a judged rank": (("path: 2.2 -> 5.5.k", "after: «answer_rank»", "at_most: 3"), ["a mean rank is no claim|observe: true"]),
    "unknown metric": (("path: 2.2 -> 5.5.k", "drop_in: «logits»", BOUND), ["unknown metric 'logits'"]),
    "a method": (("path: 2.2 -> 5.5.k", "«method»: mean", DROP, BOUND), ["'method' belongs to ablate, keep_only or loss_map, not to path"]),
    "path within": (("path: 2.2 -> 5.5.k", "«within»: numbers", DROP, BOUND), ["'within' belongs to ablate, not to path"]),
    "path ranked": (("path: 2.2 -> 5.5.k", DROP, "«top»: 3"), ["'top' belongs to attends, score or ablate, not to path"]),
    "drop above all": (("path: 2.2 -> 5.5.k", "drop_in: top1", "at_least: «150%»"), ["no value can reach|at most 100%"]),
    "necessity of a path": (("«path»: 2.2 -> 5.5.k", "«partial_necessity»: top1", BOUND), ["no effect", "belongs to ablate, not to path"]),
}  # fmt: skip

MAPS: dict[str, Faulty] = {
    "not observed": (("«loss_map»: [18.6, 17.3]",), ["a loss map is only shown|observe: true"]),
    "a bound": (("loss_map: [18.6, 17.3]", "«at_least»: 0.1"), ["a loss map is only shown|observe: true"]),
    "a bound and observe": (("loss_map: [18.6, 17.3]", "observe: true", "«at_least»: 0.1"), ["an observed check has no bound"]),
    "observe false": (("loss_map: [18.6, 17.3]", "observe: «false»"), ["a loss map is only shown"]),
    "misspelt observe": (("loss_map: [18.6, 17.3]", "«observ»: true"), ["unknown key 'observ'|'observe'"]),
    "one entry": (("loss_map: «[18.6]»", "observe: true"), ["at least two sets of components, not 1"]),
    "no entry": (("loss_map: «[]»", "observe: true"), ["at least two sets of components, not 0|loss_map:"]),
    "one head": (("loss_map: «18.6»", "observe: true"), ["takes a list of components and lists of them, not the text '18.6'"]),
    "a mapping": (("loss_map: «{a: 18.6}»", "observe: true"), ["not a mapping"]),
    "missing heads": (("loss_map: [«18.9», [17.3, «17.10»]]", "observe: true"), ["18.9 does not exist", "17.10 does not exist"]),
    "the same twice": (("loss_map: [[1.1, 2.2], «[2.2, 1.1]»]", "observe: true"), ["2.2, 1.1 stands twice|once"]),
    "an empty set": (("loss_map: [1.1, «[]»]", "observe: true"), ["loss_map is an empty list"]),
    "no head": (("loss_map: [1.1, «foo»]", "observe: true"), ["'foo' is not a head or an MLP"]),
    "models as a text": (("loss_map: [1.1, 2.2]", "models: «gpt2»", "observe: true"), ["models takes a list of models, not the text 'gpt2'|models: [NAME"]),
    "models as a mapping": (("loss_map: [1.1, 2.2]", "models: «{path: x}»", "observe: true"), ["takes a list of models, not a mapping"]),
    "no models": (("loss_map: [1.1, 2.2]", "models: «[]»", "observe: true"), ["models is an empty list|remove the key"]),
    "a misspelt model": (("loss_map: [1.1, 2.2]", "models: [«gpt-2», gpt2]", "observe: true"), ["unknown model 'gpt-2'|did you mean 'gpt2'?"]),
    "a hub id as a name": (("loss_map: [1.1, 2.2]", "models: [«a/b»]", "observe: true"), ["written {hub: a/b, revision: COMMIT}"]),
    "a misspelt place": (("loss_map: [1.1, 2.2]", "models: [{«pth»: x}]", "observe: true"), ["unknown key 'pth'|did you mean 'path'?"]),
    "a place of nothing": (("loss_map: [1.1, 2.2]", "models: [{path: «''»}]", "observe: true"), ["an entry of models: path is empty"]),
    "a list of models in the list": (("loss_map: [1.1, 2.2]", "models: [«[gpt2]»]", "observe: true"), ["an entry of models must be a name or a mapping, not a list|{hub: ...}"]),
    "the suite's own model": (("loss_map: [1.1, 2.2]", "models: [«smollm2-135m»]", "observe: true"), ["the suite's own model, which is a point of the map already"]),
    "a model twice": (("loss_map: [1.1, 2.2]", "models: [gpt2, {hub: a, revision: b}, «{revision: b, hub: a}»]", "observe: true"), ["this model stands twice in models|once"]),
    "one model alone": (("loss_map: «[]»", "models: [gpt2]", "observe: true"), ["at least two sets of components or other models, not 1"]),
    "models misspelt": (("loss_map: [1.1, 2.2]", "«modles»: [gpt2]", "observe: true"), ["unknown key 'modles'|'models'"]),
    "models of an ablation": ((ABLATE, DROP, BOUND, "«models»: [gpt2]"), ["'models' belongs to loss_map, not to ablate"]),
    "a metric": (("loss_map: [1.1, 2.2]", "«drop_in»: loss", "observe: true"), ["'drop_in' belongs to ablate or path, not to loss_map"]),
    "top": (("«loss_map»: [1.1, 2.2]", "«top»: 3"), ["a loss map is only shown", "'top' belongs to attends, score or ablate"]),
}  # fmt: skip

RANKS: dict[str, Faulty] = {
    "top and a bound": ((ATTENDS, "top: 3", "«at_least»: 0.1"), ["two bounds on one check: 'top' and 'at_least'"]),
    "a bound and top": ((ATTENDS, "at_most: 0.5", "«top»: 3"), ["two bounds on one check: 'at_most' and 'top'"]),
    "top of a difference": ((ATTENDS, "more_than: member -> bos", "«top»: 3"), ["'top' does not go with more_than|by_at_least"]),
    "top 0": ((ATTENDS, "top: «0»"), ["top must be at least 1, not 0"]),
    "top -1": ((ATTENDS, "top: «-1»"), ["top must be at least 1"]),
    "top percent": ((ATTENDS, "top: «10%»"), ["top must be a whole number, not the text '10%'"]),
    "top a list": ((ATTENDS, "top: «[3]»"), ["top must be a whole number"]),
    "top above all": ((ATTENDS, "top: «300»"), ["top 300: there are not that many heads|the model has 270 heads"]),
    "top all": ((ATTENDS, "top: «270»"), ["top 270: no value can miss this bound|270 heads"]),
    "top observed": ((ATTENDS, "observe: true", "«top»: 3"), ["an observed check has no bound"]),
    "top of an MLP": (("ablate: MLP3", DROP, "«top»: 3"), ["top ranks one head among all heads, but MLP3 is an MLP|ablate one head"]),
    "top of several": (("ablate: [1.1, 1.2]", DROP, "«top»: 3"), ["but 2 components are ablated"]),
    "top within": ((ABLATE, "within: numbers", DROP, "«top»: 3"), ["top beside within|at_least"]),
    "misspelt top": ((ATTENDS, "«topp»: 3"), ["unknown key 'topp'|'top'"]),
    "rank": (("«attends»: any -> n-1", "«rank»: 3"), ["no bound", "unknown key 'rank'|'top'"]),
}  # fmt: skip

SCORES: dict[str, Faulty] = {
    "no members": (("«score»: copying", BOUND), ["the copying score needs members|add members: numerals"]),
    "misspelt members": (("score: copying", "«membrs»: numerals", BOUND), ["unknown key 'membrs'|'members'"]),
    "unknown members": (("score: successor", "members: «numeral»", BOUND), ["no known sequence 'numeral'|'numerals'"]),
    "no members there": (("score: successor", "«members»:", BOUND), ["members is empty"]),
    "too few": (("score: successor", "members: «[a, b]»", BOUND), ["at least 3 members, not 2"]),
    "twice": (("score: successor", "members: [a, b, «a»]", BOUND), ["the member 'a' occurs twice"]),
    "a space": (("score: successor", "members: [a, b, «' c'»]", BOUND), ["' c' begins or ends with a space"]),
    "no text": (("score: successor", "members: [a, b, «[c]»]", BOUND), ["a member must be text, not a list"]),
    "a mapping": (("score: copying", "members: «{a: b}»", BOUND), ["not a mapping|numerals"]),
    "members of attention": (("«members»: numerals", ATTENDS, BOUND), ["'members' belongs to score, not to attends"]),
    "unknown score": (("score: «sucessor»", "members: numerals", BOUND), ["unknown score 'sucessor'|'successor'"]),
    "above one": (("score: copying", "members: months", "at_least: «2»"), ["no value can reach|between 0 and 1"]),
}  # fmt: skip

MORE: dict[str, Faulty] = {
    "empty": ((ATTENDS, "more_than: «{}»"), ["more_than is an empty mapping|{head:"]),
    "unknown key": ((ATTENDS, "more_than: {«attend»: member -> bos}"), ["unknown key 'attend' in more_than|'attends'"]),
    "heads": ((ATTENDS, "more_than: {«heads»: [1.1]}"), ["unknown key 'heads' in more_than|'head'"]),
    "missing head": ((ATTENDS, "more_than: {head: «1.9»}"), ["1.9 does not exist"]),
    "no head": ((ATTENDS, "more_than: {head: «foo»}"), ["'foo' is not a head"]),
    "an MLP": ((ATTENDS, "more_than: {head: «MLP1»}"), ["'MLP1' is an MLP"]),
    "several heads": ((ATTENDS, "more_than: {head: «[1.1, 1.2]»}"), ["head takes one head|one head"]),
    "the same head": ((ATTENDS, "more_than: «{head: 16.0}»"), ["both sides of the comparison are 'member -> earlier member' of head 16.0|another"]),
    "the same selector": ((ATTENDS, "more_than: «{attends: member -> earlier member}»"), ["are the same selector"]),
    "the same prompts": ((ATTENDS, "more_than: «{prompts: num}»"), ["of the same head on 'num'"]),
    "all the same": ((ATTENDS, "more_than: «{prompts: num, head: 16.0}»"), ["of head 16.0 on 'num'"]),
    "unknown prompts": ((ATTENDS, "more_than: {prompts: «nums»}"), ["unknown prompt set 'nums'|'num'"]),
    "several prompt sets": ((ATTENDS, "more_than: {prompts: «[ioi, rep]»}"), ["takes one prompt set, not a list"]),
    "a sweep": ((ATTENDS, "more_than: {prompts: «swept»}"), ["'swept' is a sweep of 2|without a sweep"]),
    "a role that the others lack": ((ATTENDS, "more_than: {prompts: «ioi»}"), ["prompt set 'ioi' has no 'member', which 'member -> earlier member' names"]),
    "a role of the others misspelt": ((ATTENDS, "more_than: {attends: S2 -> «S3», prompts: ioi}"), ["unknown role 'S3': prompt set 'ioi'"]),
    "a role of the check's prompts": ((ATTENDS, "more_than: {attends: «member» -> bos, prompts: ioi}"), ["unknown role 'member': prompt set 'ioi'"]),
    "no bos there": (("attends: member -> bos", "more_than: {prompts: «no_bos»}"), ["prompt set 'no_bos' has no 'bos'"]),
    "nothing selected there": (("attends: member[4] -> n-1", "more_than: {prompts: «short»}"), ["selects nothing: no token of prompt set 'short' is 'member[4]'"]),
    "a bad selector": ((ATTENDS, "more_than: {attends: «member», head: 1.1}"), ["has no arrow"]),
    "never on both sides": (("attends: name -> n-1[early]", 'more_than: {attends: «"name -> n-1[late]"», head: 1.1}'), ["no query has keys on both sides"]),
    "another bound": ((ATTENDS, "more_than: {head: 1.1}", "«at_least»: 0.2"), ["'at_least' does not go with more_than|by_at_least"]),
    "out of reach": ((ATTENDS, "more_than: {head: 1.1}", "by_at_least: «2»"), ["no value can reach"]),
    "a list of selectors": ((ATTENDS, "more_than: «[any -> n-1]»"), ["a selector is text, not a list"]),
}  # fmt: skip

TABLES = {
    "names": NAMES, "interactions": INTERACTIONS, "positions": POSITIONS, "circuits": KEPT, "paths": PATHS,
    "loss maps": MAPS, "ranks": RANKS, "scores": SCORES, "comparisons": MORE,
}  # fmt: skip
ALL = {f"{table}: {what}": faulty for table, found in TABLES.items() for what, faulty in found.items()}


@pytest.mark.parametrize("what", ALL)
def test_a_faulty_claim_is_explained_and_its_neighbours_are_good(what: str, tmp_path: Path) -> None:
    """Every fault of the claim is told at once, at the offending word; the suite itself has none."""
    lines, expected = ALL[what]
    top = TOP.replace("circuits:", "  short: {family: named_sequence, members: numerals, length: 3}\ncircuits:")
    suite = check(tmp_path, claim(*lines, top=top), expected)
    assert not suite.faults
    assert [bool(one.faults) for one in suite.claims] == [False, True, False]


# the claim's own line of heads -> (its other lines, the faults)
GROUPS: dict[str, Faulty] = {
    "heads: {any: «[]»}": ((ATTENDS, BOUND), ["any is an empty list"]),
    "heads: {any: «some»}": ((ATTENDS, BOUND), ["any takes a list of heads or all, not the text 'some'|{any: all}"]),
    "heads: {any: [1.1, «1.9»]}": ((ATTENDS, BOUND), ["1.9 does not exist"]),
    "heads: {any: [1.1, «1.1»]}": ((ATTENDS, BOUND), ["1.1 is named twice in any"]),
    "heads: {any: [1.1, «MLP1»]}": ((ATTENDS, BOUND), ["'MLP1' is an MLP"]),
    "heads: {any: «{a: b}»}": ((ATTENDS, BOUND), ["any must be a head or a list of heads"]),
    "heads: {«any»: }": ((ATTENDS, BOUND), ["any takes a list of heads or all, not nothing"]),
    "heads: {«all»: [1.1]}": ((ATTENDS, BOUND), ["unknown key 'all' in heads|each of them holds: heads: [a, b]"]),
    "heads: {«any_of»: [1.1]}": ((ATTENDS, BOUND), ["unknown key 'any_of' in heads|'any'"]),
    "heads: «{}»": ((ATTENDS, BOUND), ["heads is an empty mapping|{any: all}"]),
    "heads: «any»": ((ATTENDS, BOUND), ["'any' is not a head|heads: {any: all}"]),
    "head: «{any: [1.1]}»": ((ATTENDS, BOUND), ["head takes one head, not a mapping|heads: {any:"]),
    "heads: {any: all}": ((ATTENDS, "«top»: 3"), ["'top' does not go with heads: {any: ...}|at_least"]),
    "heads: {any: [1.1, 1.2]}": (("score: copying", "members: months", "«top»: 3"), ["'top' does not go with heads: {any"]),
    "heads: «{any: [1.5]}»": ((ABLATE, DROP, BOUND), ["heads: {any: ...} does not go with ablate|attends and score"]),
    "heads: «{any: [1.6]}»": ((KEEP, "recovers: logit_diff", BOUND), ["does not go with keep_only"]),
    "heads: «{any: [1.7]}»": (("path: 2.2 -> 5.5.k", DROP, BOUND), ["does not go with path"]),
    "heads: «{any: [1.8]}»": (("loss_map: [1.1, 2.2]", "observe: true"), ["does not go with loss_map"]),
    "heads: «{any: [2.1]}»": (("checks:", '  - {ablate: "1.1", drop_in: top1, at_least: 0.1}'), ["this claim has no such check"]),
    "heads: {any: [2.2]}": (("checks:", f"  - {{heads: «{{any: [1.1]}}», {ABLATE}, {DROP}, at_least: 1}}", f"  - {{{ATTENDS}, at_least: 0.1}}"), ["does not go with ablate"]),
    "heads: [2.3, 2.4]": (("checks:", f"  - {{heads: [«9.9»], {ABLATE}, {DROP}, at_least: 1}}"), ["9.9 does not exist"]),
    "heads: [2.5, 2.6]": (("checks:", f"  - {{«head»: 9.1, {KEEP}, recovers: top1, at_least: 0.5}}"), ["'head' does not go with keep_only|remove head"]),
    "heads: [2.7, 2.8]": (("checks:", f"  - {{«head»: 9.1, path: 2.2 -> 5.5.k, {DROP}, at_least: 0.5}}"), ["'head' does not go with path"]),
}  # fmt: skip


@pytest.mark.parametrize("line", GROUPS)
def test_a_faulty_group_of_heads_is_explained(line: str, tmp_path: Path) -> None:
    """``heads: {any: ...}`` is read with the same care as a list, and refused where it means nothing."""
    lines, expected = GROUPS[line]
    suite = check(tmp_path, claim(*lines, head=line, top=TOP), expected)
    assert [bool(one.faults) for one in suite.claims] == [False, True, False]


# prompts, head -> (checks, the faults)
ELSEWHERE: list[tuple[str, str, Faulty]] = [
    ("rep", "head: 1.1", (("checks:", "  - {score: copying, members: months, «prompts»: num, at_least: 0.5}"), ["the copying score reads weights and single tokens, so it takes no prompts|remove prompts"])),
    ("rep", "head: 1.1", (("checks:", "  - {score: induction, «members»: months, at_least: 0.5}"), ["'members' belongs to copying and successor, not to induction"])),
    ("rep", "head: 1.1", (("checks:", "  - {score: in_context_learning, «head»: 1.1, at_most: 0}"), ["whole model's, so it takes no head|remove head"])),
    ("rep", "head: 1.1", (("checks:", "  - {score: in_context_learning, «heads»: {any: all}, at_most: 0}"), ["it takes no head|remove heads"])),
    ("rep", "head: 1.1", (("checks:", "  - {score: in_context_learning, «top»: 3}"), ["'top' ranks heads"])),
    ("num", "", (("score: «in_context_learning»", "at_most: 0"), ["repeated random tokens or natural texts, but prompt set 'num'|repeated_tokens or texts"])),
    ("rep", "", (("«score»: induction", "at_least: 0.5"), ["no head"])),
    ("", "", (("«score»: in_context_learning", "at_most: 0"), ["no prompts"])),
    ("", "", (("«score»: copying", "members: months", "at_least: 0.5"), ["no head"])),
    ("", "", (("«keep_only»: numbers", "recovers: top1", "at_least: 0.5"), ["no prompts"])),
    ("", "", (("«path»: 2.2 -> 5.5.k", "drop_in: top1", "at_least: 0.5"), ["no prompts"])),
    ("", "", (("«loss_map»: [1.1, 2.2]", "observe: true"), ["no prompts|add prompts: NAME"])),
    ("bare", "", ((KEEP, "recovers: «logit_diff»", BOUND), ["logit_diff needs an answer, but 2 of 2 texts|add answer:"])),
    ("answered", "", ((KEEP, "method: zero", "faithfulness: «logit_diff»", "at_most: 2"), ["logit_diff needs a foil, but 2 of 2|or use loss"])),
    ("answered", "", (("keep_only: «numbers»", "faithfulness: loss", "at_most: 2"), ["method: mean needs corrupted partners, but 2 of 2|method: zero"])),
    ("answered", "", ((KEEP, "method: «resample»", "recovers: top1", BOUND), ["method: resample needs corrupted partners"])),
    ("answered", "", (("path: «2.2 -> 5.5.k»", "change_in: kl", BOUND), ["a path needs corrupted partners, but 2 of 2 texts|add corrupted"])),
    ("bare", "", (("path: 2.2 -> 5.5.k", "after: «top1»", BOUND), ["top1 needs an answer|or use kl"])),
    ("bare", "", (("loss_map: «[1.1, 2.2]»", "observe: true"), ["method: mean needs corrupted partners|zero"])),
    ("bare", "", (("ablate: numbers", "method: zero", "partial_necessity: «top1»", "at_least: 0.9"), ["top1 needs an answer|kl or loss"])),
    ("answered", "", ((ABLATE, "given_ablated: 4.4", "method: zero", "drop_in: «logit_diff»", "interaction: {at_least: 0}"), ["logit_diff needs a foil"])),
    ("answered", "", (("ablate: «1.5»", "within: numbers", "drop_in: top1", BOUND), ["method: mean needs corrupted partners"])),
]  # fmt: skip


@pytest.mark.parametrize(("prompts", "head", "faulty"), ELSEWHERE)
def test_prompts_and_heads_that_a_check_cannot_use_are_explained(
    prompts: str, head: str, faulty: Faulty, tmp_path: Path
) -> None:
    """Missing and superfluous prompts and heads, and texts without what the metric or method needs."""
    check(tmp_path, claim(*faulty[0], head=head, prompts=f"prompts: {prompts}" if prompts else "", top=TOP), faulty[1])


# an entry of circuits: -> (the faults, whether a claim with keep_only: c can point to it)
CIRCUITS: dict[str, tuple[list[str], bool]] = {
    "c: {heads: «[]»}": (["circuit 'c' is empty|at least one head or MLP"], True),
    "c: {heads: «[]», mlps: []}": (["circuit 'c' is empty"], True),
    "«c»: {mlps: [0]}": (["circuit 'c' names no heads|heads: []"], True),
    "c: {«head»: [1.1]}": (["unknown key 'head' in circuit 'c'|'heads'"], True),
    "c: {heads: [1.1], «mlp»: [0]}": (["unknown key 'mlp'|'mlps'"], True),
    "c: {heads: [1.1, «1.9»]}": (["1.9 does not exist"], True),
    "c: {heads: [1.1, «1.1»]}": (["1.1 is named twice"], True),
    "c: {heads: [1.1, «MLP1»]}": (["'MLP1' is an MLP"], True),
    "c: {heads: «{any: [1.1]}»}": (["heads must be a head or a list of heads, not a mapping"], True),
    "c: {heads: [1.1], mlps: «all»}": (["mlps must be a list of layers, not the text 'all'|without mlps: all of them stay"], True),
    "c: {heads: [1.1], mlps: «0»}": (["mlps must be a list of layers"], True),
    "c: {heads: [1.1], «mlps»: }": (["mlps must be a list of layers, not nothing"], True),
    "c: {heads: [1.1], mlps: [0, «30»]}": (["MLP30 does not exist"], True),
    "c: {heads: [1.1], mlps: [0, «MLP0»]}": (["MLP0 is named twice in mlps"], True),
    "c: {heads: [1.1], mlps: [«1.1»]}": (["mlps must be a list of layers, not the text '1.1'"], True),
    "c: «[1.1, 2.2]»": (["circuit 'c' must be a mapping"], True),
    "c: {heads: [1.1], source: «x»}": (["source must be a mapping|arxiv"], True),
    "c: {heads: [1.1], «heads»: [1.2]}": (["duplicate key 'heads'"], True),
    "«'a b'»: {heads: [1.1]}": (["'a b' cannot be a circuit's name"], False),
    "«1.1»: {heads: [1.1]}": (["'1.1' cannot be a circuit's name: it is a component's"], False),
    "«MLP3»: {heads: [1.1]}": (["'MLP3' cannot be a circuit's name"], False),
}  # fmt: skip


@pytest.mark.parametrize("entry", CIRCUITS)
def test_a_faulty_circuit_is_explained_and_only_its_claims_fail(entry: str, tmp_path: Path) -> None:
    """The circuit's faults belong to the suite; a claim over it points to them; others are good."""
    expected, used = CIRCUITS[entry]
    top = HEAD.replace("claims:\n", f"circuits:\n  {entry}\n  good: {{heads: [1.1]}}\nclaims:\n")
    over = "{claim: x, prompts: num, keep_only: %s, recovers: logit_diff, at_least: 0.5}"
    text = f"{top}  a: {over % 'good'}\n" + (f"  b: {over % '«c»'}\n" if used else "")
    more = ["circuit 'c' cannot be used: it has a fault on line 7|mend"] if used else []
    suite = check(tmp_path, text, [*expected, *more])
    assert len(suite.faults) == len(expected)
    assert not claim_of(suite, "a").faults
    assert set(suite.circuits) == {"good"}


def test_a_circuit_that_is_no_yaml_is_set_aside(tmp_path: Path) -> None:
    """The other circuits and the claims over them are read; a claim over the broken one points to it."""
    top = HEAD.replace("claims:\n", 'circuits:\n  c:\n    heads: ["1.1]\n  good:\n    heads: [1.1]\nclaims:\n')
    over = "{claim: x, prompts: num, keep_only: %s, recovers: logit_diff, at_least: 0.5}"
    suite = read(tmp_path, f"{top}  a: {over % 'good'}\n  b: {over % 'c'}\n")
    assert [fault.where.line for fault in suite.faults] == [8]
    assert suite.faults[0].message.startswith("not valid YAML")
    assert not claim_of(suite, "a").faults
    assert "circuit 'c' cannot be used" in claim_of(suite, "b").faults[0].message


def test_a_suite_without_circuits_says_how_to_add_one(tmp_path: Path) -> None:
    """An unknown circuit in a suite that has none gets the form of the section as its hint."""
    check(
        tmp_path,
        claim("keep_only: «c»", "recovers: logit_diff", "at_least: 0.5"),
        ["unknown circuit 'c'|add circuits: {NAME: {heads: [...]}}"],
    )


def test_random_sets_need_room_outside_the_circuit(tmp_path: Path) -> None:
    """A circuit of more than half of the heads or MLPs has no random counterpart outside it."""
    heads = ", ".join(f'"{layer}.{head}"' for layer in range(16) for head in range(9))
    top = HEAD.replace("claims:\n", f"circuits:\n  c: {{heads: [{heads}]}}\n  m: {{heads: [1.1], mlps: {list(range(20))}}}\nclaims:\n")  # fmt: skip
    lines = ("partial_necessity: top1", "at_least: 0.9")
    check(tmp_path, claim("ablate: «c»", *lines, top=top), ["no random set of 144 heads lies outside|126 other heads"])
    check(tmp_path, claim("ablate: «m»", *lines, top=top), ["no random set of 20 MLPs lies outside|10 other MLPs"])


def test_prompts_and_a_head_of_the_claim_that_go_unused_are_a_warning(tmp_path: Path) -> None:
    """A claim of one inline check may name prompts or a head that its score does not read: it is told, not refused."""
    suite = read(tmp_path, claim("score: copying", "members: months", "at_least: 0.5"))
    assert not suite.all_faults
    assert "prompts is ignored" in claim_of(suite, "a").warnings[0]
    suite = read(tmp_path, claim("score: in_context_learning", "at_most: 0", prompts="prompts: rep"))
    assert not suite.all_faults
    assert "head is ignored" in claim_of(suite, "a").warnings[0]


@pytest.mark.parametrize(
    ("bound", "meant"),
    [("at_least: 10", "10"), ("between: [5, 20]", "5"), ("at_least: 300%", None), ("at_least: 1.5", None)],
)
def test_a_share_whose_sign_was_forgotten_is_a_warning(tmp_path: Path, bound: str, meant: str | None) -> None:
    """10 of a relative drop is 1000%: possible, and hardly meant. With the % it is taken as it stands."""
    warnings = claim_of(read(tmp_path, claim("ablate: 1.1", "drop_in: logit_diff", bound)), "a").warnings
    assert len(warnings) == (meant is not None)
    if meant is not None:
        assert warnings[0].endswith(
            f"is {float(meant) * 100:g}% of the clean value; did you mean {meant}%? Write the % either way"
        )
    assert not claim_of(
        read(tmp_path, claim("ablate: 1.1", "change_in: logit_diff", bound.replace("%", ""))), "a"
    ).warnings
    assert not claim_of(read(tmp_path, f"{HEAD}  a: {QUICK}\n"), "a").warnings


def test_there_are_many_broken_snippets() -> None:
    """The tables hold more than 200 different mistakes."""
    assert len(ALL) + len(GROUPS) + len(ELSEWHERE) + len(CIRCUITS) > 200
