"""Text to vectors with any Sentence Transformers model, from a folder or from the Hugging Face hub.

Weights are read from safetensors only, and code that comes with a model is never run. A model in a
folder is loaded without the network. A long text is cut at the ends of sentences, and the vectors
of the pieces are averaged, so that nothing is cut off unseen where the model stops reading.

Reference: Reimers and Gurevych 2019, arXiv:1908.10084.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from safetensors import SafetensorError

from warmstart.core.config import Config
from warmstart.core.errors import ArtifactError, ConfigError, MissingExtraError
from warmstart.core.types import FloatArray
from warmstart.encoders.folders import DECIDING, check_weights, fingerprint, first_line, quiet
from warmstart.encoders.text import pooled, read_text

_EXTRA = "sentence-transformers"
_OLDEST = 6  # older ones run the code that lies in a model's folder
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_LONGEST = 1_000  # characters; a longer piece says less and costs more than two short ones


class SentenceTransformersConfig(Config):
    """Settings of a Sentence Transformers model.

    Attributes:
        model: a folder, or `owner/name` on the Hugging Face hub.
        revision: branch, tag or commit on the hub; by default its main branch.
        device: where it runs, such as `cpu` or `cuda`; by default a GPU where there is one.
        chunk_chars: a longer text is cut into pieces of at most so many characters; by default as
            many as the model surely reads, at most 1,000.
        most_chars: what comes after so many characters of one text is not read.
        batch_size: pieces that are encoded at once.
    """

    model: str = Field(min_length=1)
    revision: str | None = None
    device: str | None = None
    chunk_chars: int | None = Field(None, ge=20)
    most_chars: int = Field(20_000, ge=20)
    batch_size: int = Field(32, ge=1)


class SentenceTransformersEncoder:
    """Encode texts with a Sentence Transformers model.

    Example:
        >>> settings = {"model": "sentence-transformers/all-MiniLM-L6-v2"}
        >>> encoder = SentenceTransformersEncoder(SentenceTransformersConfig.parse(settings))
        >>> encoder.name, encoder.read(" Alien ")
        ('sentence-transformers/all-MiniLM-L6-v2', b'Alien')
    """

    config_type: ClassVar[type[Config]] = SentenceTransformersConfig

    def __init__(self, config: Config | None = None) -> None:
        """Set up an encoder; the model is loaded when it is first needed.

        Raises:
            ConfigError: no settings are given: there is no default model.
        """
        self.config: Any = config or SentenceTransformersConfig.parse({})

    @property
    def name(self) -> str:
        """The name on the hub, or that of the folder."""
        folder = Path(self.config.model)
        return folder.resolve().name if folder.is_dir() else str(self.config.model)

    @cached_property
    def version(self) -> str:
        """A hash of a folder's weights and settings or the hub's commit; and how texts are cut.

        Raises:
            ConfigError: there is no such model.
            MissingExtraError: the library is not installed.
        """
        from_disk = Path(self.config.model).is_dir()
        found = fingerprint(self._folder) if from_disk else self._folder.name
        return f"{found} chunk={self.config.chunk_chars} most={self.config.most_chars}"

    @cached_property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(np.shape(self._model.encode(["width"], show_progress_bar=False))[1])

    def read(self, content: Any) -> bytes | None:  # noqa: ANN401  (what a cell may hold)
        """Return a text as UTF-8, or None where there is none.

        Raises:
            DataError: it is no text.
        """
        return read_text(content)

    def vectors(self, contents: Sequence[bytes]) -> tuple[FloatArray, dict[int, str]]:
        """Return (contents, dim) vectors of length 1.

        Raises:
            ConfigError: there is no such model.
            ArtifactError: the model is damaged, or would have to run code or a pickle.
            MissingExtraError: the library is not installed.
        """
        model, size = self._model, self.config.batch_size
        # a token per character at worst, and two that mark beginning and end
        reads = (getattr(model, "max_seq_length", None) or _LONGEST) - 2
        return pooled(
            lambda texts: np.asarray(
                model.encode(texts, batch_size=size, show_progress_bar=False), np.float32
            ),
            contents,
            dim=self.dim,
            chunk_chars=self.config.chunk_chars or max(20, min(reads, _LONGEST)),
            most_chars=self.config.most_chars,
            batch_size=size,
        )

    @cached_property
    def _folder(self) -> Path:
        """Where the model lies; one from the hub is fetched, without pickles and code."""
        model, revision = self.config.model, self.config.revision
        if Path(model).is_dir():
            return Path(model).resolve()
        if not _HUB_NAME.fullmatch(model):
            raise ConfigError(
                f"model={model!r} is neither a folder nor a name on the hub (owner/name); give one"
            )
        try:
            from huggingface_hub import snapshot_download
        except ImportError:
            raise MissingExtraError("huggingface-hub", extra=_EXTRA) from None
        try:
            return Path(snapshot_download(model, revision=revision, allow_patterns=list(DECIDING)))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"model={model!r} (revision {revision or 'main'}) cannot be fetched from the hub "
                f"({first_line(error)}); check the name and the network, or give a folder"
            ) from None

    @cached_property
    def _model(self) -> Any:  # noqa: ANN401  (the library is optional)
        try:
            import torch
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtraError("sentence-transformers", extra=_EXTRA) from None
        if int(version("sentence-transformers").split(".")[0]) < _OLDEST:
            raise MissingExtraError(f"sentence-transformers>={_OLDEST}", extra=_EXTRA)
        check_weights(self._folder)
        try:
            with torch.random.fork_rng(devices=[]), quiet():  # the caller's stream stays put
                return SentenceTransformer(
                    str(self._folder),
                    device=self.config.device,
                    trust_remote_code=False,
                    local_files_only=True,
                    model_kwargs={"use_safetensors": True},
                )
        except (
            OSError,
            ValueError,
            RuntimeError,
            LookupError,
            TypeError,
            SafetensorError,
        ) as error:
            raise ArtifactError(
                f"the model {self._folder} cannot be loaded ({first_line(error)}); fetch it again "
                "or choose another"
            ) from None
