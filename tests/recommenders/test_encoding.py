"""Columns become modalities, and a model encodes what comes later as it was trained."""

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest

import warmstart as ws
from warmstart.core.errors import ConfigError, DataError
from warmstart.data import Dataset
from warmstart.data.content import Block
from warmstart.encoders import VectorCache
from warmstart.encoders.text import SentenceEncoder
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.encoding import encode_items

SUBJECTS = {
    "space": ["A starship is lost near Saturn", "Astronauts land on a red planet",
              "Aliens send a signal from a far galaxy", "A crew repairs its rocket in orbit"],
    "love": ["Two lovers meet again in Paris", "A wedding brings old sweethearts together",
             "She falls in love with her best friend", "A romance begins on a summer night"],
    "war": ["Soldiers hold a bridge under fire", "A battalion marches to the front",
            "A general plans the last battle", "A soldier returns home from the war"],
}  # fmt: skip


@pytest.fixture
def cache(tmp_path):
    return VectorCache(tmp_path / "vectors.sqlite")


@pytest.fixture(scope="module")
def tables():
    """Users who each like one subject; a film's plot tells it in words of its own."""
    rng = np.random.default_rng(0)
    plots, kinds = [], []
    for number in range(60):
        kind = list(SUBJECTS)[number % 3]
        plots.append(
            f"{rng.choice(SUBJECTS[kind])}, {rng.choice(['long', 'short'])} film {number}."
        )
        kinds.append(number % 3)
    favour = rng.integers(3, size=240)
    chance = np.where(np.array(kinds) == favour[:, None], 0.6, 0.03)
    user, item = np.nonzero(rng.random(chance.shape) < chance)
    return {"user": user, "item": item}, {"item": np.arange(60), "plot": plots}


def described(tables):
    return Dataset.from_tables(*tables, schema={"items": {"plot": "text"}})


def test_a_text_column_becomes_a_modality(tables, cache):
    data = described(tables)
    encoded, report = encode_items(data, cache=cache)
    assert report.encoded == {"plot": 60}
    assert report.faults == ()
    assert encoded.item_encoders[0].encoder == "text"
    raw = [tables[1]["plot"][item].encode() for item in data.items]
    wanted, _ = SentenceEncoder().vectors(raw)
    np.testing.assert_allclose(encoded.content["plot"].values, wanted, atol=1e-5)
    assert data.content == {}
    assert encoded.fingerprint != data.fingerprint
    again, _ = encode_items(encoded, ["plot"], cache=cache)
    assert len(again.item_encoders) == 1
    assert again.fingerprint == encoded.fingerprint


