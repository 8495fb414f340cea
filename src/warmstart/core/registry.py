"""The plug-in door: named parts come in through entry points, the built-in ones too."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from warmstart.core.errors import ConfigError


def names(group: str) -> list[str]:
    """Return the names registered under `warmstart.<group>`, sorted."""
    return sorted({e.name for e in _entries(group)})


def lookup(group: str, name: str) -> Any:  # noqa: ANN401  (whatever the plug-in registered)
    """Import and return what is registered as `name` under `warmstart.<group>`.

    Raises:
        ConfigError: no such name; the message lists the names there are.
        MissingExtraError: the part needs an optional dependency that is not installed.
    """
    for entry in _entries(group):
        if entry.name == name:
            return entry.load()
    raise ConfigError(f"no {group[:-1]} is called {name!r}; there are: {', '.join(names(group))}")


def _entries(group: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=f"warmstart.{group}"))
