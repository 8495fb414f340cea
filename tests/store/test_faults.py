"""Disks that are full, files that are cut, and bytes that must be gone."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest
from tests.store.addresses import new_url

from warmstart.core.errors import StoreError
from warmstart.store import Event, open_store
from warmstart.store.sqlite import MIGRATIONS

FILL = """
import json, os, resource, sys
from pathlib import Path
from warmstart.core.errors import StoreError
from warmstart.store import Event, open_store

how, folder = sys.argv[1], Path(sys.argv[2])
if how == "tmpfs":
    assert os.system(f"mount -t tmpfs -o size=2m none {folder}") == 0
    (folder / "ballast").write_bytes(bytes(2**20))
store = open_store(folder / "events.sqlite")
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))
kept, size, said = 0, 500, ""
while size and kept < 100_000:
    some = range(kept, kept + size)
    try:
        kept += store.append(
            "t", [Event(i, "ada", i, "like", None, float(i)) for i in some]
        ).accepted
    except StoreError as error:
        size, said = size // 2, str(error)
full = store.healthy()
read = len(store.events("t", "ada"))
if how == "tmpfs":
    (folder / "ballast").unlink()
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
again = store.append("t", [Event(-1, "ada", 1, "like", None, -1.0)]).accepted
healthy = store.healthy().ok
store.close()
store = open_store(folder / "events.sqlite")
whole = [e.id for e in store.events("t", "ada")] == list(range(-1, kept))
print(json.dumps([kept, said, full.ok, full.problem, read, again, healthy, whole]))
"""


@pytest.mark.parametrize("how", ["tmpfs", "limit"])
def test_a_full_disk_refuses_stays_readable_and_recovers(how, tmp_path):
    private = []
    if how == "tmpfs":
        private = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        mounts = f"mount -t tmpfs none {tmp_path}"
        if (
            not shutil.which("unshare")
            or subprocess.run([*private, "sh", "-c", mounts], capture_output=True).returncode
        ):
            pytest.skip("no small disk may be mounted here")
    done = subprocess.run(
        [*private, sys.executable, "-c", FILL, how, str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    kept, said, ok, problem, read, again, healthy, whole = json.loads(done.stdout)
    assert kept >= 500
    assert f"{tmp_path}/events.sqlite cannot be written" in said
    assert "free space" in said or "is it full" in said
    assert not ok
    assert "cannot be written" in problem
    assert read == kept
    assert (again, healthy, whole) == (1, True, True)


def filled(path, n=3_000):
    store = open_store(path)
    events = [Event(i, f"u{i // 75}", i, "like", None, float(i)) for i in range(n)]
    store.append("t", events)
    store.close()
    return set(events)


def contents(folder):
    """Return the files that hold anything; SQLite may leave an empty log and an index of it."""
    files = {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.endswith("-shm")}
    return {name: data for name, data in files.items() if data}


def assert_readable_but_not_writable(path, events):
    """Return how many events can still be read."""
    before, read = contents(path.parent), 0
    store = open_store(path)
    health = store.healthy()
    assert not health.ok
    assert f"{path} is damaged" in health.problem
    for write in (
        lambda: store.append("t", [Event("new", "ada", 1, "like", None, 0.0)]),
        lambda: store.delete_user("t", "u1", now=0.0),
        lambda: store.create_key("t", ["read"], now=0.0),
    ):
        with pytest.raises(StoreError, match=r"damaged.*backup"):
            write()
    for user in range(40):
        try:
            found = store.events("t", f"u{user}")
        except StoreError:
            continue
        assert set(found) <= {event for event in events if event.user == f"u{user}"}
        read += len(found)
    store.close()
    assert contents(path.parent) == before
    return read


@pytest.mark.parametrize("left", [0.97, 0.8, 0.5, 0.1])
def test_a_file_that_was_cut_is_read_and_never_written(left, tmp_path):
    path = tmp_path / "events.sqlite"
    events = filled(path)
    os.truncate(path, int(path.stat().st_size * left))
    read = assert_readable_but_not_writable(path, events)
    assert left < 0.9 or read > 0


def test_a_page_of_garbage_is_noticed(tmp_path):
    path = tmp_path / "events.sqlite"
    events = filled(path)
    with path.open("r+b") as file:
        file.seek(4096 * (path.stat().st_size // 4096 // 2))
        file.write(random.Random(1).randbytes(4096))
    assert assert_readable_but_not_writable(path, events) > 0


@pytest.mark.parametrize("size", [0, 1, 50, 99])
def test_a_file_of_which_nothing_is_left_is_refused_and_kept(size, tmp_path):
    path = tmp_path / "events.sqlite"
    filled(path, 10)
    os.truncate(path, size)
    before = contents(tmp_path)
    with pytest.raises(StoreError, match="backup"):
        open_store(path)
    assert contents(tmp_path) == before


def test_a_cut_file_beside_its_log_keeps_both(tmp_path):
    """What a machine leaves that was killed with a full log."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    live.mkdir(), dead.mkdir()
    events = filled(live / "events.sqlite")
    store = open_store(live / "events.sqlite")
    for begin in (0, 100):
        some = range(begin, begin + 100)
        store.append("t", [Event(f"new {i}", f"v{i}", i, "like", None, 0.0) for i in some])
    for name in ("events.sqlite", "events.sqlite-wal"):
        shutil.copy(live / name, dead / name)
    store.close()
    os.truncate(dead / "events.sqlite", 4096 * 20)
    assert len(contents(dead)["events.sqlite-wal"]) > 4096
    assert_readable_but_not_writable(dead / "events.sqlite", events)


