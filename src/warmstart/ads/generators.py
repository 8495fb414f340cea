"""The ways of the literature to give a new ad a vector, on the learners of `warmstart.meta`.

Here the network reads ids, and a new ad's vector is all that a task may move. Ways to start it:

- random: as the network was initialised, then plain gradient steps on each batch;
- Meta-Embedding: a small network makes the start from the ad's columns, trained so that it is good
  cold and after a step (Pan et al. 2019, arXiv:1904.11547);
- MWUF: one start for all, then scaled by what the columns say and shifted by the users met so far
  (Zhu et al. 2021, arXiv:2105.04790);
- MAML, FOMA: one start that is meta-learned, with FOMA's learned step sizes.

A task is an established ad that is pretended to be new: a support and a query of its rows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from warmstart.ads import columns as cols
from warmstart.ads.backbone_training import train_backbone
from warmstart.ads.click_config import BackboneConfig
from warmstart.ads.coding import Coding
from warmstart.ads.log import AdLog
from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.core.types import IntArray
from warmstart.meta.foma import FOMA
from warmstart.meta.learner import (
    Examples,
    Learner,
    Params,
    Problem,
    Tasks,
    descend,
    through_adaptation,
)
from warmstart.meta.losses import log_loss
from warmstart.meta.maml import MAML
from warmstart.meta.meta_sgd import PREFIX
from warmstart.meta.outer import outer_loop
from warmstart.meta.settings import FOMAConfig, InnerConfig, OuterConfig
from warmstart.models.deepfm import DeepFM

Way = Literal["backbone", "meta-embedding", "mwuf", "maml", "foma"]
WAYS: tuple[Way, ...] = ("backbone", "meta-embedding", "mwuf", "maml", "foma")


class VectorsConfig(Config):
    """Settings.

    Attributes:
        inner: gradient steps of a new ad's vector on a batch; FOMA's step sizes start there.
        batch: rows of a support, and of a query.
        cold: what the loss before the first step counts beside the loss after it
            (Meta-Embedding).
        outer: training of the start.
        backbone: the network, whose ids are made unknown as often as other values.
    """

    inner: InnerConfig = InnerConfig(inner_steps=3, inner_lr=0.1)
    batch: int = Field(10, ge=1)
    cold: float = Field(0.1, ge=0, le=1)
    outer: OuterConfig = OuterConfig(epochs=12, batch_size=32, outer_lr=5e-3)
    backbone: BackboneConfig = BackboneConfig()


class OneAd(nn.Module):
    """The trained network with one ad's weight and vector as its only parameters.

    Args:
        network: whose first field is the ad; it is frozen.
        start: (1 + dim,) weight and vector.
    """

    def __init__(self, network: DeepFM, start: Tensor) -> None:
        super().__init__()
        self.vector = nn.Parameter(start.clone())
        self._network = [network.requires_grad_(False)]  # in a list: not a submodule, not trained

    def forward(self, vectors: Tensor, weights: Tensor, columns: Tensor, users: Tensor) -> Tensor:
        """Return (rows,) logits.

        Args:
            vectors: (rows, fields, dim) of every field but the ad.
            weights: (rows, fields) of the same.
            columns: (features,) of the ad, not read here.
            users: (dim,) mean of the users met so far, not read here.
        """
        own = self.vector.expand(len(vectors), -1)
        return self._network[0].of(
            torch.cat([own[:, None, 1:], vectors], dim=1),
            torch.cat([own[:, :1], weights], dim=1),
        )


class Generated:
    """Meta-Embedding, and MWUF: the start, or what is read of it, is made by small networks.

    Args:
        way: which.
        config: settings of this file.
        features: width of what is known of an ad.
    """

    config_type: ClassVar[type[Config]] = InnerConfig

    def __init__(self, way: Way, config: VectorsConfig, features: int) -> None:
        self.way, self.config, self.settings = way, config.inner, config
        self.features = features

    def init(self, problem: Problem) -> Params:
        """Return the common start and the weights of the small networks."""
        meta = problem.parameters()
        size = meta["vector"].numel()
        self.networks = nn.ModuleDict({"make": _small(self.features, size)})
        if self.way == "mwuf":
            self.networks = nn.ModuleDict(
                {"scale": _small(self.features, size), "shift": _small(size - 1, size)}
            )
        return meta | {f"net/{n}": p.detach().clone() for n, p in self.networks.named_parameters()}

    def start(self, meta: Params, examples: Examples) -> Tensor:
        """Return (tasks, 1 + dim) vectors before any event."""
        if self.way == "meta-embedding":
            return meta["vector"] + self._call("make", meta, examples.inputs[2])
        return meta["vector"].expand(len(examples), -1)

    def adapt(self, problem: Problem, meta: Params, support: Examples) -> Params:
        """Return each task's vector after the steps on its support."""
        return {"vector": self.read(meta, self.steps(problem, meta, support), support)}

    def steps(self, problem: Problem, meta: Params, support: Examples) -> Tensor:
        """Return each task's own vector, before it is scaled and shifted."""
        return descend(
            problem, {"vector": meta["vector"]}, {"vector": self.start(meta, support)}, support,
            {"vector": self.config.inner_lr}, steps=self.config.inner_steps, first_order=True,
        )["vector"]  # fmt: skip

    def read(self, meta: Params, vectors: Tensor, examples: Examples) -> Tensor:
        """Return what the network is given for these vectors."""
        if self.way != "mwuf":
            return vectors
        scale = self._call("scale", meta, examples.inputs[2])
        return vectors * (1 + scale) + self._call("shift", meta, examples.inputs[3])

    def gradients(self, problem: Problem, meta: Params, tasks: Tasks) -> tuple[Tensor, Params]:
        """Return query losses and the gradient of the losses cold and after the steps."""
        warm, after = through_adaptation(self, problem, meta, tasks)
        if self.way != "meta-embedding":
            return warm, after
        no_support = Tasks(_without_rows(tasks.support), tasks.query, tasks.weight)
        cold, before = through_adaptation(self, problem, meta, no_support)
        c = self.settings.cold
        return (1 - c) * warm + c * cold, {n: (1 - c) * after[n] + c * before[n] for n in after}

    def _call(self, name: str, meta: Params, inputs: Tensor) -> Tensor:
        network = self.networks[name]
        weights = {n: meta[f"net/{name}.{n}"] for n, _ in network.named_parameters()}
        found: Tensor = functional_call(network, weights, (inputs,))
        return found


