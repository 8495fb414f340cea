"""What the service does, without HTTP: the store, the models, the threads."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from warmstart.core.errors import WarmstartError
from warmstart.llm.model import LanguageModel
from warmstart.recommenders.asking.engine import Answer
from warmstart.recommenders.lists import Recommendation
from warmstart.recommenders.llm_recommender import LLMRecommender
from warmstart.service import people
from warmstart.service.batching import Batches
from warmstart.service.catalogues import Catalogue, Reading, Rows, Serving
from warmstart.service.explaining import Reason, explained
from warmstart.service.lately import Window
from warmstart.service.logs import failed
from warmstart.service.metrics import Metrics
from warmstart.service.problems import Problem
from warmstart.service.schemas import Ask, Explain, NewEvents, Onboarding, Recommend
from warmstart.service.settings import ServiceConfig
from warmstart.service.shelf import Shelf
from warmstart.service.talks import Talk, Talks
from warmstart.store import Event, Receipt, Store

T = TypeVar("T")
Line = dict[str, Any]

_STORE_THREADS = 32  # they wait for the disk


class Service:
    """Answers what the routes ask.

    Attributes:
        config: how it runs.
        store: of events, changes and keys.
        shelf: the models.
        metrics: its counters.
        lately: its last lists.
    """

    def __init__(
        self,
        model: Path,
        store: Store,
        config: ServiceConfig | None = None,
        *,
        language_model: LanguageModel | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Load the model; threads start with the first request.

        Args:
            model: a saved model.
            store: closed by `close`.
            config: how to run.
            language_model: reads requests in words, too.
            now: seconds since the epoch.

        Raises:
            ArtifactError: the model is damaged.
        """
        self.config, self.store, self.now = config or ServiceConfig(), store, now
        reading = Reading(self.config.content_root, self.config.trust_encoders)
        self.shelf = Shelf(
            model,
            store,
            reading,
            models=self.config.models,
            approximate=self.config.approximate,
        )
        self.metrics, self.lately = Metrics(), Window()
        self.metrics.served(self.shelf.current.version)
        self.ready = True
        self._language_model = language_model
        self._computing = ThreadPoolExecutor(self.config.threads, "warmstart-compute")
        self._storing = ThreadPoolExecutor(_STORE_THREADS, "warmstart-io")
        self._batches = Batches(self._computing, self.config.threads, self.metrics.batch.observe)
        self._talks = Talks()
        self._making = threading.Lock()
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._look, name="warmstart-look", daemon=True)
        self._watch.start()
        self._compiling: threading.Thread | None = None

    def close(self) -> None:
        """Finish what is running, and close the store."""
        self.ready = False
        self._stop.set()
        self._watch.join()
        if self._compiling is not None:
            self._compiling.join()
        self._computing.shutdown()
        self._storing.shutdown()
        self.store.close()

    async def compute(self, work: Callable[..., T], *given: Any) -> T:  # noqa: ANN401
        """Do work in a thread of those that compute."""
        return await asyncio.get_running_loop().run_in_executor(self._computing, work, *given)

    async def io(self, work: Callable[..., T], *given: Any) -> T:  # noqa: ANN401
        """Do work in a thread of those that wait for the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._storing, work, *given)

    # Lists

    async def recommend(self, tenant: str, wanted: Recommend) -> tuple[list[Line], str]:
        """Return the lines of a list, and the version of the model that made it."""
        begun = time.perf_counter()
        found, version = await self._recommend(tenant, wanted)
        self.lately.took(time.perf_counter() - begun)
        listed = tuple([line["item"] for line in found])
        self.lately.listed(tenant, listed, wanted.features)
        return found, version

    async def _recommend(self, tenant: str, wanted: Recommend) -> tuple[list[Line], str]:
        stored = await self._stored(tenant, wanted.user)
        serving, catalogue = await self.serving(tenant)
        fitted = catalogue.recommender.fitted
        rules = {"boost": wanted.boost, "pin": wanted.pin, "quota": wanted.quota}
        special = wanted.filters is not None or wanted.text is not None or wanted.exclude
        if special or wanted.explain or wanted.explore or wanted.diversity or any(rules.values()):
            found = await self.compute(_by_the_public_face, catalogue, stored, wanted)
            return lines(found, wanted.explain, wanted.explore > 0), serving.version
        if people.are_ids(fitted.catalogue, wanted):
            history = people.as_history(fitted.catalogue, stored, wanted)
        else:  # titles, which are looked for among all of them
            history = await self.compute(people.as_history, fitted.catalogue, stored, wanted)
        items, scores = await self._batches.rank(fitted, history, wanted.k)
        ids, title = fitted.catalogue.items, fitted.catalogue.titles.title
        return [
            {"item": ids[at], "title": title(at), "score": score}
            for at, score in zip(items.tolist(), scores.tolist(), strict=True)
            if at >= 0
        ], serving.version

    async def similar(self, tenant: str, item: str | int, k: int) -> tuple[list[Any], str]:
        """Return the items most like one."""
        serving, catalogue = await self.serving(tenant)
        return await self.compute(catalogue.recommender.similar_items, item, k), serving.version

    async def explain(self, tenant: str, wanted: Explain) -> tuple[list[Reason], str]:
        """Return why items are on a list."""
        stored = await self._stored(tenant, wanted.user)
        serving, catalogue = await self.serving(tenant)

        def work() -> list[Reason]:
            fitted = catalogue.recommender.fitted
            history = people.as_history(fitted.catalogue, stored, wanted)
            return explained(fitted, history, wanted.items)

        return await self.compute(work), serving.version

    async def next_question(self, tenant: str, said: Onboarding) -> tuple[Any, str]:
        """Return the next question to a new user."""
        serving, catalogue = await self.serving(tenant)

        def work() -> Any:  # noqa: ANN401
            return catalogue.recommender.next_question(
                people.given(catalogue.recommender.catalogue, said.history),
                dislikes=said.dislikes,
                not_seen=said.not_seen,
                skipped=said.skipped,
                filter=people.condition(said.filters),
            )

        return await self.compute(work), serving.version

    async def ask(self, tenant: str, wanted: Ask) -> tuple[Answer, str, str]:
        """Return an answer, the version of the model, and what the conversation is called."""
        serving, catalogue = await self.serving(tenant)
        user, state, had = wanted.user, None, False
        if wanted.conversation is not None:
            talk = self._talks.open(tenant, wanted.conversation, serving.version)
            user, state, had = wanted.user or talk.user, talk.state, talk.user is not None
        stored = await self._stored(tenant, user)
        if had and not stored:  # deleted by way of another process
            self._talks.drop(tenant, user or "")
            raise Problem(404, "this conversation is over; ask without its name")

        def work() -> Answer:
            entries = people.history(catalogue.recommender.catalogue, stored, wanted)
            return self._asked(catalogue).ask(
                wanted.query,
                history=entries,
                dislikes=wanted.dislikes,
                user=wanted.features,
                k=wanted.k,
                state=state,
                deadline_seconds=self.config.deadline_seconds,
            )

        answer = await self.compute(work)
        if stored and not await self._stored(tenant, user):  # deleted while we answered
            return answer, serving.version, ""
        user = user if stored else None
        talk = Talk(serving.version, user, answer.state)
        return answer, serving.version, self._talks.keep(tenant, wanted.conversation, talk)

    # Users

    async def append(self, tenant: str, given: NewEvents) -> Receipt:
        """Keep events; they are on the disk when this returns."""
        rule = self.shelf.current.model.catalogue.schema.evidence
        events = people.checked(given.events, rule, self.now())
        receipt = await self.io(self.store.append, tenant, events)
        self.metrics.events.labels("accepted").inc(receipt.accepted)
        self.metrics.events.labels("duplicates").inc(receipt.duplicates)
        return receipt

    async def events(self, tenant: str, user: str) -> list[Event]:
        """Return everything that is held about a user."""
        return await self.io(self.store.events, tenant, user)

    async def forget(self, tenant: str, user: str) -> int:
        """Delete a user everywhere; return how many events there were."""
        count = await self.io(lambda: self.store.delete_user(tenant, user, now=self.now()))
        self._talks.drop(tenant, user)
        return count

    # Items and models

    async def change(self, tenant: str, kind: str, rows: Rows) -> tuple[int, str]:
        """Change items; they are served when this returns."""
        work = self.shelf.change
        count, version = await self.io(lambda: work(tenant, kind, rows, now=self.now()))
        self.metrics.items.labels(kind).inc(count)
        return count, version

    async def exchange(self, name: str) -> str:
        """Let another model serve."""
        return self._served(await self.io(self.shelf.exchange, name))

    async def roll_back(self) -> str:
        """Let the model before serve."""
        return self._served(await self.io(self.shelf.roll_back))

    async def reload(self) -> None:
        """Let the newest model serve, or the same anew; a failure is logged and changes nothing."""
        try:
            newest = self.config.models is not None
            self._served(await self.io(lambda: self.shelf.reload(newest=newest)))
        except WarmstartError as error:
            failed("reload_failed", error)

    def _served(self, version: str) -> str:
        self.metrics.served(version)
        self.settle()
        return version

    def settle(self) -> None:
        """Tell the garbage collector what stays, and compile the loops beside the requests."""
        settle()
        self.metrics.compiled.set(0)

        def work() -> None:
            try:
                compiled = self.shelf.compile()
                gc.collect()  # of what compiling left behind; what stayed before is not looked at
                gc.freeze()
                self.metrics.compiled.set(compiled)
            except Exception as error:  # the model serves as it is
                failed("compile_failed", error)

        self._compiling = threading.Thread(target=work, name="warmstart-compile", daemon=True)
        self._compiling.start()

    async def serving(self, tenant: str) -> tuple[Serving, Catalogue]:
        """Return the model and the catalogue that one answer is of."""
        serving = self.shelf.current
        if serving.is_ready(tenant):
            return serving, serving.catalogue(tenant)
        return serving, await self.io(serving.catalogue, tenant)

    async def _stored(self, tenant: str, user: str | None) -> list[Event]:
        return [] if user is None else await self.io(self.store.events, tenant, user)

    def _asked(self, catalogue: Catalogue) -> LLMRecommender:
        asked = catalogue.asked
        if asked is None or asked.recommender is not catalogue.recommender:
            with self._making:
                asked = catalogue.asked
                if asked is None or asked.recommender is not catalogue.recommender:
                    asked = LLMRecommender(
                        recommender=catalogue.recommender,
                        model=self._language_model,
                        trust_encoders=self.config.trust_encoders,
                    )
                    catalogue.asked = asked
        return asked

    def _look(self) -> None:
        """Look for changes of items by other processes, until the service closes."""
        while not self._stop.wait(self.config.poll_seconds):
            try:
                self.shelf.look()
            except Exception as error:  # the store may be out of reach for a while
                failed("look_failed", error)


def settle() -> None:
    """Tell the garbage collector that what is loaded now stays: it looks at it no more.

    To look at every id and title of a large catalogue takes a tenth of a second, and nobody is
    answered meanwhile. What an older model leaves behind is looked at once, here.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def lines(listed: Iterable[Recommendation], explain: bool, explored: bool) -> list[Line]:
    """Return a list as the answers hold it."""
    found = []
    for one in listed:
        line: Line = {"item": one.item, "title": one.title, "score": one.score}
        if explain:
            line["reason"] = one.reason
        if explored:
            line |= {"propensity": float(one.propensity), "explored": bool(one.explored)}
        found.append(line)
    return found


def _by_the_public_face(
    catalogue: Catalogue, stored: list[Event], wanted: Recommend
) -> list[Recommendation]:
    model = catalogue.recommender.copy()  # one `fitted` from the history to the last line
    rules = {
        "boost": wanted.boost, "pin": wanted.pin, "quota": wanted.quota,
        "diversity": wanted.diversity,
    }  # fmt: skip
    ruled = any(rules.values())
    return model.recommend(
        people.history(model.catalogue, stored, wanted),
        text=wanted.text,
        user=wanted.features,
        dislikes=wanted.dislikes,
        k=wanted.k,
        exclude=wanted.exclude,
        filter=people.condition(wanted.filters),
        explain=wanted.explain,
        explore=wanted.explore,
        rng=np.random.default_rng() if wanted.explore else None,
        rules=rules if ruled else None,
    )
