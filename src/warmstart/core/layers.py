"""A sparse matrix that grew: what was trained is never copied, what came later lies beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from warmstart.core.types import FloatArray


@dataclass(frozen=True, slots=True)
class Layers:
    """The sum of two sparse matrices of which no entry is in both.

    Attributes:
        trained: (items, items) large.
        added: (items, items) small: the rows and columns of items that came later.

    Example:
        >>> old = sp.csr_array(np.float32([[1, 2], [0, 0]]))
        >>> both = Layers(old, sp.csr_array(np.float32([[0, 0], [3, 4]])))
        >>> both.toarray().tolist(), both[np.array([1])].toarray().tolist()
        ([[1.0, 2.0], [3.0, 4.0]], [[3.0, 4.0]])
    """

    trained: sp.csr_array
    added: sp.csr_array

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        found: tuple[int, int] = self.trained.shape
        return found

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401  (as SciPy's)
        """Return some rows, or the entries at pairs of indices, as SciPy does of one matrix."""
        some, more = self.trained[key], self.added[key]
        return some if sp.issparse(more) and not more.nnz else some + more

    def whole(self) -> sp.csr_array:
        """Return one matrix."""
        return sp.csr_array(self.trained + self.added)

    def toarray(self) -> FloatArray:
        """Return one dense matrix."""
        return np.asarray(self.whole().toarray())


Sparse: TypeAlias = sp.csr_array | Layers
"""Weights between items, in one layer or two."""


def layers_of(matrix: Sparse) -> tuple[sp.csr_array, ...]:
    """Return what a matrix is the sum of."""
    return (matrix.trained, matrix.added) if isinstance(matrix, Layers) else (matrix,)
