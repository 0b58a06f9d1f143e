"""Command line options and ini values: declared, checked without importing anything heavy, and read.

What a user gets wrong here is one line and pytest's usage error, never a traceback.
"""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from circuits.items import Options

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_DTYPES = ("float32", "float64", "bfloat16", "float16")

_OPTIONS = (
    ("--circuit-report", "DIR", str, "folder of the reports (default: the ini value circuit_report, 'reports')"),
    ("--circuit-seed", "N", int, "seed of the prompts, instead of each suite's own (0 or more)"),
    ("--circuit-n", "N", int, "number of prompts a set, instead of each suite's `sampling: max`"),
    (
        "--circuit-device",
        "NAME",
        str,
        "where the models run: auto (default: cuda where there is one, else cpu), cpu, cuda, cuda:N or mps",
    ),
    ("--circuit-dtype", "NAME", str, f"precision of the models: {', '.join(_DTYPES)} (default: float32)"),
    ("--circuit-permuted", "N", int, "models with shuffled weights beside attention checks (default: 5; 0: none)"),
    ("--circuit-random", "N", int, "random sets of parts beside ablations and paths (default: 5; 0: none)"),
    (
        "--circuit-batch-tokens",
        "N",
        int,
        "tokens in one forward pass: less memory or more speed (default: by the device)",
    ),
)
_FLAGS = (
    ("--circuit-no-cache", "measure everything again, whatever is cached"),
    (
        "--circuit-fresh",
        "prompts never used before: a new seed (it is recorded), without the prompts of recorded seeds",
    ),
    (
        "--circuit-robust",
        "each claim also with other ablation methods, with or without BOS, and on each template alone",
    ),
    ("--circuit-strict", "a VACUOUS claim fails (uniform attention or shuffled weights satisfy it too)"),
    ("--circuit-html", "also write the report as one HTML page, report.html, which needs no other file"),
    ("--circuit-require-models", "a claim whose model's weights cannot be had fails, where it would be skipped"),
    ("--circuit-no-report", "write no report"),
)
_CONTROLS = ("permuted", "random")
_LEAST = {
    "--circuit-n": 1,
    "--circuit-seed": 0,
    "--circuit-batch-tokens": 1,
    "--circuit-permuted": 0,
    "--circuit-random": 0,
}


def add_options(parser: pytest.Parser) -> None:
    """Options start with --circuit-, ini names with circuit_."""
    group = parser.getgroup("circuits", "claims about attention heads (pytest-circuits)")
    for name, metavar, kind, text in _OPTIONS:
        group.addoption(name, metavar=metavar, type=kind, default=None, help=text)
    group.addoption(
        "--circuit-fdr",
        metavar="ALPHA",
        nargs="?",
        type=_rate,
        const=0.05,
        default=None,
        help="which claims of the run are discoveries at this false discovery rate (default: 0.05), by e-BH; samples further",
    )
    group.addoption(
        "--circuit-changed",
        metavar="REF",
        nargs="?",
        const="HEAD",
        default=None,
        help="only claims that ask something else than at a commit (default: HEAD), or ask it of another model, prompts or code",
    )
    group.addoption(
        "--circuit-model",
        metavar="NAME=PLACE",
        action="append",
        default=[],
        help="take a model's weights from a folder or .gguf file, e.g. gpt2=/models/gpt2 (may be repeated)",
    )
    for name, text in _FLAGS:
        group.addoption(name, action="store_true", help=text)
    parser.addini(
        "circuit_suites",
        "folders whose YAML files are suites, at any depth of the project (default: hypotheses)",
        type="args",
        default=["hypotheses"],
    )
    parser.addini("circuit_report", "folder of the reports, from the root of the project", default="reports")
    parser.addini("circuit_html", "also write the report as one HTML page", type="bool", default=False)
    parser.addini(
        "circuit_require_models",
        "whether a claim whose model's weights cannot be had fails, where it would be skipped",
        type="bool",
        default=False,
    )
    parser.addini("circuit_device", "where the models run: auto, cpu, cuda, cuda:N or mps", default="auto")
    parser.addini("circuit_dtype", f"precision of the models: {', '.join(_DTYPES)}", default="float32")
    parser.addini("circuit_permuted", "models with shuffled weights beside attention checks", default="5")
    parser.addini("circuit_random", "random sets of parts beside ablations and paths", default="5")
    parser.addini("circuit_batch_tokens", "tokens in one forward pass (0: by the device)", default="0")
    parser.addini("circuit_model", "places of models' weights, one NAME=PLACE a line", type="linelist", default=[])


