"""Which model serves: loaded, checked and warmed beside the old one, then exchanged in one step.

Whoever answers a request takes `current` once, so no answer is of two models.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from warmstart.core.errors import ArtifactError, ConfigError, MissingExtraError
from warmstart.core.sealed import MANIFEST
from warmstart.recommenders.recommender import Recommender, load
from warmstart.service.catalogues import Reading, Rows, Serving
from warmstart.service.logs import log
from warmstart.service.settings import TENANT
from warmstart.store import Store


class Shelf:
    """The model that serves, the one before it, and the folder of others.

    Attributes:
        current: serves now.
        previous: served before, and is kept to go back to.
    """

    def __init__(
        self,
        path: Path,
        store: Store,
        reading: Reading,
        *,
        models: Path | None = None,
        approximate: bool = False,
    ) -> None:
        """Load the first model.

        Args:
            path: the saved model.
            store: of the changes of items.
            reading: of their rows.
            models: folder that others may be loaded from; None: that of the first one.
            approximate: whether each gets an approximate index as it is loaded.

        Raises:
            ArtifactError: the model is damaged.
            ConfigError: the method has no approximate index.
            MissingExtraError: what builds one is not installed.
            StoreError: the changes cannot be read.
        """
        self._store, self._reading, self._approximate = store, reading, approximate
        self.path = path
        self.folder = (models or path.absolute().parent).resolve()
        self._changing, self._loading = threading.Lock(), threading.Lock()
        self.previous: Serving | None = None
        self.current = self._loaded(path, [TENANT])

    def available(self) -> list[str]:
        """Return the names of the saved models in the folder, the newest first."""
        if not self.folder.is_dir():
            return []
        found = [p.parent for p in self.folder.glob(f"*/{MANIFEST}")]
        found.sort(key=lambda p: (p / MANIFEST).stat().st_mtime, reverse=True)
        return [p.name for p in found if not p.name.startswith(".")][:100]

    def exchange(self, name: str) -> str:
        """Load a model from the folder and let it serve; return its version.

        Raises:
            ConfigError: it lies elsewhere.
            ArtifactError: it is damaged, or none; the old one goes on.
        """
        try:
            wanted = (self.folder / name).resolve()
        except (OSError, ValueError):  # a name too long, or with a zero byte
            wanted = self.folder
        if not wanted.is_relative_to(self.folder) or wanted == self.folder:
            there = ", ".join(self.available()[:3]) or "none yet"
            raise ConfigError(
                f"{name[:100]!r} is not in the folder that models are loaded from; give the name "
                f"of one there: {there}"
            )
        return self._exchanged(wanted)

    def reload(self, *, newest: bool = False) -> str:
        """Load the newest model of the folder, or the first path again."""
        names = self.available() if newest else []
        return self._exchanged(self.folder / names[0] if names else self.path)

    def roll_back(self) -> str:
        """Let the model before serve again; return its version.

        Raises:
            ConfigError: there is none.
        """
        with self._loading:
            before = self.previous
            if before is None:
                raise ConfigError("no model served before this one; there is nothing to go back to")
            self._switch(before)
            return before.version

    def change(self, tenant: str, kind: str, rows: Rows, *, now: float) -> tuple[int, str]:
        """Change a tenant's items; return how many, and of which model.

        Raises:
            DataError: the rows do not fit.
            StoreError: the change cannot be kept.
        """
        with self._changing:
            serving = self.current
            return serving.change(tenant, kind, rows, now=now), serving.version

    def look(self) -> None:
        """Replay what other processes have changed."""
        with self._changing:
            serving = self.current
            for tenant in serving.tenants():
                serving.catch_up(tenant, serving.catalogue(tenant))

    def compile(self) -> bool:
        """Let the model that serves rank by compiled loops; return whether it does.

        The first time on a machine this takes some seconds, and the model serves meanwhile.
        """
        serving = self.current
        try:
            compiled = serving.model.copy().compile()
        except (ConfigError, MissingExtraError) as error:
            log("model_is_not_compiled", model=serving.version, why=type(error).__name__)
            return False
        with self._changing:
            serving.exchange(compiled)
        log("model_is_compiled", model=serving.version)
        return True

    def _exchanged(self, path: Path) -> str:
        with self._loading:
            fresh = self._loaded(path, self.current.tenants())
            self._switch(fresh)
            return fresh.version

    def _switch(self, to: Serving) -> None:
        """Exchange, with every change of items that came in the meantime."""
        with self._changing:
            for tenant in {*self.current.tenants(), *to.tenants()}:
                to.catch_up(tenant, to.catalogue(tenant))
            if to.version != self.current.version:  # the same anew is no other to go back to
                self.previous = self.current
            self.current = to
        log("model_serves", model=to.version)

    def _loaded(self, path: Path, tenants: list[str]) -> Serving:
        try:
            version = f"{path.name}@{_digest(path)}"
            model = load(path)
            if self._approximate:
                model.approximate()
        except OSError as error:
            raise ArtifactError(f"{path.name} cannot be read ({error.strerror})") from None
        serving = Serving(version, model, self._store, self._reading)
        for tenant in tenants:
            serving.catalogue(tenant)
        warm(serving.catalogue(TENANT).recommender)
        return serving


def warm(model: Recommender) -> None:
    """Use every part of a model once: what is made at first use is made before it serves."""
    listed = model.recommend(k=1, explain=False)
    for found in listed:
        model.recommend([found.item], k=1)
        model.catalogue.titles.bearing(found.title)
        model.similar_items(found.item, k=1)
    try:
        model.fitted.words  # noqa: B018  (made now, not under the first request)
    except (ConfigError, ImportError) as error:
        log("model_hears_no_words", why=type(error).__name__)


def _digest(path: Path) -> str:
    """Return what tells this model from every other: its manifest holds the hashes of its files."""
    manifest = path / MANIFEST
    if not manifest.is_file():
        what = "it has no " + MANIFEST if path.is_dir() else "there is no such folder"
        # over HTTP, too, so it tells no more of the path than its last part
        raise ArtifactError(
            f"{path.name} is no saved model: {what}; give the folder that `warmstart train --out` "
            "or `save` wrote"
        )
    return hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]
