"""Laws of the claim loader: nothing raises, and selectors keep what the language promises."""

from __future__ import annotations

import random
import re
import tempfile
from pathlib import Path

import pytest
from claims_kit import GOOD, HEAD, KNOWLEDGE, NAME, claim, read
from fakes import FakeTokenizer, bare, digits, pieces, words
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.claims.claim import PromptSet, Suite
from circuits.claims.dry import DryRun
from circuits.claims.positions import effective, key_sets, queries
from circuits.claims.selector import Selector, SelectorError, parse
from circuits.claims.selector import read as read_selector
from circuits.errors import Position, PromptFault, Unmeasurable
from circuits.evaluate import items_of, load
from circuits.prompts.prompt import TokenPrompt
from circuits.prompts.tokens import build

DATA = Path(__file__).resolve().parent / "data"
EXAMPLES = {path.name: path.read_text() for path in sorted(DATA.glob("*.yaml"))}
ROLES = ("name", "member", "is", "period")

# -- selectors ---------------------------------------------------------------------------------------


@st.composite
def sets(draw: st.DrawFn, key: bool, depth: int = 2) -> str:
    """The text of a set; words that are relative to a query only on the key side."""
    plain = [*ROLES, "any", "end", "bos", "first"]
    relative = ["self", "duplicate", "induction", "n-1", "n-3", "n-{period}", "n-{2*period-1}"]
    if depth == 0:
        return draw(st.sampled_from(plain + relative if key else plain))
    inner = draw(sets(key, depth - 1))
    atom = f"({inner})" if " " in inner else inner
    forms = [
        inner,
        f"{atom}[1]",
        f"{atom}[2]",
        f"{atom}[early]",
        f"{atom}[late]",
        f"{atom}+1",
        f"{atom}-1",
        f"not {atom}",
    ]
    forms += [f"{inner} | {draw(sets(key, depth - 1))}"]
    forms += [f"earlier {atom}", f"previous {atom}", f"same {atom}"] if key else []
    return draw(st.sampled_from(forms))


selectors = st.builds(lambda query, key: parse(f"{query} -> {key}"), sets(False), sets(True))


@st.composite
def prompts(draw: st.DrawFn) -> TokenPrompt:
    """A prompt with random tokens, items and roles (spans of one to three tokens, in order)."""
    bos = draw(st.booleans())
    length = draw(st.integers(2, 14))
    start = 1 if bos else 0
    ids = ([0] if bos else []) + draw(st.lists(st.integers(1, 5), min_size=length - start, max_size=length - start))
    items = [-1] * start + sorted(draw(st.lists(st.integers(-1, 2), min_size=length - start, max_size=length - start)))
    roles = {}
    for role in ROLES:
        spans = set()
        for at in draw(st.lists(st.integers(start, length - 1), max_size=4)):
            spans.add(tuple(range(at, min(length, at + draw(st.integers(1, 3))))))
        roles[role] = tuple(sorted(spans))
    period = draw(st.one_of(st.none(), st.integers(1, 5)))
    return TokenPrompt(tuple(ids), None, (), (), roles, tuple(items), period, bos, "t", "")


def keys_of(selector: Selector, prompt: TokenPrompt) -> dict[int, tuple[int, ...]]:
    try:
        return key_sets(selector, prompt, {})
    except Unmeasurable:
        assert prompt.period is None
        return {}


def has(selector: Selector, word: str) -> bool:
    return re.search(rf"\b{word}\b", selector.text) is not None


@given(selectors, prompts())
def test_no_selector_reaches_past_its_query(selector: Selector, prompt: TokenPrompt) -> None:
    """Keys lie in the prompt and not behind the query; each set is ascending without repeats."""
    for query, keys in keys_of(selector, prompt).items():
        assert 0 <= query < len(prompt.ids)
        assert all(0 <= key <= query for key in keys)
        assert list(keys) == sorted(set(keys))


@given(selectors, prompts())
def test_self_is_a_key_only_where_it_is_named(selector: Selector, prompt: TokenPrompt) -> None:
    """Neither a role nor the outside of one brings the query into its own keys."""
    if not has(selector, "self"):
        assert all(query not in keys for query, keys in keys_of(selector, prompt).items())


@given(selectors, prompts())
def test_bos_is_in_a_set_only_where_it_is_named(selector: Selector, prompt: TokenPrompt) -> None:
    """Without the words bos and first, position 0 is neither query nor key of a prompt with BOS."""
    if prompt.has_bos and not has(selector, "bos") and not has(selector, "first"):
        found = keys_of(selector, prompt)
        assert 0 not in found
        assert all(0 not in keys for keys in found.values())


