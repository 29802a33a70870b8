"""Real browsers without a network: the final DOM in Chromium, and Firefox controlled by its Marionette protocol."""

import contextlib
import json
import shutil
import socket
import subprocess
import time

import pytest


def _alone():
    """The command that runs a program in a namespace without a network; empty if this machine does not allow one."""
    for command in (["unshare", "-n"], ["unshare", "-rn"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
        ):
            return command
    return []


def chromium_dom(page, folder, fragment=""):
    """The page's DOM in Chromium after its script has run."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is not installed")
    command = [
        *_alone(), program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'chromium'}",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", f"{page.as_uri()}{fragment}",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


class Firefox:
    """A headless Firefox; `run` runs lines of JavaScript in its page."""

    def __init__(self, folder):
        program = shutil.which("firefox-esr") or shutil.which("firefox")
        if program is None:
            pytest.skip("firefox is not installed")
        profile = folder / "firefox"
        profile.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        # Firefox reaches no host: all go to a proxy port on which nobody listens. Loopback stays, for Marionette.
        (profile / "user.js").write_text(
            f'user_pref("marionette.port", {port});\n'
            'user_pref("network.proxy.type", 1);\nuser_pref("network.proxy.http", "127.0.0.1");\n'
            'user_pref("network.proxy.http_port", 9);\nuser_pref("network.proxy.ssl", "127.0.0.1");\n'
            'user_pref("network.proxy.ssl_port", 9);\nuser_pref("browser.shell.checkDefaultBrowser", false);\n'
        )
        self._process = subprocess.Popen(
            [program, "--headless", "--marionette", "--no-remote", "--profile", str(profile)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        deadline = time.monotonic() + 90
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=90)
                break
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.2)
        self._number, self._waiting = 0, b""
        self._read()
        self._ask("WebDriver:NewSession", {})

    def _read(self):
        while b":" not in self._waiting:
            self._waiting += self._socket.recv(65536)
        size, _, rest = self._waiting.partition(b":")
        while len(rest) < int(size):
            rest += self._socket.recv(65536)
        self._waiting = rest[int(size) :]
        return json.loads(rest[: int(size)])

    def _ask(self, name, values):
        self._number += 1
        data = json.dumps([0, self._number, name, values]).encode()
        self._socket.sendall(str(len(data)).encode() + b":" + data)
        _, _, error, answer = self._read()
        assert error is None, error
        return answer

    def open(self, page, fragment=""):
        """Open a file, and wait until it has loaded."""
        self._ask("WebDriver:Navigate", {"url": "about:blank"})
        self._ask("WebDriver:Navigate", {"url": f"{page.as_uri()}{fragment}"})

    def run(self, script):
        """The result of a script."""
        return self._ask("WebDriver:ExecuteScript", {"script": script, "args": []})["value"]

    def close(self):
        """End the browser."""
        with contextlib.suppress(OSError, AttributeError):
            self._socket.close()
        self._process.terminate()
        self._process.wait(timeout=30)
