"""Saved models: they come back as they were, and nothing else is believed."""

import hashlib
import json
import os
import pickle
import shutil
import struct

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.numpy as st

import warmstart as ws
from warmstart.core import sealed
from warmstart.core.errors import ArtifactError, ConfigError
from warmstart.core.registry import names


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    return model.save(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def lists_of(model, users):
    lists = model.recommend_batch(users, k=15)
    return lists.items, lists.scores


def test_a_saved_model_recommends_the_same(model, saved, split):
    again = ws.load(saved)
    for k in (0, 1, 8):
        before, after = (lists_of(m, split.tasks.at(k)) for m in (model, again))
        np.testing.assert_array_equal(before[0], after[0])
        np.testing.assert_allclose(before[1], after[1], rtol=1e-5)
    assert again.config == model.config
    found, wanted = (m.recommend(["Golden River", 7], user={"age": 30}) for m in (again, model))
    assert [(r.item, r.rank, r.reason) for r in found] == [
        (r.item, r.rank, r.reason) for r in wanted
    ]


def test_new_items_are_saved_as_well(model, saved, tmp_path):
    grown = ws.load(saved).add_items({"item": [901], "title": ["新片"], "genres": ["Drama"]})
    again = ws.load(grown.save(tmp_path / "grown"))
    assert again.catalogue.n_new == 1
    assert again.recommend(["新片"], k=5) == grown.recommend(["新片"], k=5)


def test_equal_models_are_equal_files(saved, tmp_path):
    again = ws.load(saved).save(tmp_path / "again")
    for file in sorted(saved.iterdir()):
        assert (again / file.name).read_bytes() == file.read_bytes()


def test_a_saved_model_is_plain_data_and_tells_where_it_comes_from(saved, split):
    assert {f.name for f in saved.iterdir()} == {
        "manifest.json", "model.safetensors", "catalogue.parquet", "README.md",
    }  # fmt: skip
    manifest = json.loads((saved / "manifest.json").read_text("utf8"))
    assert manifest["format"] == 1
    assert manifest["seed"] == 3
    assert manifest["data"]["fingerprint"] == split.train.fingerprint
    assert {"python", "numpy", "scipy", "pyarrow", "safetensors"} <= set(manifest["versions"])
    card = (saved / "README.md").read_text("utf8")
    for said in ("`default`", split.train.fingerprint[:16], "age, occupation", "ndcg@10"):
        assert said in card


@pytest.mark.parametrize("name", [n for n in names("methods") if n not in ("default", "multvae")])
def test_every_light_method_can_be_saved(name, split, tmp_path):
    model = ws.Recommender(name).fit(split.train, progress=False)
    again = ws.load(model.save(tmp_path / name))
    before, after = (lists_of(m, split.tasks.at(4)) for m in (model, again))
    np.testing.assert_array_equal(before[0], after[0])


def test_only_a_model_with_removed_items_needs_the_newer_format(saved, tmp_path):
    model = ws.load(saved)
    for change, wanted in ((lambda: model.remove_items([3]), 2),
                           (lambda: model.update_items({"item": [3]}), 1)):  # fmt: skip
        change()
        manifest = json.loads((model.save(tmp_path / "m") / "manifest.json").read_text("utf8"))
        assert manifest["format"] == wanted
        assert ("n_removed" in manifest["catalogue"]) == (wanted == 2)


# Damage and malice


def rewrite(folder, change, *, reseal=True):
    """Change the manifest, and let it look untouched."""
    path = folder / "manifest.json"
    values = json.loads(path.read_text("utf8"))
    change(values)
    if reseal:
        values["checksum"] = sealed.checksum(values)
    path.write_text(json.dumps(values), "utf8")


def reseal_tensors(folder, arrays):
    """Put other arrays in, and let the manifest agree."""
    blob = st.save(arrays)
    (folder / "model.safetensors").write_bytes(blob)

    def change(values):
        values["files"]["model.safetensors"] = {
            "bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest(),
        }  # fmt: skip
        values["tensors"] = {
            n: {"dtype": a.dtype.name, "shape": list(a.shape)} for n, a in arrays.items()
        }

    rewrite(folder, change)


class Bomb:
    """Runs a command if anything unpickles it."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


def bit_flip(folder):
    path = folder / "model.safetensors"
    blob = bytearray(path.read_bytes())
    blob[-5] ^= 1
    path.write_bytes(blob)


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def pickled(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb(folder.parent / "ran")))


def pickle_beside(folder):
    (folder / "model.pkl").write_bytes(pickle.dumps(Bomb(folder.parent / "ran")))


def link(folder):
    target = folder.parent / "elsewhere"
    (folder / "model.safetensors").rename(target)
    (folder / "model.safetensors").symlink_to(target)


def huge_header(folder):
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}" + path.read_bytes()[10:])


def outside(folder):
    def change(values):
        values["files"]["../../etc/passwd"] = values["files"].pop("catalogue.parquet")

    rewrite(folder, change)


def newer(folder):
    rewrite(folder, lambda v: v.update(format=7, created_by="warmstart 9.1"))


def edited(folder):
    rewrite(folder, lambda v: v.update(seed=99), reseal=False)


def unknown_key(folder):
    rewrite(folder, lambda v: v.update(run_on_load="import os"))


def other_method(folder):
    rewrite(folder, lambda v: v.update(method="os:system"))


def absurd_setting(folder):
    rewrite(folder, lambda v: v["state"]["config"].update(embedding_dim=-3))


def not_json(folder):
    (folder / "manifest.json").write_text("{'format': 1}")


def not_a_number(folder):
    text = (folder / "manifest.json").read_text("utf8")
    (folder / "manifest.json").write_text(text.replace('"seed": 3', '"seed": NaN'))


def deep(folder):
    (folder / "manifest.json").write_text("[" * 100_000)


def missing(folder):
    (folder / "catalogue.parquet").unlink()


def not_finite(folder):
    arrays = st.load((folder / "model.safetensors").read_bytes())
    arrays["belief.mean"][0] = np.inf
    reseal_tensors(folder, arrays)


def points_nowhere(folder):
    arrays = st.load((folder / "model.safetensors").read_bytes())
    arrays["memory.0.indices"][0] = 10**6
    reseal_tensors(folder, arrays)


def wrong_shape(folder):
    arrays = st.load((folder / "model.safetensors").read_bytes())
    arrays["belief.mean"] = arrays["belief.mean"][:-1]
    reseal_tensors(folder, arrays)


def with_mask(folder, mask, n_removed):
    """Let the catalogue say that items were removed."""
    path = folder / "catalogue.parquet"
    table = pq.read_table(path)
    if mask is not None:
        table = table.add_column(2, "warmstart:removed", [mask(table.num_rows)])
    pq.write_table(table, path, store_schema=False)
    blob = path.read_bytes()

    def change(values):
        values["files"]["catalogue.parquet"] = {
            "bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest(),
        }  # fmt: skip
        values["catalogue"]["n_removed"] = n_removed

    rewrite(folder, change)


@pytest.mark.parametrize(
    ("mask", "n_removed", "says"),
    [
        (None, 2, "does not say which items were removed"),
        (lambda n: [1.0] * n, 2, "does not say which items were removed"),
        (lambda n: [True] * n, 2, "does not say of 2 items that they were removed"),
        (lambda n: [True, True, None] + [False] * (n - 3), 2, "does not say of 2 items"),
        (lambda n: [True] * n, -1, "n_removed"),
    ],
)
def test_a_damaged_mask_is_refused(copy, mask, n_removed, says):
    with_mask(copy, mask, n_removed)
    with pytest.raises(ArtifactError, match=says):
        ws.load(copy)


def test_a_whole_mask_is_believed(copy):
    with_mask(copy, lambda n: [True, True] + [False] * (n - 2), 2)
    assert ws.load(copy).catalogue.removed.sum() == 2


def no_record(folder):
    rewrite(folder, lambda values: values["data"].update(met_users={"count": 3, "bits": "%"}))


def heard_elsewhere(folder):
    arrays = st.load((folder / "model.safetensors").read_bytes())
    arrays["first_users.lenders"][-1] = 10**6
    reseal_tensors(folder, arrays)


def test_a_model_from_before_first_users_serves_and_says_what_it_lacks(copy):
    arrays = st.load((copy / "model.safetensors").read_bytes())
    reseal_tensors(copy, {n: a for n, a in arrays.items() if not n.startswith("first_users.")})
    rewrite(copy, lambda v: v["state"].pop("first_users"))
    model = ws.load(copy).add_items({"item": [901], "genres": ["Drama"]})
    assert len(model.recommend([3])) == 10
    with pytest.raises(ConfigError, match="older warmstart"):
        model.warm_up_items({"user": [1, 1], "item": [901, 3]})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (bit_flip, "differs from what the manifest says"),
        (truncate, "differs from what the manifest says"),
        (pickled, "expected|differs"),
        (pickle_beside, r"unexpected \['model.pkl'\]"),
        (link, "not a plain file"),
        (huge_header, "expected|differs"),
        (outside, "lists the files"),
        (newer, r"format 7, written by warmstart 9\.1.*pip install --upgrade"),
        (edited, "was changed after it was written"),
        (unknown_key, "run_on_load"),
        (other_method, "os:system"),
        (absurd_setting, "embedding_dim"),
        (not_json, "is not JSON"),
        (not_a_number, "NaN is no JSON number"),
        (deep, "is not JSON"),
        (missing, r"lacks \['catalogue.parquet'\]"),
        (not_finite, "holds NaN or infinity"),
        (points_nowhere, "does not fit its method"),
        (wrong_shape, "does not fit its method"),
        (no_record, "record of training users cannot be read"),
        (heard_elsewhere, "the first users are not those of 120 items"),
    ],
)
def test_a_damaged_or_hostile_model_is_refused_and_runs_nothing(copy, damage, says):
    damage(copy)
    with pytest.raises(ArtifactError, match=says):
        ws.load(copy)
    assert not (copy.parent / "ran").exists()


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(ArtifactError, match="no saved model at"):
        ws.load(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="is a file"):
        ws.load(tmp_path / "file")
    with pytest.raises(ArtifactError, match="it is not a saved model"):
        ws.load(tmp_path)


def test_saving_replaces_a_model_but_nothing_else(model, copy, tmp_path):
    first = (copy / "manifest.json").read_bytes()
    model.save(copy, created="2026-01-01")
    assert (copy / "manifest.json").read_bytes() != first
    assert ws.load(copy).recommend(k=3) == model.recommend(k=3)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="is no saved model; choose another path"):
        model.save(mine)
    assert (mine / "thesis.tex").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "model"]


def test_a_save_that_fails_leaves_the_old_model(copy, model, tmp_path):
    before = {f.name: f.read_bytes() for f in copy.iterdir()}
    broken = ws.load(copy)
    broken.method.parts.log_popularity[0] = np.nan
    with pytest.raises(ArtifactError, match="holds NaN or infinity; the training failed"):
        broken.save(copy)
    assert {f.name: f.read_bytes() for f in copy.iterdir()} == before