class AdVectors:
    """A network that reads ids, and one way to give new ads their vectors.

    Args:
        way: one of `WAYS`.
        config: settings.
    """

    def __init__(self, way: Way, config: VectorsConfig | None = None) -> None:
        self.way, self.config = way, config or VectorsConfig()

    def fit(self, log: AdLog, *, seed: int = 0, network: DeepFM | None = None) -> Self:
        """Train the network, and then what gives new ads their vectors.

        Args:
            log: training rows.
            seed: the same seed gives the same model.
            network: what another of these has trained with this log and seed, to be shared.
        """
        rng = generator(seed, "ad vectors", self.way)
        self.n_known = len(log.coding.ads)
        self.sizes = [self.n_known + 1, len(log.coding.users) + 1,
                      *(n + 1 for n in log.coding.sizes.values())]  # fmt: skip
        if network is None:
            codes = self._codes(log, np.arange(len(log)))
            network = train_backbone(
                codes, log.click, self.sizes, self.config.backbone,
                generator(seed, "network with ids"),
            )  # fmt: skip
        self.network = network
        self.known_columns = self._features(log, self.n_known)
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**31)))
            table = torch.cat([network.weights[:, None], network.vectors], dim=1).detach()
            start = table[1 : self.n_known + 1].mean(dim=0)
            self.problem = Problem.of(OneAd(network, start), log_loss())
            self.learner = self._learner(log)
            meta = {n: nn.Parameter(p) for n, p in self.learner.init(self.problem).items()}
            if self.way != "backbone":
                self._train(log, meta)
            self.meta = {n: p.detach() for n, p in meta.items()}
            n_values = self.config.backbone.dim
            # random vectors, as the network was initialised
            many = 1 << 14
            self._lot = torch.cat([torch.zeros(many, 1), 0.05 * torch.randn(many, n_values)], 1)
        self.own = table[1 : self.n_known + 1]
        self.met = torch.zeros(self.n_known, n_values)
        self.seen = torch.zeros(self.n_known)
        return self

    def add_ads(self, coding: Coding, log: AdLog) -> Self:
        """Give new ads their vectors before any event; this changes the model."""
        n = len(coding.ads)
        new = torch.arange(self.n_known, n)
        columns = self._features(log, n)[new]
        self.known_columns = torch.cat([self.known_columns, columns])
        users = torch.zeros(len(new), self.met.shape[1])
        self.met, self.seen = torch.cat([self.met, users]), torch.cat([self.seen, users[:, 0]])
        empty = Examples.of((users[:, None], users, columns, users), users[:, :1])
        if isinstance(self.learner, Generated):
            start = self.learner.start(self.meta, empty)
        elif self.way == "backbone":
            start = self._lot[: len(new)]
        else:
            none = self._examples(log, np.zeros((len(new), 1), np.int64), np.asarray(new))
            start = self.learner.adapt(self.problem, self.meta, _without_rows(none))["vector"]
        self.own = torch.cat([self.own, start.detach()])
        return self

    def update(self, log: AdLog) -> Self:
        """Take gradient steps of the new ads' vectors on further rows; this changes the model."""
        ads = np.unique(log.ad[log.ad >= self.n_known])
        order = np.argsort(log.ad, kind="stable")
        begin, end = (np.searchsorted(log.ad[order], ads, side=s) for s in ("left", "right"))
        width = int((end - begin).max(initial=1))
        rows = order[np.minimum(begin[:, None] + np.arange(width), end[:, None] - 1)]
        mask = torch.from_numpy(begin[:, None] + np.arange(width) < end[:, None])
        examples = self._examples(log, rows, ads, mask)
        steps: Any = self.config.inner.inner_lr
        if self.way == "foma":
            steps = self.meta[f"{PREFIX}vector"][0]
        at = torch.from_numpy(ads)
        moved = descend(
            self.problem, self.problem.parameters(), {"vector": self.own[at]}, examples,
            {"vector": steps}, steps=self.config.inner.inner_steps, first_order=True,
        )["vector"]  # fmt: skip
        self.own[at] = moved.detach()
        count = mask.sum(dim=1).float()
        users = examples.inputs[0][:, :, 0] * mask[..., None]
        self.met[at] += users.sum(dim=1)
        self.seen[at] += count
        return self

    @torch.no_grad()
    def probabilities(self, log: AdLog) -> npt.NDArray[np.float64]:
        """Return (n,) probabilities."""
        own = self.own
        if isinstance(self.learner, Generated) and self.way == "mwuf":
            mean = self.met / self.seen.clamp(min=1)[:, None]
            about = Examples.of((mean, mean, self.known_columns, mean), mean[:, :1])
            read = self.learner.read(self.meta, own, about)
            own = torch.cat([own[: self.n_known], read[self.n_known :]])
        vectors, weights = self._looked_up(log, np.arange(len(log)))
        ad = own[torch.from_numpy(log.ad)]
        logits = self.network.of(
            torch.cat([ad[:, None, 1:], vectors], dim=1), torch.cat([ad[:, :1], weights], dim=1)
        )
        return torch.sigmoid(logits).numpy().astype(np.float64)

    def _learner(self, log: AdLog) -> Learner:
        if self.way == "maml":
            return MAML(self.config.inner)
        if self.way == "foma":
            return FOMA(FOMAConfig(**self.config.inner.model_dump()))
        return Generated(self.way, self.config, self.known_columns.shape[1])

    def _train(self, log: AdLog, meta: dict[str, nn.Parameter]) -> None:
        """Meta-train on established ads: two batches of rows each, as support and query."""
        k = self.config.batch
        order = np.argsort(log.ad, kind="stable")
        indptr = np.searchsorted(log.ad[order], np.arange(self.n_known + 1))
        able = np.flatnonzero(np.diff(indptr) >= 2 * k)

        def step(rng: np.random.Generator) -> float:
            ads = rng.choice(able, min(self.config.outer.batch_size, len(able)), replace=False)
            drawn = np.stack([order[indptr[a] + rng.permutation(indptr[a + 1] - indptr[a])[: 2 * k]]
                              for a in ads])  # fmt: skip
            support, query = (self._examples(log, r, ads) for r in (drawn[:, :k], drawn[:, k:]))
            if self.way == "mwuf":  # what is known of the users is what the support says
                query = Examples(
                    (*query.inputs[:3], support.inputs[3]), query.labels, query.mask, query.kind
                )
            values = {n: p.detach() for n, p in meta.items()}
            tasks = Tasks.of(support, query)
            losses, gradients = self.learner.gradients(self.problem, values, tasks)
            for name, gradient in gradients.items():
                meta[name].grad = gradient
            return float(losses.mean())

        outer_loop(meta, step, len(able), self.config.outer, rng=generator(0, "ads"))

    def _examples(
        self, log: AdLog, rows: IntArray, ads: IntArray, mask: Tensor | None = None
    ) -> Examples:
        """Return the examples of (ads, rows) rows."""
        vectors, weights = self._looked_up(log, rows.ravel())
        shape = rows.shape
        vectors = vectors.reshape(*shape, *vectors.shape[1:])
        weights = weights.reshape(*shape, -1)
        real = torch.ones(shape, dtype=torch.bool) if mask is None else mask
        count = real.sum(dim=1).clamp(min=1)[:, None]
        users = (vectors[:, :, 0] * real[..., None]).sum(dim=1) / count
        labels = torch.from_numpy(log.click[rows].astype(np.float32))
        columns = self.known_columns[torch.from_numpy(np.asarray(ads))]
        return Examples.of((vectors, weights, columns, users), labels, real)

    def _looked_up(self, log: AdLog, rows: IntArray) -> tuple[Tensor, Tensor]:
        vectors, weights = self.network.looked_up(torch.from_numpy(self._codes(log, rows)))
        return vectors[:, 1:].detach(), weights[:, 1:].detach()

    def _codes(self, log: AdLog, rows: IntArray) -> IntArray:
        """Return (rows, fields) codes: ad, user, then their columns; new ads are unknown."""
        part = log.take(rows)
        ad = np.where(part.ad < self.n_known, part.ad, -1)
        ids = np.stack([ad, part.user], axis=1) + 1
        rest = [cols.codes_of(part, role) + 1 for role in ("user", "ad", "context")]
        return np.concatenate([ids, *rest], axis=1)

    def _features(self, log: AdLog, n: int) -> Tensor:
        """Return (ads, features): the vectors of the ads' columns, side by side."""
        codes = cols.last_codes(log.ad, cols.codes_of(log, "ad"), n) + 1
        first = 2 + len(log.coding.fields_of("user"))
        at = torch.from_numpy(codes) + self.network.starts[first : first + codes.shape[1]]
        return self.network.vectors[at].detach().flatten(1)


def _small(features: int, out: int) -> nn.Module:
    """Return a network of one hidden layer whose answer is zero before training."""
    layers: list[nn.Module] = []
    for a, b in pairwise((features, 16, out)):
        layers += [nn.Linear(a, b), nn.Tanh()]
    last = layers[-2]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers[:-1])


def _without_rows(examples: Examples) -> Examples:
    return Examples(
        examples.inputs, examples.labels, torch.zeros_like(examples.mask), examples.kind
    )
