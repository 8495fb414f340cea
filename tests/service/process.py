"""`warmstart serve` as people run it: a process of its own, which may be killed."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import urllib3


class Served:
    """A service in a process, on a port that stays the same when it is started again."""

    def __init__(self, model, folder, *words):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url, self.folder = f"http://127.0.0.1:{self.port}", folder
        self.store = f"sqlite:///{folder}/events.sqlite"
        given = ["serve", model, "--port", self.port, "--no-auth", "--store", self.store, *words]
        self.command = [sys.executable, "-m", "warmstart.cli", *map(str, given)]
        self.http = urllib3.PoolManager(maxsize=32, retries=False)

    def start(self, *before):
        """Start it, behind another command if one is given; return seconds until it was ready."""
        begun = time.monotonic()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*before, *self.command], stderr=log, stdout=log)
        while time.monotonic() < begun + 120:
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2_000:]
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if self.http.request("GET", f"{self.url}/readyz", timeout=5).status == 200:
                    return time.monotonic() - begun
            time.sleep(0.05)
        raise AssertionError("the service did not come up")

    def settle(self):
        """Wait until the service has compiled what it can, and return it."""
        until = time.monotonic() + 120
        while find_spec("numba") is not None:
            text = self.http.request("GET", f"{self.url}/metrics", timeout=5).data
            if b"warmstart_model_compiled 1.0" in text:
                break
            assert time.monotonic() < until, (self.folder / "log").read_text()[-2_000:]
            time.sleep(0.05)
        return self

    def ask(self, method, path, body=None):
        """Return (status, plain values) of one request."""
        answer = self.http.request(method, self.url + path, json=body, timeout=30)
        return answer.status, answer.headers, json.loads(answer.data.splitlines()[0])

    def resident_bytes(self):
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return 1_024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        self.http.clear()
