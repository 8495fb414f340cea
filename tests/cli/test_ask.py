"""`warmstart ask`, as other programs call it."""

import json

import pytest


def test_a_request_gives_json_of_the_catalogue(run, trained):
    code, said, _ = run("ask", trained, "推荐5部电影", "--json", "-")
    assert code == 0
    found = json.loads(said)
    assert {"items", "parsed", "mode", "latency_ms", "tokens"} <= set(found)
    assert set(found["items"][0]) == {"item", "title", "score", "reason"}
    assert (len(found["items"]), found["mode"], found["tokens"]) == (5, "none", 0)
    assert found["parsed"]["count"] == 5


def test_a_request_prints_a_table(run, trained):
    code, said, _ = run("ask", trained, "something good", "-k", 3)
    assert code == 0
    assert len([line for line in said.splitlines() if line.strip()[:1] in "123"]) >= 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["  "], "says nothing"),
        ([], "no request"),
        (["films", "-k", 0], "k must be"),
        (["films", "--likes", "No Such Title At All"], "is not in the catalogue"),
        (["films", "--user", "age"], "column=value"),
        (["films", "--llm", "tianhuan/LLaMA-7B"], "no language model"),
        (["films", "--deadline", "-1"], "deadline"),
        (["films", "--json", "no/such/folder/a.json"], "is no folder"),
    ],
)
def test_bad_input_ends_in_one_line(run, trained, options, says):
    code, _, err = run("ask", trained, *options)
    assert code == 2
    assert "Traceback" not in err
    assert says in " ".join(err.split())


def test_a_folder_without_a_model_is_refused(run, tmp_path):
    code, _, err = run("ask", tmp_path / "nothing", "films")
    assert code == 2
    assert "Traceback" not in err


def test_a_conversation_on_a_terminal(run, trained, monkeypatch):
    import builtins
    import sys

    said = iter(["recommend me some films", "再来几部", ""])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(builtins, "input", lambda *_: next(said))
    code, out, _ = run("ask", trained, "-k", 2)
    assert code == 0
    assert out.count("title") == 2
