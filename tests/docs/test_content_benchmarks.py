"""The benchmarks of content: their helpers against slow loops, and the tables made of them."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from benchmarks.content import cold_items, speed, tables, tiktok
from benchmarks.content.cold import Judged, cosine
from benchmarks.tables import _line, short

from warmstart.core.errors import ConfigError
from warmstart.data.content import Block

DATA = os.environ.get("WARMSTART_DATA")


def record(date="2026-01-02T00:00:00Z", **more):
    """What `cold_items` writes, on two methods."""
    rows = [
        {"method": "chance", "nDCG@10": 0.031, "ci_low": 0.021, "ci_high": 0.041,
         "minus_ridge": [-0.269, -0.28, -0.25], "p": 1e-4, "p_holm": 2e-4},
        {"method": cold_items.RIDGE, "nDCG@10": 0.3, "ci_low": 0.29, "ci_high": 0.32},
        {"method": "warmstart, all", "nDCG@10": 0.3104, "ci_low": 0.3, "ci_high": 0.33,
         "minus_ridge": [0.0104, -0.001, 0.02], "p": 0.06, "p_holm": 0.0612},
    ]  # fmt: skip
    return {
        "experiment": "cold-items", "date": date, "seeds": [0, 1], "protocol": "item-cold: few",
        "rows": rows, "fit_seconds": [101.4, 99.0], "commit": "0123456789abcdef",
        "hardware": {"cpus": 2, "processor": "a machine"},
    } | more  # fmt: skip


def test_the_table_of_cold_items_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "none")
    empty = tables.cold_table("cold-items", "cold_items", _line, short)
    assert empty.endswith("`python -m benchmarks.content.cold_items` adds one.")
    for name, day in (("b", "01"), ("a", "03"), ("c", "02")):
        text = json.dumps(record(f"2026-01-{day}T00:00:00Z", protocol=f"of day {day}"))
        (tmp_path / f"{name}.json").write_text(text)
    other = record("2026-02-01T00:00:00Z", experiment="another")
    (tmp_path / "d.json").write_text(json.dumps(other))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    lines = tables.cold_table("cold-items", "cold_items", _line, short).splitlines()
    assert lines[0] == (
        "| method | nDCG@10 | minus *ridge per user, all content* | 95 % interval | p (Holm) |"
    )
    assert lines[2] == "| chance | .031 ± .010 | -0.2690 | -0.2800 to -0.2500 | 0.0002 |"
    assert lines[3] == "| ridge per user, all content | .300 ± .015 | – | – | – |"
    assert lines[4] == (
        "| warmstart, all | **.310** ± .015 | +0.0104 | -0.0010 to +0.0200 | 0.0612 |"
    )
    assert lines[6].startswith("of day 03. 2 splits (seeds 0, 1);")
    assert "in 101, 99 s on 2 × a machine. `benchmarks/content/results/a.json`" in lines[6]


def test_a_second_metric_gets_a_column(tmp_path, monkeypatch):
    rows = [row | {"recall@20": 0.25} for row in record()["rows"]]
    (tmp_path / "a.json").write_text(json.dumps(record(rows=rows)))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    lines = tables.cold_table("cold-items", "cold_items", _line, short).splitlines()
    assert lines[0].startswith("| method | nDCG@10 | recall@20 | minus")
    assert lines[2].startswith("| chance | .031 ± .010 | .250 | -0.2690 |")


def test_tables_by_shots_and_of_the_mixed_catalogue_by_hand(tmp_path, monkeypatch):
    rows = record()["rows"]
    mixed = [row | {"places": 0.1, "liked": 0.205, "hits": 0.05} for row in rows]
    told = record(
        experiment="catalogue", both_cold={"0": rows, "5": rows}, mixed=mixed, wall_seconds=600.0
    )
    (tmp_path / "a.json").write_text(json.dumps(told))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    lines = tables.shots_table("catalogue", "both_cold", _line, short).splitlines()
    assert lines[0] == "| nDCG@10 at shots | 0 | 5 |"
    assert lines[2] == "| chance | .031 ± .010 | .031 ± .010 |"
    assert lines[4] == "| warmstart, all | **.310** ± .015 | **.310** ± .015 |"
    assert lines[6] == "| minus *ridge per user, all content* | 0 | 5 |"
    assert lines[8].startswith("| warmstart, all | +0.0104 [-0.0010, +0.0200], p 0.061 |")
    assert "10 minutes on 2 × a machine" in lines[-1]
    lines = tables.mixed_table(_line, short).splitlines()
    assert lines[0] == "| method | nDCG@10 | places | likes | hits |"
    assert lines[2] == "| chance | .031 ± .010 | 10.0 % | 20.5 % | 5.0 % |"
    assert "adds one" in tables.warm_up_table(_line, short)


def test_the_table_of_first_users_by_hand(tmp_path, monkeypatch):
    alone = {"method": "content alone", "users heard": 0, "nDCG@10": 0.3, "ci_low": 0.29,
             "ci_high": 0.31}  # fmt: skip
    both = alone | {"method": "content and users", "users heard": 5, "nDCG@10": 0.35,
                    "minus_content": [0.05, 0.04, 0.06]}  # fmt: skip
    told = record(experiment="warm-up", rows=[alone, both], wall_seconds=60.0)
    (tmp_path / "a.json").write_text(json.dumps(told))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    lines = tables.warm_up_table(_line, short).splitlines()
    assert lines[0] == "| nDCG@10 after n users | 0 | 5 |"
    assert lines[2] == "| content alone | .300 ± .010 | – |"
    assert lines[3] == "| content and users | – | .350 ± .010 |"
    assert lines[7] == "| content and users | – | +0.0500 [+0.0400, +0.0600] |"


def test_a_masked_text_has_neither_title_nor_year():
    text = "In 1999, the Toy-maker tells a story: toys of 2001 and 31999 Stories. 1895."
    assert cold_items.masked("Toy Story (1995)", text) == (
        "In , the tells a toys of  and 31999 Stories. ."
    )
    assert cold_items.masked("Of (1995)", "of course") == "of course"  # too short to tell
    assert cold_items.masked("Alien (1979)", None) is None


@pytest.mark.parametrize("centred", [False, True])
def test_a_cosine_is_that_of_a_slow_loop(centred):
    rng = np.random.default_rng(0)
    values, known = rng.normal(size=(12, 5)).astype(np.float32), np.arange(12) % 4 > 0
    likes = sp.csr_array((rng.random((7, 12)) < 0.4).astype(np.float32))
    cold = np.array([1, 5, 8])  # nothing is known of item 8
    block = Block.of_vectors(values, known)
    found = cosine(block, likes, cold, centred=centred)
    mean = values[known].mean(axis=0) if centred else np.zeros(5)
    for user, row in enumerate(likes.toarray()):
        for place, item in enumerate(cold):
            total = 0.0
            for liked in np.flatnonzero(row):
                if known[liked] and known[item]:
                    a, b = values[liked] - mean, values[item] - mean
                    total += a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert found[user, place] == pytest.approx(total, abs=1e-4)
    assert (block.values[known] == values[known]).all()  # the block is left alone


@pytest.mark.skipif(DATA is None, reason="WARMSTART_DATA names no folder")
def test_films_have_texts_people_and_posters():
    folder = Path(DATA) / "ml-1m"
    data = cold_items.films(folder)
    place = {item: row for row, item in enumerate(data.items)}
    row = data.item_table.slice(place[1], 1).to_pylist()[0]
    assert row["title"] == "Toy Story (1995)"
    assert (row["poster"], row["director"]) == ("1.jpg", "John Lasseter")
    assert row["whole"].startswith("Toy Story (1995)")
    assert {"toy", "story"}.isdisjoint(row["masked plot"].lower().split())
    named = [p for p in data.item_table["poster"].to_pylist() if p is not None]
    assert len(named) > 3_000
    assert all((folder / "posters" / name).is_file() for name in named[::97])
    with pytest.raises(ConfigError, match="set WARMSTART_DATA to a folder that has ml-1m/"):
        cold_items.films(folder / "none")


def test_judging_equals_a_slow_loop_and_breaks_ties_by_lot(capsys):
    rng = np.random.default_rng(0)
    judged = Judged(("nDCG@10", "recall@20"))
    truth, scores = [], []
    for seed in (0, 1):
        relevant = (rng.random((40, 60)) < 0.1).astype(np.float32)
        relevant[:, 0] = 1  # famous, and first in the file
        judge = judged.split(relevant, np.arange(40), seed)
        truth.append(relevant)
        scores.append(rng.random((40, 60)))
        judge("random", scores[-1])
        judge("constant", np.zeros((40, 60)))
        judge("knows", relevant + 0.1 * scores[-1])
    rows = {row["method"]: row for row in judged.rows("random")}
    assert "p" not in rows["random"]
    wanted, order = np.concatenate(truth), np.argsort(-np.concatenate(scores), axis=1)
    hits = np.take_along_axis(wanted, order, axis=1)
    gains = 1 / np.log2(np.arange(2, 12))
    ideal = np.cumsum(gains)[np.minimum(wanted.sum(axis=1).astype(int), 10) - 1]
    assert rows["random"]["nDCG@10"] == pytest.approx((hits[:, :10] @ gains / ideal).mean())
    assert rows["random"]["recall@20"] == pytest.approx(
        (hits[:, :20].sum(axis=1) / wanted.sum(axis=1)).mean()
    )
    assert rows["knows"]["nDCG@10"] == pytest.approx(1)
    assert rows["knows"]["p_holm"] < 0.05
    gap = rows["knows"]["minus_ridge"]
    assert gap[0] == pytest.approx(1 - rows["random"]["nDCG@10"])
    assert gap[1] < gap[0] < gap[2]
    # the famous item stands first in the file, and no lot knows that
    first = Judged()
    for seed in range(40):
        first.split(truth[0], np.arange(40), seed)("constant", np.zeros((40, 60)))
    lots = [split.mean() for split in first.found["nDCG@10"]["constant"]]
    file = (wanted[:40, :10] @ gains / ideal[:40]).mean()
    assert np.mean(lots) < file - 4 * np.std(lots) / np.sqrt(40)
    capsys.readouterr()


@pytest.mark.skipif(DATA is None, reason="WARMSTART_DATA names no folder")
def test_videos_have_image_and_sound():
    data = tiktok.videos(Path(DATA) / "tiktok-diffmm")
    assert (data.n_users, data.n_items, len(data.interactions)) == (9_308, 6_710, 68_722)
    for name in ("image", "audio"):
        raw = np.load(Path(DATA) / "tiktok-diffmm" / f"{name}_feat.npy")
        ids = np.array([int(item) for item in data.items])
        np.testing.assert_array_equal(data.content[name].values, raw[ids])
    with pytest.raises(ConfigError, match="a folder that has tiktok-diffmm/"):
        tiktok.videos(Path(DATA) / "none")


def test_what_content_costs_is_measured_and_tabulated(tmp_path, monkeypatch, capsys):
    config = speed.SpeedConfig(
        short_texts=4, long_texts=2, images=2, sounds=1, seconds=0.5, repeats=2,
        items=120, users=60, adds=2, batch=3, batches=1,
    )  # fmt: skip
    folder = os.environ.get("WARMSTART_CACHE")
    record = speed.run(config, datetime(2026, 1, 2, tzinfo=UTC))
    assert os.environ.get("WARMSTART_CACHE") == folder
    kinds = {r["kind"]: r for r in record["encoding"]}
    assert list(kinds) == ["short text", "long text", "picture", "sound"]
    for r in kinds.values():
        assert r["times_faster"] > 1
    sound = kinds["sound"]
    assert sound["units_per_second"] == pytest.approx(500 / sound["ms_per_content"])
    assert record["adding"]["items"] == 120
    assert 0 < record["adding"]["one_seconds"] <= record["adding"]["one_worst_seconds"]
    (tmp_path / "a.json").write_text(json.dumps(record))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = tables.speed_tables(_line)
    added = record["adding"]
    batch = f"{added['batch_seconds']:.2f} | {added['batch_cpu_seconds']:.2f}"
    assert f"| 3 items at once | {batch} |" in text
    assert f"| {sound['units_per_second']:,.0f} seconds of sound |" in text
    capsys.readouterr()


def test_made_up_texts_are_of_their_subjects():
    texts = speed.sentences(50, np.random.default_rng(0), parts=4, each=3)
    assert len(set(texts)) == 50
    assert all(text.count("A story of ") == 3 for text in texts)
