"""The Python blocks of the README and the pages run as they stand, in the order of the page."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from examples.plugin_method import CoLike
from threadpoolctl import threadpool_limits

import warmstart as ws
from warmstart.testing import check_method

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the text of each block."""
    for found in _BLOCK.finditer(text):
        if found[1] == language:
            yield text[: found.start()].count("\n") + 2, found[2]


def run(page: Path, text: str) -> dict[str, object]:
    """Run every Python block of a page in one namespace; a fault points at the page's line."""
    names: dict[str, object] = {"__name__": page.stem}
    with threadpool_limits(1):
        for line, block in blocks(text, "python"):
            exec(compile("\n" * (line - 1) + block, str(page), "exec"), names)
    return names


def test_the_tutorial_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "tutorial.md"
    names = run(page, page.read_text("utf8"))
    said = capsys.readouterr().out
    # what the comments of the page promise
    assert "Dataset('ratings': 11,287 interactions, 300 users, 150 items)" in said
    assert "no item column" in said
    assert "interactions, row 3, column 'user': the id is empty" in said
    assert "Dust and Stars (2026) because you liked Lucky Mountain" in said
    lists = names["lists"].table().to_pandas()
    support = names["support"]
    had = set(zip(support["user"].to_pylist(), support["item"].to_pylist(), strict=True))
    given = set(zip(lists["user"], lists["item"], strict=True))
    assert not had & given
    assert set(lists["user"]) == set(names["data"].users.values.to_pylist())


def test_the_articles_exercises_run_and_give_what_the_page_says(capsys):
    page = ROOT / "docs" / "article.md"
    names = run(page, page.read_text("utf8"))
    lines = capsys.readouterr().out.splitlines()
    losses = [float(line.split()[1]) for line in lines if line[:2] in ("0 ", "3 ", "6 ")]
    assert len(losses) == 3
    assert losses[2] < 0.7 * losses[0] > losses[1] > losses[2]
    everybody = np.mean((names["truth"] - names["others"] @ [2.0, -1.0, 0.5]) ** 2)
    assert losses[0] == pytest.approx(everybody, rel=0.25)
    assert names["exact"].loss(*names["new"]) < 0.02
    assert names["predicted_scores"].shape == (4, 4)
    ann, bo, cy = names["scores"]
    assert ann[0] - ann[1] > 1 < bo[1] - bo[0]
    assert abs(cy[0] - cy[1]) < 1
    titles = set(names["films"]["title"])
    assert names["recommendations"]
    assert set(names["recommendations"]) <= titles
    assert "title='Blade Runner (1982)'" in lines[-1]
    assert "Alien" not in lines[-1]


def test_the_articles_own_code_stops_where_the_page_says():
    """The lines as they stand there, at the first step."""
    row, label = np.ones((100, 10))[0], np.ones(100)[0]
    with pytest.raises(TypeError, match=r"'numpy\.float64' object is not iterable"):
        zip(row, label)  # noqa: B905
    user_embedding, item_embeddings, user = np.ones((1, 4)), np.ones((4, 4)), 0
    predicted_scores = np.dot(user_embedding, item_embeddings)
    grads = 2 * (predicted_scores - user) * item_embeddings
    assert grads.shape == (4, 4)
    with pytest.raises(ValueError, match=r"shape \(1,4\) doesn't match .* \(4,4\)"):
        user_embedding -= 0.01 * grads


def test_the_learners_page_runs_and_its_own_learner_adapts(capsys):
    page = ROOT / "docs" / "learners.md"
    run(page, page.read_text("utf8"))
    zero, twenty = re.search(
        r"zero shots ([\d.]+), twenty ([\d.]+)", capsys.readouterr().out
    ).groups()
    assert float(twenty) < 0.5 * float(zero)


def test_the_page_on_foma_runs(capsys):
    page = ROOT / "docs" / "foma.md"
    run(page, page.read_text("utf8"))
    assert re.fullmatch(r"\[\[\S+ +\S+\]\]\n", capsys.readouterr().out)


