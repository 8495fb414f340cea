"""Stores of both kinds, and a PostgreSQL server that lives as long as the tests."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from glob import glob
from pathlib import Path

import pytest
from tests.store.addresses import KINDS, new_url

from warmstart.store import open_store


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a server of our own."""
    pytest.importorskip("sqlalchemy", reason="the extra `postgres` is not installed")
    found = [*glob("/usr/lib/postgresql/*/bin/initdb"), shutil.which("initdb") or ""]
    programs = Path(max(found)).resolve().parent
    if not max(found):
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv here, which starts PostgreSQL so that it ends with the tests")
    folder = tempfile.mkdtemp(prefix="warmstart-postgres-")
    # the server dies with whoever started it, and refuses to be root
    as_whom = ["setpriv", "--pdeathsig", "QUIT"]
    if os.geteuid() == 0:
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_whom += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = [str(programs / "initdb"), "-D", f"{folder}/data", "-U", "tests", "-A", "trust"]
    subprocess.run(
        [*as_whom, *made, "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    # its own fsync is not what is tested here, and would take most of the time
    server = [str(programs / "postgres"), "-D", f"{folder}/data", "-p", str(port), "-k", folder]
    with open(f"{folder}.log", "w+") as log:
        process = subprocess.Popen(
            [*as_whom, *server, "-h", "127.0.0.1", "-c", "fsync=off"],
            stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip
        try:
            _wait(programs, folder, port, process)
            yield f"postgresql://tests@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGQUIT)  # at once, whoever is still connected
            process.wait(30)
            shutil.rmtree(folder, ignore_errors=True)
            os.unlink(log.name)


def _wait(programs: Path, folder: str, port: int, process: subprocess.Popen) -> None:
    ask = [str(programs / "pg_isready"), "-q", "-h", folder, "-p", str(port), "-t", "1"]
    for _ in range(300):
        if subprocess.run(ask).returncode == 0:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    raise RuntimeError(f"PostgreSQL did not start: {Path(f'{folder}.log').read_text()}")


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    return new_url(request.param, tmp_path, request)


@pytest.fixture
def store(url):
    opened = open_store(url)
    yield opened
    opened.close()