@given(sets(True), prompts())
def test_not_is_the_complement_before_the_query(text: str, prompt: TokenPrompt) -> None:
    """``R`` and ``not R`` share no key, and together hold every earlier position that is not BOS."""
    inside, outside = (keys_of(parse(f"any -> {form}"), prompt) for form in (f"({text})", f"not ({text})"))
    start = 1 if prompt.has_bos else 0
    for query, keys in inside.items():
        earlier = {key for key in keys if start <= key < query}
        assert not earlier & set(outside[query])
        assert earlier | set(outside[query]) == set(range(start, query))


@given(sets(False), prompts())
def test_not_is_the_complement_of_queries(text: str, prompt: TokenPrompt) -> None:
    """On the query side too."""
    start = 1 if prompt.has_bos else 0
    inside = set(queries(parse(f"{text} -> any"), prompt, {})) - ({0} if prompt.has_bos else set())
    assert set(queries(parse(f"not ({text}) -> any"), prompt, {})) == set(range(start, len(prompt.ids))) - inside


@given(selectors, prompts())
def test_names_of_roles_do_not_matter(selector: Selector, prompt: TokenPrompt) -> None:
    """Roles renamed in the prompt and in the selector give the same positions."""
    text = selector.text
    for role in ROLES:
        text = re.sub(rf"(?<![{{*\w]){role}\b", f"{role}_other", text)
    roles = {f"{role}_other": spans for role, spans in prompt.roles.items()}
    other = TokenPrompt(**{**prompt.__dict__, "roles": roles})
    assert keys_of(parse(text), other) == keys_of(selector, prompt)


@given(selectors, prompts(), st.sampled_from([(), ("bos",), ("self",), ("bos", "self")]))
def test_effective_is_the_key_sets_without_what_is_excluded(
    selector: Selector, prompt: TokenPrompt, excluding: tuple[str, ...]
) -> None:
    """The same sets less the excluded keys, without the queries that have none left."""
    whole = keys_of(selector, prompt)
    if whole:
        gone = {
            query: {query if "self" in excluding else -1, 0 if "bos" in excluding and prompt.has_bos else -1}
            for query in whole
        }
        expected = {query: tuple(k for k in keys if k not in gone[query]) for query, keys in whole.items()}
        assert effective(selector, prompt, {}, excluding) == {query: keys for query, keys in expected.items() if keys}


@given(selectors, st.integers(0, 2**30))
def test_parsing_does_not_depend_on_white_space(selector: Selector, seed: int) -> None:
    """A selector spaced in any other way is the same selector with the same text."""
    rng = random.Random(seed)
    tokens = re.findall(r"->|n-\d+|n-\{[^}]*\}|\w+|\S", selector.text)
    out = tokens[0]
    for before, token in zip(tokens, tokens[1:], strict=False):
        apart = re.match(r"\w", token) is not None and re.search(r"[\w}]$", before) is not None
        out += rng.choice([" ", "  ", "\t"] if apart else ["", " ", "   "]) + token
    assert parse(f"  {out} ") == selector
    assert parse(selector.text) == selector


@given(st.text(alphabet="abn-123{}[]()|>+*→ \t.,'earlierfmb", max_size=40) | st.text(max_size=60))
def test_any_text_is_a_selector_or_says_what_is_wrong(text: str) -> None:
    """Errors lie inside the text; the first is what ``parse`` raises."""
    found, errors = read_selector(text)
    assert (found is None) == bool(errors)
    for error in errors:
        assert 0 <= error.at <= len(text)
        assert str(error)
    if errors:
        with pytest.raises(SelectorError, match=re.escape(str(errors[0]))):
            parse(text)


TEXTS = {"texts": [{"text": "Adam is 1. Bob is 2. Eve is"}, {"text": "Stephen went. Al is"}]}
SETS = [
    PromptSet("n", "named_sequence", {"members": "numerals", "length": 3}, True, {}, Position("x", 1, 1)),
    PromptSet(
        "t",
        "texts",
        TEXTS,
        True,
        {"name": "[A-Z][a-z]+", "member": r"\d", "is": "is", "period": r"\."},
        Position("x", 1, 1),
    ),
]
DRY = DryRun(KNOWLEDGE.families)


