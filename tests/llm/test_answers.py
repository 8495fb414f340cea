"""What was answered once is answered again without the model."""

import json
import sqlite3
import time
from dataclasses import replace

import pytest
from tests.llm.faulty import FaultyServer

from warmstart.core.errors import ConfigError, LanguageModelError
from warmstart.llm.cache import Cached
from warmstart.llm.endpoint import ChatEndpoint, ChatEndpointConfig
from warmstart.llm.model import LanguageModel, Message, Reply

CHAT = [Message("system", "Be brief."), Message("user", "films like Amélie, 谢谢")]
SCHEMA = {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}}


def endpoint(server, model="cached", **more):
    settings = {"base_url": server.url, "model": model, "retries": 0} | more
    return ChatEndpoint(ChatEndpointConfig.parse(settings))


def test_a_question_is_asked_once(faulty, tmp_path):
    path = tmp_path / "answers.sqlite"
    model = Cached(endpoint(faulty, usd_per_million_tokens=9.0), path, version="1")
    first = model.complete(CHAT)
    assert (first.text, first.tokens, first.cached) == ("banana", 3, False)
    assert first.usd > 0
    faulty.fault = "500"  # the server is gone
    again = Cached(endpoint(faulty), path, version="1")
    found, took = [], []
    for _ in range(20):
        began = time.perf_counter()
        found.append(again.complete(CHAT))
        took.append(time.perf_counter() - began)
    assert min(took) < 0.01  # whatever else the machine does
    assert found == [Reply("banana", cached=True)] * 20
    assert (len(faulty.seen), len(again)) == (1, 1)
    assert isinstance(again, LanguageModel)  # which looks at `mode`, and so asks the canary
    with pytest.raises(LanguageModelError):
        again.complete([Message("user", "something new")], timeout_seconds=1)


def test_white_space_and_spelling_of_accents_make_no_other_question(faulty, tmp_path):
    model = Cached(endpoint(faulty), tmp_path / "a.sqlite", version="1")
    model.complete([Message("user", "films  like\n\tAm\u00e9lie ")])
    assert model.complete([Message("user", " films like Ame\u0301lie")]).cached


def test_whatever_may_change_an_answer_makes_another_question(faulty, tmp_path):
    path = tmp_path / "a.sqlite"
    faulty.honours = {"json_schema"}
    turned = {"type": "object", "properties": dict(reversed(SCHEMA["properties"].items()))}
    asks = [
        lambda: Cached(endpoint(faulty), path, version="1").complete(CHAT),
        lambda: Cached(endpoint(faulty), path, version="2").complete(CHAT),
        lambda: Cached(endpoint(faulty, "other"), path, version="1").complete(CHAT),
        lambda: Cached(endpoint(faulty, temperature=1.0), path, version="1").complete(CHAT),
        lambda: Cached(endpoint(faulty), path, version="1").complete(CHAT[1:]),
        lambda: Cached(endpoint(faulty), path, version="1").complete(CHAT[::-1]),
        lambda: Cached(endpoint(faulty), path, version="1").complete(CHAT, max_tokens=9),
        lambda: Cached(endpoint(faulty), path, version="1").complete(CHAT, schema=SCHEMA),
        lambda: Cached(endpoint(faulty), path, version="1").complete(CHAT, schema=turned),
        lambda: Cached(endpoint(faulty), path, version="1").complete(
            [Message("user", CHAT[0].content), CHAT[1]]
        ),
        lambda: Cached(endpoint(faulty), path, version="1").complete([Message("user", "\ud83d")]),
    ]
    assert not any(ask().cached for ask in asks)
    assert all(ask().cached for ask in asks)


def test_an_answer_that_nothing_held_to_its_schema_is_not_kept(faulty, tmp_path):
    model = Cached(endpoint(faulty, "deaf"), tmp_path / "a.sqlite", version="1")
    assert not model.complete(CHAT, schema=SCHEMA).cached
    assert not model.complete(CHAT, schema=SCHEMA).cached
    assert len(model) == 0


def test_log_probabilities_are_kept_and_their_absence_is_not(faulty, tmp_path):
    faulty.honours = {"logprobs"}
    model = Cached(endpoint(faulty, "tells"), tmp_path / "a.sqlite", version="1")
    found = model.choose(CHAT, ["A", "B"])
    asked = len(faulty.seen)
    kept = model.choose(CHAT, ["A", "B"])
    assert kept.log_p == found.log_p
    assert (found.prompt_tokens + found.tokens > 0, kept.prompt_tokens + kept.tokens) == (True, 0)
    assert len(faulty.seen) == asked
    turned = replace(found, log_p=found.log_p[::-1])
    assert model.choose(CHAT, ["B", "A"]) == turned  # another question, asked
    assert len(faulty.seen) == asked + 1
    assert model.choose(CHAT, ["X", "Y"]) is None
    assert len(model) == 2


def test_a_damaged_cache_is_put_aside_and_one_that_breaks_later_is_none(faulty, tmp_path):
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"this is no database" * 100)
    model = Cached(endpoint(faulty), path, version="1")
    assert path.with_suffix(".damaged").exists()
    assert model.complete(CHAT).text == "banana"
    assert model.complete(CHAT).cached
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE entries SET value = ?", (b"{",))
    assert not model.complete(CHAT).cached  # cannot be read, so asked and kept anew
    assert model.complete(CHAT).cached
    with database:
        database.execute("DROP TABLE entries")
    database.close()
    assert model.complete(CHAT).text == "banana"
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cache of answers .*choose another path"):
        Cached(endpoint(faulty), tmp_path / "file" / "a.sqlite", version="1")


def test_the_file_holds_no_question(faulty, tmp_path):
    path = tmp_path / "a.sqlite"
    faulty.says = json.dumps({"likes": ["space"]})
    Cached(endpoint(faulty), path, version="1").complete([Message("user", "my secret taste")])
    stored = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert b"secret" not in stored
    assert b"likes" in stored


def test_the_default_file_lies_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path))
    server = FaultyServer()
    try:
        Cached(endpoint(server), version="1").complete(CHAT)
    finally:
        server.close()
    assert (tmp_path / "answers.sqlite").exists()
