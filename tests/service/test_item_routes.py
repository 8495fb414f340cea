"""Items that come, change and go: at once, for good, and under the next model."""

import json
import time

import pytest

import warmstart as ws
from warmstart.service.catalogues import Reading, as_the_catalogue_writes, replay
from warmstart.store import ItemChange, open_store

NEW = {"item": 9001, "title": "Dust (2026)", "genres": ["Western", "Comedy"], "year": 2026}


def listed(running, **more):
    answer = running.good("POST", "/v1/recommend", {"k": 200} | more)
    return {line["item"]: line for line in answer["items"]}


def test_items_come_change_and_go_within_the_answer(fresh):
    running = fresh()
    assert running.good("POST", "/v1/items", {"items": [NEW]})["changed"] == 1
    assert listed(running)[9001]["title"] == "Dust (2026)"
    assert 9001 in listed(running, filters="genres has Western and year = 2026")
    assert running.refused("POST", "/v1/items", {"items": [NEW]}) == (422, "bad_data")
    changed = {"items": [{"item": "9001", "title": "Dust II"}, {"item": 5, "year": 1901}]}
    assert running.good("PATCH", "/v1/items", changed)["changed"] == 2
    assert listed(running, filters="year = 2026")[9001]["title"] == "Dust II"
    assert list(listed(running, filters="year = 1901")) == [5]
    running.good("DELETE", "/v1/items", {"items": [9001]})
    assert running.good("DELETE", "/v1/items/5")["changed"] == 1
    assert {5, 9001}.isdisjoint(listed(running))
    assert running.refused("DELETE", "/v1/items/777777") == (404, "unknown_item")
    assert running.refused("PATCH", "/v1/items", {"items": [{"item": 777777}]})[0] == 422
    put = {"items": [NEW | {"title": "Back"}, NEW | {"item": 9002}]}
    for _ in range(2):
        assert running.good("PUT", "/v1/items", put)["changed"] == 2
    assert listed(running)[9001]["title"] == "Back"
    assert 9002 in listed(running)


@pytest.mark.parametrize("item", [2**63 - 1, 1_234_567_890_123_456_789])
def test_the_longest_ids_come_and_go(fresh, item):
    running = fresh()
    running.good("POST", "/v1/items", {"items": [NEW | {"item": item}]})
    assert running.good("DELETE", "/v1/items", {"items": [item]})["changed"] == 1
    running.good("PUT", "/v1/items", {"items": [NEW | {"item": item}]})
    assert running.good("DELETE", f"/v1/items/{item}")["changed"] == 1
    assert running.refused("DELETE", f"/v1/items/{10 * item}")[0] == 422


def test_a_history_may_name_a_new_item_and_a_removed_one(fresh):
    running = fresh()
    running.good("POST", "/v1/items", {"items": [NEW]})
    running.liked("u", 9001, 5)
    before = listed(running, user="u")
    assert {9001, 5}.isdisjoint(before)
    assert listed(running) != before
    running.good("DELETE", "/v1/items", {"items": [9001]})
    after = listed(running, user="u")
    assert {i: line["score"] for i, line in after.items()} == pytest.approx(
        {i: line["score"] for i, line in before.items()}, abs=1e-5
    )


def test_changes_are_there_again_after_a_restart_and_under_the_next_model(fresh):
    running = fresh()
    running.good("POST", "/v1/items", {"items": [NEW, NEW | {"item": 9002}]})
    running.good("PATCH", "/v1/items", {"items": [{"item": 9001, "title": "Sand"}]})
    running.good("DELETE", "/v1/items", {"items": [7, 9002]})
    running.liked("u", 5, 9001)
    before = listed(running, user="u")
    everybody = listed(running)
    running.good("POST", "/v1/models", {"path": "second"})
    other = listed(running)
    assert other.keys() == everybody.keys()
    assert other[9001]["title"] == "Sand"
    again = fresh()
    for now, then in ((listed(again, user="u"), before), (listed(again), everybody)):
        assert now.keys() == then.keys()
        for item, line in now.items():
            assert line == then[item] | {"score": pytest.approx(then[item]["score"], abs=1e-5)}


def test_another_process_on_the_same_store_serves_an_item_within_a_second(fresh):
    one, two = fresh(), fresh()
    one.good("POST", "/v1/items", {"items": [NEW]})
    until = time.monotonic() + 1.0
    while 9001 not in listed(two) and time.monotonic() < until:
        time.sleep(0.02)
    assert 9001 in listed(two)
    two.good("POST", "/v1/items", {"items": [NEW | {"item": 9003}]})
    one.good("POST", "/v1/items", {"items": [NEW | {"item": 9004}]})  # catches up first
    assert {9001, 9003, 9004} <= listed(one).keys()


