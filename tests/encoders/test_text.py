"""The default text encoder: English and Chinese, long texts, empty ones."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.core import registry
from warmstart.encoders import encode
from warmstart.encoders.text import SentenceEncoder, TextConfig, chunked, pooled, read_text

PAIRS = [
    ("a space opera film", "太空科幻电影"),
    ("a romantic comedy", "浪漫爱情喜剧"),
    ("a documentary about the ocean", "关于海洋的纪录片"),
    ("a guitar for beginners", "适合初学者的吉他"),
    ("a horror story in an old house", "老房子里的恐怖故事"),
    ("football match results", "足球比赛结果"),
    ("how to cook pasta", "怎么煮意大利面"),
    ("the history of ancient Rome", "古罗马的历史"),
]


@pytest.fixture(scope="module")
def encoder():
    return registry.lookup("encoders", "text")()


def test_each_sentence_is_nearest_to_its_translation(encoder):
    english, chinese = zip(*PAIRS, strict=True)
    a, b = (encode(encoder, texts).vectors for texts in (english, chinese))
    alike = a @ b.T
    assert (alike.argmax(axis=1) == np.arange(len(PAIRS))).all()
    assert (alike.argmax(axis=0) == np.arange(len(PAIRS))).all()
    np.testing.assert_allclose(np.linalg.norm(a, axis=1), 1, atol=1e-5)


def test_neither_company_nor_order_changes_a_vector(encoder):
    texts = [t for pair in PAIRS for t in pair]
    together = encode(encoder, texts).vectors
    alone = np.concatenate([encode(encoder, [t]).vectors for t in reversed(texts)])[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_long_text_is_the_mean_of_its_pieces(encoder):
    sentences = ["A ship lands on a far planet.", "Nobody answers the call.",
                 "The crew finds an old machine that still runs."] * 3  # fmt: skip
    small = SentenceEncoder(TextConfig(chunk_chars=60))
    text = " ".join(sentences)
    pieces = chunked(text, 60)
    assert len(pieces) > 3
    mean = encode(encoder, pieces).vectors.mean(axis=0)
    np.testing.assert_allclose(
        encode(small, [text]).vectors[0], mean / np.linalg.norm(mean), atol=1e-5
    )


def test_a_megabyte_is_read_as_far_as_agreed(encoder):
    head = "A detective hunts a killer in the rain. " * 25  # 1,000 characters
    short = SentenceEncoder(TextConfig(most_chars=1_000))
    found = encode(short, [head + "Cook the pasta for nine minutes. " * 30_000, head])
    np.testing.assert_allclose(found.vectors[0], found.vectors[1], atol=1e-6)


def test_nothing_to_read_is_missing_and_odd_things_are_named(encoder):
    contents = [None, "", " \n ", float("nan"), 3, "\ud800 lone half", "\0", "🎬🎬", "x" * 5_000]
    found = encode(encoder, contents)
    assert not found.known[:5].any()
    assert [f.place for f in found.faults][:1] == [4]
    assert "expected a text, got int (3)" in found.faults[0].why
    assert found.known[[5, 7, 8]].all()
    assert np.isfinite(found.vectors).all()


@given(st.text(), st.integers(1, 50))
@settings(max_examples=200, deadline=None)
def test_pieces_are_short_and_lose_nothing_but_space(text, most):
    pieces = chunked(text, most)
    assert all(0 < len(p) <= most for p in pieces)
    assert re.sub(r"\s+", "", "".join(pieces)) == re.sub(r"\s+", "", text)


def test_pooling_is_the_mean_over_pieces_whatever_the_batches():
    def lengths(pieces):
        return np.array([[len(p), 1.0] for p in pieces], np.float32)

    texts = [b"One. Two two. Three!", b"", b"Four four four four."]
    for size in (1, 2, 64):
        found, empty = pooled(lengths, texts, dim=2, chunk_chars=9, most_chars=99, batch_size=size)
        for place in (0, 2):
            pieces = chunked(texts[place].decode(), 9)
            mean = np.array([[len(p), 1.0] for p in pieces]).mean(axis=0)
            np.testing.assert_allclose(found[place], mean / np.linalg.norm(mean), rtol=1e-5)
        assert list(empty) == [1]


def test_text_is_read_as_it_is():
    assert read_text(" 你好 ") == "你好".encode()
