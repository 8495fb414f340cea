"""A real small model, in this process and behind a real server; skipped where it cannot run."""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from warmstart.core.errors import ConfigError
from warmstart.llm.llama import LlamaCpp, LlamaCppConfig
from warmstart.llm.weights import SMOLLM2, weights

START_SECONDS = 120


def smollm2_weights():
    """Return the path of SmolLM2's weights; skip the test where it cannot be run."""
    reason = "llama-cpp-python is not built here (it needs a compiler)"
    pytest.importorskip("llama_cpp", reason=reason, exc_type=ImportError)
    try:
        return weights(SMOLLM2)
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def smollm():
    """SmolLM2 in this process, one thread."""
    smollm2_weights()
    model = LlamaCpp(LlamaCppConfig(threads=1))
    yield model
    model.close()


@pytest.fixture(scope="session")
def llama_server(tmp_path_factory):
    """The base URL of `llama_cpp.server` with SmolLM2, on a free port of this machine."""
    path = smollm2_weights()
    for package in (
        "fastapi",
        "uvicorn",
        "pydantic_settings",
        "sse_starlette",
        "starlette_context",
    ):
        pytest.importorskip(package, reason=f"llama_cpp.server needs {package}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("llama") / "server.log"
    options = {
        "model": path, "model_alias": "smollm2", "host": "127.0.0.1", "port": port, "n_ctx": 2048,
        "n_batch": 128, "n_threads": 1, "n_threads_batch": 1, "logits_all": True,
        "interrupt_requests": False, "verbose": False,
    }  # fmt: skip
    command = [sys.executable, "-m", "llama_cpp.server"]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/v1/models", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(url, process, log):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with direct.open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"llama_cpp.server did not start:\n{log.read_text(errors='replace')[-2000:]}")
