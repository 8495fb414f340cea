"""An embeddings server on this machine that keeps the protocol, and breaks it when told to."""

import json
import random
import socket
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from warmstart.core.errors import ConfigError, DataError
from warmstart.encoders import Encoder, VectorCache, encode
from warmstart.encoders.endpoint import EndpointConfig, EndpointEncoder, Spent
from warmstart.encoders.text import chunked

KEY = "sk-very-secret-0123456789"
NOW = 1_700_000_000.0


def letters(text):
    return [text.count(c) + 1.0 for c in "aeio"]


def unit(texts):
    rows = np.array([letters(t) for t in texts])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Server:
    """Embeds by counting vowels, last text first.

    `script` holds what to do to the next requests: a status, (status, headers) or a function of the
    right reply. `refuses` names texts for which a batch gets a 400.
    """

    def __init__(self):
        self.seen, self.keys, self.paths, self.script = [], [], [], []
        self.refuses, self.status, self.echo = set(), 400, ""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.seen.append(body["input"])
                server.keys.append(self.headers["Authorization"])
                server.paths.append(self.path)
                status, headers, reply = server.reply(body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *_: None  # a client that hung up
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def reply(self, body):
        texts = body["input"]
        right = {
            "object": "list",
            "model": body["model"],
            "data": [{"index": i, "embedding": letters(t)} for i, t in enumerate(texts)][::-1],
            "usage": {"prompt_tokens": 10 * len(texts), "total_tokens": 10 * len(texts)},
        }
        act = self.script.pop(0) if self.script else None
        if callable(act):
            changed = act(right)
            return 200, {}, changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        status, headers = act if isinstance(act, tuple) else (act, {})
        if any(bad in t for t in texts for bad in self.refuses):
            status = self.status
        if status is None:
            return 200, {}, json.dumps(right).encode()
        message = f"told to fail {self.echo}"
        return status, headers, json.dumps({"error": {"message": message}}).encode()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def made(server, *, now=lambda: NOW, **more):
    """Return an encoder, and the list of its pauses."""
    pauses = []
    url = server if isinstance(server, str) else server.url
    settings = {"base_url": url, "model": "vowels", "dim": 4, "retries": 2} | more
    encoder = EndpointEncoder(
        EndpointConfig.parse(settings), sleep=pauses.append, now=now, rng=random.Random(0)
    )
    return encoder, pauses


def test_vectors_belong_to_their_texts_in_whatever_order_they_come(server):
    encoder, _ = made(server, batch_size=3)
    assert isinstance(encoder, Encoder)
    texts = ["an aria", "oboe", None, "three trees", "  ", "ibis", "an aria", "eau de vie", "koi"]
    found = encode(encoder, texts)
    there = [i for i, t in enumerate(texts) if t and t.strip()]
    assert np.flatnonzero(found.known).tolist() == there
    assert found.faults == ()
    np.testing.assert_allclose(found.vectors[there], unit([texts[i] for i in there]), atol=1e-6)
    assert [len(batch) for batch in server.seen] == [3, 3]  # equal texts once
    assert set(server.paths) == {"/v1/embeddings"}
    assert set(server.keys) == {None}


def test_a_long_text_is_the_mean_of_its_pieces(server):
    text = "An eel. Oboes in a row! Is it an ibis? " * 4
    pieces = chunked(text, 30)
    assert len(pieces) > 4
    encoder, _ = made(server, chunk_chars=30, batch_size=2)
    mean = np.mean([letters(p) for p in pieces], axis=0)
    found = encode(encoder, [text]).vectors[0]
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-6)


def test_the_width_is_asked_once_if_it_is_not_set(server):
    encoder, _ = made(server, dim=None)
    assert encode(encoder, ["a", "b"]).vectors.shape == (2, 4)
    assert encode(encoder, ["c"]).vectors.shape == (1, 4)
    assert len(server.seen) == 3
    for act, why in ((400, "refuses any text: HTTP 400"), (lambda _: b"hm", "sent no JSON")):
        server.script = [act]
        with pytest.raises(DataError, match=f"{server.url}/embeddings {why}.*; check base_url"):
            _ = made(server, dim=None)[0].dim


