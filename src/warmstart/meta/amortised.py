"""The amortised learner: a network reads the support set and writes the head; no inner loop.

    code  = tanh( Σ y_i φ(x_i) / √n + (Σ φ(x_i) / √n) A + c(n) )
    head  = start + code B

with φ the module's `codes` of its examples and n the number of real ones. It is a conditional
neural process whose decoder is the module: order does not matter, and no example at all gives
what c(0) makes of the start.

Reference: Garnelo et al. 2018, arXiv:1807.01613; for recommenders TaNP, arXiv:2103.06137.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as fn
from torch import Tensor

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.meta.learner import Examples, Params, Problem, Tasks, through_adaptation
from warmstart.meta.settings import AmortisedConfig


class Amortised:
    """One forward pass from a support set to a head."""

    config_type: ClassVar[type[Config]] = AmortisedConfig

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or AmortisedConfig()

    def init(self, problem: Problem) -> Params:
        """Return the module's parameters and the weights of the network.

        Raises:
            ConfigError: the module has no `codes`.
        """
        if not hasattr(problem.model, "codes"):
            raise ConfigError(
                f"the amortised learner needs a module with `codes`, which "
                f"{type(problem.model).__name__} lacks; choose maml, fomaml, anil, meta-sgd, "
                "reptile or foma"
            )
        meta, hidden = problem.parameters(), self.config.hidden_dim
        code_dim = int(problem.model.code_dim)  # type: ignore[arg-type]
        size = sum(meta[n].numel() for n in problem.head)
        added = {
            "reader/plain": torch.zeros(code_dim, hidden),
            "reader/count_in": torch.randn(2, 16) * 0.7,
            "reader/count_in_bias": torch.zeros(16),
            "reader/count_out": torch.randn(16, hidden) * 0.1,
            "reader/head": torch.randn(hidden, size) * hidden**-0.5,
        }
        if code_dim != hidden:
            added["reader/signed"] = torch.randn(code_dim, hidden) * code_dim**-0.5
        return meta | added

    def adapt(self, problem: Problem, meta: Params, support: Examples) -> Params:
        """Return each task's head, in one pass."""
        codes = codes_of(problem, meta, support)
        mask = support.mask.to(codes.dtype)
        n = mask.sum(dim=1, keepdim=True)
        scale = n.clamp(min=1).rsqrt()
        signed = torch.einsum("te,te,tec->tc", mask, support.labels, codes) * scale
        if "reader/signed" in meta:
            signed = signed @ meta["reader/signed"]
        plain = torch.einsum("te,tec->tc", mask, codes) * scale
        count = torch.cat([torch.log1p(n), 1 / (1 + n)], dim=1)
        count = torch.tanh(count @ meta["reader/count_in"] + meta["reader/count_in_bias"])
        code = signed + plain @ meta["reader/plain"] + count @ meta["reader/count_out"]
        code = fn.dropout(torch.tanh(code), self.config.dropout, problem.model.training)
        written, adapted = code @ meta["reader/head"], {}
        for name in problem.head:
            part, written = written.tensor_split([meta[name].numel()], dim=1)
            adapted[name] = meta[name] + part.reshape(len(n), *meta[name].shape)
        return adapted

    def gradients(self, problem: Problem, meta: Params, tasks: Tasks) -> tuple[Tensor, Params]:
        """Return query losses and the meta-gradient."""
        return through_adaptation(self, problem, meta, tasks)


def codes_of(problem: Problem, meta: Params, examples: Examples) -> Tensor:
    """Return (tasks, examples, code) what the module makes of each example."""
    found: Tensor = problem.call("codes", meta, examples)
    return found
