"""What every store promises, on SQLite and on PostgreSQL."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from warmstart.core.errors import ConfigError, DataError, StoreError
from warmstart.data import Dataset
from warmstart.data.evidence import EvidenceRule
from warmstart.store import ApiKey, Event, Health, Receipt, open_store

ODD = [0, -7, 10**200, "", "12", 12, "异形", "a\x00b", "\ud800", "😀" * 256, "' OR 1=1 --", "%s:k0"]
"""Ids of any kind."""


def event(id, user="ada", item=1, *, at=0.0, name="like", value=None):
    return Event(id, user, item, name, value, at)


def test_an_event_is_kept_once_whatever_it_says_the_second_time(store):
    first = event("e", item=1, value=4.5, at=5.0)
    assert store.append("films", [first, event("e", item=2)]) == Receipt(1, 1)
    assert store.append("films", [event("e", user="bob")]) == Receipt(0, 1)
    assert store.events("films", "ada") == [first]
    assert store.users("films") == ["ada"]
    assert store.append("films", []) == Receipt(0, 0)


def test_ids_of_any_kind_come_back_as_they_were(store):
    events = [event(id, id, id, at=float(i)) for i, id in enumerate(ODD)]
    assert store.append("films", events).accepted == len(ODD)
    for one in events:
        (found,) = store.events("films", one.user)
        assert found == one
        assert [type(id) for id in (found.id, found.user, found.item)] == [type(one.id)] * 3
    numbers, texts = [i for i in ODD if isinstance(i, int)], [i for i in ODD if isinstance(i, str)]
    assert store.users("films") == sorted(numbers) + sorted(texts)
    assert store.append("films", [event(np.int64(12))]).duplicates == 1


def test_events_are_in_order_of_time_then_of_arrival(store):
    store.append("films", [event("late", at=9.0), event("b", at=2.0)])
    store.append("films", [event("a", at=2.0), event("early", at=-1.5)])
    assert [e.id for e in store.events("films", "ada")] == ["early", "b", "a", "late"]
    assert [e.id for e in store.recent("films", 3)] == ["early", "a", "b"]
    assert store.recent("films", 0) == []
    assert len(store.recent("films", 10**30)) == 4


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (event(True), "id of an event 'True' is bool"),
        (event("e", user=None), "user 'None' is NoneType"),
        (event("e", user="x" * 257), "257 characters, 256 are allowed"),
        (event("e", item=1.5), "item '1.5' is float"),
        (event("e", item=10**300), "more than 256 digits"),
        (event("e", name=""), "printable"),
        (event("e", name="a\x00"), "printable"),
        (event("e", name="\ud800"), "printable"),
        (event("e", name="x" * 65), "1 to 64"),
        (event("e", at=float("nan")), "timestamp of event 'e' is 'nan'"),
        (event("e", at="1"), "timestamp"),
        (event("e", value=float("inf")), "value of event 'e' is 'inf'"),
        (event("e", value=10**400), "value"),
    ],
)
def test_a_wrong_event_is_refused_with_all_that_came_with_it(store, wrong, says):
    with pytest.raises(DataError, match=says):
        store.append("films", [event("good"), wrong])
    assert store.users("films") == []


@pytest.mark.parametrize("tenant", ["", None, 5, "x" * 65])
def test_a_tenant_has_a_name(store, tenant):
    for call in (store.users, store.keys, store.training):
        with pytest.raises(DataError, match="tenant"):
            call(tenant)


def test_tenants_never_see_each_other(store):
    for tenant in ("a", "b"):
        store.append(tenant, [event("e", item=tenant)])
        store.change_items(tenant, "add", [{"id": tenant}], now=1.0)
        store.create_key(tenant, ["read"], now=1.0)
    assert store.delete_user("a", "ada", now=2.0) == 1
    assert store.revoke_key("a", store.keys("b")[0].id, now=2.0) is False
    assert store.events("a", "ada") == []
    assert [e.item for e in store.events("b", "ada")] == ["b"]
    assert [c.rows for c in store.item_changes("b")] == [({"id": "b"},)]
    assert store.keys("b")[0].revoked is None
    assert store.append("b", [event("e2")]).accepted == 1
    assert store.training("a").table.num_rows == 0
    # a name that begins like another, and one that ends where the user begins
    assert store.events("a" * 2, "ada") == []
    assert store.append("aa", [event("e", "da")]).accepted


def test_a_deleted_user_is_gone_and_stays_away(store):
    mine = [event(f"e{i}", at=float(i)) for i in range(5)]
    store.append("films", [*mine, event("other", "bob"), event("twelve", "12")])
    assert store.events("films", "ada") == mine
    assert store.delete_user("films", "ada", now=3.0) == 5
    assert store.events("films", "ada") == []
    receipt = store.append("films", [*mine, event("new", "bob")])
    assert receipt == Receipt(1, 0, ("ada",))
    assert store.users("films") == ["12", "bob"]
    assert store.delete_user("films", "ada", now=4.0) == 0
    assert store.delete_user("films", 12, now=4.0) == 0  # the number, which is another user
    assert store.append("films", [event("again", "12")]).accepted == 1


def test_a_tombstone_outlives_the_process(url):
    store = open_store(url)
    store.append("films", [event("e")])
    store.delete_user("films", "ada", now=3.0)
    store.close()
    store = open_store(url)
    assert store.append("films", [event("e")]).refused == ("ada",)
    store.close()


def test_the_training_table_holds_what_stands_and_its_hash_proves_it(store):
    events = [event(f"e{i}", f"u{i % 3}", i, at=float(i), value=i / 2) for i in range(9)]
    store.append("all", events)
    store.append("less", [e for e in events if e.user != "u1"])
    before = store.training("all")
    assert before.table.to_pylist() == [
        {
            "user": e.user,
            "item": e.item,
            "event": "like",
            "value": e.value,
            "timestamp": e.timestamp,
        }
        for e in events
    ]
    assert store.training("all").fingerprint == before.fingerprint
    store.delete_user("all", "u1", now=1.0)
    after, never = store.training("all"), store.training("less")
    assert after.table.equals(never.table)
    assert after.fingerprint == never.fingerprint
    assert after.fingerprint != before.fingerprint
    assert "u1" not in after.table["user"].to_pylist()


@pytest.mark.parametrize(
    ("said", "evidence"),
    [
        ([("rating", 1.0), ("rating", 5.0), ("rate", 4.0)], [-1.0, 1.0, 0.5]),
        ([("rating", 1.0), ("rating", 5.0), ("like", None)], [-1.0, 1.0, 1.0]),
        ([("rating", -0.5), ("rating", 0.5), ("skip", 3.0)], [-1.0, 1.0, -1.0]),
        ([("like", 2.0), ("skip", None), ("view", None)], [1.0, -1.0, 1.0]),
    ],
)
def test_the_next_training_reads_what_was_said(store, said, evidence):
    events = [
        Event(f"e{i}", f"u{i}", i, name, value, float(i)) for i, (name, value) in enumerate(said)
    ]
    store.append("t", events)
    data = Dataset.from_tables(store.training("t").interactions())
    np.testing.assert_allclose(data.evidence().toarray().sum(axis=1), evidence, atol=1e-6)


def test_the_scale_of_the_model_in_use_tells_a_like(store):
    store.append("t", [event("a", value=None, at=1.0), Event("b", "u", 2, "rating", 3.0, 2.0)])
    for threshold, said in ((2, "like"), (4, "dislike")):
        found = store.training("t").interactions(EvidenceRule(low=1, high=5, threshold=threshold))
        assert found["event"].to_pylist() == ["like", said]


def test_the_hash_of_the_training_table_is_the_same_in_every_database(store):
    """Written down by hand, so that both databases are held to the same."""
    store.append(
        "t", [Event("a", 1, "x", "like", None, 2.0), Event("b", "1", "xy", "rating", -0.0, 3.0)]
    )
    lengths = {"user": [2, 2], "item": [2, 3], "event": [4, 6]}
    expected = hashlib.sha256()
    for name, joined in (("user", b"i1s1"), ("item", b"sxsxy"), ("event", b"likerating")):
        expected.update(np.array(lengths[name], "<u4").tobytes() + joined)
    expected.update(
        np.array([np.nan, 0.0], "<f8").tobytes() + np.array([2.0, 3.0], "<f8").tobytes()
    )
    found = store.training("t")
    assert found.fingerprint == expected.hexdigest()
    assert found.table["user"].to_pylist() == ["1", "1"]  # one column has one type
    assert found.table["value"].to_pylist() == [None, 0.0]


def test_no_two_sets_of_rows_have_one_hash_by_running_together(store):
    store.append("a", [event("1", "a"), event("2", "sb")])
    store.append("b", [event("1", "as"), event("2", "b")])
    store.append("c", [event("1", 12, "c"), event("2", "d", "e")])
    store.append("d", [event("1", "12", "c"), event("2", "d", "e")])
    assert len({store.training(tenant).fingerprint for tenant in "abcd"}) == 4


def test_changes_of_items_are_replayed_in_order(store):
    rows = [{"id": 1, "title": "异形", "note": "a\x00\ud800", "genres": ["x"], "year": None}]
    numbers = [
        store.change_items("films", "add", rows, now=1.0),
        store.change_items("films", "update", [{"id": 1, "year": 1979}], now=2.0),
        store.change_items("films", "remove", [{"id": 1}], now=3.0),
    ]
    assert numbers == sorted(set(numbers))
    found = store.item_changes("films")
    assert [c.number for c in found] == numbers
    assert [(c.kind, c.timestamp) for c in found] == [
        ("add", 1.0),
        ("update", 2.0),
        ("remove", 3.0),
    ]
    assert found[0].rows == tuple(rows)
    assert store.item_changes("films", after=numbers[1]) == found[2:]


@pytest.mark.parametrize(
    ("kind", "rows"), [("add", [{"x": float("nan")}]), ("add", [{"x": {1}}]), ("drop", [{"x": 1}])]
)
def test_a_change_that_is_no_json_is_refused(store, kind, rows):
    with pytest.raises(DataError):
        store.change_items("films", kind, rows, now=1.0)
    assert store.item_changes("films") == []


def test_a_key_opens_until_it_is_revoked(store):
    secret, key = store.create_key("films", {"read", "write"}, now=1.0)
    assert store.key(secret) == key == ApiKey(key.id, "films", frozenset({"read", "write"}), 1.0)
    other, _ = store.create_key("films", {"admin"}, now=2.0)
    forged = secret[:20] + other[20:]  # the id of one, the secret of the other
    for guess in ("", "ws_", forged, secret[:-1], secret + "x", secret.upper(), "\ud800", key.id):
        assert store.key(guess) is None
    assert store.revoke_key("films", key.id, now=5.0) is True
    assert store.key(secret) is None
    assert store.key(other) is not None
    assert [k.revoked for k in store.keys("films")] == [5.0, None]
    for id in (key.id, "0" * 16, "\x00", "\ud800"):
        assert store.revoke_key("films", id, now=6.0) is False


@pytest.mark.parametrize("scopes", [(), {"root"}, {"read", "root"}])
def test_a_key_has_scopes_that_there_are(store, scopes):
    with pytest.raises(DataError, match="give some of"):
        store.create_key("films", scopes, now=1.0)


def test_many_threads_at_once_lose_and_double_nothing(store):
    def send(k):
        each = [event(f"{i}", f"u{i % 5}", i, at=float(i)) for i in range(k % 2, 60, 2)]
        return sum(store.append("films", [one]).accepted for one in each)

    with ThreadPoolExecutor(8) as pool:  # four threads send the same thirty events
        accepted = sum(pool.map(send, range(8)))
    found = [e for user in store.users("films") for e in store.events("films", user)]
    assert accepted == 60
    assert sorted(int(e.id) for e in found) == list(range(60))


def test_a_reader_sees_every_event_that_was_acknowledged_before(store):
    acknowledged, seen, over = [0], [], threading.Event()

    def watch():
        while not over.is_set():
            least = acknowledged[0]
            seen.append((least, len(store.events("films", "ada"))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for i in range(40):
        store.append("films", [event(i, at=float(i))])
        acknowledged[0] = i + 1
    over.set()
    watcher.join()
    assert len(seen) >= 10
    assert all(least <= count for least, count in seen)


def test_health_and_the_end(url):
    store = open_store(url)
    assert store.healthy() == Health(True)
    store.close()
    store.close()
    health = store.healthy()
    assert not health.ok
    assert "closed" in health.problem
    for call in (lambda: store.users("t"), lambda: store.append("t", [event("e")])):
        with pytest.raises(StoreError, match="closed"):
            call()


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite://", "sqlite:///", "sqlite://x/y"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigError, match="write"):
        open_store(url)


def test_every_spelling_of_a_path_opens_the_same_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url in ("a b.sqlite", tmp_path / "a b.sqlite", "sqlite:///a%20b.sqlite",
                f"sqlite:///{tmp_path}/a b.sqlite"):  # fmt: skip
        store = open_store(url)
        store.append("t", [event(str(url))])
        store.close()
    store = open_store("a b.sqlite")
    assert len(store.events("t", "ada")) == 4
    store.close()
