"""Named datasets: fetched over real HTTP, kept, verified and mended."""

import functools
import hashlib
import http.server
import io
import threading
import zipfile

import numpy as np
import pytest

from warmstart.core.errors import ConfigError, DataError
from warmstart.data import load_dataset
from warmstart.data.fetch import Archive, obtain, sha256_of
from warmstart.data.named import ML_100K


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder that a real web server serves."""
    folder = tmp_path_factory.mktemp("served")
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def archive_of(served, name, content=b"1\t2\t5\n"):
    folder, address = served
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("set/rows.txt", content)
    (folder / name).write_bytes(buffer.getvalue())
    return Archive(
        "web",
        f"{address}/{name}",
        hashlib.sha256(buffer.getvalue()).hexdigest(),
        {"set/rows.txt": hashlib.sha256(content).hexdigest()},
    )


def test_a_fetched_file_is_kept_and_not_fetched_again(served, tmp_path):
    archive = archive_of(served, "a.zip")
    assert obtain([archive], tmp_path)[1] == {"rows.txt": b"1\t2\t5\n"}
    (served[0] / "a.zip").unlink()
    assert obtain([archive], tmp_path)[1] == {"rows.txt": b"1\t2\t5\n"}


def test_a_broken_file_in_the_cache_is_noticed_and_mended(served, tmp_path):
    archive, told = archive_of(served, "b.zip"), []
    obtain([archive], tmp_path)
    kept = tmp_path / archive.file_name
    kept.write_bytes(kept.read_bytes()[:40])  # as a download that broke off
    assert obtain([archive], tmp_path, say=told.append)[1] == {"rows.txt": b"1\t2\t5\n"}
    assert any("is broken" in line for line in told)
    assert sha256_of(kept) == archive.sha256


def test_other_bytes_than_pinned_are_thrown_away(served, tmp_path):
    archive = archive_of(served, "c.zip")
    archive_of(served, "c.zip", content=b"something else")
    with pytest.raises(DataError, match="gave other bytes than expected"):
        obtain([archive], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_next_way_is_tried_and_every_failure_is_told(served, tmp_path):
    good = archive_of(served, "d.zip")
    gone = Archive("gone", f"{served[1]}/gone.zip", "0" * 64, good.members)
    assert obtain([gone, good], tmp_path)[0] is good
    with pytest.raises(DataError, match=r"gone: .*gone\.zip cannot be reached"):
        obtain([gone], tmp_path / "empty")


def test_movielens_100k_is_what_its_authors_say():
    data = load_dataset("ml-100k")
    assert (len(data.interactions), data.n_users, data.n_items) == (100_000, 943, 1_682)
    stars = np.bincount(data.interactions.rating.astype(int))[1:]
    assert stars.tolist() == [6_110, 11_370, 27_145, 34_174, 21_201]  # GroupLens' own counts
    assert data.titles[int(data.items.find([183])[0])] == "Alien (1979)"
    assert all(len(a.sha256) == 64 for a in ML_100K)


def test_an_unknown_way_and_an_unknown_name_are_refused():
    with pytest.raises(ConfigError, match="choose from grouplens, pip"):
        load_dataset("ml-100k", order=("ftp",))
    with pytest.raises(DataError, match="the names are: ml-100k, ml-1m, synthetic"):
        load_dataset("ml-200k")


def test_a_folder_of_ones_own_is_a_dataset(tmp_path):
    (tmp_path / "interactions.csv").write_text("user,item\na,1\nb,2\n")
    (tmp_path / "items.jsonl").write_text('{"item": 1, "title": "饮食男女"}\n{"item": 3}\n')
    (tmp_path / "schema.json").write_text('{"items": {"title": "text"}}')
    data = load_dataset(str(tmp_path))
    assert (data.n_users, data.n_items) == (2, 3)
    assert "饮食男女" in data.titles
    (tmp_path / "interactions.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="keep the one that counts"):
        load_dataset(str(tmp_path))


def test_planted_data_are_seeded_and_hold_what_is_planted():
    first, again, other = (load_dataset("synthetic", n_users=80, seed=s) for s in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    met = np.unique(first.interactions.item)
    assert first.n_items - len(met) >= 0.04 * first.n_items  # cold items
    likes = first.evidence() > 0
    genres = first.item_features.transform(first.item_table).toarray()
    wanted = [n for n in first.item_features.names if n.startswith("genres=")]
    shares = likes @ genres[:, [first.item_features.names.index(n) for n in wanted]]
    shares = shares / shares.sum(axis=1, keepdims=True)
    mixed = np.random.default_rng(0).permutation(likes.toarray().ravel()).reshape(likes.shape)
    blind = mixed @ genres[:, [first.item_features.names.index(n) for n in wanted]]
    blind = blind / blind.sum(axis=1, keepdims=True)
    assert shares.std(axis=0).mean() > 1.5 * blind.std(axis=0).mean()  # users have favourites
