"""Arrays with room behind them, so that a catalogue grows without being copied.

Fresh memory costs far more than the few rows that are written to it: a gigabyte takes seconds. An
array that may grow therefore lies at the beginning of a larger piece of memory, of which nothing
is touched before it is needed. Whoever grows the array gets a longer view of that memory; who
holds the shorter one never sees the new entries. Only one successor can have them: the next one
that grows the same array finds them taken, and copies.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

_SHARE, _LEAST = 4, 64  # room for a quarter more, or for so many
_ODD = 16  # floats in a line of cache: rows that are multiples of a page would crowd into one set

_claims = Lock()
A = TypeVar("A", bound=np.generic)


class _Memory(np.ndarray[Any, Any]):
    """A whole piece of memory; entries from `taken` on, along the axis that grows, are free."""

    taken: int = 0


def with_room(array: npt.NDArray[A], *, axis: int = 0) -> npt.NDArray[A]:
    """Return a copy with room behind it.

    Args:
        array: of any shape.
        axis: along which it may grow.
    """
    out = empty_with_room(array.shape, array.dtype, axis=axis)
    out[...] = array
    return out


def empty_with_room(
    shape: tuple[int, ...],
    dtype: Any,  # noqa: ANN401  (whatever NumPy takes for one)
    *,
    axis: int = 0,
) -> npt.NDArray[Any]:
    """Return an array of which nothing is written yet, with room behind it."""
    n = shape[axis]
    size = (n + max(n // _SHARE, _LEAST)) // (2 * _ODD) * (2 * _ODD) + _ODD
    memory = _Memory((*shape[:axis], size, *shape[axis + 1 :]), dtype)
    memory.taken = n
    return _beginning(memory, n, axis)


def roomy(array: npt.NDArray[A]) -> npt.NDArray[A]:
    """Return the array itself if somebody may still add rows to it, else a copy with room."""
    return array if _free(array, 0) is not None else with_room(array)


def longer(array: npt.NDArray[A], n_new: int, *, axis: int = 0) -> npt.NDArray[A]:
    """Return the array with further zeros at its end, which are the caller's own.

    What is there already is not copied if there is room and nobody has taken it; it must not be
    written to.

    Args:
        array: of any shape.
        n_new: entries more.
        axis: along which it grows.

    Example:
        >>> first = with_room(np.ones((2, 3), np.float32))
        >>> one, other = longer(first, 1), longer(first, 1)
        >>> one[2], other[2] = 5, 7
        >>> one.tolist(), np.shares_memory(one, first), np.shares_memory(other, first)
        ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [5.0, 5.0, 5.0]], True, False)
    """
    n = array.shape[axis]
    with _claims:
        memory = _free(array, axis, n_new)
        if memory is not None:
            memory.taken = n + n_new
    if memory is None:
        shape = (*array.shape[:axis], n + n_new, *array.shape[axis + 1 :])
        out = empty_with_room(shape, array.dtype, axis=axis)
        _beginning(out, n, axis)[...] = array
    else:
        out = _beginning(memory, n + n_new, axis)
    out[(slice(None),) * axis + (slice(n, None),)] = 0
    return out


def _beginning(array: npt.NDArray[Any], n: int, axis: int) -> npt.NDArray[Any]:
    return array.view(np.ndarray)[(slice(None),) * axis + (slice(n),)]


def _free(array: npt.NDArray[Any], axis: int, n_new: int = 0) -> _Memory | None:
    """Return the memory at whose beginning the array lies, if what follows is free."""
    memory: Any = array
    while memory is not None and not isinstance(memory, _Memory):
        memory = getattr(memory, "base", None)
    n = array.shape[axis]
    if (
        memory is None
        or memory.ctypes.data != array.ctypes.data
        or (memory.dtype, memory.strides) != (array.dtype, array.strides)
        or memory.shape[:axis] + memory.shape[axis + 1 :]
        != array.shape[:axis] + array.shape[axis + 1 :]
        or memory.taken != n
        or n + n_new > memory.shape[axis]
    ):
        return None
    return memory
