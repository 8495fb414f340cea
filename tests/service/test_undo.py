"""A vote that is taken back counts in no list and in no training, wherever it was kept."""

import pytest

import warmstart as ws
from warmstart.data import EvidenceRule
from warmstart.store import Event, open_store


@pytest.fixture(scope="module")
def model(shelf):
    return ws.load(shelf / "first")


def items(listed):
    return [getattr(one, "item", None) or one["item"] for one in listed]


def test_the_next_list_knows_nothing_of_it(running, model):
    running.liked("fickle", 5, 9)
    gone = {"id": "fickle-undo", "user": "fickle", "item": 5, "event": "undo", "timestamp": 1.8e9}
    before = running.good("POST", "/v1/recommend", {"user": "fickle", "k": 200})["items"]
    assert running.good("POST", "/v1/events", {"events": [gone]})["accepted"] == 1
    after = running.good("POST", "/v1/recommend", {"user": "fickle", "k": 200})["items"]
    alone = [{"item": 9, "event": "like", "timestamp": 1.7e9}]
    assert items(after) == items(model.recommend(alone, k=200, explain=False))
    assert 5 not in items(before)
    assert 5 in items(after)  # not seen any more, it may be recommended
    kept = running.good("GET", "/v1/users/fickle")["events"]
    assert [one["event"] for one in kept] == ["like", "like", "undo"]  # what happened stays
    running.liked("fickle", 5, id="again")  # older than the undo: it came late, and is taken back
    assert items(running.good("POST", "/v1/recommend", {"user": "fickle", "k": 200})["items"]) == (
        items(after)
    )


def test_a_history_in_a_request_may_take_back(running, model):
    said = [{"item": 5, "event": "like"}, {"item": 9, "event": "dislike"},
            {"item": 5, "event": "Undo"}, {"item": 14, "event": "undo"}]  # fmt: skip
    listed = running.good("POST", "/v1/recommend", {"history": said, "k": 30})["items"]
    expected = model.recommend([{"item": 9, "event": "dislike"}], k=30, explain=False)
    assert items(listed) == items(expected)
    again = [*said, {"item": 5, "event": "like"}]
    listed = running.good("POST", "/v1/recommend", {"history": again, "k": 30})["items"]
    expected = model.recommend([{"item": 9, "event": "dislike"}, 5], k=30, explain=False)
    assert items(listed) == items(expected)


def test_it_is_evidence_of_nothing():
    assert EvidenceRule().of_event("undo") == 0.0


def test_training_has_neither_it_nor_what_it_takes_back(tmp_path):
    store = open_store(tmp_path / "events.sqlite")

    def event(id, item, what, time, user="ada"):
        return Event(id, user, item, what, None, float(time))

    stands = [event("a", 1, "like", 1), event("f", 2, "like", 9), event("g", 2, "skip", 4, "bob")]
    store.append("t", [
        stands[0], event("b", 2, "like", 2), event("c", 2, "undo", 5), stands[1],
        event("d", 3, "like", 3), event("e", 3, "UNDO", 3), stands[2],
        event("h", 3, "like", 2.5),  # came late, and was taken back before
    ])  # fmt: skip
    found = store.training("t")
    rows = [(r["user"], r["item"], r["event"]) for r in found.table.to_pylist()]
    assert rows == [(one.user, one.item, one.event) for one in stands]
    store.close()
    other = open_store(tmp_path / "other.sqlite")
    other.append("t", stands)
    assert other.training("t").fingerprint == found.fingerprint
    other.close()
