"""Ten million interactions, read by a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

READ = """
import json, resource, sys, time
from warmstart.data import Dataset
begun = time.perf_counter()
data = Dataset.from_files(sys.argv[1])
data.positives()
seconds = time.perf_counter() - begun
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([len(data.interactions), data.n_users, seconds, peak]))
"""


@pytest.mark.slow
def test_ten_million_rows_load_in_30_seconds_and_2_gigabytes(tmp_path):
    rng, n = np.random.default_rng(0), 10_000_000
    rows = pa.table(
        {
            "user": pa.array(rng.integers(0, 200_000, n)).cast(pa.string()),
            "item": rng.integers(0, 50_000, n),
            "rating": rng.integers(1, 6, n).astype(np.float32),
            "timestamp": 1_600_000_000 + rng.integers(0, 10**8, n),
        }
    )
    path = tmp_path / "rows.parquet"
    pq.write_table(rows, path)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True
    )
    n_rows, n_users, seconds, peak = json.loads(done.stdout)
    assert n_rows > 0.99 * n  # a few rows repeat another one whole
    assert n_users == 200_000
    assert seconds <= 30
    assert peak <= 2e9
