"""A record of who was trained on: complete, small, and wrong as rarely as it says."""

import numpy as np
import pytest

from warmstart.core.errors import DataError
from warmstart.data.known import KnownIds


def test_nobody_is_forgotten_and_few_strangers_are_taken_for_known():
    people = [f"user {i}" for i in range(20_000)]
    known = KnownIds.of(people)
    assert known.holds(people).all()
    strangers = known.holds([f"stranger {i}" for i in range(200_000)])
    assert strangers.sum() <= 10  # 1.2 in 100,000 by the formula
    assert known.bits.nbytes == 3 * len(people)


def test_parts_are_the_whole(monkeypatch):
    whole = KnownIds.of(range(100))
    monkeypatch.setattr("warmstart.data.known._AT_ONCE", 7)
    np.testing.assert_array_equal(KnownIds.of(range(100)).bits, whole.bits)
    assert whole.holds(range(120)).tolist() == [True] * 100 + [False] * 20


def test_spelling_and_scripts():
    known = KnownIds.of([7, -3, "异形", "ann"])
    assert known.holds(["7", 7, "-3", "异形", "ann"]).all()
    assert not known.holds(["07", "7.0", "Ann", "", 3]).any()
    assert KnownIds.of([]).holds(["ann"]).tolist() == [False]
    assert known.holds([]).shape == (0,)


def test_it_survives_json():
    known = KnownIds.of(range(50))
    again = KnownIds.parse(known.plain())
    assert again.count == 50
    np.testing.assert_array_equal(again.bits, known.bits)


@pytest.mark.parametrize(
    "values",
    [
        None,
        {},
        {"count": 1, "bits": "!"},
        {"count": 1, "bits": ""},
        {"count": "1", "bits": "AAAAAAAAAAA="},
        {"count": 1, "bits": "AAAAAAAAAAA=", "more": 0},
    ],
)
def test_what_is_no_record_is_refused(values):
    with pytest.raises(DataError, match="training users cannot be read"):
        KnownIds.parse(values)
