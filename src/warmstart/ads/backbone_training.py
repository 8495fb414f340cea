"""Training of a `DeepFM` on coded rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as fn

from warmstart.ads.click_config import BackboneConfig
from warmstart.core.types import IntArray
from warmstart.meta.outer import one_cycle
from warmstart.models.deepfm import DeepFM

_STEPS, _SMALLEST = 100, 32  # least steps of an epoch, and least rows of a step, of a small log


def train_backbone(
    codes: IntArray,
    labels: npt.NDArray[Any],
    sizes: Sequence[int],
    config: BackboneConfig,
    rng: np.random.Generator,
    *,
    unknown: npt.NDArray[Any] | None = None,
    offset: npt.NDArray[Any] | None = None,
) -> DeepFM:
    """Return a DeepFM fitted by log loss.

    Args:
        codes: (rows, fields); 0 is unknown.
        labels: (rows,) mostly 0 or 1.
        sizes: of each field, how many values it has, "unknown" among them.
        config: settings.
        rng: draws the start, the batches, and what is made unknown.
        unknown: (fields,) share of the rows in which a field is made unknown;
            `config.unknown` of every field by default.
        offset: (rows,) logits to which the network only adds.
    """
    share = np.full(len(sizes), config.unknown) if unknown is None else unknown
    hide = torch.from_numpy(np.asarray(share, np.float32))
    inputs, wanted = torch.from_numpy(codes), torch.from_numpy(np.asarray(labels, np.float32))
    base = None if offset is None else torch.from_numpy(np.asarray(offset, np.float32))
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**31)))
        model = DeepFM(sizes, dim=config.dim, hidden=(config.hidden,), dropout=config.dropout)
        if base is None:
            mean = float(np.clip(labels.mean(), 1e-5, 1 - 1e-5))
            with torch.no_grad():
                model.bias.fill_(float(np.log(mean) - np.log1p(-mean)))
        tables = {"vectors", "weights"}
        free = [p for n, p in model.named_parameters() if n not in tables]
        groups: list[dict[str, Any]] = [
            {"params": [model.vectors, model.weights], "weight_decay": config.decay},
            {"params": free},
        ]
        optimiser = torch.optim.Adam(groups, lr=config.lr)
        size = min(config.batch_size, max(_SMALLEST, len(labels) // _STEPS))
        per_epoch = -(-len(labels) // size)
        total, done = config.epochs * per_epoch, 0
        model.train()
        for _ in range(config.epochs):
            order = torch.from_numpy(rng.permutation(len(labels)))
            for rows in torch.split(order, size):
                for group in optimiser.param_groups:
                    group["lr"] = config.lr * one_cycle(done / total)
                drawn = inputs[rows] * (torch.rand(len(rows), len(sizes)) >= hide)
                found, target = model(drawn), wanted[rows]
                if base is not None:
                    found = found + base[rows]
                loss = (fn.softplus(found) - target * found).mean()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                done += 1
        model.eval()
    return model
