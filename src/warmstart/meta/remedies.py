"""Two remedies against bias in training: who counts, and which likes count, in the outer loss.

- Inverse propensity: that somebody met an item depends on how popular it is, so a like of a seldom
  met item stands for many that nobody could give (Schnabel et al. 2016, arXiv:1602.05352; the
  propensity as a power of popularity is that of Yang et al. 2018, doi:10.1145/3240323.3240355).
- Group tilting: tasks of a group that is served worse weigh more (Li et al. 2021,
  arXiv:2007.01162, over groups as in Sagawa et al. 2020, arXiv:1911.08731).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

_MOST = 10.0  # one like stands for no more than so many: what is rarer is noise
_FEW = 10.0  # tasks of an average loss that every group is given


def propensity_weights(counts: npt.NDArray[np.floating], power: float) -> npt.NDArray[np.float32]:
    """Return (items,) what a like of each item weighs; the mean over all likes is 1.

    Args:
        counts: (items,) likes in training, above zero.
        power: the propensity is popularity to this power; 0 makes all likes alike.

    Example:
        >>> propensity_weights(np.array([1.0, 4.0]), 0.5).astype(float).round(3).tolist()
        [1.667, 0.833]
    """
    raw = np.maximum(np.asarray(counts, np.float64), 1e-12) ** -power
    weights = raw * counts.sum() / (counts @ raw)
    weights = np.minimum(weights, _MOST)
    found: npt.NDArray[np.float32] = (weights * counts.sum() / (counts @ weights)).astype(
        np.float32
    )
    return found


def tilted(
    groups: sp.csr_array, losses: npt.NDArray[np.floating], tilt: float
) -> npt.NDArray[np.float32]:
    """Return (tasks,) what each task weighs, more in groups with higher losses; the mean is 1.

    A group weighs exp(tilt · (its mean loss - that of all) / standard deviation of the losses), so
    groups that do alike weigh alike. A task in several groups weighs as they do on average, one in
    none as 1.

    Args:
        groups: (tasks, groups) ones where a task belongs to a group.
        losses: (tasks,) of each.
        tilt: 0 makes all tasks alike.

    Example:
        >>> groups = sp.csr_array(np.repeat(np.eye(2), 50, axis=0))
        >>> weights = tilted(groups, np.repeat([1.0, 2.0], 50), 1.0)
        >>> weights[[0, -1]].astype(float).round(2).tolist()
        [0.32, 1.68]
    """
    losses = np.asarray(losses, np.float64)
    size = np.asarray(groups.sum(axis=0)).ravel()
    centred = losses - losses.mean()
    excess = (groups.T @ centred) / (size + _FEW) / max(float(losses.std()), 1e-12)
    of_group = np.exp(tilt * excess)
    n_of_task = np.asarray(groups.sum(axis=1)).ravel()
    weights = np.where(n_of_task > 0, (groups @ of_group) / np.maximum(n_of_task, 1), 1.0)
    found: npt.NDArray[np.float32] = (weights / weights.mean()).astype(np.float32)
    return found
