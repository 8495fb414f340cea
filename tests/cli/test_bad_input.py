"""Whatever is wrong ends in one clear line and an exit code, never in a traceback."""

import json
import shutil

import pyarrow as pa
import pyarrow.csv as csv
import pytest

GOOD = {"user": ["a", "a", "b", "b", "c"], "item": [1, 2, 1, 3, 2]}


def assert_refused(result, says):
    code, _, err = result
    assert code not in (0, 1)
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 3
    assert says in " ".join(err.split())


@pytest.fixture
def write(tmp_path):
    def table(columns, name="train.csv"):
        csv.write_csv(pa.table(columns), tmp_path / name)
        return tmp_path / name

    return table


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"user": pa.array([], pa.string()), "item": pa.array([], pa.int64())}, "has no rows"),
        ({"user": ["a"], "thing": [1]}, "no item column"),
        (GOOD | {"rating": [5, 4, "NaN", 3, 1]}, "row 3"),
        (GOOD | {"user": ["x" * 300, "a", "b", "b", "c"]}, "longer than 256 characters"),
        (GOOD | {"item": [1, None, 2, 3, 4]}, "row 2"),
        (GOOD | {"timestamp": ["2020-01-01", "soon", "2020-01-02", "2020-01-03", "2020-01-04"]},
         "'soon'"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused(run, write, tmp_path, columns, says):
    columns = {n: list(map(str, v)) if n == "rating" else v for n, v in columns.items()}
    args = ("train", "--interactions", write(columns), "--out", tmp_path / "m")
    assert_refused(run(*args), says)
    assert not (tmp_path / "m").exists()


def test_bad_rows_can_be_dropped_and_are_told(run, write, tmp_path):
    path = write(GOOD | {"rating": ["5", "4", "NaN", "3", "1"]})
    code, said, _ = run(
        "train", "--interactions", path, "--out", tmp_path / "m", "--on-bad-rows", "drop"
    )
    assert code == 0
    assert "1 of 5 rows are bad" in " ".join(said.split())


def test_one_interaction_makes_a_model_that_ranks_what_there_is(run, write, tmp_path):
    path = write({"user": ["a"], "item": ["b"]})
    assert run("train", "--interactions", path, "--out", tmp_path / "m")[0] == 0
    code, said, _ = run("recommend", tmp_path / "m", "-k", 5, "--json", "-")
    assert code == 0
    assert [row["item"] for row in json.loads(said)] == ["b"]


def test_repeated_rows_are_one_event(run, write, tmp_path):
    path = write({"user": ["a", "a", "b"], "item": [1, 1, 2]})
    assert run("train", "--interactions", path, "--out", tmp_path / "m")[0] == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--interactions", "{tmp}/nowhere.parquet"], "no such file"),
        (["--interactions", "{tables}/quick.json"], "its suffix must be one of"),
        ([], "give either --interactions FILE or --data NAME"),
        (["--data", "ml-200k"], "the names are: ml-100k"),
        (["--data", "synthetic", "--method", "magic"], "no method is called 'magic'"),
        (["--data", "synthetic", "--config", "{tmp}/none.json"], "cannot read the settings"),
        (["--data", "synthetic", "--config", "{tables}/train.parquet"], "settings"),
        (["--data", "synthetic", "--config", "{tmp}/odd.json"], "foldz"),
        (["--data", "synthetic", "--config", "{tmp}/list.json"], "must be one table"),
        (["--data", "synthetic", "--resume"], "to resume from"),
        (["--data", "synthetic", "--on-bad-rows", "ignore"], "raise or drop"),
        (["--data", "synthetic", "--json", "{tmp}/no/such/f.json"], "is no folder"),
        (["--data", "synthetic", "--speed", "fast"], "--speed"),
        (["--data", "synthetic", "--seed", "-1"], "seed must be a whole number"),
    ],
)
def test_train_refuses_and_says_why(run, tables, tmp_path, args, says):
    (tmp_path / "odd.json").write_text('{"foldz": 3}')
    (tmp_path / "list.json").write_text("[1]")
    args = [a.format(tmp=tmp_path, tables=tables) for a in args]
    assert_refused(run("train", *args, "--out", tmp_path / "m"), says)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["{tmp}/nothing"], "no saved model at"),
        (["{tables}"], "it is not a saved model"),
        (["{model}", "-k", "0"], "k must be a whole number of at least 1"),
        (["{model}", "-k", "many"], "-k"),
        (["{model}", "--likes", "No Such Film"], "is not in the catalogue"),
        (["{model}", "--likes", "电影天堂"], "give the id or the title of one of its items"),
        (["{model}", "--likes", "Golden"], "did you mean"),
        (["{model}", "--user", "age"], "column=value"),
        (["{model}", "--user", "shoe_size=44"], "shoe_size"),
        (["{model}", "--filter", "genre has Comedy"], "genres"),
        (["{model}", "--histories", "{tmp}/none.csv", "--out", "{tmp}/r.csv"], "no such file"),
        (["{model}", "--histories", "{tables}/train.parquet"], "give --out"),
        (["{model}", "--histories", "{tables}/train.parquet", "--out", "{tmp}/r.xlsx"], ".parquet"),
        (["{model}", "--histories", "{tables}/train.parquet", "--likes", "7",
          "--out", "{tmp}/r.csv"], "not both"),
        (["{model}", "--histories", "{tables}/train.parquet", "--out", "{tmp}/no/r.csv"],
         "is no folder"),
        (["{newer}"], "pip install --upgrade warmstart"),
        (["{damaged}"], "damaged"),
    ],
)  # fmt: skip
def test_recommend_refuses_and_says_why(run, tables, trained, tmp_path, args, says):
    newer = shutil.copytree(trained, tmp_path / "newer")
    manifest = json.loads((newer / "manifest.json").read_text("utf8"))
    (newer / "manifest.json").write_text(json.dumps(manifest | {"format": 9}), "utf8")
    damaged = shutil.copytree(trained, tmp_path / "damaged")
    with (damaged / "model.safetensors").open("ab") as file:
        file.write(b"more")
    names = {
        "tmp": tmp_path, "tables": tables, "model": trained, "newer": newer, "damaged": damaged,
    }  # fmt: skip
    assert_refused(run("recommend", *(a.format(**names) for a in args)), says)


