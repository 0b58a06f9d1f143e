"""Measured values are kept by everything they depend on, and by nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pytest
from measuring import LITERALS, answer, rows, suite, texts_of

from circuits.measure.cache import ValueCache

tiny = measuring.tiny
Pieces = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def pieces() -> Pieces:
    """Prompt sets, claims and sampling of a suite on the reference model."""
    prompts = {"p": {"family": "named_sequence", "members": "numerals", "template": "{name} is {member}.", "length": 3}}
    claims: dict[str, dict[str, Any]] = {
        "looks": {"head": "0.0", "attends": "any -> n-1", "at_least": 0.5},
        "more": {
            "head": "1.1",
            "attends": "member -> earlier member",
            "more_than": "is -> earlier member",
            "by_at_least": 0.1,
        },
        "cut": {"ablate": ["1.2", "2.1"], "drop_in": "logit_diff", "at_least": "50%"},
        "loss": {"ablate": "0.0", "method": "zero", "change_in": "loss", "at_least": -5},
    }
    return (
        prompts,
        {name: {"prompts": "p", **claim} for name, claim in claims.items()},
        {"min": 4, "max": 12, "seed": 0},
    )


def text_of(parts: Pieces) -> str:
    prompts, claims, sampling = parts
    return suite("reference", prompts, claims, sampling=sampling)


def drawn(figure: Any, name: str) -> str:
    return f"figures/{name}.png"


def numbers(entries: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on where a value came from."""
    own = ("cached", "status")
    return {name: {key: value for key, value in entry.items() if key not in own} for name, entry in entries.items()}


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and loading a model is an error from then on."""

    def forbid() -> None:
        from circuits.models import load

        def refuse(self: Any, source: Any) -> Any:
            raise AssertionError(f"the model {source.name} was asked for")

        monkeypatch.setattr(load.ModelStore, "get", refuse)

    return forbid


Warm = tuple[dict[str, Any], Path]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Warm:
    """The entries of a first run, and the cache folder that it left."""
    folder = tmp_path_factory.mktemp("measured")
    entries, _ = answer(folder / "s.yaml", text_of(pieces()), folder / "cache")
    return entries, folder / "cache"


@pytest.fixture
def cache(measured: Warm, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return shutil.copytree(measured[1], tmp_path / "cache")


def test_a_second_run_needs_no_model_and_says_the_same(
    measured: Warm, cache: Path, tmp_path: Path, no_model: Callable[[], None]
) -> None:
    """Every row of a second run is identical, marked cached, and was made without a model."""
    first, path = measured[0], tmp_path / "s.yaml"
    assert {entry["cached"] for entry in first.values()} == {False}
    no_model()
    second, _ = answer(path, text_of(pieces()), cache)
    assert {(entry["cached"], entry["status"]) for entry in second.values()} == {(True, "cached")}
    assert json.dumps(numbers(second), sort_keys=True) == json.dumps(numbers(first), sort_keys=True)
    for name in pieces()[1]:  # one claim alone, as with -k
        alone, _ = answer(path, text_of(pieces()), cache, only=[name])
        assert numbers(alone)[name] == numbers(first)[name]


def _bound(parts: Pieces) -> None:
    parts[1]["looks"]["at_least"] = 0.6
    parts[1]["cut"]["at_least"] = "10%"


def _words(parts: Pieces) -> None:
    parts[1]["looks"]["claim"] = "Other words."
    parts[1]["renamed"] = parts[1].pop("cut")


def _head(parts: Pieces) -> None:
    parts[1]["looks"]["head"] = "2.2"  # attention is measured for all heads at once


def _effect(parts: Pieces) -> None:
    parts[1]["cut"] = {"prompts": "p", "ablate": ["2.1", "1.2"], "change_in": "answer_prob", "at_most": 0}


def _confidence(parts: Pieces) -> None:
    parts[2]["confidence"] = 0.99


def _set_name(parts: Pieces) -> None:
    parts[0]["other_name"] = parts[0].pop("p")
    for claim in parts[1].values():
        claim["prompts"] = "other_name"


@pytest.mark.parametrize("edit", [_bound, _words, _head, _effect, _confidence, _set_name])
def test_edits_that_change_no_quantity_need_no_model(
    edit: Callable[[Pieces], None], cache: Path, tmp_path: Path, no_model: Callable[[], None]
) -> None:
    """Bounds, words, names, another head or metric of the same quantity, the confidence: all from the cache."""
    no_model()
    changed = pieces()
    edit(changed)
    entries, _ = answer(tmp_path / "s.yaml", text_of(changed), cache)
    assert all(entry["cached"] and rows(entry)[0]["estimate"] is not None for entry in entries.values())


def _seed(parts: Pieces) -> None:
    parts[2]["seed"] = 1


def _n(parts: Pieces) -> None:
    parts[2]["max"] = 13


def _template(parts: Pieces) -> None:
    parts[0]["p"]["template"] = "{name} done in {member}."
    parts[1]["more"]["more_than"] = "in -> earlier member"


def _length(parts: Pieces) -> None:
    parts[0]["p"]["length"] = 4


def _no_bos(parts: Pieces) -> None:
    parts[0]["p"]["bos"] = False


def _roles(parts: Pieces) -> None:
    parts[0]["p"]["roles"] = {"member": "[1-3]"}


@pytest.mark.parametrize("edit", [_seed, _n, _template, _length, _no_bos, _roles])
def test_edits_of_the_prompts_are_measured_again(edit: Callable[[Pieces], None], cache: Path, tmp_path: Path) -> None:
    """Seed, number, template, parameters, BOS and roles are part of every key."""
    changed = pieces()
    edit(changed)
    entries, _ = answer(tmp_path / "s.yaml", text_of(changed), cache)
    assert not any(entry["cached"] for entry in entries.values())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("cut", {"method": "zero"}),
        ("cut", {"ablate": ["1.2"]}),
        ("loss", {"ablate": "0.1"}),
        ("looks", {"attends": "any -> n-2"}),
        ("looks", {"statistic": "top1"}),
        ("looks", {"excluding": ["bos"]}),
        ("more", {"more_than": "name -> earlier member"}),
    ],
)
def test_another_quantity_is_measured_and_the_others_are_not(
    name: str, change: dict[str, Any], cache: Path, tmp_path: Path
) -> None:
    """A changed method, component, selector, statistic or exclusion is new; its neighbours stay cached."""
    changed = pieces()
    changed[1][name] |= change
    entries, _ = answer(tmp_path / "s.yaml", text_of(changed), cache)
    assert {key for key, entry in entries.items() if not entry["cached"]} == {name}


def test_options_of_the_run_are_part_of_the_key(tmp_path: Path, tiny: dict[str, Path]) -> None:
    """dtype, seed and the model's weights decide values; no_cache ignores what is there."""
    cache, path = tmp_path / "cache", tmp_path / "s.yaml"
    claims = {"c": {"prompts": "p", "head": "1.1", "attends": "any -> n-1", "at_least": 0.1}}
    prompts = {"p": {"family": "texts", "texts": texts_of(LITERALS)}}
    texts = {name: suite({"path": str(folder)}, prompts, claims) for name, folder in tiny.items()}
    found = answer(path, texts["llama"], cache)[0]["c"]
    assert answer(path, texts["llama"], cache)[0]["c"]["cached"]
    assert answer(path, texts["llama"], cache, batch_tokens=1)[0]["c"]["cached"]
    for options in ({"dtype": "float64"}, {"seed": 1}, {"no_cache": True}):
        again = answer(path, texts["llama"], cache, **options)[0]["c"]
        assert not again["cached"], options
        assert rows(again)[0]["estimate"] == pytest.approx(rows(found)[0]["estimate"], abs=1e-5)
    assert not answer(path, texts["gpt2"], cache)[0]["c"]["cached"]


