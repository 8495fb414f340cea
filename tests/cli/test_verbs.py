"""What people read: help, descriptions, comparisons, the demo."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pytest
from typer.main import get_command

from warmstart.cli import app
from warmstart.evaluation import Report

VERBS = (
    "demo", "data", "train", "items", "recommend", "ask", "onboard", "serve", "keys", "compare",
    "report", "ads", "llm",
)  # fmt: skip


def test_help_names_every_verb_and_fits_the_terminal(run):
    code, said, _ = run("--help")
    assert code == 0
    assert all(verb in said for verb in VERBS)
    for verb in VERBS:
        code, said, _ = run(verb, "--help")
        assert code == 0
        assert all(len(line) <= 80 for line in said.splitlines())
    for verb in ("list", "fetch", "describe", "validate", "lint"):
        assert run("data", verb, "--help")[0] == 0
    for verb in ("add", "update", "remove"):
        assert run("items", verb, "--help")[0] == 0
    for verb in ("train", "score", "report", "benchmark"):
        assert run("ads", verb, "--help")[0] == 0


def test_the_page_shows_a_line_of_every_verb():
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf8")
    root = get_command(app)
    for name in root.list_commands(None):
        verb = root.get_command(None, name)
        for below in getattr(verb, "commands", {}) or [""]:
            assert f"\nwarmstart {name} {below}".rstrip() in page, (name, below)


def test_describe_shows_kinds_and_saves_a_schema_that_overrules(run, tables, tmp_path):
    args = (
        "--interactions", tables / "train.parquet", "--items", tables / "items.parquet",
        "--users", tables / "users.parquet",
    )  # fmt: skip
    code, said, _ = run("data", "describe", *args, "--save-schema", tmp_path / "s.json")
    assert code == 0
    assert "multi-category" in said.replace("\n", "") or "multi-catego" in said
    assert all(len(line.rstrip()) <= 80 for line in said.splitlines())
    schema = json.loads((tmp_path / "s.json").read_text("utf8"))
    schema["items"]["year"] = "category"
    (tmp_path / "s.json").write_text(json.dumps(schema))
    code, said, _ = run("data", "describe", *args, "--schema", tmp_path / "s.json", "--json", "-")
    kinds = {c["column"]: c["kind"] for c in json.loads(said)["columns"]}
    assert (kinds["year"], kinds["genres"], kinds["description"]) == (
        "category", "multi-category", "text",
    )  # fmt: skip


def test_validate_tells_rows_causes_and_mends(run, tmp_path):
    rows = {"user": ["a", "", "c"], "item": [1, 2, 3], "rating": ["5", "4", "x"]}
    csv.write_csv(pa.table(rows), tmp_path / "rows.csv")
    code, said, _ = run("data", "validate", "--interactions", tmp_path / "rows.csv")
    assert code == 1
    told = " ".join(said.split())
    assert "rating" in told
    assert "the id is" in told
    code, said, _ = run("data", "validate", "--interactions", tmp_path / "rows.csv", "--json", "-")
    report = json.loads(said)
    assert report["refused"] == {"rows.csv": 2}
    assert all(e["cause"] and e["mend"] and e["row"] for e in report["examples"])
    assert run("data", "validate", "synthetic")[0] == 0


def test_list_names_origin_and_licence(run):
    code, said, _ = run("data", "list", "--json", "-")
    assert code == 0
    found = {d["name"]: d for d in json.loads(said)["datasets"]}
    assert {"ml-100k", "ml-1m", "synthetic"} <= set(found)
    assert "no redistribution" in found["ml-100k"]["licence"]


@pytest.mark.parametrize("scenario", ["user-cold", "item-cold", "both-cold", "warm"])
def test_compare_writes_every_number_and_a_plot(run, tmp_path, scenario):
    shots = "0,1,3" if scenario != "warm" else "1,3"
    code, said, _ = run(
        "compare", "--data", "synthetic", "--scenario", scenario, "--methods",
        "itemknn,popularity,ease", "--shots", shots, "--splits", 2, "--max-shots", 5,
        "--json", tmp_path / "r.json", "--plot", tmp_path / "r.png",
    )  # fmt: skip
    assert code == 0
    assert "itemknn" in said
    found = json.loads((tmp_path / "r.json").read_text("utf8"))
    keys = {"method", "scenario", "shots", "metric", "mean", "ci_low", "ci_high", "tasks", "split"}
    assert all(set(row) == keys for row in found["rows"])
    assert {row["scenario"] for row in found["rows"]} == {scenario}
    assert {"fingerprint", "seeds", "versions", "hardware"} <= set(found["run"])
    assert (tmp_path / "r.png").read_bytes()[:4] == b"\x89PNG"
    report = Report.read(tmp_path / "r.json")
    assert report.row("itemknn", 3, "nDCG@10").tasks > 20


@pytest.mark.slow
def test_the_demo_goes_from_nothing_to_a_table(run, tmp_path):
    code, said, _ = run("demo", "--out", tmp_path / "demo", "--json", tmp_path / "r.json")
    assert code == 0
    for shown in ("after 0 likes", "after 1 like", "after 3 likes", "after 5 likes", "multvae",
                  "because you liked", "warmstart recommend"):  # fmt: skip
        assert shown in said
    assert all(len(line.rstrip()) <= 80 for line in said.splitlines())
    report = Report.read(tmp_path / "r.json")
    assert report.value("default", 10) > report.value("popularity", 10)
    code, said, _ = run("recommend", tmp_path / "demo", "--likes", "Alien (1979)")
    assert code == 0
