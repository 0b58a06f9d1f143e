"""One claim of a suite: its words, heads, prompt sets, expectation and checks."""

from __future__ import annotations

import re
from dataclasses import replace

from circuits.claims import bounds, values
from circuits.claims.claim import Claim, Expect, PromptSet
from circuits.claims.load_check import CHECK_KEYS, KINDS, CheckReader
from circuits.claims.load_parts import Context, read_heads, read_prompts
from circuits.claims.load_prompts import read_requires
from circuits.claims.source import Faults, Node
from circuits.errors import did_you_mean, nearest

CLAIM_KEYS = ("claim", "head", "heads", "prompts", "expect", "checks", "source", "requires", "reported")


class ClaimReader:
    """Reads the claims of one suite; faults go to the shared collector."""

    def __init__(self, context: Context, faults: Faults):
        self.context = context
        self.faults = faults

    def read(self, key: Node, node: Node, end_line: int) -> Claim:
        """One claim with the faults found in it. Never raises for what the file contains."""
        start = len(self.faults.found)
        yaml = "\n".join(self.faults.lines[key.where.line - 1 : end_line]).rstrip()
        base = Claim(key.text, key.text, key.where, yaml)
        if not re.fullmatch(r"[\w.+-]+", key.text):
            self.faults.add(key, f"{key.text!r} cannot be a claim's id: it becomes a test id", "use letters, digits, - _ and .")
        if node.kind != "map":
            self.faults.add(node if not node.null else key, f"claim {key.text!r} must be a mapping, not {node.noun}")
            return replace(base, faults=self.faults.split(start))
        claim = self._claim(base, node)
        found = self.faults.split(start)
        return replace(claim, faults=found)

    def _claim(self, base: Claim, node: Node) -> Claim:
        faults = self.faults
        checks_node = node.get("checks")
        inline = [k for k, _ in node.entries if k.text in CHECK_KEYS and k.text not in CLAIM_KEYS]
        allowed = CLAIM_KEYS if checks_node is not None else (*CLAIM_KEYS, *CHECK_KEYS)
        for k, _ in node.entries:
            if k.text in allowed:
                continue
            if k in inline:
                faults.add(k, f"{k.text!r} stands beside checks:", "put it into one of the checks")
            else:
                faults.add(k, f"unknown key {k.text!r} in claim {base.id!r}", did_you_mean(k.text, (*CLAIM_KEYS, *CHECK_KEYS)))
        warnings: list[str] = []
        words_node = node.get("claim")
        words = values.text(words_node, faults, "claim") if words_node is not None else None
        if words_node is None:
            warnings.append("the claim says nothing in words: add claim: with what a person would say")
        heads = read_heads(node, faults, self.context.shape)
        variants, many = self.variants(node.get("prompts"), base.id)
        requires = read_requires(node.get("requires"), faults)
        expect = self.expect(node.get("expect"))
        source_node = node.get("source")
        if source_node is not None and source_node.kind != "map":
            faults.add(source_node, f"source must be a mapping, not {source_node.noun}", "write source: {note: N12} or {arxiv: '2211.00593'}")
        claim = replace(
            base,
            words=" ".join((words or base.id).split()),
            heads=heads,
            variants=variants,
            many=many,
            expect=expect,
            source=values.plain(source_node) if source_node is not None and source_node.kind == "map" else None,
            warnings=tuple(warnings),
        )
        check_nodes = self.check_nodes(node, checks_node, inline)
        reader = CheckReader(
            self.context,
            faults,
            claim,
            requires,
            prompts_given=node.get("prompts") is not None,
            heads_given=node.get("head") is not None or node.get("heads") is not None,
        )
        checks = []
        for index, check_node in enumerate(check_nodes, 1):
            check = reader.read(check_node, index, inline=checks_node is None)
            if check is not None:
                checks.append(check)
        self.check_expect(node, expect, len(check_nodes))
        return replace(claim, checks=tuple(checks))

    def variants(self, node: Node | None, inline_name: str) -> tuple[tuple[PromptSet, ...], bool]:
        """The claim-level prompt sets (each variant of a sweep its own), and whether they are many."""
        if node is None:
            return (), False
        found = tuple(read_prompts(node, self.faults, self.context, inline_name))
        many = node.kind == "list" or any(variant.label is not None for variant in found)
        return found, many

    def expect(self, node: Node | None) -> Expect:
        faults = self.faults
        if node is None:
            return Expect()
        if node.kind == "text":
            kind = values.choice(node, faults, "expectation", ("supported", "refuted", "invalid"))
            return Expect(kind or "supported")
        if node.kind == "list" or len(node.entries) != 1 or node.entries[0][0].text not in ("refuted", "xfail"):
            faults.add(node, "expect is supported, refuted, invalid, {refuted: [n]} or {xfail: reason}")
            return Expect()
        key, value = node.entries[0]
        if key.text == "xfail":
            reason = values.text(value, faults, "xfail reason")
            return Expect("xfail", reason=reason)
        children = value.children if value.kind == "list" else (value,)
        numbers = [values.integer(child, faults, "the number of the refuted check", 1) for child in children]
        if len(numbers) != 1:
            faults.add(value, "{refuted: [n]} names exactly one check", "split the claim when several checks are known to fail")
            return Expect()
        return Expect("refuted", check=numbers[0])

    def check_expect(self, node: Node, expect: Expect, checks: int) -> None:
        place = node.get("expect")
        if place is None or expect.kind != "refuted":
            return
        if expect.check is None and checks > 1:
            message = f"expect: refuted is for a claim of one check, but this one has {checks}"
            self.faults.add(place, message, "name the check that is refuted: expect: {refuted: [2]}, or split the claim")
        if expect.check is not None and expect.check > checks:
            self.faults.add(place, f"there is no check {expect.check}: this claim has {checks}")

    def check_nodes(self, node: Node, checks_node: Node | None, inline: list[Node]) -> list[Node]:
        faults = self.faults
        if checks_node is None:
            if not any(k.text in KINDS for k in inline):
                bound = next((k for k in inline if k.text in (*bounds.BOUNDS, "by_at_least", "top")), None)
                if bound is not None:
                    faults.add(bound, f"{bound.text!r} is a bound on nothing: the claim has no check", f"add one of {', '.join(KINDS)}")
                elif not self._misspelt_kind(node):
                    faults.add(node, "the claim has no check, so nothing is measured", f"add checks:, or one of {', '.join(KINDS)} inline")
                return []
            return [node]
        if checks_node.kind != "list":
            faults.add(checks_node, f"checks must be a list (each line begins with '- '), not {checks_node.noun}")
            return []
        if not checks_node.children:
            faults.add(checks_node, "checks is empty, so nothing is measured")
        return list(checks_node.children)

    def _misspelt_kind(self, node: Node) -> bool:
        """Whether an unknown key is close to a kind of check (it has its own fault then)."""
        known = (*CLAIM_KEYS, *CHECK_KEYS)
        return any(key.text not in known and nearest(key.text, (*KINDS, "checks"), 0.7) for key, _ in node.entries)
