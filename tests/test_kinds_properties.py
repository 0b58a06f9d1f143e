"""Laws of circuits, groups and their rows: what must come out whatever the heads, the names and the order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import measuring
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from measuring import LITERALS, ROLES, answer, rows, suite, texts_of

from circuits import evaluate
from circuits.evaluate import Evaluator, Options

tiny = measuring.tiny
METHODS = ("mean", "zero", "resample")
ALL = [f"{layer}.{head}" for layer in range(4) for head in range(4)]
PROMPTS = {"p": {"family": "texts", "roles": ROLES, "texts": texts_of(LITERALS[:3])}}
SHORT = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TOLERANCE = 1e-5

heads_sets = st.lists(st.sampled_from(ALL), min_size=1, max_size=5, unique=True)
methods = st.sampled_from(METHODS)
models = st.sampled_from(["llama", "gpt2"])


def claims_of(checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"c": {"prompts": "p", "checks": [dict(check) for check in checks]}}


def entries_of(folder: Path, claims: Mapping[str, Any], circuits: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a suite on a tiny model."""
    with TemporaryDirectory() as place:
        text = suite({"path": str(folder)}, PROMPTS, claims, circuits=circuits)
        return answer(Path(place) / "s.yaml", text)[0]


def measured(
    folder: Path, checks: Sequence[Mapping[str, Any]], circuits: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    return rows(entries_of(folder, claims_of(checks), circuits or {})["c"])


def numbers(row: Any, name: str = "") -> Any:
    """A row's numbers with their names, rounded as far as the order of float32 sums may change them."""
    if isinstance(row, dict) and row.get("kind") == "d_z" and row["value"] is not None:
        # It divides by the spread of differences that may be as small as a hundred times the rounding of a logit.
        return {**row, "value": pytest.approx(row["value"], rel=5e-3, nan_ok=True)}
    if isinstance(row, dict):
        return {key: numbers(value, key) for key, value in row.items()}
    if isinstance(row, (list, tuple)):
        return [numbers(value, name) for value in row]
    return pytest.approx(row, rel=1e-4, abs=1e-5, nan_ok=True) if isinstance(row, float) else row


def alike(found: Mapping[str, Any], other: Mapping[str, Any], but: Sequence[str] = ()) -> None:
    """Assert that two rows are the same, apart from some keys."""
    assert found.keys() == other.keys()
    for key in found:
        if key not in but:
            assert found[key] == numbers(other[key]), key


@SHORT
@given(name=models, method=methods, metric=st.sampled_from(["logit_diff", "answer_prob", "prob_diff"]))
def test_the_circuit_of_all_heads_recovers_everything(
    name: str, method: str, metric: str, tiny: dict[str, Path]
) -> None:  # fmt: skip
    """Nothing is outside: exactly 100%, normalised too, a distance of 0, no random circuit, and complete."""
    base = {"keep_only": "all", "method": method, "observe": True}
    checks: list[dict[str, Any]] = [{**base, "recovers": metric}, {**base, "recovers": metric, "normalised": True}]
    checks += [{**base, "faithfulness": metric}, {**base, "completeness": metric, "subsets": 3}]
    plain, normal, distance, complete = measured(tiny[name], checks, {"all": {"heads": ALL}})
    assert plain["estimate"] == normal["estimate"] == plain["beside"]["value"] == 1.0
    assert plain["parts"]["F(M)"] == plain["parts"]["F(C)"]
    assert plain["random"] is None
    assert (distance["estimate"], complete["estimate"]) == (0.0, 0.0)


@SHORT
@given(name=models, method=methods, removed=heads_sets, effect=st.sampled_from(["drop_in", "change_in", "after"]))
def test_within_the_circuit_of_all_heads_is_the_plain_ablation(
    name: str, method: str, removed: list[str], effect: str, tiny: dict[str, Path]
) -> None:  # fmt: skip
    """Where nothing is outside, F(C) is F(M): the same estimate as without ``within``."""
    base = {"ablate": removed, "method": method, effect: "logit_diff", "observe": True}
    plain, inside = measured(tiny[name], [base, {**base, "within": "all"}], {"all": {"heads": ALL}})
    assert inside["estimate"] == pytest.approx(plain["estimate"], rel=1e-5)
    assert inside["parts"]["F(C)"] == plain["baseline"]["clean"]


@SHORT
@given(name=models, method=methods, both=heads_sets.filter(lambda chosen: len(chosen) > 1), data=st.data())
def test_an_interaction_is_the_same_both_ways(
    name: str, method: str, both: list[str], data: st.DataObject, tiny: dict[str, Path]
) -> None:  # fmt: skip
    """How much more A matters without G is how much more G matters without A."""
    cut = data.draw(st.integers(1, len(both) - 1))
    a, g = both[:cut], both[cut:]
    base = {"method": method, "drop_in": "logit_diff", "interaction": {"observe": True}}
    checks = [{"ablate": a, "given_ablated": g, **base}, {"ablate": g, "given_ablated": a, **base}]
    one, other = measured(tiny[name], checks)
    assert one["estimate"] == pytest.approx(other["estimate"], abs=TOLERANCE)
    assert one["parts"]["F(M\\A)"] == pytest.approx(other["parts"]["F(M\\G)"], abs=TOLERANCE)
    assert one["parts"]["F(M\\G\\A)"] == pytest.approx(other["parts"]["F(M\\G\\A)"], abs=TOLERANCE)


def circuit_checks(name: str, method: str) -> list[dict[str, Any]]:
    base = {"method": method, "observe": True}
    keep = {**base, "keep_only": name}
    return [
        {**keep, "recovers": "logit_diff", "random": 3},
        {**keep, "completeness": "logit_diff", "subsets": 4},
        {**keep, "minimality": "logit_diff", "subsets": 3},
        {**keep, "sufficiency": "logit_diff", "random": 5},
        {**base, "ablate": name, "partial_necessity": "logit_diff", "random": 5},
        {**base, "ablate": name, "after": "logit_diff"},
        {**base, "within": name, "ablate": name, "after": "answer_prob"},
    ]


@SHORT
@given(
    name=models, method=methods, heads=heads_sets, mlps=st.sampled_from([None, [], [2, 0]]), title=st.from_regex(
        r"[a-z][a-z_]{2,8}", fullmatch=True
    ), data=st.data(),
)  # fmt: skip
def test_the_name_of_a_circuit_and_the_order_of_its_heads_change_nothing(
    name: str, method: str, heads: list[str], mlps: list[int] | None, title: str, data: st.DataObject,
    tiny: dict[str, Path],
) -> None:  # fmt: skip
    """The same estimates, intervals, subsets, random circuits and worst cases, but for the words."""
    order = data.draw(st.permutations(heads))
    listed = {} if mlps is None else {"mlps": mlps}
    turned = {} if mlps is None else {"mlps": mlps[::-1]}
    found = measured(tiny[name], circuit_checks("c", method), {"c": {"heads": heads, **listed}})
    other = measured(tiny[name], circuit_checks(title, method), {title: {"heads": list(order), **turned}})
    for one, two in zip(found, other, strict=True):
        alike(one, two, but=("check", "circuit", "within", "ablated"))
        for key in ("circuit", "within"):
            if one.get(key):
                assert sorted(one[key]["heads"]) == sorted(two[key]["heads"])
                assert sorted(one[key]["mlps"] or []) == sorted(two[key]["mlps"] or [])


def mixed(method: str) -> list[dict[str, Any]]:
    """A check of every kind."""
    base = {"method": method, "observe": True}
    return [
        {"ablate": "1.2", **base, "drop_in": "logit_diff"},
        {"ablate": ["0.3", "MLP2"], **base, "change_in": "loss", "at": "end"},
        {"ablate": "2.1", "method": method, "after": "answer_prob", "top": 3},
        {
            "ablate": "1.2",
            "given_ablated": "2.1",
            "method": method,
            "drop_in": "logit_diff",
            "interaction": {"observe": True},
        },
        {"keep_only": "c", **base, "recovers": "logit_diff", "random": 2},
        {"keep_only": "c", **base, "completeness": "logit_diff", "subsets": 3},
        {"within": "c", **base, "ablate": "1.2", "after": "logit_diff"},
        {"path": "0.1 -> 2.0.k", "change_in": "logit_diff", "observe": True},
        {"path": "MLP1 -> logits", "after": "kl", "observe": True},
        {"head": "1.1", "attends": "any -> n-1", "more_than": {"head": "0.1"}, "by_at_least": 0.1},
        {"heads": {"any": "all"}, "attends": "name -> same name", "at_least": 0.2},
        {"head": "1.1", "score": "copying", "members": "numerals", "observe": True},
        {"loss_map": ["1.2", ["0.1", "MLP2"]], **base},
    ]


CIRCUIT = {"c": {"heads": ["0.1", "1.2", "3.1"], "mlps": [0, 2]}}


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=models, method=methods, order=st.permutations(range(len(mixed("zero")))))
def test_the_order_of_the_checks_changes_no_row(
    name: str, method: str, order: list[int], tiny: dict[str, Path]
) -> None:  # fmt: skip
    """Each row is the same wherever its check stands, but for its number."""
    checks = mixed(method)
    found = measured(tiny[name], checks, CIRCUIT)
    other = measured(tiny[name], [checks[place] for place in order], CIRCUIT)
    for place, row in zip(order, other, strict=True):
        alike(found[place], row, but=("index", "line"))


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=models, method=methods, order=st.permutations(range(len(mixed("zero")))))
def test_the_order_of_the_claims_changes_nothing(
    name: str, method: str, order: list[int], tiny: dict[str, Path]
) -> None:  # fmt: skip
    """Nor does which other claims there are: a claim alone is answered as it is among the others."""
    claims = {f"c{place}": {"prompts": "p", **check} for place, check in enumerate(mixed(method))}
    for claim in claims.values():
        if claim.get("score") == "copying":
            claim.pop("prompts")
    found = entries_of(tiny[name], claims, CIRCUIT)
    other = entries_of(tiny[name], {f"c{place}": claims[f"c{place}"] for place in order}, CIRCUIT)
    alone = entries_of(tiny[name], {f"c{order[0]}": claims[f"c{order[0]}"]}, CIRCUIT)
    for entries in (other, alone):
        for title, entry in entries.items():
            assert found[title]["verdict"] == entry["verdict"]
            for one, two in zip(rows(found[title]), rows(entry), strict=True):
                alike(one, two, but=("line",))


