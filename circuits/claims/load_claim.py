"""One claim of a suite: its words, heads, prompt sets, expectation and checks."""

from __future__ import annotations

import re
from dataclasses import replace

from circuits.claims import values
from circuits.claims.claim import Claim, Expect, PromptSet
from circuits.claims.keys import CHECK_KEYS, CLAIM_KEYS, EXPECTATIONS, EXPECTED, KINDS, misspelt, nearest_key
from circuits.claims.load_check import CheckReader, without_kind
from circuits.claims.load_parts import Context, read_heads, read_prompts
from circuits.claims.load_prompts import read_requires
from circuits.claims.source import Faults, Node


class ClaimReader:
    """Reads the claims of one suite; faults go to the shared collector."""

    def __init__(self, context: Context, faults: Faults):
        self.context = context
        self.faults = faults

    def read(self, key: Node, node: Node, end_line: int) -> Claim:
        """One claim with the faults found in it. Never raises for what the file contains."""
        start = len(self.faults.found)
        yaml = "\n".join(self.faults.lines[key.where.line - 1 : end_line]).rstrip()
        name = key.text if key.text.strip() else f"line-{key.where.line}"
        base = Claim(name, name, key.where, yaml)
        self.faults.found += [fault for fault in self.context.parsing if node.covers(fault.where)]
        if not re.fullmatch(r"[\w.+-]+", key.text):
            message = f"{key.text!r} cannot be a claim's id: it becomes a test id"
            self.faults.add(key, message, "use letters, digits, - _ and .")
        if node.kind != "map":
            hint = "a claim has head:, prompts: and a check such as attends:"
            if key.text in (*CLAIM_KEYS, *CHECK_KEYS):
                hint = "indent it more, under the id of the claim it belongs to"
            self.faults.add(
                node if not node.null or node.where in self.faults.settled else key,
                f"claim {key.text!r} must be a mapping, not {node.noun}",
                hint,
            )
            return replace(base, faults=self.faults.split(start))
        claim = self._claim(base, key, node)
        if self.context.no_model is not None and len(self.faults.found) == start:
            self.faults.add(key, f"this claim cannot be measured: {self.context.no_model}", "see that fault")
        found = self.faults.split(start)
        return replace(claim, faults=found) if found else claim

    def _claim(self, base: Claim, key: Node, node: Node) -> Claim:
        faults = self.faults
        checks_node = node.get("checks")
        inline = [k for k, _ in node.entries if k.text in CHECK_KEYS and k.text not in CLAIM_KEYS]
        allowed = CLAIM_KEYS if checks_node is not None else (*CLAIM_KEYS, *CHECK_KEYS)
        for k, _ in node.entries:
            if k.text in allowed:
                continue
            if k in inline:
                faults.add(k, f"{k.text!r} stands beside 'checks'", "put it into one of the checks")
            else:
                faults.add(
                    k, f"unknown key {k.text!r} in claim {base.id!r}", nearest_key(k.text, (*CLAIM_KEYS, *CHECK_KEYS))
                )
        warnings: list[str] = []
        words_node = node.get("claim")
        words = values.text(words_node, faults, "claim") if words_node is not None else None
        if words_node is None:
            warnings.append("the claim says nothing in words: add claim: with what a person would say")
        heads, some = read_heads(node, faults, self.context.shape)
        variants, many = self.variants(node.get("prompts"), base.id)
        requires = read_requires(node.get("requires"), faults)
        expect = self.expect(node.get("expect"))
        source_node = node.get("source")
        if source_node is not None and source_node.kind != "map":
            faults.add(
                source_node,
                f"source must be a mapping, not {source_node.noun}",
                "write source: {note: N12} or {arxiv: '2211.00593'}",
            )
        claim = Claim(
            base.id,
            " ".join((words or base.id).split()),
            base.where,
            base.yaml,
            heads,
            variants,
            many,
            expect=expect,
            source=values.plain(source_node) if source_node is not None and source_node.kind == "map" else None,
            any=some,
        )
        check_nodes = self.check_nodes(key, node, checks_node, inline)
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
        about_heads = any(check.get(kind) is not None for check in check_nodes for kind in ("attends", "score"))
        if some and checks_node is not None and check_nodes and not about_heads:
            message = "heads: {any: ...} belongs to attends and score, and this claim has no such check"
            faults.add(node.get("heads") or node, message, "remove it")
        return replace(claim, checks=tuple(checks), warnings=(*warnings, *reader.warnings))

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
            kind = values.choice(node, faults, "expectation", EXPECTATIONS)
            return Expect(kind or "supported")
        if node.kind == "list" or len(node.entries) != 1 or node.entries[0][0].text not in EXPECTED:
            hint = "write supported, refuted, invalid, {refuted: [n]} or {xfail: reason}"
            faults.add(node, f"expect cannot be {node.noun if node.kind == 'list' else 'this mapping'}", hint)
            return Expect()
        key, value = node.entries[0]
        if key.text == "xfail":
            reason = values.text(value, faults, "xfail reason")
            return Expect("xfail", reason=reason)
        children = value.children if value.kind == "list" else (value,)
        numbers = [values.integer(child, faults, "the number of the refuted check", 1) for child in children]
        if len(numbers) != 1:
            faults.add(
                value, "{refuted: [n]} names exactly one check", "split the claim when several checks are known to fail"
            )
            return Expect()
        return Expect("refuted", check=numbers[0])

    def check_expect(self, node: Node, expect: Expect, checks: int) -> None:
        place = node.get("expect")
        if place is None or expect.kind != "refuted":
            return
        if expect.check is None and checks > 1:
            message = f"expect: refuted is for a claim of one check, but this one has {checks}"
            self.faults.add(
                place, message, "name the check that is refuted: expect: {refuted: [2]}, or split the claim"
            )
        if expect.check is not None and expect.check > checks:
            self.faults.add(
                place, f"there is no check {expect.check}: this claim has {checks}", "checks are counted from 1"
            )

    def check_nodes(self, key: Node, node: Node, checks_node: Node | None, inline: list[Node]) -> list[Node]:
        faults = self.faults
        if checks_node is None:
            if not any(k.text in KINDS for k in inline):
                self.no_check(key, node, inline)
                return []
            return [node]
        if checks_node.kind != "list":
            faults.add(checks_node, f"checks must be a list, not {checks_node.noun}", "begin each check with '- '")
            return []
        if not checks_node.children:
            faults.add(
                checks_node, "checks is empty, so nothing is measured", "add a check, such as - attends: any -> n-1"
            )
        return list(checks_node.children)

    def no_check(self, key: Node, node: Node, inline: list[Node]) -> None:
        """A claim without any check; misspelt kinds have their own faults."""
        if misspelt(node, (*KINDS, "checks")):
            return
        if not without_kind(inline, "the claim", self.faults):
            hint = f"add checks:, or one of {', '.join(KINDS)} inline"
            self.faults.add(key, "the claim has no check, so nothing is measured", hint)
