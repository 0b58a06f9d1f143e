"""The GPT-2 suites say what the notes ask, quote what was published, and find nothing on a random GPT-2."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from circuits.claims.claim import Ablate, Attends, Check, Claim, Keep, Score, Suite
from circuits.evaluate import Evaluator, Options, items_of, knowledge, load

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "hypotheses" / "gpt2"
SUITES = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "shared_prompts.yaml")
PUBLISHED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "gpt2_published.json").read_text())
#: What the prompts of these suites are written with, besides the vocabulary of the reference model.
MORE_WORDS = """
The lasted from year again had been While were working handed After lunch gave When met near offered As walked
home passed Once arrived decided give Before left wanted
"""


def suite(path: Path, models: dict[str, str] | None = None) -> Suite:
    return load(path, knowledge(models or {}), path.relative_to(ROOT).as_posix())


@cache
def named(name: str) -> Suite:
    """A suite of the folder, loaded once."""
    return suite(FOLDER / f"{name}.yaml")


@cache
def claims() -> list[Claim]:
    """Every claim of the folder."""
    return [claim for path in SUITES for claim in named(path.stem).claims]


def checks() -> list[Check]:
    """Every check of the folder."""
    return [check for claim in claims() for check in claim.checks]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GPT-2 of 12 layers of 12 heads, narrow and random, and a tokenizer of whole words.

    Numbers are cut after every two digits, so that a year is a century and its last two digits.
    """
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from circuits.models.reference import vocabulary
    from circuits.prompts.words import LASTING

    place = tmp_path_factory.mktemp("gpt2")
    known = [word for word in vocabulary() if not word.startswith("<bos")]
    digits = [f"{number:02d}" for number in range(100)]
    words = list(dict.fromkeys(["<|endoftext|>", *known, *MORE_WORDS.split(), *LASTING, *digits]))
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    pairs = pre_tokenizers.Split(Regex(r"\d\d"), behavior="isolated")
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pairs])
    kind: Any = PreTrainedTokenizerFast
    ends = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<unk>"}
    kind(tokenizer_object=inner, **ends).save_pretrained(str(place))
    config = GPT2Config(n_layer=12, n_head=12, n_embd=48, vocab_size=len(words), n_positions=256)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        GPT2LMHeadModel(config).save_pretrained(str(place))
    return place


def test_no_claim_of_the_notes_holds_on_random_weights(folder: Path, tmp_path: Path) -> None:
    """Every claim is measured or says why it cannot be; none is supported; what needs the task is unmeasurable."""
    models = dict.fromkeys(("gpt2", "openai-community/gpt2-medium", "distilbert/distilgpt2"), str(folder))
    items = [item for path in SUITES for item in items_of(suite(path, models), path.parent)]
    evaluator = Evaluator(Options(models=models, n=12), tmp_path)
    evaluator.plan(items)
    verdicts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for item in items:
        entry = evaluator.evaluate(item).entry
        assert entry["status"] == "measured", (entry["id"], entry["reason"], entry["faults"])
        shown = all(row["observe"] for row in entry["checks"])  # it asserts nothing
        verdict = (None,) if shown else ("refuted", "inconclusive", "unmeasurable")
        assert entry["verdict"] in verdict, (entry["id"], entry["verdict"])
        verdicts[entry["verdict"]] += 1
        for row in entry["checks"]:
            where = (entry["id"], row["index"], row["check"])
            kinds[row["kind"]] += 1
            if row["kind"] in ("ablate", "keep_only", "path") and not row.get("observe"):
                assert row["verdict"] == "unmeasurable", where
                assert "does not do this task" in row["reason"], where
            elif row["kind"] == "loss_map":
                assert len(row["points"]) >= 3, where
            elif not row.get("observe"):
                assert row["verdict"] != "unmeasurable", (*where, row["reason"])
                assert math.isfinite(row["estimate"]), where
    assert set(kinds) == {"attends", "score", "ablate", "keep_only", "path", "loss_map"}
    assert verdicts["refuted"] > 20
    assert verdicts["unmeasurable"] > 30
    assert evaluator.models["gpt2"]["verified"] is False


def test_every_row_of_the_notes_is_asked() -> None:
    """N1 to N18 all stand in some claim's source, and nothing else does."""
    rows = Counter(str((claim.source or {})["note"]) for claim in claims())
    assert set(rows) == {f"N{number}" for number in range(1, 19)}


