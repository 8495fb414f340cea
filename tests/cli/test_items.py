"""`train` reads texts and images, and `items` adds, changes and removes them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import warmstart as ws

NEW = {
    "item": [901, 902, 903],
    "title": ["Star Harbour", "The Quiet War", "Kitchen Duels"],
    "genres": ["Science Fiction", "Drama", None],
    "description": ["A pilot repairs an old starship.", "Two nations stop talking.", None],
}


@pytest.fixture
def new_items(tmp_path):
    pq.write_table(pa.table(NEW), tmp_path / "new.parquet")
    return tmp_path / "new.parquet"


def test_new_items_can_be_added_and_ranked_alone(run, trained, new_items, tmp_path):
    code, said, _ = run(
        "items", "add", trained, new_items, "--out", tmp_path / "more", "--json", "-"
    )
    assert code == 0
    told = json.loads(said)
    assert (told["added"], told["items"]) == (3, 63)
    assert told["seconds"] < 5
    support = tmp_path / "support.csv"
    support.write_text("user,item\nn1,3\nn1,7\nn2,12\n")
    code, *_ = run(
        "recommend", tmp_path / "more", "--histories", support, "--candidates", new_items,
        "-k", 10, "--out", tmp_path / "lists.parquet",
    )  # fmt: skip
    assert code == 0
    rows = pq.read_table(tmp_path / "lists.parquet").to_pylist()
    for user in ("n1", "n2"):
        assert {r["item"] for r in rows if r["user"] == user} == {901, 902, 903}
    code, _, err = run("items", "add", tmp_path / "more", new_items, "--out", tmp_path / "again")
    assert code == 2
    assert "3 of 3 items are in the catalogue already (first: 901)" in " ".join(err.split())
    code, _, err = run("recommend", trained, "--histories", support, "--candidates", new_items,
                       "--out", tmp_path / "x.csv")  # fmt: skip
    assert code == 2
    assert "warmstart items add" in " ".join(err.split())


def test_texts_are_recognised_and_images_that_are_named_are_read(run, tables, tmp_path):
    items = pq.read_table(tables / "items.parquet")
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 255, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing more")
    posters = [f"{i}.png" for i in range(3)] + ["broken.png"] + [None] * (items.num_rows - 4)
    pq.write_table(items.append_column("poster", pa.array(posters)), tmp_path / "items.parquet")
    common = (
        "--interactions", tables / "train.parquet", "--items", tmp_path / "items.parquet",
        "--config", tables / "quick.json",
    )  # fmt: skip
    code, said, err = run("train", *common, "--image-column", "poster", "--out", tmp_path / "m")
    assert code == 0, err
    told = " ".join(said.split())
    assert "poster: 3 items" in told
    assert "1 without (first: poster of" in told
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text("utf8"))
    read = {e["column"]: e["encoder"] for e in manifest["catalogue"]["item_encoders"]}
    assert read == {"title": "text", "description": "text", "poster": "image"}
    code, said, _ = run("train", *common, "--text-columns", "", "--out", tmp_path / "plain",
                        "--json", "-")  # fmt: skip
    assert code == 0
    blocks = json.loads(said)["report"]["content"]["blocks"]
    assert "title" not in {block["name"] for block in blocks}
    code, _, err = run("train", *common, "--text-columns", "plott", "--out", tmp_path / "no")
    assert code == 2
    assert "no item column 'plott'" in " ".join(err.split())


def test_items_are_updated_removed_and_brought_back(run, trained, new_items, tmp_path):
    changes = tmp_path / "changes.csv"
    changes.write_text("item,title\n3,Third Time Lucky\n7,Seven Seas\n")
    code, said, _ = run("items", "update", trained, changes, "--out", tmp_path / "b", "--json", "-")
    assert code == 0
    told = json.loads(said)
    assert (told["updated"], told["items"], told["out"]) == (2, 60, str(tmp_path / "b"))
    code, said, _ = run("recommend", tmp_path / "b", "--likes", "Seven Seas", "-k", 60,
                        "--json", "-")  # fmt: skip
    assert code == 0
    assert "Third Time Lucky" in {row["title"] for row in json.loads(said)}
    code, said, _ = run("items", "remove", tmp_path / "b", "--item", 3, "--item", 9,
                        "--out", tmp_path / "c", "--json", tmp_path / "told.json")  # fmt: skip
    assert code == 0
    assert "2 items removed" in said
    assert json.loads((tmp_path / "told.json").read_text())["items"] == 58
    (tmp_path / "gone.csv").write_text("item\n9\n12\n")
    code, *_ = run(
        "items", "remove", tmp_path / "c", tmp_path / "gone.csv", "--out", tmp_path / "d"
    )
    assert code == 0
    code, said, _ = run("recommend", tmp_path / "d", "--likes", "Third Time Lucky", "-k", 60,
                        "--json", "-")  # fmt: skip
    assert code == 0
    assert len({row["item"] for row in json.loads(said)} - {3, 9, 12}) == 57
    code, *_ = run("items", "update", tmp_path / "d", changes, "--out", tmp_path / "e")
    assert code == 0
    code, said, _ = run("recommend", tmp_path / "e", "-k", 60, "--json", "-")
    assert code == 0
    assert {row["item"] for row in json.loads(said)} & {3, 9, 12} == {3}


def test_what_items_cannot_do_is_one_line_and_no_model(run, trained, new_items, tmp_path):
    out = tmp_path / "never"
    ids = tmp_path / "ids.csv"
    ids.write_text("item\n3\n901\n")
    for args, says in (
        (("update", trained, new_items), "901 is not in the catalogue"),
        (("remove", trained, ids), "901 is not in the catalogue"),
        (("remove", trained, "--item", "x"), "'x' is not in the catalogue"),
        (("remove", trained), "give a table with a column item, or --item"),
        (("remove", trained, ids, "--item", 3), "give a table with a column item, or --item"),
        (("remove", tmp_path / "nothing", "--item", 3), "no saved model at"),
    ):
        code, _, err = run("items", *args, "--out", out)
        assert code == 2
        assert err.startswith("error: ")
        assert says in " ".join(err.split())
        assert not out.exists()


def test_given_vectors_are_read_in_training_and_for_new_items(run, tables, tmp_path):
    rng = np.random.default_rng(0)
    n = pq.read_table(tables / "items.parquet").num_rows
    np.save(tmp_path / "loud.npy", rng.random((n, 3)))
    code, *_ = run(
        "train", "--interactions", tables / "train.parquet", "--items", tables / "items.parquet",
        "--config", tables / "quick.json", "--vectors", f"loud={tmp_path / 'loud.npy'}",
        "--out", tmp_path / "m",
    )  # fmt: skip
    assert code == 0
    pq.write_table(pa.table({"item": [901, 902]}), tmp_path / "new.parquet")
    vectors = pa.table({"item": [902, 901], "v": [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]]})
    pq.write_table(vectors, tmp_path / "v.parquet")
    add = ("items", "add", tmp_path / "m", tmp_path / "new.parquet", "--out", tmp_path / "m2")
    code, *_ = run(*add, "--vectors", f"loud={tmp_path / 'v.parquet'}")
    assert code == 0
    block = ws.load(tmp_path / "m2").method.content.content["loud"]
    np.testing.assert_allclose(block.values[-2:], [[0.3, 0.2, 0.1], [0.1, 0.2, 0.3]], rtol=1e-6)
    code, _, said = run(*add, "--vectors", "loud")
    assert code == 2
    assert "NAME=FILE" in said
