"""Settings: frozen, and an unknown key is an error that names the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from warmstart.core.errors import ConfigError


class Config(BaseModel):
    """Base of every settings class; the same class serves Python, a file, the CLI and HTTP.

    Nested settings may be given in part: what is left out keeps the outer class's default.

    Example:
        >>> class Ridge(Config):
        ...     reg: float = 1.0
        >>> Ridge.parse({"reg": 2}).reg
        2.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:  # noqa: ANN401  (whatever is to be validated)
        if not isinstance(values, Mapping):
            return values
        filled = dict(values)
        for name, field in cls.model_fields.items():
            given = filled.get(name)
            if isinstance(field.default, Config) and isinstance(given, Mapping):
                filled[name] = _merged(field.default.model_dump(), given)
        return filled

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Self:
        """Build the settings from plain values.

        Raises:
            ConfigError: a key is unknown or a value is out of range; every fault is listed.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or cls.__name__}: {e['msg']} (got {e['input']!r})"
                for e in error.errors()
            )
            known = ", ".join(cls._names())
            raise ConfigError(
                f"{cls.__name__}: {faults}; the settings it knows are: {known or 'none'}"
            ) from None

    @classmethod
    def _names(cls) -> list[str]:
        """Return the names of all settings, those of nested settings as `outer.inner`."""
        names: list[str] = []
        for name, field in cls.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, Config):
                names += [f"{name}.{inner}" for inner in kind._names()]
            else:
                names.append(name)
        return names


def _merged(default: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(default)
    for name, value in given.items():
        inner = out.get(name)
        both = isinstance(value, Mapping) and isinstance(inner, dict)
        out[name] = _merged(dict(inner or {}), value) if both else value
    return out
