"""A headless Chromium for the tests of HTML pages, driven over the W3C WebDriver protocol."""

import base64
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

FLAGS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-sync",
    "disable-background-networking",
    "disable-component-update",
    "disable-dev-shm-usage",
)
KEYS = {
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Space": " ",
    "Left": "\ue012",
    "Up": "\ue013",
    "Right": "\ue014",
    "Down": "\ue015",
}


class Browser:
    """As much of the WebDriver protocol as these tests need, without another package."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.address = f"http://127.0.0.1:{port}"
        options = {"args": [*(f"--{flag}" for flag in FLAGS), f"--user-data-dir={folder}"]}
        capabilities = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self._wait_for_driver()
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self.address += f"/session/{answer['sessionId']}"

    def _wait_for_driver(self) -> None:
        for _ in range(100):
            try:
                self._ask("GET", "/status")
            except urllib.error.URLError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("chromedriver did not answer")

    def _ask(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, method=method)
        # No proxy: the driver listens on this machine only.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        for command, parameters in (
            ("Emulation.setDeviceMetricsOverride", size),
            ("Emulation.setEmulatedMedia", {"features": [scheme]}),
        ):
            self.command(command, parameters)
        self._ask("POST", "/url", {"url": page.as_uri()})

    def command(self, name: str, parameters: dict):
        """Send a command of the Chrome DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def run(self, script: str):
        """The value of a JavaScript expression on the page."""
        return self._ask("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def press(self, *keys: str) -> None:
        """Press keys, by their names, where the focus is."""
        steps = [
            {"type": kind, "value": KEYS[key]} for key in keys for kind in ("keyDown", "keyUp")
        ]
        self._ask(
            "POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": steps}]}
        )

    def mouse(self, selector: str, *, click: bool = False) -> None:
        """Move the mouse to the middle of an element, and click it if asked."""
        element = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        steps = [{"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": element}]
        if click:
            steps += [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        mouse = {"type": "pointer", "id": "mouse", "actions": steps}
        self._ask("POST", "/actions", {"actions": [mouse]})

    def complaints(self) -> list[str]:
        """What the page wrote to the console since it was last asked: errors, refused requests."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def screenshot(self, output: Path) -> None:
        output.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def close(self) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self.driver.kill()  # after an in-process command, SIGTERM may be ignored
            self.driver.wait(10)
