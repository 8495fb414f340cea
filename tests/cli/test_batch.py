"""`train` and `recommend` between files, as other programs call them."""

import json

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

import warmstart as ws

SUPPORT = {"user": ["n1", "n1", "n2", "n3"], "item": [3, 7, 12, 9999]}


@pytest.fixture
def support(tmp_path):
    pq.write_table(pa.table(SUPPORT), tmp_path / "support.parquet")
    people = {"user": ["n9", "n1"], "age": [25, 40], "occupation": ["artist", None]}
    pq.write_table(pa.table(people), tmp_path / "people.parquet")
    return tmp_path


def by_user(table):
    found = {}
    for row in table.to_pylist():
        found.setdefault(row["user"], []).append(row)
    return found


def test_lists_of_new_users_go_to_a_file(run, trained, support):
    out = support / "recs.parquet"
    code, said, _ = run(
        "recommend", trained, "--histories", support / "support.parquet",
        "--users", support / "people.parquet", "-k", 20, "--out", out,
    )  # fmt: skip
    assert code == 0
    table = pq.read_table(out)
    assert table.column_names == ["user", "item", "rank", "score"]
    assert table.schema.field("item").type == pa.int64()
    assert pa.types.is_floating(table.schema.field("score").type)
    lists = by_user(table)
    assert list(lists) == ["n1", "n2", "n3", "n9"]  # n9 tells about themselves and did nothing yet
    catalogue = set(pq.read_table(trained / "catalogue.parquet")["warmstart:item"].to_pylist())
    for user, rows in lists.items():
        seen = {i for u, i in zip(SUPPORT["user"], SUPPORT["item"], strict=True) if u == user}
        items = [row["item"] for row in rows]
        assert [row["rank"] for row in rows] == list(range(1, 21))
        assert sorted((r["score"] for r in rows), reverse=True) == [r["score"] for r in rows]
        assert len(set(items)) == 20
        assert set(items) <= catalogue - seen
    assert "1 events name items outside the catalogue" in said
    model = ws.load(trained)
    zero_shot = model.recommend(user={"age": 25, "occupation": "artist"}, k=20, explain=False)
    assert [r.item for r in zero_shot] == [row["item"] for row in lists["n9"]]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_lists_can_be_text_files(run, trained, support, suffix):
    out = support / f"recs.{suffix}"
    code, *_ = run("recommend", trained, "--histories", support / "support.parquet", "--out", out)
    assert code == 0
    if suffix == "csv":
        rows = csv.read_csv(out).to_pylist()
    else:
        rows = [json.loads(line) for line in out.read_text("utf8").splitlines()]
    assert set(rows[0]) == {"user", "item", "rank", "score"}
    assert len(rows) == 30


def test_users_alone_get_zero_shot_lists(run, trained, support):
    code, *_ = run(
        "recommend", trained, "--users", support / "people.parquet", "--out", support / "r.parquet"
    )
    assert code == 0
    assert list(by_user(pq.read_table(support / "r.parquet"))) == ["n9", "n1"]


def test_text_ids_in_chinese_stay_what_they_are(run, tmp_path):
    films = ["霸王别姬", "饮食男女", "卧虎藏龙", "英雄"]
    rows = {
        "user": [f"用户{u}" for u in range(40) for _ in range(3)],
        "item": [films[(u + i) % 4] for u in range(40) for i in range(3)],
    }
    csv.write_csv(pa.table(rows), tmp_path / "train.csv")
    csv.write_csv(pa.table({"user": ["新用户"], "item": ["英雄"]}), tmp_path / "support.csv")
    (tmp_path / "quick.json").write_text('{"training": {"epochs": 2}, "folds": 2}')
    args = ("--interactions", tmp_path / "train.csv", "--config", tmp_path / "quick.json")
    assert run("train", *args, "--out", tmp_path / "模型")[0] == 0
    out = tmp_path / "recs.parquet"
    code, *_ = run(
        "recommend", tmp_path / "模型", "--histories", tmp_path / "support.csv", "--out", out
    )
    assert code == 0
    (rows,) = by_user(pq.read_table(out)).values()
    assert {row["user"] for row in rows} == {"新用户"}
    assert {row["item"] for row in rows} == set(films[:3])
    code, shown, _ = run("recommend", tmp_path / "模型", "--likes", "英雄", "-k", 2)
    assert code == 0
    assert any(film in shown for film in films[:3])


