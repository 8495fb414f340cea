"""The command line as other programs call it: arguments in, files and an exit code out."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warmstart.cli import main
from warmstart.data import load_dataset

QUICK = {
    "hidden_dim": 24,
    "embedding_dim": 8,
    "folds": 2,
    "training": {"epochs": 4},
    "onboarding": {"policy": {"updates": 2}},
}


@pytest.fixture
def run(capsys, monkeypatch):
    """Call the command line; give its exit code, its output and what it says of errors."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*args):
        with pytest.raises(SystemExit) as end:
            main([str(arg) for arg in args])
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return call


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    """train.parquet, items.parquet, users.parquet and quick.json in one folder."""
    folder = tmp_path_factory.mktemp("tables")
    data = load_dataset("synthetic", n_users=150, n_items=60, seed=6)
    rows = data.interactions
    columns = {
        "user": data.users.values.take(pa.array(rows.user)),
        "item": data.items.values.take(pa.array(rows.item)),
        "rating": rows.rating,
        "timestamp": rows.time.astype(np.int64),
    }
    pq.write_table(pa.table(columns), folder / "train.parquet")
    pq.write_table(data.item_table, folder / "items.parquet")
    pq.write_table(data.user_table, folder / "users.parquet")
    (folder / "quick.json").write_text(json.dumps(QUICK))
    return folder


@pytest.fixture(scope="session")
def trained(tables, tmp_path_factory):
    """A model that the command line has trained and saved."""
    out = tmp_path_factory.mktemp("models") / "films"
    with pytest.raises(SystemExit) as end:
        main(
            f"train --interactions {tables}/train.parquet --items {tables}/items.parquet "
            f"--users {tables}/users.parquet --config {tables}/quick.json --out {out}".split()
        )
    assert end.value.code == 0
    return out
