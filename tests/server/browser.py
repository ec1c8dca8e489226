"""A real headless browser, driven by Chromium's own protocol over a pipe."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

_WAIT_S = 60.0

_MOVE = """
import fcntl, os, sys
taken = [fcntl.fcntl(int(given), fcntl.F_DUPFD, 10) for given in sys.argv[1:3]]
for descriptor, place in zip(taken, (3, 4)):
    os.dup2(descriptor, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Starts a program that reads commands from descriptor 3 and writes answers to 4, as Chromium does."""


class Browser:
    """One page of a browser.

    Attributes:
        faults: The errors of the page: exceptions, and violations of its security policy.
        asked: The addresses that it has requested.
    """

    def __init__(self, commands: BinaryIO, answers: BinaryIO) -> None:
        self._commands, self._answers = commands, answers
        self._count = 0
        self._buffer = b""
        self._session: str | None = None
        self.faults: list[str] = []
        self.asked: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Calls a method of the protocol."""
        self._count += 1
        session = {} if self._session is None else {"sessionId": self._session}
        sent = {"id": self._count, "method": method, "params": params, **session}
        self._commands.write(json.dumps(sent).encode() + b"\0")
        self._commands.flush()
        while (said := self._read()).get("id") != self._count:
            self._note(said)
        assert "error" not in said, said["error"]
        return said["result"]

    def run(self, script: str) -> Any:
        """Runs a script in the page, and returns its value."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Waits until a script's value is true, and returns it."""
        deadline = time.monotonic() + _WAIT_S
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, script
            time.sleep(0.05)
        return value

    def show(self, url: str, *, width: int = 1200, dark: bool = False) -> None:
        """Opens a page in a window of some width."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self.call("Page.navigate", url=url)
        self.wait_for(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def press(self, key: str, code: int, *, modifiers: int = 0) -> None:
        """Presses a key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, modifiers=modifiers)

    def take_picture(self) -> bytes:
        """Returns a picture of the whole page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def _read(self) -> Any:
        while b"\0" not in self._buffer:
            part = os.read(self._answers.fileno(), 1 << 16)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, said: dict[str, Any]) -> None:
        params = said.get("params", {})
        if said.get("method") == "Runtime.exceptionThrown":
            self.faults.append(str(params["exceptionDetails"]))
        elif said.get("method") == "Log.entryAdded" and params["entry"]["source"] in {"security", "javascript"}:
            self.faults.append(params["entry"]["text"])
        elif said.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])


@contextmanager
def browsing(profile: Path, *flags: str) -> Iterator[Browser]:
    """Runs a browser until the block ends."""
    assert CHROMIUM is not None
    commands_in, commands_out = os.pipe()
    answers_in, answers_out = os.pipe()
    command: Sequence[str] = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", *flags]

    moved = [sys.executable, "-c", _MOVE, str(commands_in), str(answers_out), *command]
    with (
        open(commands_out, "wb") as commands,  # noqa: PTH123 - a descriptor
        open(answers_in, "rb") as answers,  # noqa: PTH123 - a descriptor
        subprocess.Popen(moved, pass_fds=(commands_in, answers_out), stderr=subprocess.DEVNULL) as process,  # noqa: S603
    ):
        os.close(commands_in)
        os.close(answers_out)
        try:
            yield Browser(commands, answers)
        finally:
            process.kill()
