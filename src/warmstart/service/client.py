"""A client of the service, which asks again where that is safe.

Every call may be sent twice without doing its work twice: events carry ids of their own, and items
are put rather than added.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, cast
from urllib.parse import quote

from warmstart.core.errors import DataError, StoreError, UnknownItemError
from warmstart.core.http import Server, plain_address

_MOST_BYTES = 64 << 20


class Client:
    """Speaks to `warmstart serve`; safe to share between threads.

    Example:
        >>> client = Client("http://127.0.0.1:8000", api_key="ws_0123456789abcdef_secret")
        >>> client.base_url
        'http://127.0.0.1:8000'
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        api_key_env: str | None = None,
        timeout_seconds: float = 10.0,
        retries: int = 4,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        """Set up; nothing is sent yet.

        Args:
            base_url: of the service.
            api_key: as `warmstart keys create` printed it; None for a service without keys.
            api_key_env: environment variable that holds it, instead.
            timeout_seconds: for one answer.
            retries: how often a call is sent again after the service failed.
            sleep: waits so many seconds.
            now: seconds since the epoch.
            rng: spreads the pauses of several clients.

        Raises:
            ConfigError: the address is none.
        """
        self.base_url, self._now = plain_address(base_url), now
        self._server = Server(
            self.base_url,
            "v1",
            sleep=sleep,
            now=now,
            rng=rng or random.Random(),
            api_key=api_key,
            api_key_env=api_key_env,
            timeout_seconds=timeout_seconds,
            retries=retries,
        )

    def close(self) -> None:
        """Close the connections; `with Client(…) as client:` does it at the end."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def recommend(
        self,
        user: str | int | None = None,
        *,
        history: Iterable[Any] = (),
        k: int = 10,
        **more: Any,  # noqa: ANN401  (text, features, filters, boost, …)
    ) -> list[dict[str, Any]]:
        """Return the best items for somebody: `item`, `title`, `score` each.

        Args:
            user: whose stored events count.
            history: what they did, as ids, titles, or mappings with `item` and `event`.
            k: how many.
            more: everything else that `/v1/recommend` takes.

        Raises:
            UnknownItemError: an item is not in the catalogue; proposes the nearest ones.
            DataError: the service refuses the request, or cannot be reached.
            StoreError: the service's store fails.
        """
        body = {"history": list(history), "k": k} | more
        if user is not None:
            body["user"] = user
        return self._items(self._call("POST", "recommend", body))

    def similar(self, item: str | int, k: int = 10) -> list[dict[str, Any]]:
        """Return the items most like one."""
        return self._items(self._call("POST", "similar", {"item": item, "k": k}))

    def explain(
        self,
        items: Sequence[str | int],
        user: str | int | None = None,
        **more: Any,  # noqa: ANN401
    ) -> list[dict[str, Any]]:
        """Return why items are, or would be, on somebody's list."""
        body = {"items": list(items)} | more
        if user is not None:
            body["user"] = user
        return self._items(self._call("POST", "explain", body))

    def send(self, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Have events kept: they are on the disk when this returns.

        Args:
            events: each with `user` and `item`, and `event`, `value`, `timestamp`, `id` as far as
                they are known; ids that are lacking are made here, before the first try.

        Returns:
            how many were `accepted`, how many `duplicates`, and which deleted users are `refused`.
        """
        now = self._now()
        whole = [{"id": uuid.uuid4().hex, "timestamp": now} | dict(event) for event in events]
        return self._call("POST", "events", {"events": whole})

    def user(self, user: str | int) -> dict[str, Any]:
        """Return everything that is held about a user."""
        return self._call("GET", f"users/{quote(str(user), safe='')}")

    def delete_user(self, user: str | int) -> dict[str, Any]:
        """Delete a user for good."""
        return self._call("DELETE", f"users/{quote(str(user), safe='')}")

    def put_items(self, items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Add the items that are new, and change the others."""
        return self._call("PUT", "items", {"items": [dict(item) for item in items]})

    def remove_items(self, items: Iterable[str | int]) -> dict[str, Any]:
        """Take items out of every list."""
        return self._call("DELETE", "items", {"items": list(items)})

    def next_question(self, **said: Any) -> dict[str, Any] | None:  # noqa: ANN401
        """Return what to ask a new user next; `said` as `/v1/onboarding/next` takes it."""
        return cast(
            "dict[str, Any] | None", self._call("POST", "onboarding/next", said)["question"]
        )

    def ask(self, query: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the answer to a request in words: `items`, `conversation`, `question` and more.

        Args:
            query: in English or Chinese.
            more: `user`, `history`, `k`, `conversation`.
        """
        body = self._send("POST", "ask", {"query": query} | more)
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        answer: dict[str, Any] = {"items": []}
        reasons = {line["item"]: line["reason"] for line in lines if line["type"] == "reason"}
        for line in lines:
            kind = line.pop("type")
            if kind == "item":
                answer["items"].append(line | {"reason": reasons.get(line["item"], "")})
            elif kind != "reason":
                answer |= line
        return answer

    def _items(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", answer["items"])

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self._send(method, path, body)))

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        answer = self._server.send(method, body, path=f"/{path}", most_bytes=_MOST_BYTES)
        if 200 <= answer.status < 300:
            return answer.body
        try:
            told = json.loads(answer.body)["error"]
            code, message = str(told["code"]), self._server.shown(told["message"], 1_000)
        except (ValueError, KeyError, TypeError):
            code, message = "", self._server.shown(answer.body, 200)
        if code == "unknown_item":
            raise UnknownItemError(
                self._server.shown(told.get("query", ""), 1_000),
                told.get("proposals") or (),
                ambiguous=bool(told.get("ambiguous")),
            )
        kind = StoreError if code == "store" else DataError
        raise kind(f"{self.base_url} refused the request (HTTP {answer.status}): {message}")
