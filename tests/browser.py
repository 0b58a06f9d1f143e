"""A headless Chromium for the tests of the HTML page, spoken to over pipes: no driver, no port, no package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

PATIENCE = 60  # seconds; on a busy machine a browser may take a while to begin


def chromium() -> str | None:
    """The browser on the PATH, None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page of a headless browser, which cannot reach any network. A context manager."""

    def __init__(self, profile: Path, *, width: int = 1280, height: int = 900, dark: bool = False):
        there, mine = os.pipe()
        self._answers, theirs = os.pipe()
        self._commands = mine
        program = chromium()
        assert program is not None
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--proxy-server=127.0.0.1:9"]
        flags += ["--disable-dev-shm-usage", f"--user-data-dir={profile}", "--remote-debugging-pipe"]
        # Chromium reads its commands from descriptor 3 and writes its answers to 4.
        script = f'exec "$0" "$@" 3<&{there} 4>&{theirs}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, program, *flags, "about:blank"], pass_fds=(there, theirs),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(there)
        os.close(theirs)
        self._buffer, self._last, self._session = b"", 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.size(width, height)
        self.scheme(dark)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its answer; events in between are dropped."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": given}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == self._last:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                result: dict[str, Any] = found["result"]
                return result

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._answers], [], [], PATIENCE)[0]:
                raise RuntimeError(f"the browser did not answer for {PATIENCE} seconds")
            part = os.read(self._answers, 1 << 16)
            if not part:
                raise RuntimeError("the browser ended")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def size(self, width: int, height: int) -> None:
        """The window's size in pixels, as on a device of that width."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def scheme(self, dark: bool) -> None:
        """What the reader prefers: light or dark."""
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )

    def scripts(self, on: bool) -> None:
        """Whether the page's scripts run, from the next page on."""
        self.call("Emulation.setScriptExecutionDisabled", value=not on)

    def open(self, page: Path, hash: str = "") -> None:
        """Open a file, by way of a blank page so that a change of the hash alone is a new page, too."""
        for place in ("about:blank", page.resolve().as_uri() + hash):
            self.call("Page.navigate", url=place)
            self.until(f"location.href === {json.dumps(place)} && document.readyState === 'complete'")

    def until(self, condition: str) -> None:
        """Wait for an expression on the page to become true. Raises RuntimeError where it does not."""
        end = time.monotonic() + PATIENCE
        while not self.run(condition):
            if time.monotonic() > end:
                raise RuntimeError(f"this did not become true: {condition}")
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """The value of an expression on the page; a promise is waited for. Raises RuntimeError where it throws."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def hover(self, selector: str) -> None:
        """Move the mouse over the middle of an element."""
        where = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{where}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y = self.run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({where}.getBoundingClientRect())")
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A screenshot as PNG, of the ``whole`` page or the window."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it is printed."""
        found = self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(found["data"]))