def test_every_claim_of_the_example_suite_stands_here_unchanged() -> None:
    """Words, checks, bounds, expectation and prompt sets as in tests/data/gpt2_notes.yaml."""
    example = load(Path(__file__).parent / "data" / "gpt2_notes.yaml", knowledge(), "gpt2_notes.yaml")
    here = {claim.id: claim for claim in claims()}
    assert len(example.claims) >= 20

    def said(claim: Claim) -> list[Any]:
        sets = [[(s.title, s.family, dict(s.parameters)) for s in check.prompts] for check in claim.checks]
        sets.append([(s.title, s.family, dict(s.parameters)) for s in claim.variants])
        told = [(c.text, c.what, c.bound, c.heads, c.reported and dict(c.reported)) for c in claim.checks]
        return [claim.words, dict(claim.source or {}), str(claim.expect), claim.heads, sets, repr(told)]

    for claim in example.claims:
        assert plain(said(here[claim.id])) == plain(said(claim)), claim.id


def plain(value: Any) -> str:
    """What was said, without the places in files where it was said."""
    return re.sub(r"Position\([^)]*\)", "", repr(value))


def test_the_claims_are_sayable_and_some_are_known_negatives() -> None:
    """Every claim is a sentence of its own, ids are unique over the folder, at least ten are known to be false."""
    every = claims()
    assert len(every) >= 70
    assert max(Counter(claim.id for claim in every).values()) == 1
    assert max(Counter(claim.words for claim in every).values()) == 1
    assert all(claim.words.endswith((".", ")", "?")) and len(claim.words.split()) >= 5 for claim in every)
    assert sum(claim.expect.kind == "refuted" for claim in every) >= 10
    assert not [fault.render() for path in SUITES for fault in named(path.stem).all_faults]


def heads_of(claim: Claim) -> set[str]:
    """The components that a claim's checks are about."""
    found = {str(head) for check in claim.checks for head in check.heads}
    for check in claim.checks:
        if isinstance(check.what, Ablate):
            found |= {str(component) for component in (*check.what.components, *check.what.given)}
    return found


def test_all_26_heads_of_indirect_object_identification_have_a_claim_of_their_class() -> None:
    """Each head stands in the circuit, and in a claim that names no head of another class with the same role."""
    loaded = named("indirect_object")
    published = {head for heads in PUBLISHED["ioi"]["classes"].values() for head in heads}
    assert len(published) == 26
    assert {str(head) for head in loaded.circuits["ioi_circuit"].heads} == published
    assert loaded.circuits["ioi_circuit"].mlps is None
    looked = {
        str(head) for claim in loaded.claims for check in claim.checks if isinstance(check.what, Attends)
        for head in check.heads
    }  # fmt: skip
    assert published <= looked
    movers = {str(head) for head in loaded.circuits["ioi_name_movers"].heads}
    assert movers == set(PUBLISHED["ioi"]["classes"]["name_mover"])


def test_all_published_greater_than_heads_have_an_attention_claim() -> None:
    """The heads whose function was never verified are asked what they attend to, one by one or with their like."""
    loaded = named("greater_than")
    published = set(PUBLISHED["greater_than_heads"])
    assert {str(head) for head in loaded.circuits["greater_than_heads"].heads} == published
    looked = {
        str(head) for claim in loaded.claims for check in claim.checks
        if isinstance(check.what, Attends) and check.bound.kind != "observe" for head in check.heads
    }  # fmt: skip
    assert published <= looked


@pytest.mark.parametrize("name", ["numerals", "numwords", "months"])
def test_the_three_sequence_circuits_are_the_published_ones(name: str) -> None:
    """Heads and MLPs as published, and some claim keeps only the circuit."""
    loaded = named("sequence_circuits")
    circuit = loaded.circuits[f"{name}_circuit"]
    assert [str(head) for head in circuit.heads] == PUBLISHED["circuits"][name]["heads"]
    assert [mlp.layer for mlp in circuit.mlps or ()] == PUBLISHED["circuits"][name]["mlps"]
    asked = [check.what for claim in loaded.claims for check in claim.checks if isinstance(check.what, Keep)]
    kept = {what.statistic for what in asked if what.circuit.name == circuit.name}
    assert kept >= {"recovers", "completeness", "minimality", "sufficiency"}


