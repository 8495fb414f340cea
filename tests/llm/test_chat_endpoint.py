"""The chat client against a server that breaks in every way there is, and one that counts."""

import itertools
import json
import random
import threading
import time
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from tests.llm.faulty import FAULTS

from warmstart.core.errors import ConfigError, LanguageModelError, WarmstartError
from warmstart.llm import canary
from warmstart.llm.endpoint import ChatEndpoint, ChatEndpointConfig, Spent
from warmstart.llm.model import LanguageModel, Message

KEY = "sk-very-secret-0123456789"
CHAT = [Message("system", "Be brief."), Message("user", "推荐一些电影。")]
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"enum": ["a", "b"]}, "why": {"type": "string"}},
}
names = itertools.count()


def made(server, **more):
    """Return a client with a model of its own: what is found out is remembered for the process."""
    url = server if isinstance(server, str) else server.url
    settings = {"base_url": url, "model": f"m{next(names)}", "retries": 1} | more
    return ChatEndpoint(ChatEndpointConfig.parse(settings), rng=random.Random(0))


def test_the_built_in_models_come_in_by_the_door():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    doors = project["entry-points"]["warmstart.llms"]
    assert set(doors) == {"endpoint", "llama-cpp"}
    for place in doors.values():
        module, _, name = place.partition(":")
        kind = getattr(import_module(module), name)
        given = {"base_url": "http://localhost/v1", "model": "m"} if "endpoint" in module else {}
        assert kind(kind.config_type.parse(given)).name


def test_what_is_sent_and_what_comes_back(faulty):
    assert isinstance(made(faulty), LanguageModel)
    faulty.seen.clear()
    model = made(faulty, temperature=0.5, seed=3, usd_per_million_prompt_tokens=2)
    reply = model.complete(CHAT, max_tokens=9)
    assert (reply.text, reply.prompt_tokens, reply.tokens, reply.usd) == ("banana", 7, 3, 14e-6)
    assert faulty.seen == [
        {
            "model": model.name,
            "messages": [{"role": m.role, "content": m.content} for m in CHAT],
            "max_tokens": 9,
            "temperature": 0.5,
            "seed": 3,
        }
    ]
    other = made(faulty, temperature=None, limit_field="max_completion_tokens")
    other.complete(CHAT)
    assert faulty.seen[1].keys() == {"model", "messages", "max_completion_tokens"}
    assert model.version != other.version
    faulty.says = "half \ud83d of a character"
    assert made(faulty).complete(CHAT).text == "half ? of a character"


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_takes_longer_than_its_time_or_raises_another_error(faulty, monkeypatch, fault):
    monkeypatch.setenv("CHAT_KEY", KEY)
    faulty.fault = fault
    model = made(faulty, api_key_env="CHAT_KEY", canary_seconds=0.4)
    began = time.monotonic()
    with pytest.raises(LanguageModelError) as failed:
        model.complete(CHAT, timeout_seconds=0.6)
    assert time.monotonic() - began < 1.5
    assert faulty.url in str(failed.value)
    assert failed.value.__cause__ is None
    assert KEY[:6] not in str(failed.value)
    assert set(faulty.keys) == {f"Bearer {KEY}"}
    began = time.monotonic()
    assert model.mode == "none"
    assert time.monotonic() - began < 2
    began = time.monotonic()
    assert model.choose(CHAT, ["A", "B"], timeout_seconds=0.4) is None
    assert time.monotonic() - began < 1


def test_a_failure_that_passes_is_waited_for(faulty):
    faulty.fault = ["500", "429", "drops"]
    pauses = []
    config = ChatEndpointConfig(base_url=faulty.url, model="m", retries=3)
    model = ChatEndpoint(config, sleep=pauses.append, rng=random.Random(0))
    assert model.complete(CHAT).text == "banana"
    assert len(faulty.seen) == model.spent.requests == 4
    assert 0.25 <= pauses[0] < 0.5
    assert pauses[1] == 1.0  # as the server asked
    assert len(pauses) == 3


def test_a_pause_that_ends_too_late_is_not_begun(faulty):
    faulty.fault = "429 for an hour"
    began = time.monotonic()
    with pytest.raises(LanguageModelError, match=r"within 5 seconds \(HTTP 429.*would come too"):
        made(faulty).complete(CHAT, timeout_seconds=5)
    assert time.monotonic() - began < 1
    assert len(faulty.seen) == 1


def test_a_server_that_is_away_gives_no_mode_and_is_asked_again_later(faulty):
    clock = [1_000.0]
    config = ChatEndpointConfig(base_url=faulty.url, model="comes back", retries=0)
    model = ChatEndpoint(config, now=lambda: clock[0], rng=random.Random(0))
    faulty.honours, faulty.fault = {"json_schema"}, "500"
    assert model.mode == "none"
    asked = len(faulty.seen)
    faulty.fault = ""
    assert model.mode == "none"  # not asked for every question
    assert len(faulty.seen) == asked
    clock[0] += canary.AGAIN_SECONDS
    assert model.mode == "schema"
    assert len(faulty.seen) == asked + 1


