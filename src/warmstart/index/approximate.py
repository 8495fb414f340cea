"""Approximate search for the largest inner products: cells of like vectors, of which few are seen.

Inverted lists (Jégou, Douze & Schmid 2011, doi:10.1109/TPAMI.2010.57) by FAISS (Douze et al. 2024,
arXiv:2401.08281): vectors are put into cells around centres that are learned; a query looks only
into the cells whose centres promise most, at vectors of one byte a dimension. What comes out are
candidates; who asks scores them anew, so that an approximation loses items and never invents scores.
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

_LEARNED_FROM = 40  # vectors for each centre
_SWEEPS = 8


class ApproximateConfig(Config):
    """Settings of the index.

    Attributes:
        cells: how many; by default four times the root of the number of vectors.
        seen: share of the cells that a query looks into.
        seed: of the centres.
    """

    cells: int | None = Field(None, ge=1, le=1 << 16)
    seen: float = Field(0.03, gt=0, le=1)
    seed: int = Field(0, ge=0)


class Approximate:
    """Vectors by cell; once built it does not change, and any thread may search it.

    Example:
        >>> vectors = np.random.default_rng(0).standard_normal((500, 8)).astype(np.float32)
        >>> index = Approximate.of(vectors, ApproximateConfig(cells=4, seen=1.0))
        >>> int(index.search(vectors[7:8], 3)[0, 0]), len(index)
        (7, 500)
    """

    def __init__(self, index: Any, config: ApproximateConfig) -> None:  # noqa: ANN401
        """Wrap an index of FAISS that is built."""
        self._index, self._config = index, config

    @classmethod
    def of(cls, vectors: FloatArray, config: ApproximateConfig | None = None) -> Self:
        """Build the index; this takes seconds for 100,000 vectors.

        Args:
            vectors: (items, dim) float32.
            config: settings.

        Raises:
            MissingExtraError: faiss is not installed.
        """
        config, faiss = config or ApproximateConfig(), _faiss()
        n, dim = vectors.shape
        cells = min(config.cells or round(4 * n**0.5), max(1, n // _LEARNED_FROM))
        inner = faiss.METRIC_INNER_PRODUCT
        centres = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFScalarQuantizer(
            centres, dim, cells, faiss.ScalarQuantizer.QT_8bit, inner
        )
        index.cp.seed, index.cp.niter = config.seed + 1, _SWEEPS
        rng = np.random.default_rng(config.seed)
        some = rng.permutation(n)[: cells * _LEARNED_FROM]
        index.train(np.ascontiguousarray(vectors[np.sort(some)], np.float32))
        index.add(np.ascontiguousarray(vectors, np.float32))
        return cls(index, config)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(
        self, queries: FloatArray, n: int, allowed: npt.NDArray[np.bool_] | None = None
    ) -> IntArray:
        """Return (queries, n) items with large inner products, best first; -1 where none is left.

        Args:
            queries: (queries, dim).
            n: how many.
            allowed: (items,) which items may be returned; None for all.
        """
        faiss = _faiss()
        which = None
        if allowed is not None:
            which = faiss.IDSelectorBitmap(np.packbits(allowed[: len(self)], bitorder="little"))
        seen = max(1, round(self._config.seen * self._index.nlist))
        how = faiss.SearchParametersIVF(nprobe=seen, sel=which)
        _, found = self._index.search(np.ascontiguousarray(queries, np.float32), n, params=how)
        items: IntArray = found
        return items


def _faiss() -> Any:  # noqa: ANN401
    try:
        return importlib.import_module("faiss")
    except ImportError:
        raise MissingExtraError("faiss", extra="ann") from None
