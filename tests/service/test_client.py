"""The client, against a service that is there, and one that comes and goes."""

import gc
import http.server
import json
import random
import threading

import pytest

import warmstart as ws
from warmstart.core.errors import ConfigError, DataError, UnknownItemError


@pytest.fixture
def client(running):
    with ws.Client(running.url, api_key=running.key, rng=random.Random(0)) as opened:
        yield opened


def test_every_call_does_what_its_route_does(client, running, shelf):
    model = ws.load(shelf / "first")
    expected = [r.item for r in model.recommend([5, 9], k=4)]
    assert [line["item"] for line in client.recommend(history=[5, 9], k=4)] == expected
    sent = client.send([{"user": "c/1", "item": 5}, {"user": "c/1", "item": 9, "event": "skip"}])
    assert sent == {"accepted": 2, "duplicates": 0, "refused": []}
    assert {e["item"]: e["event"] for e in client.user("c/1")["events"]} == {5: "like", 9: "skip"}
    assert client.recommend("c/1", k=3, filters="genres has Comedy")[0]["score"]
    assert client.similar(5, k=2)[0]["item"] == model.similar_items(5, k=2)[0].item
    assert client.explain([20], "c/1")[0]["item"] == 20
    assert client.next_question(history=[5])["item"]
    answer = client.ask("two funny comedies")
    assert len(answer["items"]) == 2
    assert answer["items"][0]["reason"]
    assert client.ask("more", conversation=answer["conversation"])["items"]
    assert client.delete_user("c/1")["events"] == 2
    assert client.send([{"user": "c/1", "item": 5}])["refused"] == ["c/1"]


def test_items_are_put_and_removed(fresh):
    running = fresh()
    with ws.Client(running.url, api_key=running.key) as client:
        for _ in range(2):
            assert client.put_items([{"item": 9001, "title": "Dust"}])["changed"] == 1
        assert client.similar("Dust", 1)
        client.remove_items([9001])
        assert 9001 not in [line["item"] for line in client.recommend(k=200)]


def test_refusals_are_the_librarys_errors(client, running):
    with pytest.raises(UnknownItemError) as caught:
        client.recommend(history=["Golden"])
    assert caught.value.proposals
    assert caught.value.query == "Golden"
    with pytest.raises(UnknownItemError, match=r'^"Nobody\'s Dust" is not in the catalogue'):
        client.recommend(history=["Nobody's Dust"])
    with pytest.raises(DataError, match="HTTP 422"):
        client.recommend(k=0)
    with (
        ws.Client(running.url, api_key="ws_wrong") as stranger,
        pytest.raises(DataError, match="HTTP 401"),
    ):
        stranger.recommend()
    for wrong in ("ws_\n", "ws_é", ""):
        with pytest.raises(ConfigError):
            ws.Client(running.url, api_key=wrong).recommend()


def test_a_closed_client_leaves_no_socket_behind(running, recwarn):
    with ws.Client(running.url, api_key=running.key) as client:
        client.recommend(k=1)
        pool = client._server._connections._pool
        assert len(pool.pools) == 1
    assert len(pool.pools) == 0
    assert client.recommend(k=1)  # opens anew
    client.close()
    del client, pool
    gc.collect()
    assert [w for w in recwarn if issubclass(w.category, ResourceWarning)] == []


class Flaky(http.server.BaseHTTPRequestHandler):
    """Fails twice, the second time after the work is done, then answers."""

    seen: list = []  # noqa: RUF012  (emptied by the test)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(body)
        n = len(self.seen)
        if n == 2:
            self.close_connection = True
            return
        answer = json.dumps({"accepted": 1, "duplicates": 0, "refused": []}).encode()
        self.send_response(503 if n == 1 else 200)
        self.send_header("Retry-After", "3")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def test_it_asks_again_under_the_same_ids_and_waits_as_it_is_told():
    Flaky.seen.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    pauses = []
    try:
        url, rng = f"http://127.0.0.1:{server.server_port}", random.Random(0)
        with ws.Client(url, sleep=pauses.append, rng=rng) as client:
            assert client.send([{"user": "u", "item": 5}])["accepted"] == 1
    finally:
        server.shutdown()
        server.server_close()
    first, second, third = Flaky.seen
    assert first == second == third
    assert first["events"][0]["id"]
    assert pauses[0] >= 3
    assert pauses[1] > 0
