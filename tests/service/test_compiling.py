"""Loops are compiled beside the requests, for each model that comes to serve."""

import pytest
from tests.service.process import Served

pytest.importorskip("numba", reason="the extra `compiled` is not installed")


def test_lists_stay_the_same_when_the_loops_are_compiled(shelf, tmp_path):
    body = {"history": [5, 9, {"item": 14, "event": "dislike"}], "k": 8}

    def listed(served):
        status, _, told = served.ask("POST", "/v1/recommend", body)
        assert status == 200
        return [line["item"] for line in told["items"]], told["model"].split("@")[0]

    with Served(shelf / "first", tmp_path) as served:
        first = listed(served)  # ready at once, whether or not it is compiled yet
        assert listed(served.settle()) == first
        row = {"item": 9_001, "title": "Dust", "genres": "Comedy"}
        assert served.ask("PUT", "/v1/items", {"items": [row]})[0] == 200
        assert len(listed(served)[0]) == 8
        assert served.ask("DELETE", "/v1/items", {"items": [9_001]})[0] == 200
        assert listed(served) == first
        assert served.ask("POST", "/v1/models", {"path": "second"})[0] == 200
        assert listed(served)[1] == "second"  # of a method that has no loops
        assert served.ask("POST", "/v1/models/rollback")[0] == 200
        assert listed(served.settle()) == first
    log = (tmp_path / "log").read_text()
    assert log.count('"event":"model_is_compiled"') == 2
    assert log.count('"event":"model_is_not_compiled"') == 1
    assert "compile_failed" not in log
