"""Whom a report judges: people that the model has not trained on, and nobody else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy.sparse as sp
from pydantic import Field, field_validator

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError
from warmstart.core.rng import generator
from warmstart.core.types import IntArray
from warmstart.data import Dataset, Split, SplitConfig, Tasks
from warmstart.data.dataset import order_keys
from warmstart.data.tasks import choose, histories_of, relevant_items
from warmstart.recommenders.filters import Mask
from warmstart.recommenders.fitted import Fitted

_FEWEST = 5


class ReportConfig(Config):
    """Settings of a report.

    Attributes:
        shots: numbers of likes after which people are judged; the largest is hidden from nobody,
            and what they like beyond it is the truth.
        seed: of the order of likes, of resamples, and of who is judged where there are too many.
        order: of a person's likes: a seeded random one, or time.
        by: user columns whose groups are compared; by default all that have groups.
        categories: item column whose mixture is compared; by default the first that lists several.
        baselines: methods to compare with besides popularity, where the table brings the model's
            training rows, too.
        tune: whether baselines get settings chosen on validation users.
        users_at_most: judged; more are drawn from.
        items_at_most: looked at by the check of texts.
    """

    shots: tuple[int, ...] = (0, 1, 3, 5, 10, 20)
    seed: int = Field(0, ge=0)
    order: Literal["random", "time"] = "random"
    by: tuple[str, ...] | None = None
    categories: str | None = None
    baselines: tuple[str, ...] = ("itemknn", "ease")
    tune: Literal["no", "once"] = "once"
    users_at_most: int = Field(2_000, ge=2)
    items_at_most: int = Field(600, ge=20)

    @field_validator("shots")
    @classmethod
    def _ascending(cls, shots: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(shots)) < 2 or min(shots) < 0:
            raise ValueError("give at least two different numbers of shots, from 0 on")
        return tuple(sorted(set(shots)))


@dataclass(frozen=True, slots=True)
class People:
    """Whom a report judges.

    Attributes:
        data: all that was read, under the catalogue's item indices.
        tasks: of the people who are judged.
        split: the training rows beside the tasks, where the table holds exactly what the model was
            trained on; else None.
        n_met: people of the table whom the model has trained on; none of them is judged.
        n_few: strangers who like too little to be judged.
        n_spared: strangers who could be judged and were not drawn.
        n_unknown: rows on items outside the catalogue, left out.
    """

    data: Dataset
    tasks: Tasks
    split: Split | None
    n_met: int
    n_few: int
    n_spared: int
    n_unknown: int


def judged_people(fitted: Fitted, data: Dataset, config: ReportConfig) -> People:
    """Return the people of a table whom the model has not met, as tasks.

    Args:
        fitted: the model.
        data: ratings of anybody; who was trained on is left out by the model's own record.
        config: of the report.

    Raises:
        ConfigError: the model keeps no record of its training users.
        DataError: all people of the table were trained on, or nobody likes enough.
    """
    if fitted.met is None:
        raise ConfigError(
            "the model does not tell whom it was trained on, so nobody can say that these people "
            "are new to it; train it again with this version"
        )
    aligned, n_unknown = _aligned(fitted, data)
    active = np.bincount(aligned.interactions.user, minlength=aligned.n_users) > 0
    met = active.copy()
    met[active] = fitted.met.holds(aligned.users.take(np.flatnonzero(active)))
    strangers = active & ~met
    if not strangers.any():
        raise DataError(
            f"the model was trained on all {int(met.sum()):,} people of {data.name}, and nobody is "
            "judged on what was learned from them; give ratings of other people with --data or "
            "--interactions (other people with the same ids need other ids), or hold some out "
            "before training, as `warmstart demo` does"
        )
    most = max(config.shots)
    tasks = _tasks(fitted, aligned, strangers, config)
    if not len(tasks):
        raise DataError(
            f"none of the {int(strangers.sum()):,} people new to the model likes more than {most} "
            "items that it can recommend; ask for fewer shots with --shots"
        )
    if len(tasks) < _FEWEST:
        raise DataError(
            f"only {len(tasks)} people can be judged, and means over fewer than {_FEWEST} would "
            "tell of persons; give ratings of more people, or ask for fewer shots with --shots"
        )
    n_able = len(tasks)
    if n_able > config.users_at_most:
        drawn = generator(config.seed, "judged").choice(n_able, config.users_at_most, replace=False)
        tasks = tasks.take(np.sort(drawn))
    return People(
        data=aligned,
        tasks=tasks,
        split=_training_rows(fitted, aligned, met, tasks, config),
        n_met=int(met.sum()),
        n_few=int(strangers.sum()) - n_able,
        n_spared=n_able - len(tasks),
        n_unknown=n_unknown,
    )


def _aligned(fitted: Fitted, data: Dataset) -> tuple[Dataset, int]:
    """Return the rows under the catalogue's indices and evidence rule, and how many fell out."""
    catalogue, rows = fitted.catalogue, data.interactions
    item = catalogue.items.find(data.items.values)[rows.item]
    known = item >= 0
    if not known.any():
        raise DataError(f"no item of {data.name} is in the model's catalogue; give its own data")
    rule = catalogue.schema.evidence
    value = rule.values(rows.rating, rows.event, n_rows=len(rows))
    translated = replace(rows, item=np.where(known, item, 0).astype(np.int32), value=value)
    aligned = Dataset(
        data.name,
        data.users,
        catalogue.items,
        translated.where(known),
        user_table=data.user_table,
        schema=data.schema,
        user_features=catalogue.user_features,
    )
    return aligned, int((~known).sum())


def _tasks(fitted: Fitted, data: Dataset, strangers: Mask, config: ReportConfig) -> Tasks:
    pairs, served = data.pairs, fitted.catalogue.served(None)
    likes = (pairs.value > 0) & strangers[pairs.user]
    most = max(config.shots)
    chosen = choose(
        pairs,
        order_keys(pairs, config.order, config.seed),
        likes,
        likes if served is None else likes & served[pairs.item],
        max_shots=most,
        min_support=most,
        min_query=1,
    )
    support = histories_of(pairs, chosen.support, chosen.users)
    return Tasks(
        support=replace(support, features=_features(data, fitted, chosen.users)),
        query=relevant_items(pairs, chosen.query, chosen.users, data.n_items),
        users=chosen.users,
        candidates=served,
        cold_users=np.flatnonzero(strangers),
    )


def _features(data: Dataset, fitted: Fitted, users: IntArray) -> sp.csr_array | None:
    """Return what is known of users as the model reads it; nothing known is all zeros."""
    space = fitted.catalogue.user_features
    if space is None:
        return None
    if data.user_matrix is not None:
        return data.user_matrix[users]
    return space.transform({"": [None] * len(users)})


def _training_rows(
    fitted: Fitted, data: Dataset, met: Mask, tasks: Tasks, config: ReportConfig
) -> Split | None:
    """Return the training rows if the table holds exactly them: the likes of every item agree."""
    rows = met[data.interactions.user]
    if not rows.any():
        return None
    train = data.restrict(rows)
    likes = np.bincount(train.positives().indices, minlength=train.n_items)
    if not np.array_equal(likes, fitted.catalogue.likes):
        return None
    settings = SplitConfig(seed=config.seed, max_shots=max(config.shots), order=config.order)
    return Split(train, tasks, settings, "")
