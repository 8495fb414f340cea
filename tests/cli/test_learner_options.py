"""`--learner`, `--learners` and `--tasks-of`; what is kept when a training runs away."""

import json

import pytest

from warmstart.cli.compare import _with_learners
from warmstart.core.errors import ConfigError
from warmstart.evaluation import Report
from warmstart.recommenders import Recommender
from warmstart.recommenders.named import learners

QUICK = {"embedding_dim": 8, "outer": {"epochs": 3, "batch_size": 64}}


@pytest.fixture
def settings(tmp_path):
    def write(**more):
        path = tmp_path / "settings.json"
        path.write_text(json.dumps(QUICK | more))
        return path

    return write


def one_line(err):
    assert "Traceback" not in err
    lines = err.strip().splitlines()
    return lines[-1] if lines else ""


@pytest.mark.parametrize("learner", ["maml", "closed-form"])
def test_a_learner_is_trained_by_name_and_recommends(run, tables, settings, tmp_path, learner):
    out = tmp_path / "model"
    code, said, _ = run(
        "train", "--interactions", tables / "train.parquet", "--items", tables / "items.parquet",
        "--users", tables / "users.parquet", "--learner", learner, "--config", settings(),
        "--out", out, "--seed", 4, "--json", tmp_path / "about.json",
    )  # fmt: skip
    assert code == 0
    assert f"trained {learner}" in said
    about = json.loads((tmp_path / "about.json").read_text("utf8"))
    assert (about["method"], about["seed"]) == (learner, 4)
    assert about["report"]["quality"]
    assert not (tmp_path / "model.checkpoint").exists()
    code, said, _ = run("recommend", out, "--likes", 7, "--user", "age=30", "-k", 4, "--json", "-")
    assert code == 0
    alone = Recommender.load(out).recommend([7], user={"age": 30}, k=4)
    assert [row["item"] for row in json.loads(said)] == [r.item for r in alone]


def test_a_learner_of_pairs_is_trained_by_both_names(run, tables, settings, tmp_path):
    code, said, _ = run(
        "train", "--interactions", tables / "train.parquet", "--method", "pair", "--learner",
        "foma", "--config", settings(hidden=[4]), "--out", tmp_path / "model",
    )  # fmt: skip
    assert code == 0
    assert "trained pair" in said
    model = Recommender.load(tmp_path / "model")
    assert (model.name, model.config.learner) == ("pair", "foma")


def test_learners_are_compared_with_methods(run, tables, tmp_path):
    code, said, _ = run(
        "compare", "--interactions", tables / "train.parquet", "--learners", "maml,foma",
        "--methods", "random", "--shots", "3", "--splits", 1, "--max-shots", 4,
        "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert code == 0
    assert all(name in said for name in ("maml", "foma", "random"))
    report = Report.read(tmp_path / "r.json")
    control = "maml (shuffled support)"
    assert report.methods == ["maml", control, "foma", "random"]
    assert report.run["significance"][0]["ours"] == "maml"
    for name in ("maml", "foma"):
        assert report.value(name, 3) > report.value("random", 3)


def test_new_items_and_their_first_users_are_compared(run, tables, tmp_path):
    code, _, _ = run(
        "compare", "--interactions", tables / "train.parquet", "--tasks-of", "items", "--methods",
        "itemknn,random", "--shots", "0,5", "--splits", 1, "--max-shots", 5, "--tune", "no",
        "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert code == 0
    report = Report.read(tmp_path / "r.json")
    assert "roles exchanged" in report.run["dataset"]
    assert report.row("itemknn", 5, "nDCG@10").tasks <= 60  # items, of which there are so many
    assert report.value("itemknn", 5) > report.value("random", 5)


@pytest.mark.parametrize(
    ("methods", "wanted", "found"),
    [
        ("ease, popularity", None, ("ease", "popularity")),
        ("popularity", "maml,foma", ("maml", "foma", "popularity")),
        ("popularity,maml", " maml , foma ", ("maml", "foma", "popularity")),
        ("default,popularity", "all", (*learners(), "popularity")),
        ("popularity", " all ", (*learners(), "popularity")),
        ("popularity", "default", ("default", "popularity")),
    ],
)
def test_learners_come_before_methods_and_none_twice(methods, wanted, found):
    assert _with_learners(methods, wanted) == found


def test_all_learners_begin_with_the_default_method():
    assert _with_learners("", "all")[0] == "default"
    assert {"maml", "foma", "closed-form", "amortised"} <= set(_with_learners("", "all"))


@pytest.mark.parametrize("wanted", ["mamml", "maml,pair", "maml,all", "itemknn"])
def test_what_is_no_learner_is_refused(wanted):
    name = wanted.rpartition(",")[2]
    with pytest.raises(ConfigError, match=f"no learner is called '{name}'; there are: default, "):
        _with_learners("popularity", wanted)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["train", "--learner", "mamml"], "no learner is called 'mamml'; there are: default,"),
        (["train", "--learner", "maml", "--method", "ease"], "'ease' takes no learner"),
        (["train", "--learner", "mamml", "--method", "pair"], "no learner is called 'mamml'"),
        (["compare", "--learners", "maml,mamml"], "no learner is called 'mamml'; there are:"),
        (["compare", "--tasks-of", "films"], "tasks_of: Input should be 'users' or 'items'"),
    ],
)
def test_a_bad_learner_is_refused_in_one_line(run, tmp_path, args, says):
    out = ["--out", tmp_path / "model"] if args[0] == "train" else []
    code, said, err = run(*args, "--data", "synthetic", *out)
    assert (code, said) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert says in err
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("method", [[], ["--method", "pair"]])
def test_a_training_that_runs_away_keeps_a_checkpoint_and_says_where(
    run, tables, settings, tmp_path, method
):
    wild = settings(adapt={"inner_lr": 1e20}, **({"hidden": [4]} if method else {}))
    code, _, err = run(
        "train", "--interactions", tables / "train.parquet", "--learner", "maml", *method,
        "--config", wild, "--out", tmp_path / "model",
    )  # fmt: skip
    assert code == 2
    said = one_line(err)
    assert said.startswith("error: ")
    assert "of user 'u" in said
    assert "inner_lr=1e+20" in said
    assert "lower inner_lr or inner_steps" in said
    kept = tmp_path / "model.checkpoint"
    assert said.endswith(f"the last good checkpoint is {kept}")
    assert list(kept.glob("*.safetensors"))
    assert not (tmp_path / "model").exists()