def test_every_head_with_a_published_number_within_the_circuit_is_asked_for_it() -> None:
    """Each is removed from the circuit alone, and the reported drop is that of the published percentages."""
    removed = PUBLISHED["remove_from_circuit_percent_of_full"]["numerals"]
    full = PUBLISHED["circuit_percent_of_full"]["numerals"]
    asked = set()
    for check in checks():
        what = check.what
        if not isinstance(what, Ablate) or what.within is None or check.reported is None:
            continue
        (head,) = map(str, what.components)
        assert what.within.name == "numerals_circuit"
        assert check.reported["value"] == pytest.approx(1 - removed[head] / full, abs=0.005), head
        asked.add(head)
    assert asked == set(removed)


def test_reported_drops_of_the_whole_model_are_the_published_ones() -> None:
    """A single ablated head's reported drop is 100 less the published percentage, of the sequence it names."""
    seen = 0
    for check in checks():
        what = check.what
        if not isinstance(what, Ablate) or what.within is not None or check.reported is None:
            continue
        source = check.reported["source"]
        if "node pruning" not in source:
            continue
        sequence = "numwords" if "number words" in source else "numerals"
        (head,) = map(str, what.components)
        percent = PUBLISHED["single_head_mean_ablation"]["percent_of_full"][sequence][head]
        assert check.reported["value"] == pytest.approx(1 - percent / 100, abs=0.0006), head
        seen += 1
    assert seen >= 15


def test_reported_scores_of_weights_are_the_published_ones() -> None:
    """A head's reported copying or successor score is the published share, 0 where it is not listed."""
    names = {("successor", "numerals"): "numerals_next", ("successor", "number_words"): "numwords_next"}
    names |= {("successor", "months"): "months_next", ("copying", "numerals"): "numerals_copy"}
    names |= {("copying", "months"): "months_copy"}
    seen = 0
    for check in checks():
        what = check.what
        if not isinstance(what, Score) or check.reported is None or not isinstance(what.members, str):
            continue
        table = PUBLISHED["ov_top5_percent"]["scores"][names[what.name, what.members]]
        of = {table.get(str(head), 0.0) for head in check.heads}
        assert any(check.reported["value"] == pytest.approx(share / 100, abs=0.0006) for share in of)
        if check.bound.kind == "at_least" and check.bound.low is not None and len(of) > 1:
            assert check.bound.low * 100 < min(of)  # room for every head that the check names
        seen += 1
    assert seen >= 8


def test_reported_attention_is_that_of_the_published_figures() -> None:
    """Reported attention of 1.5, 4.4, 7.11 and 9.1 is the mean (or sum, at the end) read off the heat maps."""
    seen = 0
    for check in checks():
        what = check.what
        if not isinstance(what, Attends) or "digitised" not in str((check.reported or {}).get("source")):
            continue
        reported = check.reported or {}
        said = str(reported["conditions"])
        sequence = "numwords" if said.startswith("number words") else "months" if said.startswith("months") else None
        heads = [str(head) for head in check.heads]
        head = heads[0] if len(heads) == 1 else next((h for h in heads if said.startswith(h)), heads[0])
        found = PUBLISHED["attention_digitised"]["heads"][head][sequence or "numerals"]
        if what.selector.text.endswith("-> first"):
            expected = found["bos_column_mean_rows_5_to_23"]
        elif what.selector.text == "end -> previous member":
            expected = found["end_to_members"][-1]
        elif what.selector.text == "end -> earlier member":
            expected = sum(found["end_to_members"])
        else:
            assert what.selector.text == "member -> earlier member"
            shares = found["member_to_all_earlier_members"]
            expected = sum(shares) / len(shares)
        assert reported["value"] == pytest.approx(expected, abs=0.006), (head, what.selector.text)
        seen += 1
    assert seen >= 12


def test_bounds_leave_room_for_the_published_numbers() -> None:
    """A claim that should hold has a bound that its published number meets, a known negative one that it misses."""
    for claim in claims():
        for check in claim.checks:
            if check.reported is None or check.bound.kind not in ("at_least", "at_most", "between"):
                continue
            negative = claim.expect.kind == "refuted" and claim.expect.check in (None, check.index)
            assert check.bound.holds(check.reported["value"]) is not negative, (claim.id, check.index)


def test_every_source_of_a_reported_number_is_a_paper() -> None:
    """Published numbers name the paper that they stand in."""
    assert all(re.match(r"arXiv \d{4}\.\d{5}", str(c.reported["source"])) for c in checks() if c.reported)