def test_k_beyond_the_catalogue_gives_the_whole_of_it(run, trained):
    code, said, _ = run("recommend", trained, "--likes", 7, "-k", 100_000, "--json", "-")
    assert code == 0
    assert len(json.loads(said)) == 59


def test_a_history_of_unknown_items_alone_is_served_and_told(run, trained, write, tmp_path):
    path = write({"user": ["x", "x"], "item": [777, 778]}, "support.csv")
    out = tmp_path / "r.csv"
    code, said, _ = run("recommend", trained, "--histories", path, "--out", out, "-k", 3)
    assert code == 0
    told = " ".join(said.split())
    assert "2 events name items outside the catalogue" in told
    assert "1 users have no other events" in told
    assert csv.read_csv(out).num_rows == 3


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--shots", "0,x"], "is no list of whole numbers"),
        (["--shots", "0,50"], "max_shots"),
        (["--scenario", "lukewarm"], "scenario"),
        (["--methods", "default,magic"], "magic"),
        (["--splits", "0"], "splits"),
        (["--plot", "{tmp}/no/p.png"], "is no folder"),
    ],
)
def test_compare_refuses_and_says_why(run, tmp_path, args, says):
    args = [a.format(tmp=tmp_path) for a in args]
    assert_refused(run("compare", "--data", "synthetic", *args), says)


def test_data_refuses_and_says_why(run, tmp_path):
    assert_refused(run("data", "describe", tmp_path / "nothing"), "neither a folder nor a named")
    assert_refused(run("data", "fetch", "ml-200k"), "the names are")
    assert_refused(run("data", "describe"), "give either a name or folder")
    assert_refused(run("dta"), "dta")