def test_the_page_on_content_runs(capsys):
    page = ROOT / "docs" / "content.md"
    names = run(page, page.read_text("utf8"))
    said = capsys.readouterr().out
    assert "title: 60 items, description: " in said
    blocks = {b["name"] for b in names["model"].fitted.method.report()["content"]["blocks"]}
    assert {"title", "description", "loudness"} <= blocks
    assert 900 in names["model"].catalogue.items
    assert "item 7: ending -" in said
    assert "\n-1 violent" in said
    assert "\n-1 恐怖片" in said
    assert "reviews: 2 items from 5 reviews" in said


def test_the_page_on_reports_runs(capsys):
    page = ROOT / "docs" / "report.md"
    names = run(page, page.read_text("utf8"))
    before, after, taste = map(int, re.findall(r"\d+", capsys.readouterr().out))
    assert before >= after > taste
    assert names["html"].startswith("<!doctype html>")


def test_the_page_on_exploring_runs(capsys):
    page = ROOT / "docs" / "exploration.md"
    names = run(page, page.read_text("utf8"))
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert [line.split()[0] for line in lines[:10]] == [str(rank) for rank in range(1, 11)]
    assert sum(line.endswith("explored") for line in lines[:10]) == 2
    assert names["ours"].n == names["theirs"].n == 4_000
    assert names["theirs"].effective < 400
    assert "insufficient data: about" in lines[-1]


def test_the_page_on_asking_runs(capsys):
    page = ROOT / "docs" / "ask.md"
    names = run(page, page.read_text("utf8"))
    said = capsys.readouterr().out
    promised = next(blocks(page.read_text("utf8"), "text"))[1].replace("...", "").strip()
    assert said.startswith(promised)
    assert "Alien (1979)" not in promised
    assert "leave no item: year <= 1949" in said
    assert names["wrong"].items == ()
    assert {c.value for c in names["calm"].parsed.filters} >= {"Sci-Fi", "Horror"}
    assert len(names["titles"]) == 5


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_screen_runs_on_other_data_by_its_name_alone(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ws.load_dataset("synthetic", n_users=120, n_items=200, n_events=25)
    write_folder(small, tmp_path / "small")
    text = (ROOT / page).read_text("utf8")
    assert text.count('"ml-100k"') == 1
    run(ROOT / page, text.replace('"ml-100k"', '"small"'))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        [str(shots), str(rank)] for shots in (0, 1, 3) for rank in range(1, 6)
    ]


@pytest.mark.parametrize("language", ["python", "console"])
def test_the_readme_and_the_first_page_begin_alike(language):
    readme, index = ((ROOT / page).read_text("utf8") for page in ("README.md", "docs/index.md"))
    first, again = (next(blocks(text, language))[1] for text in (readme, index))
    assert first == again


@pytest.mark.parametrize("language", ["python", "console"])
def test_the_chinese_readme_mirrors_the_english_one(language):
    english, chinese = (
        (ROOT / page).read_text("utf8") for page in ("README.md", "README.zh-CN.md")
    )
    mine, theirs = ([block for _, block in blocks(text, language)] for text in (chinese, english))
    assert mine == theirs
    assert chinese.count("\n## ") == english.count("\n## ") - 1  # but the section that points here


def write_folder(data: ws.Dataset, folder: Path) -> None:
    folder.mkdir()
    rows = data.interactions
    table = {
        "user": data.users.values.take(pa.array(rows.user)),
        "item": data.items.values.take(pa.array(rows.item)),
        "rating": rows.rating,
        "timestamp": rows.time,
    }
    pq.write_table(pa.table(table), folder / "interactions.parquet")
    pq.write_table(data.item_table, folder / "items.parquet")
    pq.write_table(data.user_table, folder / "users.parquet")


def test_contributing_quotes_the_example_as_it_is():
    example = (ROOT / "examples" / "plugin_method.py").read_text("utf8")
    text = (ROOT / "CONTRIBUTING.md").read_text("utf8")
    quoted = next(blocks(text, "python"))[1].splitlines()
    body = [line.partition("  #")[0].strip() for line in quoted if line.startswith("    ")]
    assert len(body) > 5
    assert [line for line in body if line != "..." and line not in example] == []
    assert example.count("\n") <= 60


def test_the_example_keeps_the_contract_it_teaches():
    check_method(CoLike, ws.load_dataset("synthetic", n_users=150, n_items=60))