def test_the_same_seed_gives_the_same_files(run, tables, tmp_path):
    args = ("--interactions", tables / "train.parquet", "--config", tables / "quick.json")
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert run("train", *args, "--seed", seed, "--out", tmp_path / name)[0] == 0
    a, b, c = ((tmp_path / n / "model.safetensors").read_bytes() for n in "abc")
    assert a == b != c


def test_one_user_gets_a_table_that_fits_the_terminal(run, trained):
    code, said, _ = run(
        "recommend", trained, "--likes", "golden river", "--likes", 7, "--dislikes", 9,
        "--user", "age=30", "--filter", "genres has Comedy", "-k", 4,
    )  # fmt: skip
    assert code == 0
    lines = said.splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines)
    assert [line.split()[0] for line in lines if line.strip()[:1].isdigit()] == ["1", "2", "3", "4"]


def test_what_was_learned_is_told_as_json(run, tables, tmp_path):
    code, said, err = run(
        "train", "--interactions", tables / "train.parquet", "--method", "itemknn",
        "--out", tmp_path / "m", "--json", "-",
    )  # fmt: skip
    assert code == 0
    about = json.loads(said)
    assert about["method"] == "itemknn"
    assert about["n_items"] == 57 or about["n_items"] <= 60
    assert "trained itemknn" in err
    code, said, _ = run("recommend", tmp_path / "m", "-k", 3, "--json", "-")
    assert [row["rank"] for row in json.loads(said)] == [1, 2, 3]


@pytest.mark.parametrize("text", ["comedies, nothing sad", "喜剧，不要悲伤的"])
def test_a_wish_makes_the_list(run, trained, tables, text):
    code, said, _ = run("recommend", trained, "--text", text, "--likes", 7, "-k", 5, "--json", "-")
    assert code == 0
    table = pq.read_table(tables / "items.parquet")
    genres = dict(zip(table["item"].to_pylist(), table["genres"].to_pylist(), strict=True))
    found = json.loads(said)
    assert sum("Comedy" in genres[r["item"]] for r in found) >= 4
    assert "as you asked" in found[0]["why"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--text", "  "), "says nothing"),
        (("--text", "comedies", "--histories", "x.csv", "--out", "x.csv"), "not both"),
    ],
)
def test_a_bad_wish_is_one_line(run, trained, args, says):
    code, _, error = run("recommend", trained, *args)
    assert code == 2
    assert says in error
    assert len(error.strip().splitlines()) == 1


def test_a_list_that_explores_says_how_likely_each_item_was(run, trained, tmp_path):
    log = tmp_path / "shown.jsonl"
    args = ("recommend", trained, "--likes", 7, "-k", 5, "--explore", 0.4, "--json", "-")
    code, said, _ = run(*args, "--seed", 0, "--log", log)
    assert code == 0
    found = json.loads(said)
    assert sum(row["explored"] for row in found) == 2
    assert all((row["propensity"] == pytest.approx(0.6)) != row["explored"] for row in found)
    _, again, _ = run(*args, "--seed", 0, "--log", log)
    assert json.loads(again) == found
    rows = [json.loads(line) for line in log.read_text("utf8").splitlines()]
    assert [row["propensity"] for row in rows] == 2 * [row["propensity"] for row in found]
    assert len({row["request"] for row in rows}) == 2


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--explore", "2"), "explore must be a share from 0 to below 1, got 2.0"),
        (("--log", "z.jsonl", "--histories", "x.csv", "--out", "y.csv"), "for one user"),
        (("--log", "nowhere/shown.jsonl"), "nowhere is no folder"),
    ],
)
def test_an_exploration_that_cannot_be_is_one_line(run, trained, args, says):
    code, _, error = run("recommend", trained, *args)
    assert code == 2
    assert says in error
