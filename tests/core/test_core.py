"""Settings, the plug-in door, random streams and histories."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from warmstart.core import errors
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, MissingExtraError, UnknownItemError, WarmstartError
from warmstart.core.registry import lookup, names
from warmstart.core.rng import generator
from warmstart.core.types import Histories


class Ridge(Config):
    reg: float = 1.0
    steps: int = 3


def test_settings_are_frozen_and_name_an_unknown_key():
    with pytest.raises(ValidationError, match="frozen"):
        Ridge().reg = 2.0
    with pytest.raises(ConfigError, match=r"Ridge: regg.*knows are: reg, steps"):
        Ridge.parse({"regg": 1})
    with pytest.raises(ConfigError, match=r"reg: .* steps: "):  # every fault, not only the first
        Ridge.parse({"reg": "much", "steps": "many"})


def test_every_error_can_be_caught_at_the_root():
    found = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(found) >= 7
    assert all(issubclass(error, WarmstartError) for error in found)
    assert issubclass(MissingExtraError, ImportError)


def test_an_unknown_item_proposes_and_says_whether_it_was_ambiguous():
    assert "did you mean: Alien; Aliens" in str(UnknownItemError("Alein", ["Alien", "Aliens"]))
    assert "fits several" in str(UnknownItemError("Star", ["Star Wars"], ambiguous=True))


def test_built_in_methods_come_in_by_the_door_of_plug_ins():
    assert {"default", "popularity", "itemknn", "ease", "ials", "multvae"} <= set(names("methods"))
    assert {"ml-100k", "ml-1m", "synthetic"} <= set(names("datasets"))
    assert lookup("methods", "popularity").__name__ == "Popularity"
    with pytest.raises(ConfigError, match=r"no method is called 'popularty'; .*popularity"):
        lookup("methods", "popularty")


def test_streams_of_random_numbers_are_found_by_name():
    a, b = generator(3, "split", 1).random(5), generator(3, "split", 1).random(5)
    assert (a == b).all()
    others = [generator(3, "split", 2), generator(3, "init", 1), generator(4, "split", 1)]
    assert all((a != other.random(5)).all() for other in others)


@st.composite
def some_histories(draw):
    shots = draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    n = sum(shots)
    items = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    values = draw(st.lists(st.sampled_from([-1.0, 0.5, 1.0]), min_size=n, max_size=n))
    indptr = np.concatenate([[0], np.cumsum(shots)])
    times = np.arange(n, dtype=float)
    return Histories(indptr, np.array(items, np.int32), np.array(values, np.float32), times)


def as_lists(histories):
    return [
        list(zip(histories.items[a:b], histories.values[a:b], histories.times[a:b], strict=True))
        for a, b in zip(histories.indptr[:-1], histories.indptr[1:], strict=True)
    ]


@given(some_histories(), st.integers(0, 6), st.data())
def test_histories_cut_and_pick_like_lists(histories, k, data):
    lists = as_lists(histories)
    assert as_lists(histories.first(k)) == [events[:k] for events in lists]
    picked = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
    assert as_lists(histories.take(np.array(picked, int))) == [lists[i] for i in picked]
    dense = np.zeros((len(lists), 10), np.float32)
    for row, events in enumerate(lists):
        for item, value, _ in events:
            dense[row, item] += value
    np.testing.assert_array_equal(histories.matrix(10).toarray(), dense)


def test_nested_settings_given_in_part_keep_the_defaults_of_their_owner():
    class Inner(Config):
        steps: int = 1
        size: float = 0.5

    class Outer(Config):
        inner: Inner = Inner(steps=7, size=0.1)

    assert Outer.parse({"inner": {"size": 2}}).inner == Inner(steps=7, size=2)
    assert Outer.parse({"inner": Inner(size=2)}).inner == Inner(steps=1, size=2)
    assert Outer.parse(Outer().model_dump()) == Outer()
    with pytest.raises(ConfigError, match=r"inner\.sise.*knows are: inner\.steps, inner\.size"):
        Outer.parse({"inner": {"sise": 2}})