def test_a_log_that_was_cut_leaves_whole_commits(tmp_path):
    live, dead = tmp_path / "live", tmp_path / "dead"
    live.mkdir(), dead.mkdir()
    store = open_store(live / "events.sqlite")
    for begin in range(0, 100, 10):
        some = range(begin, begin + 10)
        store.append("t", [Event(i, "ada", i, "like", None, float(i)) for i in some])
    size = (live / "events.sqlite-wal").stat().st_size
    counts = set()
    for left in (0, size // 3, size // 2, size - 1, size):
        for name in ("events.sqlite", "events.sqlite-wal"):
            shutil.copy(live / name, dead / name)
        os.truncate(dead / "events.sqlite-wal", left)
        copy = open_store(dead / "events.sqlite")
        assert copy.healthy().ok
        ids = [event.id for event in copy.events("t", "ada")]
        assert ids == list(range(len(ids)))
        assert len(ids) % 10 == 0
        counts.add(len(ids))
        copy.close()
    store.close()
    assert {10, 90, 100} < counts  # the log is emptied after the first commit


def test_damage_that_shows_while_the_store_is_open_ends_the_writing(tmp_path):
    path = tmp_path / "events.sqlite"
    events = filled(path)
    store = open_store(path)
    with path.open("r+b") as file:  # everything but the tables' list
        file.seek(4096)
        file.write(random.Random(1).randbytes(path.stat().st_size - 4096))
    with pytest.raises(StoreError, match="damaged"):
        store.events("t", "u1")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="damaged"):
        store.append("t", list(events)[:1])
    assert not store.healthy().ok
    store.close()
    assert path.read_bytes() == before


def test_a_newer_store_and_a_file_that_is_none_are_left_alone(tmp_path):
    path = tmp_path / "events.sqlite"
    filled(path, 10)
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()
    others = sqlite3.connect(tmp_path / "other.sqlite")
    others.execute("CREATE TABLE events (x)")
    others.close()
    (tmp_path / "letter.sqlite").write_text("Dear store, " * 100)
    before = contents(tmp_path)
    for name, says in [
        ("events", "of version 3, this warmstart knows 2; install"),
        ("other", "not a store of warmstart"),
        ("letter", "not a database"),
    ]:
        with pytest.raises(StoreError, match=says):
            open_store(tmp_path / f"{name}.sqlite")
    assert contents(tmp_path) == before