def test_failures_are_retried_with_growing_pauses_that_are_spread(server):
    server.script = [500, 503, 429, 408]
    encoder, pauses = made(server, retries=5)
    assert encode(encoder, ["a"]).known.all()
    assert encoder.spent.requests == len(server.seen) == 5
    for i, pause in enumerate(pauses):
        assert 0.25 * 2**i <= pause < 0.5 * 2**i
    assert len(pauses) == 4


def test_the_pause_that_the_server_asks_for_is_kept_up_to_a_minute(server):
    date = formatdate(NOW + 11, usegmt=True)
    asked = ["7", date, "99999", "soon", formatdate(NOW - 99, usegmt=True)]
    server.script = [(429, {"Retry-After": a}) for a in asked]
    encoder, pauses = made(server, retries=5)
    assert encode(encoder, ["a"]).known.all()
    assert pauses[:3] == [7, 11, 60]
    assert 2 <= pauses[3] <= 4  # as if nothing had been asked for
    assert 4 <= pauses[4] <= 8


def test_a_server_that_stays_down_is_given_up_and_named(server):
    server.script = [503] * 9
    encoder, pauses = made(server)
    found = encode(encoder, ["a", "b"])
    assert not found.known.any()
    assert [f.place for f in found.faults] == [0, 1]
    why = found.faults[0].why
    assert f"{server.url}/embeddings gave no answer, asked 3 times (HTTP 503: told to fail" in why
    assert (len(server.seen), len(pauses)) == (3, 2)


