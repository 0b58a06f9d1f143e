"""``circuits explain``: which query tokens and which key tokens a selector picks."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from circuits.commands.common import (
    FOUND,
    OK,
    USAGE,
    add,
    complete,
    fail,
    family_words,
    model_named,
    model_names,
    pairs,
    say_json,
    tell,
)

if TYPE_CHECKING:
    from circuits.claims.explain import Explained
    from circuits.commands.common import Commands
    from circuits.errors import Fault
    from circuits.models.tokenizer import HFTokenizer


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "explain", "which query tokens and which key tokens a selector picks; needs no weights",
        r"""circuits explain 'number -> earlier number' --text "Adam is 1. Bob is 2." --role 'number=\d+'
circuits explain 'member -> earlier member' --family named_sequence members=numerals length=4
circuits explain 'end -> IO | S1' --family ioi --json
circuits explain 'any -> induction' --text "one two three one two" --model smollm2-135m""",
        model=True,
    )  # fmt: skip
    parser.add_argument("selector", metavar="SELECTOR", help="QUERY -> KEY, in quotes")
    shown = parser.add_mutually_exclusive_group(required=True)
    shown.add_argument("--text", metavar="TEXT", help="the prompt, as it is")
    family = shown.add_argument(
        "--family", nargs="+", metavar="NAME", help="a prompt family and its parameters: NAME KEY=VALUE ..."
    )
    complete(family, family_words)
    model = parser.add_argument(
        "--model", default="reference", metavar="NAME",
        help="whose tokenizer: a name, a folder, a .gguf file or a hub id (default: reference)",
    )  # fmt: skip
    complete(model, model_names)
    parser.add_argument(
        "--role", action="append", default=[], metavar="NAME=REGEX", help="a role by regular expression over the text"
    )
    parser.add_argument("--seed", type=int, default=0, help="which prompt of the family (default: 0)")
    parser.add_argument("--no-bos", action="store_true", help="without BOS in front")
    parser.add_argument("--json", action="store_true", help="tokens, roles, queries and keys for programs")


def run(given: argparse.Namespace) -> int:
    """0; 1 where no query token has a key; 2 for a faulty selector, prompt or model."""
    from circuits.commands import paint
    from circuits.errors import Unmeasurable
    from circuits.report.explained import explained_data, explained_lines

    try:
        found = _explained(given)
    except Unmeasurable as error:
        return fail(f"{error}: the check would be UNMEASURABLE", FOUND)
    if found is None:
        return USAGE
    if given.json:
        say_json(explained_data(found, given.model))
    else:
        coloured = paint.coloured()
        paint.show(explained_lines(found, given.model, paint.look(), coloured=coloured))
    return OK if found.measurable else FOUND


def _explained(given: argparse.Namespace) -> Explained | None:
    """The selector on its prompt; None after faults, which were said."""
    from circuits.claims.explain import explain, read_on, written_set
    from circuits.commands.project import working_project
    from circuits.models.tokens import tokenizer_of
    from circuits.prompts.registry import check_params, check_roles

    own = working_project()
    marks = [role for role in own.roles if role in re.findall(r"\w+", given.selector)]
    known = {name: own.family(name, marks) for name in own.families}
    name, *rest = given.family or ["texts"]
    parameters: dict[str, str | list[str]] = {**pairs(rest, "--family", "KEY=VALUE, such as length=4")}
    parameters |= {"texts": [given.text]} if given.text is not None else {}
    parameters |= {"bos": "false"} if given.no_bos else {}
    roles = pairs(given.role, "--role", r"NAME=REGEX, such as 'member=\d+'")
    prompt_set, faults = written_set(name, parameters, roles, known, check_params, check_roles)
    if prompt_set is None:
        _say_faults(faults)
        return None
    parsed, faults = read_on(given.selector, prompt_set, known)
    if parsed is None:
        _say_faults(faults)
        if given.text is not None and any("unknown role" in fault.message for fault in faults):
            fail(r"a text has the roles that you give it: --role 'member=\d+'")
        return None
    tokenizer = tokenizer_of(model_named(given.model, given.circuit_model), tell)
    found = explain(parsed, prompt_set, known[name], tokenizer, given.seed)
    _say_unknown(found, tokenizer, given.model)
    return found


def _say_faults(faults: Sequence[Fault]) -> None:
    """Those of the selector with their carets, the others in a line each."""
    for fault in faults:
        hint = f" ({fault.hint})" if fault.hint else ""
        fail(fault.render() if fault.where.line else f"{fault.message}{hint}")


def _say_unknown(found: Explained, tokenizer: HFTokenizer, model: str) -> None:
    """A note where words have no token of their own: what they show is not what the model was made for."""
    unknown = tokenizer.hf.unk_token_id
    if unknown is not None and unknown != tokenizer.bos_id and unknown in found.prompt.ids:
        count = found.prompt.ids.count(unknown)
        fail(f"note: {count} token{'' if count == 1 else 's'} unknown to {model}, shown as {tokenizer.decode(unknown)}")
