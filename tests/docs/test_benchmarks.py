"""The benchmarks of speed and of dislikes: what they measure, and the tables made of it."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
import scipy.sparse as sp
from benchmarks import tables
from benchmarks.content import warm_up
from benchmarks.dislikes.__main__ import DislikesConfig, dislikes_of, run, side_by_side
from benchmarks.speed import measure, models
from benchmarks.speed.measure import SpeedConfig, line

from warmstart.core.types import Histories
from warmstart.data import SplitConfig, load_dataset, make_split
from warmstart.recommenders.default_config import DefaultConfig

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_dislikes_stand_beside_the_likes_of_the_same_user():
    data = load_dataset("synthetic", n_users=200, n_items=60)
    split = make_split(data, SplitConfig(test_fraction=0.3, max_shots=3))
    found = dislikes_of(data, split, 4, seed=0)
    assert found.shots.max() == 4
    dense = data.evidence()[split.tasks.users].toarray()
    assert (dense[found.rows, found.items] < 0).all()
    both = side_by_side(split.tasks.at(2), found)
    np.testing.assert_array_equal(both.shots, 2 + found.shots)
    joined = both.matrix(60).toarray()
    expected = split.tasks.at(2).matrix(60).toarray() + found.matrix(60).toarray()
    np.testing.assert_array_equal(joined, expected)


@pytest.mark.slow
def test_what_dislikes_are_worth_becomes_a_table(tmp_path, monkeypatch):
    config = DislikesConfig(dataset="synthetic", shots=(0, 5), splits=2)
    record = run(config, now=NOW)
    assert [row["shots"] for row in record["rows"]] == [0, 5]
    for row in record["rows"]:
        assert row["ci_low"] < row["difference"] < row["ci_high"]
        assert row["with_dislikes"] - row["likes_alone"] == pytest.approx(row["difference"])
    folder = tmp_path / "benchmarks" / "dislikes" / "results"
    folder.mkdir(parents=True)
    (folder / "dislikes-synthetic-2026-01-02-0.json").write_text(json.dumps(record))
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    table = tables.dislikes_table()
    assert f"{record['rows'][1]['difference']:+.4f}" in table
    assert "2 splits (seeds 0, 1)" in table


def test_speed_is_measured_on_a_model_in_which_every_part_is_open():
    rng = np.random.default_rng(0)
    model = models.drawn(400, DefaultConfig(), rng)
    gates = model.gates.at(np.array([0, 3, 20]))
    assert (gates > 0).all()
    config = SpeedConfig(users=64, shots=3, pairs=2, single_users=3)
    for found in (measure.batch(model, config), measure.single(model, config)):
        assert found["items"] == 400
        assert found["ratio"] > 0
        assert found["ours_seconds"] > 0


def test_new_users_have_different_items():
    users = measure.new_users(np.zeros(50, np.float32), 20, 7, np.random.default_rng(0))
    assert isinstance(users, Histories)
    assert all(len(set(row)) == 7 for row in users.items.reshape(20, 7))


def test_a_straight_line_is_recognised():
    assert line((1, 2, 4), [1.5, 2.5, 4.5])["r_squared"] == pytest.approx(1)
    assert line((1, 2, 4), [1.0, 4.0, 16.0])["r_squared"] < 0.99


def test_the_table_of_speed_tells_ratio_and_promise(tmp_path, monkeypatch):
    kind = {"threads": 2, "users": 10_000, "shots": 10, "items": 3_706}
    kind |= {"ours_seconds": 1.5, "floor_seconds": 1.0, "ratio": 1.5}
    record = {
        "benchmark": "speed", "date": "2026-01-02T00:00:00Z", "batch": [kind], "single": [kind],
        "catalogue": "ml-1m", "hardware": {"cpus": 2, "processor": "a machine"},
    }  # fmt: skip
    folder = tmp_path / "benchmarks" / "speed" / "results"
    folder.mkdir(parents=True)
    (folder / "speed-2026-01-02-0.json").write_text(json.dumps(record))
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    table = tables.speed_table()
    assert (
        "| 10,000 new users of 10 likes, 3,706 items | 2 | 1,500.0 ms | 1,000.0 ms | 1.50 | ≤ 2 |"
        in table
    )


def test_the_first_users_of_a_film_are_drawn_once_and_heard_in_order():
    rng = np.random.default_rng(0)
    likes = sp.csr_array((rng.random((50, 8)) < 0.3).astype(np.float32))
    place = warm_up.order_of(likes, np.random.default_rng(1)).toarray()
    for film in range(8):
        fans = np.flatnonzero(likes.toarray()[:, film])
        assert sorted(place[fans, film]) == list(range(1, len(fans) + 1))
    assert ((place > 0) == (likes.toarray() > 0)).all()


def test_item_knn_hears_the_first_users_alone():
    rng = np.random.default_rng(0)
    shown, known = ((rng.random((n, 12)) < 0.3).astype(np.float32) for n in (5, 40))
    first = (rng.random((40, 3)) < 0.1).astype(np.float32)
    found = warm_up.neighbours(*map(sp.csr_array, (shown, known, first)), 2.0)
    for user in range(5):
        for film in range(3):
            wanted = sum(
                known[:, j] @ first[:, film]
                / (np.sqrt(first[:, film].sum() * known[:, j].sum()) + 2.0)
                for j in np.flatnonzero(shown[user])
            )  # fmt: skip
            assert found[user, film] == pytest.approx(wanted, rel=1e-4)
