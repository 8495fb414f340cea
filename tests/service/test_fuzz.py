"""Whatever is sent, the service answers by its rules: never with a fault of its own."""

import json
import random

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from tests.service.running import Running


@pytest.fixture(scope="module")
def running(shelf, tmp_path_factory):
    """A service of these tests' own, whose catalogue they may change."""
    with Running(shelf / "first", tmp_path_factory.mktemp("fuzz") / "events.sqlite") as server:
        yield server


def test_no_operation_fails_on_what_its_description_allows_or_forbids(running):
    """Schemathesis draws requests for every operation, half of them against its description."""
    key = {"Authorization": f"Bearer {running.key}"}
    described = schemathesis.openapi.from_url(f"{running.url}/openapi.json", headers=key)
    met = set()
    for found in described.get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @hypothesis.given(operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=10,
                deadline=None,
                database=None,
                phases=[hypothesis.Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def send(case):
                answer = case.call(base_url=running.url, headers=key)
                met.add((case.method, case.path, answer.status_code))
                assert answer.status_code < 500, answer.text

            try:
                send()
            except hypothesis.errors.Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE  # nothing to get wrong
    assert len({(method, path) for method, path, _ in met}) >= 20
    assert {200, 422} <= {status for *_, status in met}


FILTERS = [
    "year >", "((((((", "a" * 4_000, "not " * 2_000 + "year = 1", "__import__('os').system('x')",
    "year = 1; drop table events", "`" * 100, "year in (" + "1," * 1_900 + "1)", "'\\", '"' * 99,
    "title contains '" + "a?" * 500 + "'", "年 = 1", "year = 1e999", "year = nan", "\x00",
    "🙂 has 🙂",
    {"year": {"min": "x"}}, {"year": []}, {"year": [[1]]}, {"": 1}, {"year": {"min": 1, "más": 2}},
    {"year": {}}, {"year": {"min": 10**400}}, {f"c{i}": 1 for i in range(60)}, [], 1, True,
]  # fmt: skip


HARMLESS = [
    "year in (" + "1," * 1_900 + "1)", "title contains '" + "a?" * 500 + "'", "year = 1e999",
    "year = nan", {"year": []},
]  # fmt: skip


@pytest.mark.parametrize("filters", FILTERS, ids=range(len(FILTERS)))
def test_hostile_conditions_are_refused(running, filters):
    status, _, data = running.ask("POST", "/v1/recommend", {"filters": filters})
    if filters in HARMLESS:
        assert status == 200
        assert data["items"] == []
    else:
        assert status in (400, 422), data
    rules = {"boost": [{"filter": filters, "by": 1}]}
    assert running.ask("POST", "/v1/recommend", rules)[0] < 500


TEXTS = st.text(max_size=60) | st.sampled_from(
    ["\u202e\u2066", "İ", "ﷺ" * 20, "\x00", "'; --", "../../x", "%00", "{{7*7}}", "a\nb", "'" * 50]
)
LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS


def nested(inner):
    return inner | st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)


VALUES = nested(nested(LEAVES))
NAMES = [
    "user", "history", "dislikes", "features", "k", "text", "filters", "exclude", "boost", "pin",
    "quota", "diversity", "explore", "explain", "items", "item", "events", "query", "not_seen",
    "skipped", "conversation", "path",
]  # fmt: skip
PATHS = [
    ("POST", "/v1/recommend"), ("POST", "/v1/similar"), ("POST", "/v1/explain"),
    ("POST", "/v1/ask"), ("POST", "/v1/onboarding/next"), ("POST", "/v1/events"),
    ("POST", "/v1/items"), ("PUT", "/v1/items"), ("PATCH", "/v1/items"), ("DELETE", "/v1/items"),
]  # fmt: skip


@hypothesis.given(st.sampled_from(PATHS), st.dictionaries(st.sampled_from(NAMES), VALUES), VALUES)
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_json_is_answered_by_the_rules(running, call, body, value):
    method, path = call
    deep = value
    for _ in range(random.Random(str(value)).choice([0, 1, 400])):
        deep = [deep]
    for sent in (body, body | {"user": "u", "item": 5, "items": [5], "query": "x"}, [deep], deep):
        status, _, data = running.ask(method, path, raw=json.dumps(sent).encode())
        assert status < 500, data


@hypothesis.given(TEXTS.filter(bool))
@settings(max_examples=60, deadline=None)
def test_a_user_is_called_whatever_they_like(running, user):
    from urllib.parse import quote

    try:
        name = quote(user, safe="")
    except UnicodeEncodeError:
        return
    status, _, data = running.ask("GET", f"/v1/users/{name}")
    assert status == 200, data
    assert data["user"] == user
    assert data["events"] == []