def _empty(data: bytes) -> bytes:
    return b""


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 3
    return data[:middle] + bytes(byte ^ 0xFF for byte in data[middle : middle + 40]) + data[middle + 40 :]


def _text(data: bytes) -> bytes:
    return b"not an archive at all"


def _pickle(data: bytes) -> bytes:
    import io

    stream = io.BytesIO()
    np.savez(stream, left=np.array([{"a": 1}], dtype=object))
    return stream.getvalue()


def _array(data: bytes) -> bytes:
    import io

    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


def _other_names(data: bytes) -> bytes:
    import io

    stream = io.BytesIO()
    np.savez(stream, something=np.zeros(3))
    return stream.getvalue()


@pytest.mark.parametrize("damage", [_empty, _cut, _flipped, _text, _pickle, _array, _other_names])
def test_a_damaged_file_counts_as_absent(
    damage: Callable[[bytes], bytes], measured: Warm, cache: Path, tmp_path: Path
) -> None:
    """Whatever is wrong with every cache file, the values are measured again and are the same."""
    first, path = measured[0], tmp_path / "s.yaml"
    files = list(cache.rglob("*.npz"))
    assert len(files) >= 6
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    again, _ = answer(path, text_of(pieces()), cache)
    assert numbers(again) == numbers(first)
    assert answer(path, text_of(pieces()), cache)[0]["cut"]["cached"]  # and were written again


