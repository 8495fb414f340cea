"""The one HTTP client: in time whatever is slow, and only to the host that it was told."""

import gzip
import http.server
import json
import random
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from warmstart.core import exchange
from warmstart.core.errors import DataError, MissingExtraError
from warmstart.core.http import RefusedError, Server

KEY = "sk-very-secret-0123456789"


class Echo(http.server.ThreadingHTTPServer):
    """Answers with what it was sent, or with what its `reply` makes of the handler."""

    daemon_threads = True

    def __init__(self):
        self.paths, self.keys, self.connections, self.reply = [], [], set(), None
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.paths.append(self.path)
                server.keys.append(self.headers["Authorization"])
                server.connections.add(self.client_address)
                status, headers, answer = server.reply(self) if server.reply else (200, {}, body)
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(answer))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_):
        pass


@pytest.fixture
def echo(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = Echo()
    yield server
    server.shutdown()
    server.server_close()


def client(url, **more):
    clock = {"sleep": time.sleep, "now": time.time, "rng": random.Random(0)}
    return Server(url, "echo", **clock | more)


def test_what_is_posted_comes_back_over_one_connection(echo):
    server = client(echo.url)
    for i in range(5):
        assert json.loads(server.post({"n": i, "词": "好"}, most_bytes=100)) == {"n": i, "词": "好"}
    assert echo.paths == ["/v1/echo"] * 5
    assert len(echo.connections) == 1
    assert server.requests == 5


def test_the_deadline_holds_over_all_tries(echo):
    echo.reply = lambda _: (503, {}, b"")
    server = client(echo.url, retries=50)
    began = time.monotonic()
    with pytest.raises(DataError, match=r"no answer within 1 seconds \(HTTP 503: Service Unav"):
        server.post({}, most_bytes=100, within_seconds=1.0)
    assert time.monotonic() - began < 1.5
    assert 1 < len(echo.paths) < 5
    with pytest.raises(DataError, match=r"asked 1 times"):
        server.post({}, most_bytes=100, within_seconds=1.0, retries=0)
    with pytest.raises(DataError, match="within 0 seconds"):
        server.post({}, most_bytes=100, within_seconds=0.0)


def test_a_name_server_that_is_silent_holds_nobody(monkeypatch):
    stop = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: stop.wait(10) and [])
    began = time.monotonic()
    with pytest.raises(DataError, match=r"timed out"):
        client("http://nowhere.invalid/v1").post({}, most_bytes=100, within_seconds=0.3)
    assert time.monotonic() - began < 1
    stop.set()


def test_a_name_that_nobody_knows_is_told():
    server = client("http://nowhere.invalid/v1", retries=0)
    with pytest.raises(DataError, match=r"nowhere\.invalid/v1/echo gave no answer.*gaierror"):
        server.post({}, most_bytes=100)
    with pytest.raises(DataError, match=r"gave no answer"):
        client(f"http://{'a' * 70}.invalid/v1", retries=0).post({}, most_bytes=100)


def test_a_packed_reply_is_not_unpacked(echo):
    bomb = gzip.compress(b" " * 10_000_000)
    echo.reply = lambda _: (200, {"Content-Encoding": "gzip"}, bomb)
    assert client(echo.url).post({}, most_bytes=20_000) == bomb
    echo.reply = lambda _: (200, {}, b" " * 20_001)
    with pytest.raises(DataError, match="sent more than 20,000 bytes"):
        client(echo.url).post({}, most_bytes=20_000)


def test_the_key_follows_a_move_on_its_host_and_no_other(echo, monkeypatch):
    monkeypatch.setenv("ECHO_KEY", KEY)
    server = client(echo.url, api_key_env="ECHO_KEY", retries=0)
    other = Echo()
    try:
        for place, why in (
            (f"{other.url}/echo", "redirects to http://127.0.0.1, where the key"),
            ("https://127.0.0.1:1/echo", "redirects to|gave no answer"),  # safer, but closed
            ("file:///etc/passwd", "HTTP 302"),
            ("http://[", "gave no answer"),
            ("/v1/echo", "HTTP 302"),
            ("/round", "redirected more than 5 times"),
        ):
            echo.reply = lambda handler, place=place: (
                302,
                {"Location": place if place != "/round" else f"{handler.path}x"},
                b"",
            )
            with pytest.raises(DataError, match=why) as failed:
                server.post({}, most_bytes=100)
            assert KEY[:6] not in str(failed.value)
        assert (other.paths, other.keys) == ([], [])
        assert set(echo.keys) == {f"Bearer {KEY}"}
    finally:
        other.shutdown()
        other.server_close()


def test_a_refusal_is_told_even_where_its_text_breaks_off(echo):
    echo.reply = lambda handler: (
        400,
        {"Content-Length": "99"},
        setattr(handler, "close_connection", True) or b"oh",
    )
    with pytest.raises(RefusedError, match="HTTP 400: oh"):
        client(echo.url).post({}, most_bytes=100)


def test_the_proxy_of_the_environment_is_used_unless_it_is_bypassed(echo, monkeypatch):
    proxy = Echo()
    try:
        place = f"127.0.0.1:{proxy.server_port}"
        monkeypatch.setenv("http_proxy", f"http://me:pass@{place}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        client(echo.url).post({}, most_bytes=100)
        assert (len(echo.paths), proxy.paths) == (1, [])
        seen = []
        proxy.reply = lambda handler: (
            200, {}, seen.append(handler.headers["Proxy-Authorization"]) or b"{}"
        )  # fmt: skip
        client("http://far.invalid/v1").post({}, most_bytes=100)
        assert proxy.paths == ["http://far.invalid/v1/echo"]
        assert seen == ["Basic bWU6cGFzcw=="]
    finally:
        proxy.shutdown()
        proxy.server_close()


def test_a_server_that_nobody_vouches_for_gets_nothing(echo, tmp_path, monkeypatch):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here to make a certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    echo.socket = context.wrap_socket(echo.socket, server_side=True)
    monkeypatch.setenv("ECHO_KEY", KEY)
    server = client(echo.url.replace("http:", "https:"), api_key_env="ECHO_KEY", retries=5)
    with pytest.raises(DataError, match=r"is not who it says \(SSLCertVerificationError"):
        server.post({}, most_bytes=100)
    assert server.requests == 1  # asking again would not help
    assert echo.keys == []


def test_without_urllib3_the_extra_is_named(echo, monkeypatch):
    def without(name):
        raise ImportError(name)

    monkeypatch.setattr(exchange.importlib, "import_module", without)
    with pytest.raises(MissingExtraError, match=r'pip install "warmstart\[endpoint\]"'):
        client(echo.url).post({}, most_bytes=100)
    look = "import sys, warmstart.core.http; sys.exit('urllib3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look]).returncode == 0
