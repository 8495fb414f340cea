"""The whole comparison on planted data, and its command."""

import json
import math

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from warmstart.cli.compare import compare
from warmstart.core.errors import ConfigError
from warmstart.data import SplitConfig, load_dataset, make_split
from warmstart.evaluation import Report, evaluate
from warmstart.index import top_k
from warmstart.recommenders.comparison import CompareConfig, run_comparison
from warmstart.recommenders.itemknn import ItemKNN, ItemKNNConfig
from warmstart.recommenders.tuning import Choice, choose, validation_split

CONFIG = CompareConfig(methods=("itemknn", "popularity", "random"), shots=(5, 0, 1), splits=2)


@pytest.fixture(scope="module")
def data():
    return load_dataset("synthetic", n_users=400, n_items=120, seed=1)


@pytest.fixture(scope="module")
def report(data):
    return run_comparison(data, CONFIG, command="warmstart compare")


def test_every_method_shots_metric_and_split_has_a_row(report):
    metrics = {row.metric for row in report.rows}
    assert {"nDCG@10", "Recall@20", "MRR", "coverage@10", "Gini@10", "popularity@10"} <= metrics
    assert report.shots == [0, 1, 5]
    control = "itemknn (shuffled support)"
    assert report.methods == ["itemknn", control, "popularity", "random"]
    for split in (0, 1, "all"):
        for metric in metrics:
            for method in CONFIG.methods:
                assert all(report.row(method, k, metric, split) for k in (0, 1, 5))
            assert report.row(control, 0, metric, split) is None
            assert report.row(control, 5, metric, split)


def test_pooled_rows_are_means_over_the_tasks_of_all_splits(report):
    parts = [report.row("itemknn", 5, "MRR", split) for split in (0, 1)]
    pooled = report.row("itemknn", 5, "MRR")
    assert pooled.tasks == sum(part.tasks for part in parts)
    mean = sum(part.mean * part.tasks for part in parts) / pooled.tasks
    assert pooled.mean == pytest.approx(mean, abs=1e-5)
    assert pooled.ci_low < pooled.mean < pooled.ci_high


def test_planted_tastes_are_found_and_a_shuffled_support_loses_them(report):
    zero, five = report.value("itemknn", 0), report.value("itemknn", 5)
    shuffled = report.value("itemknn (shuffled support)", 5)
    assert five > 1.2 * zero
    assert shuffled < zero + 0.3 * (five - zero)
    assert report.value("random", 5) < report.value("popularity", 5)


def test_the_record_says_how_the_numbers_came_about(report, data):
    run = report.run
    assert run["fingerprint"] == data.fingerprint
    assert run["seeds"] == [0, 1]
    assert {"numpy", "scipy", "warmstart", "python"} <= set(run["versions"])
    assert run["settings"]["itemknn"][0]["shrinkage"] in [s["shrinkage"] for s in ItemKNN.grid]
    assert run["settings"]["popularity"] == [{}, {}]
    for spent in run["timings"].values():
        assert spent["us_per_ranked_user"] > spent["us_per_adaptation"] > 0
    five = run["significance"][-1]
    assert (five["shots"], five["best"]) == (5, "popularity")
    assert five["p_holm"] < 0.05 < run["significance"][0]["p_holm"]
    json.loads(report.to_json())


def test_the_same_seed_gives_the_same_rows(data, report):
    assert run_comparison(data, CONFIG).rows == report.rows


def test_tuning_takes_the_best_setting_on_validation_users(data):
    split = make_split(data, SplitConfig(seed=3))
    inner = validation_split(split, 3)
    assert not set(inner.tasks.users) & set(split.tasks.users)

    def stage(_title):
        return lambda done, total, message: None

    kwargs = {"seed": 3, "stage": stage}
    quality = np.array(
        [
            [
                evaluate(
                    ItemKNN(ItemKNNConfig.parse(settings)).fit(inner.train),
                    inner.tasks.at(k), inner.tasks.query, ranker=top_k,
                    popularity=np.ones(120, np.float32),
                ).per_task["nDCG@10"].mean()
                for k in (1, 10)
            ]
            for settings in ItemKNN.grid
        ]
    )  # fmt: skip
    each = choose("itemknn", inner, (1, 10), tune="per-shot", **kwargs).by_shots
    assert [each[1], each[10]] == [ItemKNN.grid[i] for i in quality.argmax(axis=0)]
    one = choose("itemknn", inner, (1, 10), tune="once", **kwargs)
    assert one.groups() == [(ItemKNN.grid[quality.mean(axis=1).argmax()], [1, 10])]