def test_a_new_store_is_for_its_owner_alone(tmp_path):
    store = open_store(tmp_path / "folder" / "events.sqlite")
    store.append("t", [Event("e", "ada", 1, "like", None, 0.0)])
    files = list((tmp_path / "folder").iterdir())
    assert len(files) == 3  # the log and its index beside the file, and nothing else
    assert [file.stat().st_mode & 0o077 for file in files] == [0, 0, 0]
    store.close()


def test_a_folder_that_cannot_be_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="choose another path"):
        open_store(tmp_path / "file" / "events.sqlite")


def test_no_byte_of_a_deleted_user_or_of_a_secret_is_left_in_a_file(tmp_path):
    path, rng = tmp_path / "events.sqlite", random.Random(1)
    users = [f"person-{rng.randbytes(6).hex()}" for _ in range(300)]
    store = open_store(path)
    for round in range(20):
        rng.shuffle(users)
        store.append(
            "t",
            [Event(f"{u}/{round}", u, f"bought by {u}", "like", None, 0.0) for u in users],
        )
    secret, _ = store.create_key("t", ["read"], now=0.0)
    files = b"".join(contents(tmp_path).values())
    assert all(user.encode() in files for user in users)
    assert secret.split("_", 2)[2].encode() not in files
    gone, left = users[:40], users[40:]
    for user in gone:
        assert store.delete_user("t", user, now=1.0) == 20
    everything = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert [user for user in gone if user.encode() in everything] == []
    assert all(user.encode() in everything for user in left)
    store.close()


def test_bytes_leave_as_soon_as_the_last_reader_does(tmp_path):
    path = tmp_path / "events.sqlite"
    store = open_store(path)
    store.append("t", [Event("e", "person-of-interest", 1, "like", None, 0.0)])
    reader = sqlite3.connect(path, isolation_level=None)  # another process, which takes its time
    reader.execute("BEGIN")
    assert reader.execute("SELECT COUNT(*) FROM events").fetchone() == (1,)
    assert store.delete_user("t", "person-of-interest", now=1.0) == 1
    assert store.events("t", "person-of-interest") == []
    assert any(b"person-of-interest" in data for data in contents(tmp_path).values())
    reader.close()
    for _ in range(100):
        if not any(b"person-of-interest" in data for data in contents(tmp_path).values()):
            break
        store.users("t")
        time.sleep(0.1)
    else:
        pytest.fail("the bytes are still there after ten seconds")
    store.close()


def test_both_databases_have_the_same_columns(request, tmp_path):
    import sqlalchemy as sa

    lite, server = (new_url(kind, tmp_path, request) for kind in ("sqlite", "postgresql"))
    found = []
    for url in (lite, server.replace("postgresql:", "postgresql+psycopg:")):
        open_store(url).close()
        engine = sa.create_engine(url)
        inspector = sa.inspect(engine)
        tables = set(inspector.get_table_names()) - {"alembic_version"}
        found.append({
            table: [(c["name"], c["nullable"]) for c in inspector.get_columns(table)]
            for table in tables
        })  # fmt: skip
        engine.dispose()
    assert found[0] == found[1]
    assert len(found[0]) == 5


def test_postgresql_says_what_is_wrong_without_the_password(request, tmp_path):
    with pytest.raises(StoreError, match=r"cannot be opened \(.*look at the server") as caught:
        open_store("postgresql://ada:hunter2@127.0.0.1:9/films")
    assert "hunter2" not in str(caught.value)
    url = new_url("postgresql", tmp_path, request)
    open_store(url).close()
    import sqlalchemy as sa

    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match="version 9999, which this warmstart does not know"):
        open_store(url)
