"""False verdicts end to end: claims with known answers on the reference model, from YAML to verdict.

The reference model's weights are set by hand, so that most numbers are known by construction; those that vary
from prompt to prompt are measured once on many prompts of a seed that no claim uses. Each number then gives four
claims, two that are true and two that are false, at a distance from it that is a share of its spread. They are asked
with many seeds, exactly as pytest asks them, and their verdicts counted.

    python benchmarks/planted.py [--json] [--seeds 40] [--confidence 0.95]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.evaluate import Evaluator, Options, items_of, knowledge, load

MANY = 2000
TRUTH_SEED = 10**6
FIRST_SEED = 10**3


@dataclass(frozen=True)
class Planted:
    """A quantity of the reference model: a check without its bound, as YAML.

    ``known``: its value by construction; None where it varies and is measured on MANY prompts. ``apart``: how far
    from it the bounds lie, in the value's units. ``scale``: how a bound is written.
    """

    name: str
    prompts: str
    check: str
    known: float | None
    apart: float


PLANTED = (
    Planted("previous token", "numerals", 'head: "0.0", attends: any -> n-1', 1.0, 0.1),
    Planted("self", "numerals", 'head: "0.3", attends: any -> self', 1.0, 0.1),
    Planted("not there", "numerals", 'head: "0.3", attends: member -> earlier member', 0.0, 0.1),
    Planted("top-1 induction", "repeats", 'head: "2.0", attends: any -> induction, statistic: top1', 1.0, 0.1),
    Planted("even spread", "ioi", 'head: "0.2", attends: end -> not bos', None, 0.05),
    Planted("difference", "numerals", 'head: "1.1", attends: member -> earlier member, more_than: member -> previous member',
            None, 0.1),
    Planted("drop, mean", "numerals", 'ablate: ["1.2", "2.1"], drop_in: logit_diff', None, 0.1),
    Planted("drop, zero", "numerals", 'ablate: ["1.2", "2.1"], method: zero, drop_in: logit_diff', None, 0.2),
    Planted("drop, resample", "numerals", 'ablate: ["1.2", "2.1"], method: resample, drop_in: logit_diff', None, 0.3),
    Planted("share still first", "numerals", 'ablate: ["1.2", "2.1"], method: resample, after: top1', None, 0.1),
    Planted("probability", "numerals", 'ablate: "2.0", method: resample, change_in: answer_prob', None, 0.05),
)  # fmt: skip

PROMPTS = """\
  numerals: {family: named_sequence, members: numerals}
  repeats: {family: repeated_tokens}
  ioi: {family: ioi}
"""


def suite(checks: Sequence[tuple[str, str, str, str]], least: int, most: int, confidence: float) -> str:
    """A suite of claims (id, prompts, check, bound)."""
    head = f"suite: planted\nmodel: reference\nsampling: {{min: {least}, max: {most}, confidence: {confidence}}}\n"
    lines = [
        f"  {name}:\n    claim: planted\n    prompts: {prompts}\n    checks:\n      - {{{check}, {bound}}}\n"
        for name, prompts, check, bound in checks
    ]
    return f"{head}prompts:\n{PROMPTS}claims:\n{''.join(lines)}"


def answers(text: str, seed: int, n: int | None, folder: Path) -> dict[str, dict[str, Any]]:
    """Every claim's entry."""
    path = folder / "planted.yaml"
    path.write_text(text)
    found = load(path, knowledge(), "planted.yaml")
    items = items_of(found, folder)
    faults = [fault.render() for item in items for fault in item.claim.faults]
    if faults:
        raise SystemExit("\n".join(faults))
    evaluator = Evaluator(Options(seed=seed, n=n), folder / "cache")
    evaluator.plan(items)
    return {item.claim.id: evaluator.evaluate(item).entry for item in items}


def truths(folder: Path) -> dict[str, float]:
    """The value of each planted quantity."""
    observed = [(f"q{i}", each.prompts, each.check, "observe: true") for i, each in enumerate(PLANTED)]
    found = answers(suite(observed, 32, MANY, 0.95), TRUTH_SEED, MANY, folder)
    values = {}
    for i, each in enumerate(PLANTED):
        row = found[f"q{i}"]["checks"][0]
        if each.known is not None and abs(row["estimate"] - each.known) > 1e-3:
            raise SystemExit(f"{each.name}: {row['estimate']} is not the known {each.known}")
        values[each.name] = row["estimate"] if each.known is None else each.known
    return values


def planted_claims(values: dict[str, float]) -> list[tuple[str, str, str, str, bool, str]]:
    """(id, prompts, check, bound, whether it is true, name) of every claim that its range allows."""
    claims = []
    for i, each in enumerate(PLANTED):
        value = values[each.name]
        for j, (kind, at, true) in enumerate(
            (("at_least", value - each.apart, True), ("at_least", value + each.apart, False),
             ("at_most", value + each.apart, True), ("at_most", value - each.apart, False))
        ):  # fmt: skip
            bounded = "attends" in each.check or "top1" in each.check
            if bounded and "more_than" not in each.check and not 0.0 < at < 1.0:
                continue
            if "more_than" in each.check:
                if kind == "at_most":
                    continue
                kind = "by_at_least"
            claims.append((f"c{i}-{j}", each.prompts, each.check, f"{kind}: {at:.6f}", true, each.name))
    return claims


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; exit status 1 where verdicts are wrong more often than promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--confidence", type=float, default=0.95)
    asked = parser.parse_args(arguments)
    counts: Counter[tuple[str, str]] = Counter()
    used: list[int] = []
    wrong: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        values = truths(folder)
        claims = planted_claims(values)
        text = suite([claim[:4] for claim in claims], 32, 256, asked.confidence)
        for seed in range(FIRST_SEED, FIRST_SEED + asked.seeds):
            found = answers(text, seed, None, folder)
            for identity, _, check, bound, true, quantity in claims:
                entry = found[identity]
                verdict = str(entry["verdict"])
                counts["true" if true else "false", verdict] += 1
                used.append(int(entry["checks"][0]["n"] or 0))
                if verdict == ("refuted" if true else "supported"):
                    wrong.append(
                        {"quantity": quantity, "check": check, "bound": bound, "seed": seed, "verdict": verdict}
                    )
            print(f"seed {seed}: {len(wrong)} wrong so far", file=sys.stderr)
    total = len(used)
    result = {
        "claims": len(claims), "seeds": asked.seeds, "runs": total, "confidence": asked.confidence,
        "truths": values, "wrong": len(wrong), "wrong_rate": len(wrong) / total, "mean_n": sum(used) / total,
        "verdicts": {f"{truth} claim, {verdict}": count for (truth, verdict), count in sorted(counts.items())},
        "wrong_verdicts": wrong,
    }  # fmt: skip
    if asked.json:
        print(json.dumps(result, indent=1))
    else:
        for key in ("claims", "seeds", "runs", "wrong", "wrong_rate", "mean_n"):
            print(f"{key}: {result[key]}")
        for key, value in result["verdicts"].items():
            print(f"  {key}: {value}")
    return 1 if len(wrong) / total > (1.0 - asked.confidence) / 2.0 else 0


if __name__ == "__main__":
    raise SystemExit(main())