@pytest.mark.parametrize("name", ["llama", "gpt2", "reference"])
def test_nothing_is_left_behind(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    """After every kind of check the model gives the same logits to the last bit, has no hook and no flag set."""
    import torch

    if name == "reference":
        model: Any = "reference"
        prompts: dict[str, Any] = {"p": {"family": "named_sequence", "members": "numerals", "length": 4}}
        checks = [check for check in mixed("resample") if "3.1" not in str(check)]
        circuit: dict[str, Any] = {"c": {"heads": ["0.1", "1.2", "2.1"], "mlps": [0, 2]}}
    else:
        model, prompts, checks, circuit = {"path": str(tiny[name])}, PROMPTS, mixed("mean") + mixed("resample"), CIRCUIT
    path = tmp_path / "s.yaml"
    path.write_text(suite(model, prompts, claims_of(checks), circuits=circuit, sampling={"min": 4, "max": 8}))
    (item,) = evaluate.items_of(evaluate.load(path, evaluate.knowledge(), path.name), tmp_path)
    assert not item.claim.faults
    evaluator = Evaluator(Options(), draw=lambda figure, title: title)
    loaded = evaluator._model(evaluator._source(item))
    tokens = torch.tensor([[0, 3, 5, 2, 9, 3, 5]])

    def logits() -> Any:
        with torch.no_grad():
            return loaded.bridge(tokens)

    before, threads, random = logits(), torch.get_num_threads(), torch.random.get_rng_state()
    weights = {key: value.clone() for key, value in loaded.bridge.state_dict().items()}
    evaluator.plan([item])
    first = evaluator.evaluate(item).entry
    assert first["status"] == "measured"
    assert torch.equal(logits(), before)
    assert all(torch.equal(value, weights[key]) for key, value in loaded.bridge.state_dict().items())
    assert not any(point.fwd_hooks or point.bwd_hooks for point in loaded.bridge.hook_dict.values())
    assert not any("forward" in vars(block) for block in loaded.bridge.blocks)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), random)
    assert torch.is_grad_enabled()
    again = evaluator.evaluate(item).entry
    for one, two in zip(first["checks"], again["checks"], strict=True):
        assert one == two
