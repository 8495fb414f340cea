"""A chat server that keeps the protocol, and breaks it in a named way when told to."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

FAULTS = (
    "slow", "429", "429 for an hour", "500", "400", "401", "truncated", "half", "drops", "html",
    "no text", "no choices", "a list", "deep", "huge", "drip", "drip of headers", "no headers",
)  # fmt: skip
"""Every way to break; "" breaks nothing."""

PATIENCE = 20.0  # seconds that a slow server waits, if nobody stops it


def told_to(body):
    """Return by which name a request asks for a schema, and the schema."""
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        return "json_schema", form["json_schema"]["schema"]
    if form.get("type") == "json_object":
        return "json_object", form["schema"]
    return ("grammar", body["grammar"]) if "grammar" in body else (None, None)


class FaultyServer:
    """Says "banana", unless it is asked for a schema in a way that it honours.

    Attributes:
        fault: one of `FAULTS`, for all requests to come, or a list of them for one request each.
        honours: of "json_schema", "json_object", "grammar" and "logprobs"; others it ignores.
        refuses: of the same; it answers them with 400.
        says: what it says instead of "banana".
        usage: what it counts.
        seconds: that every good answer takes.
        seen: the bodies of the requests so far.
        keys: their Authorization headers.
        most_at_once: requests that it had at one time.
    """

    def __init__(self):
        self.fault, self.honours, self.refuses, self.says = "", set(), set(), "banana"
        self.usage = {"prompt_tokens": 7, "completion_tokens": 3}
        self.seconds, self.seen, self.keys = 0.0, [], []
        self.at_once = self.most_at_once = 0
        self.stop, self.counting = threading.Event(), threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.counting:
                    server.seen.append(body)
                    server.keys.append(self.headers["Authorization"])
                    server.at_once += 1
                    server.most_at_once = max(server.most_at_once, server.at_once)
                    fault = server.fault
                    if isinstance(fault, list):
                        fault = fault.pop(0) if fault else ""
                try:
                    server.answer(self, body, fault)
                finally:
                    with server.counting:
                        server.at_once -= 1

            def send(self, status, content, *, length=None, **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(content) if length is None else length))
                if self.close_connection:  # or the client may ask again where nobody listens
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.block_on_close = False
        self.http.handle_error = lambda *_: None  # a client that hung up
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.stop.set()
        self.http.shutdown()
        self.http.server_close()

    def answer(self, handler, body, fault):
        handler.close_connection = bool(fault)
        whole = json.dumps(self.right(body)).encode()
        error = json.dumps({"error": {"message": f"told to fail {handler.headers}"}}).encode()
        asked_for = {"logprobs"} & body.keys() | {told_to(body)[0]}
        if fault.startswith("429"):
            handler.send(429, error, Retry_After="3600" if "hour" in fault else "1")
        elif fault.isdigit() or asked_for & self.refuses:
            handler.send(int(fault or 400), error)
        elif fault in ("slow", "no headers"):
            if fault == "no headers":
                handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            self.stop.wait(PATIENCE)
        elif fault == "truncated":
            handler.send(200, whole[: len(whole) // 2])
        elif fault == "half":
            handler.send(200, whole[:20], length=len(whole))
        elif fault == "drops":
            handler.connection.shutdown(socket.SHUT_RDWR)
        elif fault == "html":
            handler.send(200, b"<html>\x1b[31mwelcome</html>")
        elif fault == "huge":
            handler.send(200, b'{"choices": [', length=1 << 40)
            while not self.stop.is_set():
                handler.wfile.write(b" " * (1 << 16))
        elif fault == "drip":
            handler.send(200, b"", length=10_000)
            while not self.stop.wait(0.05):
                handler.wfile.write(b" ")
        elif fault == "drip of headers":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            while not self.stop.wait(0.05):
                handler.wfile.write(b"x")
        else:
            self.stop.wait(self.seconds)
            broken = {
                "no text": json.dumps({"choices": [{"message": {"content": None}}]}).encode(),
                "no choices": b'{"choices": []}',
                "a list": b"[1, 2]",
                "deep": b"[" * 100_000,
            }
            handler.send(200, broken.get(fault, whole))

    def right(self, body):
        dialect, schema = told_to(body)
        text = self.says
        if dialect in self.honours:
            if dialect == "grammar":
                text = '{"answer": "kelp-71"}' if "kelp-71" in schema else "{}"
            else:
                enum = schema.get("properties", {}).get("answer", {}).get("enum", [None])
                text = json.dumps({"answer": enum[-1]})
        choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        if body.get("logprobs") and "logprobs" in self.honours:
            told = [("A", -0.2), (" B", -2.5), ("B", -3.0), ("C", -4.0), ("yes", -6.0)]
            top = [{"token": token, "logprob": log_p} for token, log_p in told]
            choice["logprobs"] = {"content": [{"token": "A", "top_logprobs": top}]}
        return {"model": body["model"], "choices": [choice], "usage": self.usage}


@pytest.fixture
def faulty(monkeypatch):
    """A server that breaks as its `fault` says."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = FaultyServer()
    yield server
    server.close()