def test_what_was_received_before_the_server_went_is_kept(server):
    server.script = [None, 503, 503, 503]
    encoder, _ = made(server, batch_size=2)
    found = encode(encoder, ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"])
    assert found.known.tolist() == [True] * 2 + [False] * 4
    assert len(server.seen) == 4  # and not asked again for the third batch
    assert all("asked 3 times" in f.why for f in found.faults)


def test_one_bad_text_costs_no_other_its_vector(server):
    server.refuses = {"bad"}
    texts = [f"text number {i}" for i in range(16)]
    texts[5] = "a bad text"
    encoder, pauses = made(server, batch_size=16)
    found = encode(encoder, texts)
    assert np.flatnonzero(~found.known).tolist() == [5]
    good = [t for t in texts if "bad" not in t]
    np.testing.assert_allclose(found.vectors[found.known], unit(good), atol=1e-6)
    assert found.faults[0].why == (
        f"{server.url}/embeddings refused the text: HTTP 400: told to fail; shorten it or leave it "
        "out"
    )
    assert not encoder.vectors([b"a bad text"])[0].any()
    assert pauses == []
    assert len(server.seen) == 11  # all, one to see that it works, 4 × 2 halves, the bad one
    long = "A fine sentence stands here. " * 3 + "Then a bad one. "
    cut, _ = made(server, chunk_chars=30)
    assert [f.place for f in encode(cut, ["good", long]).faults] == [1]


def test_a_server_that_refuses_everything_is_not_asked_for_every_text(server):
    server.refuses = {""}
    encoder, _ = made(server)
    found = encode(encoder, [f"text {i}" for i in range(50)])
    assert len(found.faults) == 50
    assert (
        "refuses any text: HTTP 400: told to fail; check base_url and model" in found.faults[0].why
    )
    assert len(server.seen) == 2
    server.status = 401
    refused, pauses = made(server)
    why = encode(refused, ["a", "b"]).faults[0].why
    assert "refused the request (HTTP 401: told to fail); check base_url, model and api_key" in why
    assert (len(server.seen), pauses) == (3, [])


def swapped(**more):
    """Return what replaces the entry of text 1."""

    def change(reply):
        reply["data"] = [e | more if e["index"] == 1 else e for e in reply["data"]]
        return reply

    return change


@pytest.mark.parametrize(
    ("act", "lost", "why"),
    [
        (lambda _: b"<html>\x1b[31mhello", {0, 1, 2}, "sent no JSON ('<html> [31mhello')"),
        (lambda _: b"[" * 100_000, {0, 1, 2}, "sent no JSON"),
        (lambda _: [1], {0, 1, 2}, "sent JSON without a list under 'data'"),
        (lambda r: r | {"data": r["data"][1:]}, {0, 1, 2}, "sent 2 vectors for 3 texts"),
        (swapped(index=0), {0, 1, 2}, "index is missing, out of range or there twice"),
        (swapped(index=None), {0, 1, 2}, "index is missing"),
        (swapped(index=True), {0, 1, 2}, "index is missing"),
        (swapped(embedding=[1.0, 2.0]), {1}, "sent a vector of 2 numbers, not dim=4; set dim=2"),
        (swapped(embedding=[1.0, float("nan"), 2.0, 3.0]), {1}, "a vector that is not finite"),
        (swapped(embedding=[1.0, 1e300, 2.0, 3.0]), {1}, "a vector that is not finite"),
        (swapped(embedding=[1, 10**400, 2, 3]), {1}, "a vector that is not finite"),
        (swapped(embedding="AAAA"), {1}, "sent no list of numbers"),
        (swapped(embedding=[1.0, None, 2.0, 3.0]), {1}, "sent no list of numbers"),
        (swapped(embedding=[0.0] * 4), {1}, "holds nothing that can be read"),
        (lambda _: b"x" * 5_000_000, {0, 1, 2}, "sent more than 4,000,000 bytes"),
    ],
)
def test_a_reply_that_does_not_fit_is_named_and_the_rest_is_used(server, act, lost, why):
    server.script = [act]
    encoder, pauses = made(server)
    texts = ["an aria", "some oboes", "three green trees"]
    found = encode(encoder, texts)
    assert set(np.flatnonzero(~found.known)) == lost
    assert {f.place for f in found.faults} == lost
    assert all(why in f.why for f in found.faults), found.faults
    kept = [t for i, t in enumerate(texts) if i not in lost]
    if kept:
        np.testing.assert_allclose(found.vectors[found.known], unit(kept), atol=1e-6)
    assert pauses == []


def test_an_answer_that_breaks_off_or_drips_is_asked_for_again(server):
    def broken(body):
        return 200, {"Content-Length": "5000"}, b'{"data": ['

    whole, server.reply = server.reply, broken
    encoder, pauses = made(server, retries=1)
    assert "IncompleteRead" in encode(encoder, ["a"]).faults[0].why
    assert len(pauses) == 1
    server.reply = whole
    ticks = iter(range(0, 10_000, 100))
    slow, _ = made(server, now=lambda: float(next(ticks)), timeout_seconds=60, retries=1)
    assert "TimeoutError: no end after 60 seconds" in encode(slow, ["a"]).faults[0].why


def test_silence_and_closed_doors_are_named(server, monkeypatch):
    stop = threading.Event()
    whole = server.reply
    server.reply = lambda body: whole(body) if stop.wait(5) else None
    encoder, pauses = made(server, timeout_seconds=0.2, retries=1)
    began = time.monotonic()
    why = encode(encoder, ["a"]).faults[0].why
    stop.set()
    assert time.monotonic() - began < 4
    assert "asked 2 times (TimeoutError: timed out)" in why
    assert len(pauses) == 1
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    away, pauses = made(url, dim=None)
    with pytest.raises(DataError, match=rf"{url}/embeddings gave no answer, asked 3 .*refused"):
        _ = away.dim
    assert (away.spent, len(pauses)) == (Spent(requests=3), 2)
    found = encode(away, ["a", None, 3, "b"])  # not even the width is known
    assert found.vectors.shape == (4, 0)
    assert not found.known.any()
    assert [f.place for f in found.faults] == [0, 2, 3]
    assert all(f"{url}/embeddings gave no answer" in found.faults[i].why for i in (0, 2))
    assert "expected a text, got int (3)" in found.faults[1].why
    found = encode(made(url)[0], ["a", None, "b"])
    assert [f.place for f in found.faults] == [0, 2]
    assert url in found.faults[0].why


def test_the_key_goes_to_the_server_and_into_no_message(server, monkeypatch):
    monkeypatch.setenv("VOWELS_KEY", f" {KEY}\n")
    encoder, _ = made(server, api_key_env="VOWELS_KEY")
    assert encode(encoder, ["a"]).known.all()
    assert server.keys == [f"Bearer {KEY}"]
    assert KEY not in repr(encoder.config) + repr(vars(encoder)) + encoder.version + encoder.name
    server.echo = f"for {KEY}, {'x' * 160} {KEY}"
    for act in (400, 401, 500, lambda _: f"you sent {KEY}".encode()):
        server.script = [act] * 3
        found = encode(made(server, api_key_env="VOWELS_KEY")[0], ["b"])
        assert "***" in found.faults[0].why
        assert KEY[:6] not in found.faults[0].why
    monkeypatch.setenv("VOWELS_KEY", f"{KEY}\nHost: x")
    with pytest.raises(ConfigError, match="VOWELS_KEY holds characters that no key has") as broken:
        encode(encoder, ["c"])
    assert KEY not in str(broken.value)
    monkeypatch.delenv("VOWELS_KEY")
    with pytest.raises(ConfigError, match="variable VOWELS_KEY is not set; put the key"):
        encode(encoder, ["d"])


def test_settings_that_would_give_a_key_away_are_refused_without_showing_it():
    good = {"base_url": "https://host/v1/", "model": "m"}
    assert EndpointConfig.parse(good).base_url == "https://host/v1"
    for wrong, why in (
        ({"api_key_env": KEY}, "not the name of an environment variable in capitals"),
        ({"base_url": f"https://me:{KEY}@host/v1"}, "holds a name or a password"),
        ({"base_url": f"https://host/v1?key={KEY}"}, "holds a query"),
        ({"base_url": "file:///etc/passwd"}, "is not http or https with a host"),
        ({"base_url": "host/v1"}, "is not http or https with a host"),
        ({"base_url": "http://host:port/v1"}, "base_url is no address"),
        ({"base_url": "http://host/v1\r\nX: y"}, "holds characters that no address has"),
    ):
        for build in (EndpointConfig.parse, lambda values: EndpointConfig(**values)):
            with pytest.raises(ConfigError, match=why) as refused:
                build(good | wrong)
            assert KEY not in str(refused.value)
    with pytest.raises(ConfigError, match="base_url: Field required"):
        EndpointEncoder()


def test_a_redirect_is_followed_on_the_same_host_only(server, monkeypatch):
    monkeypatch.setenv("VOWELS_KEY", KEY)
    server.script = [(307, {"Location": "/v2/embeddings"})]
    encoder, _ = made(server, api_key_env="VOWELS_KEY")
    found = encode(encoder, ["an aria"])
    np.testing.assert_allclose(found.vectors, unit(["an aria"]), atol=1e-6)
    assert server.paths == ["/v1/embeddings", "/v2/embeddings"]
    assert server.seen[1] == ["an aria"]
    assert server.keys == [f"Bearer {KEY}"] * 2
    other = Server()
    try:
        for place in (f"{other.url}/embeddings", "https://elsewhere.example/v1"):
            server.script = [(302, {"Location": place})]
            faults = encode(encoder, ["b"]).faults
            assert "redirects to" in faults[0].why
            assert "set base_url to it" in faults[0].why
        server.script = [(302, {"Location": "file:///etc/passwd"})]
        assert "HTTP 302" in encode(encoder, ["b"]).faults[0].why
        assert other.seen == []
    finally:
        other.http.shutdown()
        other.http.server_close()


def test_the_cost_is_counted(server):
    encoder, _ = made(server, batch_size=2, usd_per_million_tokens=0.13)
    before = encoder.spent
    encode(encoder, ["a", "b", "c", "d", "e"])
    assert encoder.spent == Spent(requests=3, tokens=50, usd=pytest.approx(50 * 0.13 / 1e6))
    assert before == Spent(0, 0, 0.0)
    odd = ({"total_tokens": -5}, {"total_tokens": "many"}, {"total_tokens": 10**400})
    for usage in (None, *odd, {"prompt_tokens": 7}):
        server.script = [lambda reply, usage=usage: reply | {"usage": usage}]
        encode(encoder, [f"{usage}"])
    assert (encoder.spent.requests, encoder.spent.tokens) == (8, 57)


def test_the_cache_spares_the_server(server, tmp_path):
    cache = VectorCache(tmp_path / "v.sqlite")
    texts = ["an aria", "oboe", None, "koi"]
    first = encode(made(server)[0], texts, cache=cache)
    again, _ = made(server)
    second = encode(again, texts, cache=cache)
    assert (first.cached, second.cached) == (0, 3)
    assert again.spent == Spent()
    assert len(server.seen) == 1
    np.testing.assert_array_equal(second.vectors, first.vectors)
    other, _ = made(server, model="other")
    assert encode(other, texts, cache=cache).cached == 0
