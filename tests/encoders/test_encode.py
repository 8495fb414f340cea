"""A column of contents becomes vectors: masks, faults, equal contents, and the cache."""

import sqlite3
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError
from warmstart.encoders import Encoder, VectorCache, encode
from warmstart.encoders.cache import key_of
from warmstart.encoders.files import read_file


class Letters:
    """Counts letters; refuses digits, and cannot bear a question mark."""

    config_type = Config
    name, dim = "letters", 26

    def __init__(self, config=None, version="1"):
        self.config, self.version, self.asked = config or Config(), version, []

    def read(self, content):
        if content is None:
            return None
        if not isinstance(content, str):
            raise DataError(f"expected a text, got {content!r}")
        return content.encode()

    def vectors(self, contents):
        self.asked += contents
        if any(b"?" in c for c in contents):
            raise DataError("nobody answers; try again later")
        out = np.array([[c.count(bytes([97 + i])) for i in range(26)] for c in contents])
        out = out.astype(np.float32)
        out[[b"!" in c for c in contents], 0] = np.nan
        return out, {i: "it holds digits" for i, c in enumerate(contents) if c.isdigit()}


def counts(text):
    return [text.count(chr(97 + i)) for i in range(26)]


@pytest.fixture
def cache(tmp_path):
    return VectorCache(tmp_path / "deep" / "vectors.sqlite")


def test_what_is_missing_is_masked_and_what_fails_is_named_while_the_rest_is_encoded():
    assert isinstance(Letters(), Encoder)
    contents = ["abba", None, 7, "12", "zoo", "a!", "abba"]
    encoder = Letters()
    found = encode(encoder, contents)
    assert found.known.tolist() == [True, False, False, False, True, False, True]
    np.testing.assert_array_equal(found.vectors[[0, 4, 6]], [counts("abba"), counts("zoo"),
                                                             counts("abba")])  # fmt: skip
    assert not found.vectors[~found.known].any()
    assert {f.place: f.why for f in found.faults} == {
        2: "expected a text, got 7",
        3: "it holds digits",
        5: "its vector is not finite; leave the content out",
    }
    assert sorted(encoder.asked) == [b"12", b"a!", b"abba", b"zoo"]  # equal contents once


def test_an_encoder_that_breaks_down_costs_only_what_it_was_asked():
    contents = [f"w{'x' * (i % 7)}{chr(97 + i % 20)}" for i in range(300)] + ["who?"]
    found = encode(Letters(), contents)
    assert found.known[:256].all()  # the first lot went through
    assert not found.known[256:].any()
    assert {f.place for f in found.faults} == set(range(256, 301))
    assert found.faults[0].why == "nobody answers; try again later"


def test_the_cache_spares_the_encoder_and_a_new_version_does_not(cache):
    contents = ["abba", "zoo", None, "12", "abba"]
    first = encode(Letters(), contents, cache=cache)
    again = Letters()
    second = encode(again, contents, cache=cache)
    assert again.asked == [b"12"]  # what failed is tried again
    assert (first.cached, second.cached) == (0, 3)
    np.testing.assert_array_equal(second.vectors, first.vectors)
    np.testing.assert_array_equal(second.known, first.known)
    changed = Letters(version="2")
    encode(changed, contents, cache=cache)
    assert sorted(changed.asked) == [b"12", b"abba", b"zoo"]
    assert len(cache) == 4


def test_progress_reaches_the_end():
    told = []
    encode(Letters(), ["a"] * 600, progress=lambda done, total, message: told.append((done, total)))
    assert told == [(256, 600), (512, 600), (600, 600)]
    assert encode(Letters(), []).vectors.shape == (0, 26)


@given(st.lists(st.tuples(st.text("ab", max_size=3), st.text("ab", max_size=3), st.binary())))
@settings(max_examples=50, deadline=None)
def test_no_two_things_share_a_key(parts):
    keys = {key_of(*part) for part in parts}
    assert len(keys) == len(set(parts))


def test_vectors_come_back_as_they_were_kept_in_any_number(cache):
    rng = np.random.default_rng(0)
    kept = {rng.bytes(32): rng.normal(size=8).astype(np.float32) for _ in range(1_200)}
    cache.put(kept)
    found = VectorCache(cache.path).get([*kept, b"unknown"], 8)
    assert found.keys() == kept.keys()
    for key, vector in kept.items():
        np.testing.assert_array_equal(found[key], vector)
    assert cache.get(list(kept), 9) == {}


def test_several_threads_share_a_cache(cache):
    def fill(number):
        for i in range(20):
            cache.put({bytes([number, i]): np.full(4, i, np.float32)})

    threads = [threading.Thread(target=fill, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) == 80


def test_a_damaged_cache_is_put_aside_and_a_forbidden_one_is_named(tmp_path):
    path = tmp_path / "vectors.sqlite"
    path.write_bytes(b"this is no database, " * 100)
    cache = VectorCache(path)
    cache.put({b"k": np.ones(2, np.float32)})
    assert len(cache) == 1
    assert path.with_suffix(".damaged").read_bytes().startswith(b"this is no")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"vector cache .*choose another path"):
        VectorCache(tmp_path / "file" / "vectors.sqlite")
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_files_outside_the_folder_are_not_read(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    (root / "a.txt").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"outside")
    (root / "link").symlink_to(tmp_path / "secret")
    assert read_file("a.txt", root, most_bytes=10) == b"inside"
    assert read_file(root / "a.txt", root, most_bytes=10) == b"inside"
    assert read_file(b"bytes", None, most_bytes=10) == b"bytes"
    assert [read_file(c, root, most_bytes=10) for c in (None, " ", float("nan"), b"")] == [None] * 4
    for outside in ("../secret", "link", str(tmp_path / "secret"), "/etc/passwd"):
        with pytest.raises(DataError, match="lies outside the folder"):
            read_file(outside, root, most_bytes=10)
    with pytest.raises(DataError, match=r"there is no file b\.txt"):
        read_file("b.txt", root, most_bytes=10)
    with pytest.raises(DataError, match=r"a\.txt has 6 bytes, more than 5"):
        read_file("a.txt", root, most_bytes=5)
    with pytest.raises(DataError, match="11 bytes are more than 10"):
        read_file(b"11111111111", root, most_bytes=10)
    with pytest.raises(DataError, match="expected a path or bytes, got int"):
        read_file(3, root, most_bytes=10)
    with pytest.raises(DataError, match=r"cannot be read|there is no file"):
        read_file("nul\0byte", root, most_bytes=10)
