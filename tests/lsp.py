"""A small client of a language server that speaks over standard input and output (LSP 3.17)."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Any

SECONDS = 30


class Server:
    """A running language server; close it when done. ``settings`` are what it gets when it asks for its configuration."""

    def __init__(self, command: Sequence[str], folder: Path, settings: Mapping[str, Any]):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder
        )
        self.settings = settings
        self.count = 0
        self.arrived: Queue[dict[str, Any] | None] = Queue()
        self.diagnostics: dict[str, list[dict[str, Any]]] = {}
        threading.Thread(target=self._listen, daemon=True).start()
        capabilities = {
            "textDocument": {
                "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}},
                "hover": {"contentFormat": ["markdown"]},
                "publishDiagnostics": {},
            },
            "workspace": {"configuration": True},
        }
        about = {"processId": None, "rootUri": folder.as_uri(), "capabilities": capabilities}
        self.ask("initialize", {**about, "workspaceFolders": [{"uri": folder.as_uri(), "name": folder.name}]})
        self.tell("initialized", {})
        self.tell("workspace/didChangeConfiguration", {"settings": settings})

    def open(self, path: Path) -> list[dict[str, Any]]:
        """Open a file; returns the diagnostics that the server publishes for it."""
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": path.read_text()}
        self.tell("textDocument/didOpen", {"textDocument": document})
        while path.as_uri() not in self.diagnostics:
            self._take()
        return self.diagnostics.pop(path.as_uri())

    def completions(self, path: Path, line: int, character: int) -> dict[str, dict[str, Any]]:
        """The offered items by label at a place (from 0)."""
        found = self.ask("textDocument/completion", _at(path, line, character))
        return {item["label"]: item for item in (found["items"] if isinstance(found, dict) else found or ())}

    def hover(self, path: Path, line: int, character: int) -> str:
        """The text shown at a place (from 0)."""
        found = self.ask("textDocument/hover", _at(path, line, character))
        return found["contents"]["value"] if found else ""

    def ask(self, method: str, params: Any) -> Any:
        """The answer to a request. Raises AssertionError for an error, or when none comes."""
        self.count += 1
        number = self.count
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._take()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message["error"]
                return message.get("result")

    def tell(self, method: str, params: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def close(self) -> None:
        """End the server."""
        self.process.kill()
        self.process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def _take(self) -> dict[str, Any]:
        """The next message, once the server's own questions are answered and its diagnostics kept."""
        try:
            message = self.arrived.get(timeout=SECONDS)
        except Empty:
            raise AssertionError(f"the language server said nothing for {SECONDS} seconds") from None
        assert message is not None, "the language server has ended"
        if message.get("method") == "textDocument/publishDiagnostics":
            self.diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            self._send({"id": message["id"], "result": self._answer(message)})
        return message

    def _answer(self, message: dict[str, Any]) -> Any:
        if message["method"] != "workspace/configuration":
            return None
        return [self.settings.get(item.get("section")) for item in message["params"]["items"]]

    def _listen(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while line := stream.readline():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
                while stream.readline().strip():
                    pass
                self.arrived.put(json.loads(stream.read(length)))
        self.arrived.put(None)


def _at(path: Path, line: int, character: int) -> dict[str, Any]:
    return {"textDocument": {"uri": path.as_uri()}, "position": {"line": line, "character": character}}