def test_settings_are_grouped_so_that_none_is_fitted_twice():
    assert Choice({0: {"a": 1}, 1: {"a": 2}, 5: {"a": 1}}).groups() == [
        ({"a": 1}, [0, 5]),
        ({"a": 2}, [1]),
    ]


def test_takes_methods_that_were_fitted_before(data):
    split = make_split(data, SplitConfig())
    mine = ItemKNN().fit(split.train)
    config = CompareConfig(methods=("default", "popularity"), shots=(5,), splits=1, shuffled=False)
    report = run_comparison(data, config, splits=[split], fitted={"default": mine})
    assert report.run["timings"]["default"]["fit_seconds"] is None
    expected = evaluate(
        mine, split.tasks.at(5), split.tasks.query, ranker=top_k,
        popularity=np.ones(120, np.float32),
    )  # fmt: skip
    assert report.value("default", 5) == pytest.approx(
        expected.per_task["nDCG@10"].mean(), abs=1e-6
    )
    with pytest.raises(ConfigError, match="the one split"):
        run_comparison(data, config, fitted={"default": mine})


def test_new_items_are_compared_by_the_roles_exchanged(data):
    """A task is an item, its support the first users who liked it."""
    methods = ("itemknn", "closed-form", "popularity", "random")
    config = CompareConfig(methods=methods, tasks_of="items", shots=(5,), splits=1, tune="no")
    report = run_comparison(data, config)
    assert report.run["config"]["tasks_of"] == "items"
    assert report.run["dataset"] == "synthetic, roles exchanged"
    for method in ("closed-form", "itemknn"):
        assert report.value(method, 5) > 2 * report.value("random", 5)
        assert report.value(method, 5) > report.value("popularity", 5)
    other = config.model_copy(update={"tasks_of": "users", "methods": ("itemknn", "random")})
    by_hand = run_comparison(data.exchanged(), other)
    assert by_hand.rows == tuple(row for row in report.rows if row.method in by_hand.methods)


def test_progress_reaches_the_end_and_never_goes_back(data):
    told = []
    config = CompareConfig(methods=("itemknn", "popularity"), shots=(1,), splits=1)
    run_comparison(data, config, progress=lambda *update: told.append(update))
    shares = [done / total for done, total, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert any("tuning itemknn: shrinkage=30" in message for *_, message in told)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"methods": ["nobody"]}, "no method is called 'nobody'; there are: .*popularity"),
        ({"shots": [0, 50]}, "shots=50 is more than the split's max_shots=20"),
        ({"shots": [1, 1]}, "none twice"),
        ({"shots": [-1]}, "cannot be negative"),
        ({"metods": ["ease"]}, "metods"),
        ({"tasks_of": "films"}, "tasks_of: .*'users' or 'items'"),
    ],
)
def test_says_what_is_wrong_before_any_work(data, settings, words):
    with pytest.raises(ConfigError, match=words):
        run_comparison(data, CompareConfig.parse(settings))


def test_the_command_prints_the_table_and_writes_both_files(tmp_path):
    app = typer.Typer()
    app.command()(compare)
    words = ["--data", "synthetic", "--methods", "itemknn,popularity", "--shots", "0,5"]
    words += ["--splits", "1", "--tune", "no"]
    words += ["--json", str(tmp_path / "r.json"), "--plot", str(tmp_path / "r.png")]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    report = Report.read(tmp_path / "r.json")
    assert not math.isnan(report.value("itemknn", 5))
    assert f"{report.value('itemknn', 5):.3f}".removeprefix("0") in done.output
    assert (tmp_path / "r.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "either --data"),
        (["--data", "synthetic", "--shots", "0,many"], "no list of whole numbers"),
        (["--data", "synthetic", "--json", "/nowhere/at/all.json"], "is no folder"),
    ],
)
def test_the_command_refuses_in_one_line(words, message):
    app = typer.Typer()
    app.command()(compare)
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(app, words, catch_exceptions=False)