@settings(max_examples=150, deadline=None)
@given(selectors, st.sampled_from(SETS), st.sampled_from([words, digits, bare, pieces]))
def test_what_the_dry_run_calls_empty_is_empty_for_other_tokenizers(
    selector: Selector, prompt_set: PromptSet, tokenizer: type[FakeTokenizer]
) -> None:
    """A selector that selects something with some tokenizer is never refused."""
    if DRY.empty(selector, prompt_set, ()) is None:
        return
    family = KNOWLEDGE.families[prompt_set.family]
    try:
        made = build(family, prompt_set.parameters, tokenizer(), 5, "prompts", 6, True, prompt_set.roles)
    except PromptFault:
        return
    assert not any(effective(selector, prompt, {}, ()) for prompt in made)


# -- files -------------------------------------------------------------------------------------------


def load_text(text: str) -> Suite:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
        return load(path, KNOWLEDGE, NAME)


def assert_sound(suite: Suite) -> None:
    """Every fault has a place and a message, in order; ids can be collected."""
    for faults in (suite.faults, *(one.faults for one in suite.claims)):
        places = [(f.where.file != NAME, f.where.file, f.where.line, f.where.column) for f in faults]
        assert places == sorted(places)
        for fault in faults:
            assert fault.where.line >= 1
            assert fault.where.column >= 1
            assert fault.message
            assert fault.render().startswith(f"{fault.where}: {fault.message}")
    assert all(item.node_id.startswith(NAME + "::") for item in items_of(suite, Path()))
    assert all(one.id for one in suite.claims)


words_of_suites = st.sampled_from(
    [
        "suite", "model", "claims", "prompts", "checks", "attends", "any -> n-1", "gpt2", "ioi", "family", "at_least",
        "0.1", "-", ":", ": ", "\n", "\n  ", "\n    ", "{", "}", "[", "]", ", ", "'", '"', "*a", "&a ", "#", "\t", "<<",
        "~", "!x", "|", ">", "x",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80) | st.lists(words_of_suites, max_size=40).map("".join))
def test_any_text_is_loaded_or_explained(text: str) -> None:
    """Whatever a file contains, loading returns a suite with its faults."""
    assert_sound(load_text(text))


@pytest.mark.parametrize("name", EXAMPLES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_example_is_loaded_or_explained(name: str, data: st.DataObject) -> None:
    """A few characters or lines of a whole suite deleted, doubled or replaced: faults at worst."""
    lines = EXAMPLES[name].split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        column = data.draw(st.integers(0, len(line)))
        new = data.draw(
            st.sampled_from(["", "'", '"', "[", "}", ":", "\t", "- ", "x", " ", "  ", "#", "*", "%", "é", "-> "])
        )
        how = data.draw(st.sampled_from(["insert", "cut", "delete line", "double line", "swap"]))
        if how == "insert":
            lines[at] = line[:column] + new + line[column:]
        elif how == "cut":
            lines[at] = line[:column] + line[column + 1 :]
        elif how == "delete line":
            lines[at] = ""
        elif how == "double line":
            lines.insert(at, line)
        else:
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
    assert_sound(load_text("\n".join(lines)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 11), st.sampled_from(["'", '"', "[", "{", "\t", "@", ": :", "*x", "- -", "!!a b", "&"]))
def test_damage_inside_a_claim_stays_inside(at: int, new: str) -> None:
    """Whatever is written into a claim's lines, the claims before and after it stay good."""
    lines = claim("attends: any -> n-1", "at_least: 0.1").split("\n")
    first = next(number for number, line in enumerate(lines) if line == "  a:") + 1
    line = lines[first + at % 5]
    lines[first + at % 5] = line[: 4 + at] + new + line[4 + at :]
    suite = load_text("\n".join(lines))
    good = {one.id: one.faults for one in suite.claims}
    assert good["before"] == good["after"] == ()
    assert not suite.faults


# -- the examples ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_load(name: str) -> None:
    """Only the claim that expects to be refused has a fault, and nothing is warned about."""
    suite = load(DATA / name, KNOWLEDGE, name)
    assert not suite.faults
    for one in suite.claims:
        assert bool(one.faults) == (one.expect.kind == "invalid"), one.faults
        assert not one.warnings


def test_a_large_suite_loads_in_little_time(tmp_path: Path) -> None:
    """A thousand claims, a dry run of each selector included, take well under two seconds here."""
    import time

    body = "".join(f"  c{number}: {GOOD.replace('n-1', f'n-{number % 15 + 1}')}\n" for number in range(1000))
    started = time.perf_counter()
    suite = read(tmp_path, HEAD + body)
    assert time.perf_counter() - started < 4
    assert len(suite.claims) == 1000
    assert not suite.all_faults
