"""Lists of candidates as questions in words, read once by the layers that tuning leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from warmstart.core.types import IntArray, Progress
from warmstart.llm.lists import Packed, pack, question, spoken
from warmstart.llm.lora import ListScorer
from warmstart.llm.torch_weights import Weights
from warmstart.meta.learner import Examples
from warmstart.recommenders.scenarios import Lists


@dataclass(frozen=True, slots=True)
class Asked:
    """Lists as a scorer reads them: through the layers below the adapter, once.

    Attributes:
        lists: packed.
        hidden: (lists, tokens, dim).
    """

    lists: Packed
    hidden: Tensor

    def __len__(self) -> int:
        return len(self.lists)

    def examples(self, rows: IntArray) -> Examples:
        """Return examples of tasks, (tasks, lists) rows each; the first candidate is the label."""
        at = torch.as_tensor(np.asarray(rows, np.int64))
        some = self.lists.take(at)
        inputs = (self.hidden[at], some.segment, some.position, some.ends)
        return Examples.of(inputs, torch.ones(at.shape))


def ask(
    scorer: ListScorer,
    weights: Weights,
    titles: Sequence[str],
    lists: Sequence[Lists],
    *,
    kind: str = "films",
    progress: Progress | None = None,
) -> Asked:
    """Return lists as questions in words, read by the layers below the adapter.

    Args:
        scorer: whose layers read them.
        weights: whose tokenizer cuts them.
        titles: of all items.
        lists: with as many candidates each, one group after another.
        kind: what items are called, in the plural.
        progress: told after each part.
    """
    said = [spoken(t) for t in titles]
    prompts = [
        question([said[i] for i in shown], [said[i] for i in candidates], kind=kind)
        for group in lists
        for shown, candidates in zip(group.shown, group.candidates, strict=True)
    ]
    packed = pack(weights.tokenizer, prompts)
    parts, at_once = [], 64
    for start in range(0, len(packed), at_once):
        parts.append(scorer.hidden(packed.take(slice(start, start + at_once))))
        if progress is not None:
            progress(min(start + at_once, len(packed)), len(packed), "reading lists")
    return Asked(packed, torch.cat(parts))
