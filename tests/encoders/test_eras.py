"""The years that a text speaks of, in both languages."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.encoders.eras import Era, eras, without_eras
from warmstart.encoders.glossary import also_called

SAID = [
    ("films of the 1950s", [(1950, 1959)], "films"),
    ("horror films from the eighties", [(1980, 1989)], "horror films"),
    ("something from the early 90s", [(1990, 1999)], "something"),
    ("westerns made before 1970", [(0, 1969)], "westerns"),
    ("love stories from before 1960", [(0, 1959)], "love stories"),
    ("comedies since the 90s", [(1990, 9999)], "comedies"),
    ("science fiction, after 1990", [(1991, 9999)], "science fiction,"),
    ("newer than the nineties", [(2000, 9999)], ""),
    ("between 1980 and 1989", [(1980, 1989)], ""),
    ("films between 1980 and 1989 about dogs", [(1980, 1989)], "films about dogs"),
    ("dramas from 1994 to 1999", [(1994, 1999)], "dramas"),
    ("songs of the '60s", [(1960, 1969)], "songs"),
    ("novels of the 19th century", [(1800, 1899)], "novels"),
    ("the twenties", [(2020, 2029)], ""),
    ("a film of 1994", [(1994, 1994)], "a film"),
    ("films from the 60s and 70s", [(1960, 1969), (1970, 1979)], "films and"),
    ("五十年代的电影", [(1950, 1959)], "电影"),
    ("80年代的动作片", [(1980, 1989)], "动作片"),
    ("上世纪六十年代的片子", [(1960, 1969)], "片子"),
    ("20世纪80年代", [(1980, 1989)], ""),
    ("1960年以前的老爱情片", [(0, 1959)], "老爱情片"),
    ("2000年以后的科幻片", [(2000, 9999)], "科幻片"),
    ("1980年到1989年", [(1980, 1989)], ""),
    ("一九九四年的电影", [(1994, 1994)], "电影"),
    ("90年代末的动作片", [(1990, 1999)], "动作片"),
    ("a film about nothing", [], "a film about nothing"),
    ("100 years, 30 actors, room 237", [], "100 years, 30 actors, room 237"),
    ("我喜欢看电影，推荐一些电影。", [], "我喜欢看电影，推荐一些电影。"),
]


@pytest.mark.parametrize(("text", "years", "rest"), SAID)
def test_years_are_read_and_taken_out(text, years, rest):
    """What is left is what the encoder hears."""
    assert eras(text) == [Era(*y) for y in years]
    assert without_eras(text) == rest


@given(st.text(alphabet="1290s年代前 '-to八九十the", max_size=40))
def test_any_text_is_read(text):
    """No text raises; an era ends after it begins; text without an era keeps its words."""
    found = eras(text)
    assert all(isinstance(era, Era) for era in found)
    if not found:
        assert without_eras(text) == " ".join(text.split())


def test_a_long_text_takes_no_long_time():
    """A megabyte is read in a second or so, whatever it repeats."""
    for piece in ("from ", "the ", "made ", "1990 ", "年", "between "):
        begun = time.process_time()
        eras(piece * (1_000_000 // len(piece)))
        assert time.process_time() - begun < 5


def test_usual_categories_have_names_in_both_languages():
    """However a catalogue spells them, and not their own name again."""
    assert "剧情片" in also_called("Drama")
    assert "喜剧" in also_called("comedy")
    assert set(also_called("Children's")) >= {"儿童", "kids"}
    assert set(also_called("Film-Noir")) >= {"黑色电影"}
    assert "drama" in also_called("剧情")
    assert "drama" not in also_called("Drama")
    assert also_called("Widgets") == ()