def test_new_items_are_placed_by_what_is_written_of_them(tables, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("warmstart.recommenders.encoding.VectorCache", lambda: cache)
    data, _ = encode_items(described(tables), cache=cache)
    config = {"folds": 2, "training": {"epochs": 4}, "embedding_dim": 16, "hidden_dim": 32}
    ws.Recommender(config=config).fit(data, progress=False).save(tmp_path / "model")
    model = ws.load(tmp_path / "model")
    new = {
        "item": [100, 101, 102, 103],
        "plot": ["宇航员在火星上迷路了", "A spacecraft drifts between the stars",
                 "Newlyweds quarrel and make up", None],
    }  # fmt: skip
    model.add_items(new)
    fans = [3 * n for n in range(5)]  # of space
    ranked = [r.item for r in model.recommend(fans, k=64) if r.item >= 100]
    assert set(ranked[:2]) == {100, 101}
    lovers = [3 * n + 1 for n in range(5)]
    ranked = [r.item for r in model.recommend(lovers, k=64) if r.item >= 100]
    assert ranked[0] == 102
    model.save(tmp_path / "more")
    again = ws.load(tmp_path / "more")
    assert again.recommend(fans, k=10) == model.recommend(fans, k=10)
    again.add_items({"item": [104], "plot": ["A rocket leaves for Mars"]})
    assert 104 in [r.item for r in again.recommend(fans, k=25)]


def test_given_vectors_are_a_modality_too(tables):
    rng = np.random.default_rng(1)
    kinds = np.eye(3)[np.arange(60) % 3] + 0.1 * rng.normal(size=(60, 3))
    given = Dataset.from_tables(*tables)
    data = given.with_item_vectors("sound", np.arange(60), kinds)
    config = {"folds": 2, "training": {"epochs": 4}, "embedding_dim": 16, "hidden_dim": 32}
    model = ws.Recommender(config=config).fit(data, progress=False)
    model.add_items({"item": [100, 101]}, vectors={"sound": np.eye(3)[[2, 0]]})
    ranked = [r.item for r in model.recommend([0, 3, 6], k=62) if r.item >= 100]
    assert ranked == [101, 100]
    with pytest.raises(DataError, match="1 vectors 'sound' for 2 items"):
        model.add_items({"item": [110, 111]}, vectors={"sound": np.ones((1, 3))})
    with pytest.raises(DataError, match=r"3 vectors for 60 ids"):
        given.with_item_vectors("sound", np.arange(60), np.ones((3, 2)))
    with pytest.raises(DataError, match="the id 4 has two vectors"):
        given.with_item_vectors("sound", [4, 5, 4], np.ones((3, 2)))
    kinds[4] = np.nan
    shuffled = np.random.default_rng(2).permutation(60)
    block = given.with_item_vectors("sound", shuffled, kinds[shuffled]).content["sound"]
    assert [i for i, known in zip(given.items, block.known, strict=True) if not known] == [4]
    ordered = kinds[list(given.items)]
    np.testing.assert_allclose(block.values[block.known], ordered[block.known], rtol=1e-6)


def test_what_cannot_be_encoded_is_reported_and_the_item_keeps_the_rest(tables, cache, tmp_path):
    rows, items = tables
    posters = [None] * 58 + ["../outside.jpg", "missing.jpg"]
    data = Dataset.from_tables(
        rows, items | {"poster": posters}, schema={"items": {"plot": "text", "poster": "image"}}
    )
    encoded, report = encode_items(data, root=tmp_path, cache=cache)
    assert report.encoded == {"plot": 60, "poster": 0}
    assert [(item, column) for item, column, _ in report.faults] == [(58, "poster"), (59, "poster")]
    assert "lies outside the folder" in report.faults[0][2]
    assert "2 without (first: poster of 58" in report.summary()
    assert encoded.content["plot"].known.all()
    with pytest.warns(UserWarning, match="2 without"):
        report.warn()


def test_a_server_out_of_reach_leaves_the_items_their_other_columns(tables, cache):
    data = described(tables)
    data, _ = encode_items(data.with_item_vectors("sound", np.arange(60), np.eye(60)), cache=cache)
    away = {"encoder": "endpoint", "base_url": "http://127.0.0.1:9/v1", "model": "m", "retries": 0}
    encoded, report = encode_items(data, {"plot": away}, cache=cache)
    assert report.encoded == {"plot": 0}
    assert len(report.faults) == 60
    assert "http://127.0.0.1:9/v1/embeddings gave no answer" in report.faults[0][2]
    assert (encoded.content["plot"].dim, encoded.content["sound"].dim) == (0, 60)
    assert encoded.content["sound"].known.all()
    learned = ContentMap.learn(encoded.content, encoded.positives())
    assert list(learned.content) == ["sound"]
    # and where the server goes away after training, new items lack what it would have said
    before = ContentMap.learn(data.content, data.positives())
    new = {"sound": encoded.content["sound"].take(np.arange(3)),
           "plot": encoded.content["plot"].take(np.arange(3))}  # fmt: skip
    np.testing.assert_array_equal(before.lend(new), before.lend({"sound": new["sound"]}))
    narrow = Block.of_vectors(np.ones((3, 59)))
    with pytest.raises(DataError, match=r"vectors of 59 numbers, the others have 60"):
        before.lend({"sound": narrow})


def test_wrong_columns_and_encoders_are_named(tables, cache):
    data = described(tables)
    with pytest.raises(ConfigError, match=r"no item column 'plott'; there are: item, plot"):
        encode_items(data, ["plott"], cache=cache)
    with pytest.raises(ConfigError, match="no encoder is called 'smell'; there are: "):
        encode_items(data, {"plot": "smell"}, cache=cache)
    with pytest.raises(ConfigError, match="column 'item' is taken for id"):
        encode_items(data, ["item"], cache=cache)
    with pytest.raises(ConfigError, match="chunk_chars"):
        encode_items(data, {"plot": {"encoder": "text", "chunk_chars": 1}}, cache=cache)
    encoded, _ = encode_items(data, {"plot": {"encoder": "text", "chunk_chars": 99}}, cache=cache)
    spec = encoded.item_encoders[0].model_copy(update={"version": "0.0.1"})
    from warmstart.recommenders.encoding import encode_rows

    with pytest.raises(ConfigError, match=r"was encoded by text '0\.0\.1', this is .*train again"):
        encode_rows([spec], data.item_table, data.items, cache=cache)


def test_a_model_cannot_send_texts_or_a_key_to_an_address_of_its_own(tables, cache):
    data, _ = encode_items(described(tables), cache=cache)
    model = ws.Recommender("itemknn").fit(data)
    hostile = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "api_key_env": "HOME", "dim": 4}
    spec = data.item_encoders[0].model_copy(update={"encoder": "endpoint", "config": hostile})
    catalogue = replace(model.catalogue, item_encoders=(spec,))
    model._fitted = replace(model.fitted, catalogue=catalogue)
    with pytest.raises(ConfigError, match=r"encoded by 'endpoint' .*trust_encoders=True"):
        model.add_items({"item": [500], "plot": ["A secret"]})
    assert 500 not in model.catalogue.items


def test_a_folder_of_this_machine_is_not_kept_in_a_model(tables, cache, tmp_path):
    rows, items = tables
    data = Dataset.from_tables(
        rows, items | {"poster": [None] * 60}, schema={"items": {"poster": "image"}}
    )
    named = {"poster": {"encoder": "image", "root": str(tmp_path)}}
    encoded, _ = encode_items(data, named, cache=cache)
    assert encoded.item_encoders[0].config == {}


def test_an_encoder_keeps_its_weights_between_two_calls(tables, cache, monkeypatch):
    loaded = []
    whole = SentenceEncoder._model.func
    counted = cached_property(lambda self: loaded.append(1) or whole(self))
    counted.__set_name__(SentenceEncoder, "_model")
    monkeypatch.setattr(SentenceEncoder, "_model", counted)
    named = {"plot": {"encoder": "text", "chunk_chars": 77}}
    rows, items = tables
    for number in range(3):
        plots = [f"{plot} {number}" for plot in items["plot"]]
        encode_items(Dataset.from_tables(rows, items | {"plot": plots}), named, cache=cache)
    assert len(loaded) == 1
    other = {"plot": {"encoder": "text", "chunk_chars": 78}}
    encode_items(Dataset.from_tables(rows, items), other, cache=cache)
    assert len(loaded) == 2