def _rate(text: str) -> float:
    """The value of --circuit-fdr, which argparse takes from the next argument where there is no "="."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number between 0 and 1; before a path write --circuit-fdr=0.05"
        ) from None


def device_of(config: pytest.Config) -> str:
    """The device asked for, as written."""
    return str(config.getoption("--circuit-device") or config.getini("circuit_device"))


def dtype_of(config: pytest.Config) -> str:
    """The precision asked for, as written."""
    return str(config.getoption("--circuit-dtype") or config.getini("circuit_dtype"))


def check_options(config: pytest.Config) -> None:
    """Raise pytest.UsageError, in one line, for an option or ini value that cannot be.

    Imports torch only to see whether a GPU that was asked for on the command line is there.
    """
    for name, least in _LEAST.items():
        value = config.getoption(name)
        if value is not None and value < least:
            raise pytest.UsageError(f"{name} must be at least {least}, not {value}")
    alpha = config.getoption("--circuit-fdr")
    if alpha is not None and not 0.0 < alpha < 1.0:
        raise pytest.UsageError(f"--circuit-fdr must lie between 0 and 1, not at {alpha:g}")
    tokens = str(config.getini("circuit_batch_tokens"))
    if not tokens.isdecimal():
        raise pytest.UsageError(f"the ini value circuit_batch_tokens must be a whole number of tokens, not {tokens!r}")
    for name in _CONTROLS:
        if not str(config.getini(f"circuit_{name}")).isdecimal():
            raise pytest.UsageError(f"the ini value circuit_{name} must be a whole number, 0 or more")
    device, dtype = device_of(config), dtype_of(config)
    if not _DEVICE.fullmatch(device):
        raise pytest.UsageError(f"{_origin(config, 'device')}: {device!r} is none of auto, cpu, cuda, cuda:N, mps")
    if dtype not in _DTYPES:
        from circuits.errors import did_you_mean

        raise pytest.UsageError(f"{_origin(config, 'dtype')}: unknown dtype {dtype!r}; {did_you_mean(dtype, _DTYPES)}")
    for text in config.getini("circuit_model"):
        _check_model(text, exists=False)
    for text in config.getoption("--circuit-model"):
        _check_model(text, exists=True)
    given = config.getoption("--circuit-device")
    idle = config.option.collectonly or config.option.help or hasattr(config, "workerinput")
    if given not in (None, "cpu", "auto") and not idle:
        from circuits.errors import CircuitsError
        from circuits.models.load import resolve_device

        try:
            resolve_device(device)
        except CircuitsError as error:
            raise pytest.UsageError(f"--circuit-device: {error}") from None


def _origin(config: pytest.Config, name: str) -> str:
    given = config.getoption(f"--circuit-{name}") is not None
    return f"--circuit-{name}" if given else f"the ini value circuit_{name}"


def _check_model(text: str, *, exists: bool) -> None:
    """Raise pytest.UsageError for a text that is not NAME=PLACE, or (``exists``) whose place is not there."""
    from circuits.errors import CircuitsError
    from circuits.models.source import REGISTRY, parse_override, resolve

    try:
        name, place = parse_override(text)
        if exists and name in REGISTRY:
            resolve(name, {name: place}, hashes=False)
    except CircuitsError as error:
        raise pytest.UsageError(str(error)) from None
    if exists and not Path(place).expanduser().exists():
        raise pytest.UsageError(f"--circuit-model {text}: there is no such folder or .gguf file")


def model_places(config: pytest.Config) -> dict[str, str]:
    """NAME -> PLACE: those of the ini file (relative to the root), then those of the command line (as written)."""
    from circuits.models.source import parse_override

    places = {}
    for text in config.getini("circuit_model"):
        name, place = parse_override(text)
        places[name] = str(config.rootpath / Path(place).expanduser())
    return places | dict(parse_override(text) for text in config.getoption("--circuit-model"))


def requires_models(config: pytest.Config) -> bool:
    """Whether missing weights fail a claim rather than skip it."""
    return bool(config.getoption("--circuit-require-models") or config.getini("circuit_require_models"))


def choose_seed(config: pytest.Config) -> None:
    """--circuit-fresh: a seed that was never used, once for the controller and its workers. May raise UsageError."""
    if not config.getoption("--circuit-fresh") or hasattr(config, "workerinput"):
        return
    from circuits.plugin.fresh import new_seed, used_seeds

    used = used_seeds(report_folder(config))
    given = config.getoption("--circuit-seed")
    if given in used:
        raise pytest.UsageError(
            f"--circuit-fresh: seed {given} was used before; leave --circuit-seed out for a new one"
        )
    # xdist hands these to its workers with the other options.
    config.option.circuit_seed = new_seed(used) if given is None else given
    config.option.circuit_unseen = list(used)


def read_options(config: pytest.Config, *, threads: int | None, since: float, claims: int) -> Options:
    """The options of the run, checked before; "auto" becomes the device that is here. ``claims``: how many there are. May raise CircuitsError."""
    from circuits.items import Options
    from circuits.models.load import fitting_batch, may_have_gpu, resolve_device

    alpha = config.getoption("--circuit-fdr")
    device, tokens = device_of(config), config.getoption("--circuit-batch-tokens")
    if device != "cpu":  # a key of the cache and a fact of the report: "auto" says neither
        device = resolve_device(device) if device != "auto" or may_have_gpu() else "cpu"
    return Options(
        seed=config.getoption("--circuit-seed"),
        n=config.getoption("--circuit-n"),
        device=device,
        dtype=dtype_of(config),
        batch_tokens=tokens
        if tokens is not None
        else int(config.getini("circuit_batch_tokens")) or fitting_batch(device),
        models=model_places(config),
        no_cache=bool(config.getoption("--circuit-no-cache")),
        unseen=tuple(getattr(config.option, "circuit_unseen", ())),
        robust=bool(config.getoption("--circuit-robust")),
        **_controls(config),
        strict=bool(config.getoption("--circuit-strict")),
        need=math.log(max(1, claims) / alpha) if alpha is not None else None,
        threads=threads,
        since=since,
    )


def _controls(config: pytest.Config) -> dict[str, int]:
    """How many of each control: as asked for on the command line, else by the ini file."""
    given = {name: config.getoption(f"--circuit-{name}") for name in _CONTROLS}
    return {
        name: value if value is not None else int(config.getini(f"circuit_{name}")) for name, value in given.items()
    }


def recorded_options(config: pytest.Config) -> dict[str, Any]:
    """What of the options decides the numbers, for the record of the run: the report says from it how to repeat the run.

    Names of the models whose weights were given, not their places: those are the user's own.
    """
    return {
        "seed": config.getoption("--circuit-seed"),
        "n": config.getoption("--circuit-n"),
        **_controls(config),
        "robust": bool(config.getoption("--circuit-robust")),
        "fdr": config.getoption("--circuit-fdr"),
        "fresh": bool(config.getoption("--circuit-fresh")),
        "models": sorted(model_places(config)),
    }


def report_folder(config: pytest.Config) -> Path | None:
    """Where reports go: relative to where pytest was started, or (ini) to the root; None for no report."""
    if config.getoption("--circuit-no-report"):
        return None
    given = config.getoption("--circuit-report")
    if given is not None:
        return Path(config.invocation_params.dir, Path(given).expanduser())
    return Path(config.rootpath, str(config.getini("circuit_report")))


def html_wanted(config: pytest.Config) -> bool:
    """Whether the report is to be written as one HTML page, too."""
    return bool(config.getoption("--circuit-html") or config.getini("circuit_html"))
