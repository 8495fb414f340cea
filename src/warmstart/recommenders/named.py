"""Which method, and which learner, a name stands for."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from warmstart.core import registry
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError


def learners() -> list[str]:
    """Return the names that `Recommender(learner=…)` knows: the default, then its relatives."""
    known = registry.names("learners")
    return ["default", *(n for n in registry.names("methods") if n in known)]


def with_learner(
    method: Any,  # noqa: ANN401  (a name, or a Method)
    learner: str,
    config: Any = None,  # noqa: ANN401  (a Config, or plain values)
) -> tuple[str, Any]:
    """Return the method and the settings that a learner by name stands for.

    Raises:
        ConfigError: no such learner, or a method that takes none.
    """
    if method == "pair":
        values = config.model_dump() if isinstance(config, Config) else dict(config or {})
        return "pair", values | {"learner": learner}
    if method not in ("default", learner):
        raise ConfigError(f"method {method!r} takes no learner; leave one of them out")
    if learner not in learners():
        raise ConfigError(f"no learner is called {learner!r}; there are: {', '.join(learners())}")
    return learner, config


def registered_name(method: Any) -> str:  # noqa: ANN401  (a Method)
    """Return the name that a method is registered by, else where its class is defined."""
    kind = type(method)
    home = f"{kind.__module__}:{kind.__qualname__}"
    known = {e.value: e.name for e in entry_points(group="warmstart.methods")}
    return known.get(home, home)
