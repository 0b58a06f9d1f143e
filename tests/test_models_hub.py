"""Models of the Hugging Face hub: its cache, one quick probe, one download."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from tiny_models import COMMIT

from circuits.errors import ModelInvalid, ModelUnavailable
from circuits.models import hub
from circuits.models.shape import ModelShape
from circuits.models.source import resolve

cache = tiny_models.cache
user_cache = tiny_models.user_cache
made = tiny_models.made


UNREACHABLE = (
    "gpt2: the Hugging Face hub cannot be reached and no copy is cached; give a local folder with "
    "--circuit-model gpt2=DIR, or fill the cache on a machine with internet"
)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address that takes a connection and never answers, like a firewall that drops packets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def unavailable(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> tuple[str, float]:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    start = time.monotonic()
    with pytest.raises(ModelUnavailable) as raised:
        hub.hub_folder(resolve("gpt2"))
    return str(raised.value), time.monotonic() - start


def test_a_refused_port_is_unreachable_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line says what to do, within 2 s."""
    text, seconds = unavailable(monkeypatch, "http://127.0.0.1:9")
    assert text == UNREACHABLE
    assert seconds < 2


def test_a_silent_host_is_unreachable_within_two_seconds_and_asked_once(
    monkeypatch: pytest.MonkeyPatch, silent_server: str
) -> None:
    """No answer costs 2 s the first time and nothing the second."""
    text, seconds = unavailable(monkeypatch, silent_server)
    assert text == UNREACHABLE
    assert 1.5 < seconds < 2.5
    assert unavailable(monkeypatch, silent_server)[1] < 0.1


def test_a_stalled_name_lookup_cannot_exceed_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """getaddrinfo takes no timeout; the probe ends all the same."""

    def stall(*place: Any, **options: Any) -> Any:
        time.sleep(2)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", stall)
    start = time.monotonic()
    assert not hub.hub_reachable("http://stalled.invalid", 0.3)
    assert time.monotonic() - start < 1


def test_offline_mode_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_HUB_OFFLINE=1 is said and no request is made."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hub, "hub_reachable", lambda endpoint: pytest.fail("asked"))
    text, _ = unavailable(monkeypatch, "http://127.0.0.1:9")
    assert "is switched off (HF_HUB_OFFLINE)" in text


@pytest.mark.parametrize("repository", ["models--openai-community--gpt2", "models--gpt2"])
def test_a_cached_snapshot_loads_without_the_hub(
    repository: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot of the pinned commit in the hub's cache is used, also under the model's older id."""
    from circuits.models.load import load

    shutil.copytree(made / "gpt2", tmp_path / "hub" / repository / "snapshots" / COMMIT)
    monkeypatch.setattr(hub, "hub_reachable", lambda endpoint: pytest.fail("asked"))
    model = load(resolve("gpt2"))
    assert model.digest == f"hub:openai-community/gpt2@{COMMIT}"
    assert model.source.verified


def test_a_branch_is_resolved_to_the_commit_it_was_downloaded_at(made: Path, tmp_path: Path) -> None:
    """Without a pinned commit the cache's own record of the branch gives digest and shape."""
    repository = tmp_path / "hub" / "models--a--b"
    shutil.copytree(made / "llama", repository / "snapshots" / ("1" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("1" * 40)
    source = resolve({"hub": "a/b"})
    assert source.digest == "hub:a/b@" + "1" * 40
    assert source.shape == ModelShape(2, 4, 2, 64)
    assert not source.verified
    pinned = resolve({"hub": "a/b", "revision": "2" * 40})
    assert (pinned.shape, pinned.verified) == (None, True)
    with pytest.raises(ModelUnavailable, match="only another revision is cached"):
        hub.hub_folder(pinned)


def test_only_one_format_of_weights_is_downloaded() -> None:
    """Safetensors win over pickles; other frameworks' files and subfolders are left."""
    names = ["config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.safetensors", "tf_model.h5"]
    assert hub.needed_files([*names, "vocab.json"]) == ["config.json", "model.safetensors", "vocab.json"]
    shards = ["pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"]
    assert hub.needed_files(["config.json", *shards]) == ["config.json", *shards]


@pytest.fixture
def hub_server(made: Path) -> Iterator[tuple[str, list[str]]]:
    """A small hub that has one model, a/b, at commit 333...; its address and the paths it was asked for."""
    names = sorted(path.name for path in (made / "gpt2").iterdir())
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            parts = self.path.strip("/").split("/")
            if self.path == "/":
                return self.answer(200, b"hub")
            if parts[:5] == ["api", "models", "a", "b", "tree"]:
                files = [(name, (made / "gpt2" / name).stat().st_size) for name in names]
                tree = [{"type": "file", "path": name, "size": size, "oid": "0"} for name, size in files]
                return self.answer(200, json.dumps(tree).encode())
            if parts[:4] == ["api", "models", "a", "b"]:
                siblings = [{"rfilename": name} for name in [*names, "tf_model.h5", "pytorch_model.bin"]]
                return self.answer(200, json.dumps({"id": "a/b", "sha": "3" * 40, "siblings": siblings}).encode())
            if parts[:4] == ["a", "b", "resolve", "3" * 40] and parts[4] in names:
                return self.answer(200, (made / "gpt2" / parts[4]).read_bytes())
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def do_HEAD(self) -> None:
            self.do_GET()

        def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(code)
            tag = hashlib.sha256(body).hexdigest()
            always = {"Content-Length": str(len(body)), "ETag": f'"{tag}"', "X-Repo-Commit": "3" * 40}
            for key, value in {**always, **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_a_reachable_hub_is_downloaded_from_once(
    hub_server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the needed files are taken, the commit is the digest, and the second time nobody is asked."""
    from circuits.models.load import load

    endpoint, asked = hub_server
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    lines: list[str] = []
    source = resolve({"hub": "a/b"})
    assert source.digest is None
    model = load(source, progress=lines.append)
    assert model.digest == "hub:a/b@" + "3" * 40
    assert model.shape == ModelShape(2, 2, None, 32)
    assert lines == [f"a/b: downloading a/b at main from {endpoint}", "a/b: loading the model"]
    taken = {path.rsplit("/", 1)[1] for path in asked if "/resolve/" in path}
    assert taken == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    asked.clear()
    assert load(resolve({"hub": "a/b", "revision": "3" * 40})).digest == model.digest
    assert asked == []


def test_a_model_that_the_hub_does_not_have_is_invalid(
    hub_server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong id fails; it is not skipped as if the network were missing."""
    monkeypatch.setenv("HF_ENDPOINT", hub_server[0])
    with pytest.raises(ModelInvalid, match="c/d: the hub has no model 'c/d' that is public"):
        hub.hub_folder(resolve({"hub": "c/d"}))