@pytest.mark.parametrize(
    ("honours", "refuses", "mode", "field"),
    [
        ({"json_schema", "json_object", "grammar"}, set(), "schema", "json_schema"),
        ({"json_object", "grammar"}, set(), "schema", "json_object"),
        ({"json_object"}, {"json_schema"}, "schema", "json_object"),
        ({"grammar"}, {"json_schema", "json_object"}, "grammar", "grammar"),
        (set(), set(), "none", None),
        (set(), {"json_schema", "json_object", "grammar"}, "none", None),
    ],
)
def test_the_canary_finds_what_is_honoured_and_asks_once(faulty, honours, refuses, mode, field):
    faulty.honours, faulty.refuses = honours, refuses
    model = made(faulty)
    found = []
    threads = [threading.Thread(target=lambda: found.append(model.mode)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [mode] * 6
    asked = len(faulty.seen)
    assert asked == {"json_schema": 1, "json_object": 2, "grammar": 3, None: 3}[field]
    twin = ChatEndpoint(model.config)
    assert (twin.mode, twin.spent) == (mode, Spent())  # remembered for the process
    model.complete(CHAT, schema=SCHEMA)
    (sent,) = faulty.seen[asked:]
    form = sent.get("response_format")
    if field == "json_schema":
        schema = form["json_schema"]["schema"]
        assert schema["required"] == ["answer", "why"]
        assert schema["additionalProperties"] is False
        assert schema["properties"] == SCHEMA["properties"]
    elif field == "json_object":
        assert form == {"type": "json_object", "schema": SCHEMA}
    elif field == "grammar":
        assert r"\"why\"" in sent["grammar"]
    else:
        assert not {"response_format", "grammar"} & sent.keys()


def test_an_answer_that_could_have_been_guessed_is_no_proof(faulty):
    faulty.says = json.dumps({"answer": "banana"})
    assert made(faulty).mode == "none"
    words = [word for word in canary._WORDS for m in canary.QUESTION if word in m.content]
    assert words == []


def test_choices_are_weighed_by_what_the_server_tells(faulty):
    faulty.honours = {"logprobs"}
    model = made(faulty)
    a, b, z = model.choose(CHAT, ["A", "B", "Z"]).log_p
    assert (a, z) == (-0.2, -6.0)  # what is not told is no likelier than the last that is
    assert b == pytest.approx(np.log(np.exp(-2.5) + np.exp(-3.0)))
    assert model.choose(CHAT, ["X", "Y"]) is None
    assert (faulty.seen[-1]["max_tokens"], faulty.seen[-1]["logprobs"]) == (1, True)
    asked = len(faulty.seen)
    faulty.honours = set()
    assert made(faulty).choose(CHAT, ["A"]) is None
    assert len(faulty.seen) == asked + 1  # only the canary
    assert canary.top_logprobs({"logprobs": {"content": [{"top_logprobs": [{"token": 1}]}]}}) == {}
    nan = {"token": "A", "logprob": float("nan")}
    assert canary.top_logprobs({"logprobs": {"content": [{"top_logprobs": [nan]}]}}) == {}


def test_the_cost_is_counted_whatever_the_server_says(faulty):
    prices = {"usd_per_million_prompt_tokens": 0.5, "usd_per_million_tokens": 3.0}
    model = made(faulty, **prices)
    threads = [threading.Thread(target=model.complete, args=(CHAT,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    usd = pytest.approx((140 * 0.5 + 60 * 3.0) / 1e6)
    assert model.spent == Spent(requests=20, prompt_tokens=140, tokens=60, usd=usd)
    for usage in (None, [], {"prompt_tokens": -1}, {"completion_tokens": "9"}, 10**400):
        faulty.usage = usage if usage != 10**400 else {"completion_tokens": 10**400}
        assert model.complete(CHAT).usd == 0
    assert (model.spent.requests, model.spent.prompt_tokens, model.spent.tokens) == (25, 140, 60)


def test_the_server_never_sees_more_at_once_than_it_should(faulty):
    faulty.seconds = 0.1
    model = made(faulty, most_at_once=3)
    threads = [threading.Thread(target=model.complete, args=(CHAT,)) for _ in range(12)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faulty.most_at_once == 3
    assert len(faulty.seen) == 12
    assert time.monotonic() - began >= 0.4
    faulty.fault = "slow"
    failures = []

    def ask(seconds):
        try:
            model.complete(CHAT, timeout_seconds=seconds)
        except LanguageModelError as error:
            failures.append((seconds, str(error)))

    threads = [threading.Thread(target=ask, args=(s,)) for s in [1.5] * 3 + [0.3] * 5]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads[3:]:
        thread.join()
    assert len(faulty.seen) == 12 + 3  # the others waited, and gave up
    assert [seconds for seconds, _ in failures] == [0.3] * 5
    assert "3 other requests took all the time" in failures[0][1]
    for thread in threads[:3]:
        thread.join()
    assert len(failures) == 8


def test_the_key_is_asked_for_and_never_shown(faulty, monkeypatch):
    model = made(faulty, api_key_env="NO_SUCH_KEY")
    for ask in (lambda: model.complete(CHAT), lambda: model.mode, lambda: model.choose(CHAT, "A")):
        with pytest.raises(ConfigError, match="variable NO_SUCH_KEY is not set"):
            ask()
    monkeypatch.setenv("CHAT_KEY", KEY)
    model = made(faulty, api_key_env="CHAT_KEY")
    model.complete(CHAT)
    assert faulty.keys == [f"Bearer {KEY}"]
    assert KEY not in repr(model.config) + repr(vars(model)) + model.version + model.name
    for wrong in ({"api_key_env": KEY}, {"base_url": f"https://me:{KEY}@host/v1"}):
        with pytest.raises(WarmstartError) as refused:
            ChatEndpointConfig.parse({"base_url": "https://host/v1", "model": "m"} | wrong)
        assert KEY not in str(refused.value)


def test_a_closed_door_is_named_at_once():
    model = made("http://127.0.0.1:9/v1")
    began = time.monotonic()
    assert model.mode == "none"
    assert time.monotonic() - began < 1
    with pytest.raises(LanguageModelError, match=r"127\.0\.0\.1:9/v1/chat.*refused"):
        model.complete(CHAT, schema=SCHEMA, timeout_seconds=3)
