"""Vectors of items from files: in which order, and what is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from warmstart.core.errors import DataError
from warmstart.data import Ids
from warmstart.data.vectors import read_vectors

ITEMS = Ids(pa.array(["a", "b", "c"]))


def test_an_array_has_a_row_for_each_item_in_order(tmp_path):
    values = np.arange(6, dtype=np.float64).reshape(3, 2)
    np.save(tmp_path / "v.npy", values)
    found = read_vectors(tmp_path / "v.npy", ITEMS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("layout", ["lists", "columns", "csv"])
def test_a_table_is_joined_by_its_ids(tmp_path, layout):
    rows = {"item": ["c", "x", "a"]}
    if layout == "lists":
        table = pa.table(rows | {"vector": [[1.0, 2.0], [9.0, 9.0], [3.0, 4.0]]})
    else:
        table = pa.table(rows | {"v0": [1.0, 9.0, 3.0], "v1": [2.0, 9.0, 4.0]})
    path = tmp_path / ("v.csv" if layout == "csv" else "v.parquet")
    (csv.write_csv if layout == "csv" else pq.write_table)(table, path)
    found = read_vectors(path, ITEMS)
    np.testing.assert_array_equal(found[[0, 2]], [[3, 4], [1, 2]])
    assert np.isnan(found[1]).all()


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_vectors(tmp_path / "none.npy", ITEMS)
    np.save(tmp_path / "short.npy", np.zeros((2, 4)))
    with pytest.raises(DataError, match="2 rows for 3 items"):
        read_vectors(tmp_path / "short.npy", ITEMS)
    np.save(tmp_path / "flat.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"give \(items, dim\)"):
        read_vectors(tmp_path / "flat.npy", ITEMS)
    np.save(tmp_path / "objects.npy", np.array([{}, {}, {}], object))
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(tmp_path / "objects.npy", ITEMS)  # pickles are never opened
    (tmp_path / "text.npy").write_text("hello")
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(tmp_path / "text.npy", ITEMS)
    pq.write_table(pa.table({"item": ["x"], "v": [[1.0]]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="none of the 1 items"):
        read_vectors(tmp_path / "other.parquet", ITEMS)
    ragged = pa.table({"item": ["a", "b"], "v": [[1.0], [1.0, 2.0]]})
    pq.write_table(ragged, tmp_path / "ragged.parquet")
    with pytest.raises(DataError, match="no vectors of one length"):
        read_vectors(tmp_path / "ragged.parquet", ITEMS)
