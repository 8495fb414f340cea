"""Is a language model worth tuning to a scenario? `python -m benchmarks.asking.tuning`.

Scenarios are shelves of MovieLens-100K: genres, no film on two of them. On each split some are
unseen, and half of the users. Of an unseen scenario a few users are known; everything adapts on
their lists, in equal steps where it takes steps, and is judged on lists of other users: films they
liked among films of the shelf that they have no event with, half of these drawn evenly and half by
fame. Step sizes and regularisation are chosen on validation scenarios of the same split, with users
who are neither trained on nor tested. A result is added, never edited.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from benchmarks import records
from benchmarks.asking.judging import (
    METRICS,
    PLAIN,
    ROUTE,
    by_lot,
    log_softmax,
    metrics_of,
    ndcg_of,
    rows_of,
)
from benchmarks.asking.routes import (
    cosine,
    examples_of,
    fame_of,
    hierarchical,
    ridge,
    title_log_probs,
)
from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.data import load_dataset
from warmstart.encoders.text import SentenceEncoder
from warmstart.llm.lists import spoken
from warmstart.llm.lora import Adapter, ListScorer
from warmstart.llm.mixture import fit_gates, mixed
from warmstart.llm.torch_weights import load_weights
from warmstart.meta.settings import InnerConfig
from warmstart.recommenders.asked import Asked, ask
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.scenario_tuning import (
    TuneConfig,
    adapted,
    drawn,
    meta_train,
)
from warmstart.recommenders.scenarios import (
    Lists,
    Scenario,
    draw_lists,
    scenarios_of,
    who_likes,
    without_one,
)

RESULTS = Path(__file__).parent / "results"
META = "meta-learned"
TUNED = f"{META}, adapted"
REGS = (0.3, 1.0, 3.0, 10.0, 30.0)


class TuningConfig(Config):
    """Settings of the measurement.

    Attributes:
        dataset: a named dataset with titles and genres.
        splits: how many, with the seeds 0, 1, …; each has unseen scenarios of its own.
        unseen: test scenarios of a split.
        validation: validation scenarios of a split.
        known_users: users of an unseen scenario whose events are known.
        lists_each: lists that each of them gives.
        test_users: most users judged in a scenario.
        liked: most films to be found in a list.
        others: films of a list drawn evenly, and as many drawn by fame.
        step_sizes: of adaptation, chosen from.
        workers: splits at once, each in a process of one thread.
        controls: also judge with another user's history, and with titles replaced by numbers.
        tune: settings of tuning; `final_steps` adapt to an unseen scenario.
    """

    dataset: str = "ml-100k"
    splits: int = Field(2, ge=1)
    unseen: int = Field(3, ge=1)
    validation: int = Field(1, ge=1)
    known_users: int = Field(8, ge=1)
    lists_each: int = Field(2, ge=1)
    test_users: int = Field(24, ge=1)
    liked: int = Field(4, ge=1)
    others: int = Field(8, ge=1)
    step_sizes: tuple[float, ...] = (0.3, 1.0)
    workers: int = Field(2, ge=1)
    controls: bool = True
    tune: TuneConfig = TuneConfig(
        dtype="bfloat16", least_users=24, lists=12, steps=40, final_steps=4, outer_lr=1e-2,
        inner=InnerConfig(inner_steps=2, inner_lr=0.3),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unseen:
    """A scenario that training does not see.

    Attributes:
        scenario: whose films are asked about.
        support: lists of its known users.
        test: lists of others.
        alone: each test user's shown likes, each given the others.
        support_read: the support, as the model's lower layers read it.
        test_read: the lists of others.
    """

    scenario: Scenario
    support: Lists
    test: Lists
    alone: Lists
    support_read: Asked
    test_read: Asked


def run(_: Path, config: TuningConfig, now: datetime) -> dict[str, Any]:
    """Judge everything on every split."""
    begun, code = time.perf_counter(), records.commit()
    data = load_dataset(config.dataset)
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(judged, itertools.repeat(config), range(config.splits)))
    found: dict[str, dict[str, list[Any]]] = {}
    for values, _, _ in done:
        for name, metric in values.items():
            for key, per_user in metric.items():
                found.setdefault(name, {}).setdefault(key, []).append(per_user)
    users, splits = [who for _, who, _ in done], [about for _, _, about in done]
    clusters = np.concatenate(users)
    table = {n: {k: np.concatenate(v) for k, v in m.items()} for n, m in found.items()}
    return {
        "experiment": "tuning",
        "dataset": config.dataset,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": list(range(config.splits)),
        "fingerprint": data.fingerprint,
        "lists": len(clusters),
        "users": len(np.unique(clusters)),
        "rows": rows_of(table, clusters),
        "splits": splits,
        "hardware": hardware(),
        "versions": versions(),
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def judged(config: TuningConfig, seed: int) -> tuple[dict[str, dict[str, Any]], Any, Any]:
    """Return metric by method, the users, and how it came about, of one split."""
    torch.set_num_threads(1)
    return Split(load_dataset(config.dataset), config, seed).judged()


class Split:
    """One split: its scenarios, its users, what is trained on it, and how all of it is judged."""

    def __init__(self, data: Any, config: TuningConfig, seed: int) -> None:  # noqa: ANN401
        self.config, self.seed = config, seed
        self.evidence, self.titles = data.evidence(), list(data.titles)
        self.clock: dict[str, float] = {}
        tune, rng = config.tune, generator(seed, "split")
        users = generator(0, "users").permutation(data.n_users)
        users = np.roll(users, seed * data.n_users // 3)
        half, rest = np.split(users, [data.n_users // 2])
        known, judged = np.split(rest, [len(rest) // 3])
        shelves = [
            s
            for s in scenarios_of(data)
            if len(s.items) >= 2 * (config.liked + 2 * config.others - 2)
            and len(who_likes(self.evidence, s, judged, least=tune.shown + 1)) >= 12
            and len(who_likes(self.evidence, s, known, least=tune.shown + 1)) >= config.known_users
        ]
        order = generator(0, "scenarios").permutation(len(shelves))
        order = np.roll(order, -seed * config.unseen)
        cuts = np.cumsum([config.unseen, config.validation])
        test, validation, train = ([shelves[i] for i in part] for part in np.split(order, cuts))
        self.names = {
            "unseen": [s.name for s in test],
            "validation": [s.name for s in validation],
            "training": [s.name for s in train],
        }
        self.weights = load_weights(tune.model, dtype=tune.dtype)
        self.scorer = ListScorer(self.weights, tune.adapter, seed=seed)
        self.train_lists = [
            group
            for s in train
            if (group := drawn(self.evidence, s, half, rng, tune, tune.lists)) is not None
        ]
        # validation is judged on users who are known elsewhere, never on those of the test
        half_known = np.split(known, [len(known) // 2])
        with self.timed("reading"):
            self.train_asked = self.ask(self.train_lists)
            self.validation = [
                self.unseen(s, half_known[0], half_known[1], rng) for s in validation
            ]
            self.test = [self.unseen(s, known, judged, rng) for s in test]
        encoder = SentenceEncoder()
        self.vectors = encoder.vectors([spoken(t).encode() or b"?" for t in self.titles])[0]
        self.vectors = self.vectors.astype(np.float64)

    def timed(self, name: str) -> Any:  # noqa: ANN401
        """Add the seconds of a block to the clock."""
        return _Clock(self.clock, name)

    def ask(self, lists: list[Lists], titles: list[str] | None = None) -> Asked:
        """Read lists, under their own titles or others."""
        return ask(self.scorer, self.weights, titles or self.titles, lists)

    def unseen(
        self, scenario: Scenario, known: np.ndarray, judged: np.ndarray, rng: np.random.Generator
    ) -> Unseen:
        """Draw a scenario's known users and its test users, and read their lists."""
        c, tune = self.config, self.config.tune
        fit = who_likes(self.evidence, scenario, known, least=tune.shown + 1)
        few = rng.permutation(fit)[: c.known_users]
        support = draw_lists(
            self.evidence,
            scenario,
            np.repeat(few, c.lists_each),
            rng,
            shown=tune.shown,
            uniform=tune.negatives,
        )
        fit = who_likes(self.evidence, scenario, judged, least=tune.shown + 1)
        seen = np.diff(self.evidence[:, scenario.items].tocsr()[fit].indptr)
        fit = fit[len(scenario.items) - seen >= c.liked + 2 * c.others]
        test = draw_lists(
            self.evidence,
            scenario,
            rng.permutation(fit)[: c.test_users],
            rng,
            shown=tune.shown,
            liked=c.liked,
            uniform=c.others,
            popular=c.others,
        )
        alone = without_one(test, rng, scenario, 4)
        return Unseen(scenario, support, test, alone, self.ask([support]), self.ask([test]))

    def judged(self) -> tuple[dict[str, dict[str, Any]], Any, dict[str, Any]]:
        """Return metric by method, the users, and what was chosen and how long it took."""
        starts, losses = self.starts()
        chosen = {name: self.step_size(start) for name, start in starts.items()}
        prior, regs = self.ridge_settings()
        values: dict[str, list[Any]] = {}
        who, gates = [], []
        with self.timed("test"):
            for place, u in enumerate(self.test):
                found, weights = self.all_scores(u, starts, chosen, prior, regs)
                gates.append(weights.mean(axis=0).tolist())
                lot = generator(self.seed, "ties", place)
                ties = by_lot(u.test.candidates.shape, lot)
                for name, scores in found.items():
                    values.setdefault(name, []).append(
                        metrics_of(scores, u.test.liked, ties, self.config.others)
                    )
                who.append(u.test.users)
        merged = {
            name: {k: np.concatenate([part[k] for part in parts]) for k in METRICS}
            for name, parts in values.items()
        }
        about = {
            "seed": self.seed,
            "scenarios": self.names,
            "lists": [len(u.test) for u in self.test],
            "by_scenario": {
                name: [float(p["nDCG@10"].mean()) for p in parts] for name, parts in values.items()
            },
            "step_sizes": chosen,
            "regularisation": regs,
            "gates": {"of": self.gate_names, "mean": gates},
            "last_losses": {n: float(np.mean(v[-10:])) for n, v in losses.items()},
            "seconds": {n: round(s, 1) for n, s in self.clock.items()},
            "ms_per_list": self.cost(starts[META]),
        }
        return merged, np.concatenate(who), about

    def starts(self) -> tuple[dict[str, Adapter], dict[str, list[float]]]:
        """Return where adaptation begins: a fresh adapter, the plain one, the meta-learned one."""
        tune, starts, losses = self.config.tune, {"fresh": self.scorer.adapter()}, {}
        for name, learner in ((PLAIN, "plain"), (META, tune.learner)):
            settings = tune.model_copy(update={"learner": learner})
            with self.timed(f"training, {name}"):
                starts[name], losses[name] = meta_train(
                    self.scorer,
                    self.train_asked,
                    len(self.train_lists),
                    settings,
                    seed=self.seed,
                    progress=_said(f"split {self.seed}, {name}"),
                )
        return starts, losses

    def own(self, start: Adapter, u: Unseen, step_size: float) -> Adapter:
        """Return the adapter of a scenario, from a start."""
        steps = self.config.tune.final_steps
        return adapted(self.scorer, start, u.support_read, steps=steps, lr=step_size)

    def scores(self, adapter: Adapter, read: Asked) -> Any:  # noqa: ANN401
        """Return (lists, candidates) log-odds with an adapter."""
        return self.scorer.scores_with(adapter, read.hidden, read.lists).numpy()

    def step_size(self, start: Adapter) -> float:
        """Return the step size that ranks best on the validation scenarios."""

        def quality(size: float) -> float:
            found = [
                ndcg_of(self.scores(self.own(start, u, size), u.test_read), u.test)
                for u in self.validation
            ]
            return float(np.concatenate(found).mean())

        with self.timed("choosing step sizes"):
            return max(self.config.step_sizes, key=quality)

    def ridge_settings(self) -> tuple[Any, dict[str, float]]:
        """Return the ridge's prior from the training scenarios, and its two pulls."""
        each = [examples_of(self.vectors, group) for group in self.train_lists]
        x, y = (np.concatenate(part) for part in zip(*each, strict=True))
        prior = ridge(x, y, 10.0, np.zeros(x.shape[1]))

        def quality(regs: tuple[float, float]) -> float:
            found = [ndcg_of(self.ridge(u, prior, *regs), u.test) for u in self.validation]
            return float(np.concatenate(found).mean())

        best = max(itertools.product(REGS, REGS), key=quality)
        return prior, dict(zip(("scenario_reg", "user_reg"), best, strict=True))

    def ridge(self, u: Unseen, prior: Any, scenario_reg: float, user_reg: float) -> Any:  # noqa: ANN401
        """Return scores of the embedding route on a scenario's test lists."""
        return hierarchical(
            self.vectors, u.scenario, prior, u.support, u.test,
            scenario_reg=scenario_reg, user_reg=user_reg,
        )  # fmt: skip

    def all_scores(
        self,
        u: Unseen,
        starts: dict[str, Adapter],
        chosen: dict[str, float],
        prior: Any,  # noqa: ANN401
        regs: dict[str, float],
    ) -> tuple[dict[str, Any], Any]:
        """Return scores by method, and the gates of the test users."""
        rng = generator(self.seed, "chance", u.scenario.name)
        nothing, test = self.scorer.nothing(), u.test_read
        own = {name: self.own(start, u, chosen[name]) for name, start in starts.items()}
        found = {
            "chance": rng.random(u.test.candidates.shape),
            "popularity among the known users": fame_of(u.support, len(self.titles))[
                u.test.candidates
            ],
            "embedding: cosine": cosine(self.vectors, u.test),
            ROUTE: self.ridge(u, prior, **regs),
            "no adapter: title": title_log_probs(self.weights, self.scorer, test),
            "no adapter: yes or no": self.scores(nothing, test),
            "fresh adapter, adapted": self.scores(own["fresh"], test),
        }
        for name in (PLAIN, META):
            found[name] = self.scores(starts[name], test)
            found[f"{name}, adapted"] = self.scores(own[name], test)
        bank = {"no adapter": nothing, PLAIN: starts[PLAIN], "start": starts[META],
                "own": own[META]}  # fmt: skip
        self.gate_names = list(bank)
        alone = self.ask([u.alone])
        events = [log_softmax(self.scores(a, alone))[:, 0] for a in bank.values()]
        shape = (len(u.test), self.config.tune.shown, len(bank))
        weights = fit_gates(np.stack(events, axis=1).reshape(shape), prior=np.ones(len(bank)))
        each = np.stack([self.scores(a, test) for a in bank.values()], axis=1)
        found["per-user gates"] = mixed(each, weights)
        if self.config.controls:
            found |= self.control_scores(u, starts[META], own[META], chosen[META])
        return found, weights

    def control_scores(
        self, u: Unseen, start: Adapter, own: Adapter, step_size: float
    ) -> dict[str, Any]:
        """Return scores with the history of another user, and with numbers for titles."""
        t = u.test
        strange = Lists(t.users, np.roll(t.shown, 1, axis=0), t.candidates, t.liked)
        codes = generator(self.seed, "codes").permutation(len(self.titles))
        numbered = [f"Film {n}" for n in codes]
        support, test = (self.ask([lists], numbered) for lists in (u.support, t))
        steps = self.config.tune.final_steps
        masked = adapted(self.scorer, start, support, steps=steps, lr=step_size)
        return {
            f"{TUNED}, another's history": self.scores(own, self.ask([strange])),
            f"{TUNED}, numbers for titles": self.scores(masked, test),
        }

    def cost(self, adapter: Adapter) -> dict[str, float]:
        """Return milliseconds for one list of one user, from titles to scores."""
        u = self.test[0]
        one = Lists(u.test.users[:1], u.test.shown[:1], u.test.candidates[:1], u.test.liked[:1])

        def model() -> None:
            read = self.ask([one])
            self.scores(adapter, read)

        def vectors() -> None:
            shelf, liked = self.vectors[u.scenario.items], np.isin(u.scenario.items, one.shown)
            self.vectors[one.candidates] @ ridge(shelf, liked * 1.0, 1.0, np.zeros(shelf.shape[1]))

        return {"language model": _median_ms(model), ROUTE: _median_ms(vectors)}


class _Clock:
    """Adds the seconds of a block to a dict."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self.seconds, self.name = seconds, name

    def __enter__(self) -> None:
        self.begun = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self.begun
        self.seconds[self.name] = self.seconds.get(self.name, 0.0) + spent


def _said(title: str) -> Callable[[int, int, str], None]:
    def progress(done: int, total: int, message: str) -> None:
        if done % 10 == 0 or done == total:
            print(f"{title}: {done}/{total} {message}", file=sys.stderr, flush=True)

    return progress


def _median_ms(work: Callable[[], None], times: int = 5) -> float:
    spent = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begun)
    return round(1e3 * float(np.median(spent)), 2)


def main() -> int:
    """Measure, and add the result."""
    return records.command(
        "A language model tuned to scenarios, against the embedding route.",
        TuningConfig,
        run,
        folder="",
        stem="tuning-ml-100k",
        out=RESULTS,
    )


if __name__ == "__main__":
    sys.exit(main())