def test_a_folder_that_cannot_be_written_loses_nothing(measured: Warm, tmp_path: Path) -> None:
    """Where the cache's place is taken by a file, everything is measured and nothing raised."""
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    entries, _ = answer(tmp_path / "s.yaml", text_of(pieces()), tmp_path / "cache")
    assert not any(entry["cached"] for entry in entries.values())
    assert numbers(entries) == numbers(measured[0])


def test_arrays_and_plain_data_survive_the_disk(tmp_path: Path) -> None:
    """NaN, infinity, texts of any script and plain data come back as they were; fresh sees only its own."""
    kept = ValueCache(tmp_path)
    arrays = {"x": np.array([1.5, np.nan, np.inf]), "words": np.array(["\u0120a", "日本", ""])}
    kept.save("ab" * 32, arrays)
    kept.save_json("cd" * 32, {"n": 3, "x": None, "t": "é"})
    found = ValueCache(tmp_path).load("ab" * 32)
    assert found is not None
    np.testing.assert_array_equal(found["x"], arrays["x"])
    assert found["words"].tolist() == arrays["words"].tolist()
    assert ValueCache(tmp_path).load_json("cd" * 32) == {"n": 3, "x": None, "t": "é"}
    fresh = ValueCache(tmp_path, fresh=True)
    assert fresh.load("ab" * 32) is None
    fresh.save("ab" * 32, {"x": np.zeros(1)})
    assert fresh.load("ab" * 32) is not None
    assert not list(tmp_path.rglob("*.part"))


def test_a_warm_evaluation_imports_no_torch(cache: Path, tmp_path: Path) -> None:
    """From YAML to verdicts with everything cached: neither torch, transformers, pandas nor scipy.stats."""
    path = tmp_path / "s.yaml"
    path.write_text(text_of(pieces()), encoding="utf-8")
    script = f"""
import sys
from pathlib import Path
from circuits import evaluate
suite = evaluate.load(Path({str(path)!r}), evaluate.knowledge())
run = evaluate.Evaluator(evaluate.Options(), Path({str(cache)!r}))
items = evaluate.items_of(suite, Path({str(tmp_path)!r}))
run.plan(items)
entries = [run.evaluate(item).entry for item in items]
assert all(entry["cached"] for entry in entries), [entry["status"] for entry in entries]
heavy = ("torch", "transformers", "transformer_lens", "pandas", "scipy.stats", "matplotlib")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


def test_pictures_are_kept_and_a_missing_one_is_measured(tmp_path: Path, no_model: Callable[[], None]) -> None:
    """Figures of a second run come from the cache; a head whose picture is missing is pictured, planned or not."""
    from circuits import evaluate

    cache, path = tmp_path / "cache", tmp_path / "s.yaml"
    prompts, claims, sampling = pieces()
    claims["other"] = {**claims["looks"], "head": "2.2"}
    path.write_text(suite("reference", prompts, claims, sampling=sampling), encoding="utf-8")
    items = evaluate.items_of(evaluate.load(path, evaluate.knowledge()), tmp_path)

    def figures(folder: Path | None) -> list[Any]:
        run = evaluate.Evaluator(evaluate.Options(), folder, draw=drawn)
        return [row["figure"] for item in items for row in rows(run.evaluate(item).entry)]

    first = figures(None)  # nothing was planned: 2.2 is asked for when 0.0 is measured already
    assert [figure is not None for figure in first] == [True] * 5
    assert figures(cache) == first
    no_model()
    assert figures(cache) == first