@pytest.mark.parametrize(
    "rows",
    [
        [{"title": "no item"}],
        [{"item": None}],
        [{"item": "not a number"}],
        [{"item": 2**63}],
        [{"item": -(10**30)}],
        [{"item": ""}],
        [{"item": 9100}, {"item": 9100}],
        [{"item": 9100, "year": "soon"}],
        [{"item": 9100, "year": {"a": 1}}],
        [{"item": 9100, "title": 10**400}],
        [{"item": 9100, "x" * 300: 1}],
        [],
        [{"item": n} for n in range(1_001)],
    ],
)
def test_rows_that_do_not_fit_change_nothing(running, rows):
    before = running.good("GET", "/v1/items")["total"]
    kept = len(running.store.item_changes("default"))
    for method in ("POST", "PUT", "PATCH"):
        assert running.ask(method, "/v1/items", {"items": rows})[0] in (400, 422)
    assert running.good("GET", "/v1/items")["total"] == before
    assert len(running.store.item_changes("default")) == kept


def test_a_row_that_names_a_file_is_refused_where_no_folder_is_set(shelf):
    from warmstart.core.errors import DataError
    from warmstart.data.content import EncodedColumn
    from warmstart.service import catalogues

    model = ws.load(shelf / "first")
    poster = EncodedColumn(column="poster", encoder="image")
    object.__setattr__(model.catalogue, "item_encoders", (poster,))
    with pytest.raises(DataError, match="'poster' names files"):
        catalogues._check(model, [{"item": 1, "poster": "/etc/passwd"}], Reading())


def test_replay_is_what_happened_one_change_at_a_time(shelf, tmp_path):
    """Random changes applied live, and joined into one replay."""
    import random

    rng, live = random.Random(3), ws.load(shelf / "second")
    changes = []
    for number in range(1, 60):
        kind = rng.choice(["add", "update", "remove"])
        known = live.catalogue.items
        new = max(known) + 1
        item = new if kind == "add" else rng.choice(list(known))
        row = {"item": item}
        if kind != "remove":
            row |= {"title": f"t{number}", "genres": rng.choice(["Comedy", "Drama|War"])}
        if kind == "add":
            live.add_items({name: [value] for name, value in row.items()})
        elif kind == "update":
            live.update_items({name: [value] for name, value in row.items()})
        else:
            live.remove_items([item])
        changes.append(ItemChange(number, kind, (row,), float(number)))
    replayed = ws.load(shelf / "second")
    replay(replayed, changes, Reading())
    for likes in ([], [5, 9], [5, max(live.catalogue.items)]):
        mine = [(r.item, r.title) for r in live.recommend(likes, k=300, explain=False)]
        again = [(r.item, r.title) for r in replayed.recommend(likes, k=300, explain=False)]
        assert sorted(mine, key=str) == sorted(again, key=str)


def test_changes_that_a_later_model_cannot_take_are_left_out(shelf):
    model = ws.load(shelf / "second")
    changes = [
        ItemChange(1, "add", ({"item": 5, "title": "known by now"},), 1.0),
        ItemChange(2, "update", ({"item": 9001, "year": "nonsense"},), 2.0),
        ItemChange(3, "update", ({"item": 9002, "title": "good"},), 3.0),
        ItemChange(4, "remove", ({"item": 424242},), 4.0),
        ItemChange(5, "add", ({"item": "text"},), 5.0),
    ]
    replay(model, changes, Reading())
    assert model.catalogue.titles.title(model.catalogue.titles.find(5)) == "known by now"
    assert model.catalogue.titles.find("good") >= 0
    assert 9001 not in model.catalogue.items


def test_ids_are_written_as_the_catalogue_writes_them(shelf):
    model = ws.load(shelf / "second")
    rows = [{"item": "12"}, {"item": 12, "genres": ["War", None, "Drama"]}]
    assert as_the_catalogue_writes(model, rows) == [
        {"item": 12}, {"item": 12, "genres": "War|Drama"},
    ]  # fmt: skip
    words = ws.Recommender("itemknn").fit(
        ws.Dataset.from_tables({"user": [1, 1, 2], "item": ["a", "b", "a"]}), progress=False
    )
    assert as_the_catalogue_writes(words, [{"item": 12}]) == [{"item": "12"}]


def test_what_the_store_cannot_keep_is_not_served(fresh):
    running = fresh()
    running.store.close()
    time.sleep(0.01)
    status = running.ask("POST", "/v1/items", {"items": [NEW]})[0]
    assert status in (401, 503)
    model = running.service.shelf.current.catalogue("default").recommender
    assert 9001 not in model.catalogue.items
    kept = open_store(running.path)
    try:
        assert kept.item_changes("default") == []
        assert json.dumps(NEW)
    finally:
        kept.close()
