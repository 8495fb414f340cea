"""Approximate search for the largest inner products: few dimensions, and few cells of like vectors.

Two approximations, one after the other:

- a sketch: vectors and queries in a few dozen `warmstart.index.directions` of several hundred;
- inverted lists (Jégou, Douze & Schmid 2011, doi:10.1109/TPAMI.2010.57), by FAISS (Douze et al.
  2024, arXiv:2401.08281): sketches are put into cells around centres, and a query looks into the
  cells whose centres promise most.

What comes out are candidates. Who asks scores them anew, so an approximation may lose an item and
never invents a score.
"""

from __future__ import annotations

import importlib
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import MissingExtraError
from warmstart.core.types import FloatArray, IntArray
from warmstart.index.directions import directions

_LEARNED_FROM = 40  # vectors for each centre
_SWEEPS = 6
_BLOCK = 1 << 16  # vectors that are sketched at once


class ApproximateConfig(Config):
    """Settings of the index.

    Attributes:
        dim: of the sketches.
        cells: how many; by default twice the root of the number of vectors.
        probes: cells that a query looks into.
        seed: of the centres.
    """

    dim: int = Field(48, ge=1, le=1_024)
    cells: int | None = Field(None, ge=1, le=1 << 16)
    probes: int = Field(32, ge=1)
    seed: int = Field(0, ge=0, lt=2**31)


class Approximate:
    """Sketches by cell; once built it does not change, and any thread may search it.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> vectors = rng.standard_normal((8, 500)).astype(np.float32)
        >>> queries = rng.standard_normal((50, 8)).astype(np.float32)
        >>> index = Approximate.of(vectors, queries, ApproximateConfig(dim=8, cells=4, probes=4))
        >>> int(index.search(queries[:1], 3)[0, 0]) == int((queries[0] @ vectors).argmax())
        True
    """

    def __init__(self, cells: Any, turn: FloatArray, config: ApproximateConfig) -> None:  # noqa: ANN401
        """Wrap an index of FAISS, and what turns queries into its dimensions."""
        self._cells, self._turn, self._config = cells, turn, config

    @classmethod
    def of(
        cls, vectors: FloatArray, queries: FloatArray, config: ApproximateConfig | None = None
    ) -> Self:
        """Build the index; this takes seconds for 100,000 vectors.

        Args:
            vectors: (width, items), as they are multiplied.
            queries: (queries, width) such as will be asked; a few hundred tell enough.
            config: settings.

        Raises:
            MissingExtraError: faiss is not installed.
        """
        config, faiss = config or ApproximateConfig(), _faiss()
        width, n = vectors.shape
        dim = min(config.dim, width)
        stretch, turn = directions(vectors, queries, dim)
        sketches = np.empty((n, dim), np.float32)
        for start in range(0, n, _BLOCK):
            some = slice(start, start + _BLOCK)
            sketches[some] = vectors[:, some].T @ stretch
        count = max(1, min(config.cells or round(2 * n**0.5), n // _LEARNED_FROM))
        clusters = faiss.Kmeans(
            dim, count, niter=_SWEEPS, seed=config.seed + 1, max_points_per_centroid=_LEARNED_FROM
        )
        clusters.train(sketches)
        _, nearest = clusters.index.search(sketches, 1)
        centres = faiss.IndexFlatIP(dim)
        centres.add(clusters.centroids)
        cells = faiss.IndexIVFFlat(centres, dim, count, faiss.METRIC_INNER_PRODUCT)
        # into the nearest cell by distance; FAISS by itself would take the largest product, and
        # have most vectors in the few cells of large centres
        owner = np.ascontiguousarray(nearest[:, 0])
        cells.is_trained, cells.nprobe = True, config.probes
        cells.add_core(n, faiss.swig_ptr(sketches), None, faiss.swig_ptr(owner))
        return cls(cells, turn, config)

    def __len__(self) -> int:
        return int(self._cells.ntotal)

    def search(
        self, queries: FloatArray, n: int, allowed: npt.NDArray[np.bool_] | None = None
    ) -> IntArray:
        """Return (queries, n) items with large inner products, best first; -1 where none is left.

        Args:
            queries: (queries, width).
            n: how many.
            allowed: (items,) which items may be returned; None for all.
        """
        turned, how = np.ascontiguousarray(queries @ self._turn, np.float32), None
        if allowed is not None:
            faiss = _faiss()
            which = faiss.IDSelectorBitmap(np.packbits(allowed[: len(self)], bitorder="little"))
            how = faiss.SearchParametersIVF(nprobe=self._config.probes, sel=which)
        _, found = self._cells.search(turned, n, params=how)
        items: IntArray = found
        return items


def _faiss() -> Any:  # noqa: ANN401
    try:
        return importlib.import_module("faiss")
    except ImportError:
        raise MissingExtraError("faiss", extra="ann") from None
