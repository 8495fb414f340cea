"""Checkpoints of meta-training: safetensors and JSON, whole or not there at all."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmstart.core.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from warmstart.meta.outer import TrainingState

_ABOUT = "training.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with one training's state, one file a part that is trained."""

    folder: Path

    def store(self, name: str, state: TrainingState) -> None:
        """Keep `state`; an earlier one of that name is replaced only when this one is whole."""
        import torch
        from safetensors.torch import save_file

        tensors = {f"weights.{n}": t.contiguous() for n, t in state.weights.items()}
        if state.best is not None:
            tensors |= {f"best.{n}": t.contiguous().clone() for n, t in state.best.items()}
        for index, slots in state.optimiser["state"].items():
            tensors |= {f"optimiser.{index}.{n}": torch.as_tensor(t) for n, t in slots.items()}
        tensors["torch_rng"] = state.torch_rng
        about = {"step": state.step, "best_quality": state.best_quality, "rng": state.rng}
        part = self.folder / f"{name}.part"
        save_file(tensors, part, metadata={"about": json.dumps(about)})
        os.replace(part, self.folder / f"{name}.safetensors")

    def stored(self, name: str) -> TrainingState | None:
        """Return the state kept under `name`, or None.

        Raises:
            ArtifactError: the file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        from warmstart.meta.outer import TrainingState

        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads(file.metadata()["about"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"the checkpoint {path} is damaged ({error}); delete it and train again"
            ) from None
        slots: dict[int, dict[str, Any]] = {}
        for key, tensor in tensors.items():
            if key.startswith("optimiser."):
                _, index, slot = key.split(".", 2)
                slots.setdefault(int(index), {})[slot] = tensor
        best = {k[5:]: t for k, t in tensors.items() if k.startswith("best.")}
        return TrainingState(
            about["step"],
            {k[8:]: t for k, t in tensors.items() if k.startswith("weights.")},
            {"state": slots},
            best or None,
            about["best_quality"],
            about["rng"],
            tensors["torch_rng"],
        )


def open_checkpoint(
    folder: Path, fingerprint: str, config: dict[str, Any], seed: int
) -> Checkpoint:
    """Return the checkpoint in `folder`, made new if there is none.

    Raises:
        ConfigError: the folder holds a training of other data, settings or seed.
    """
    settings = json.dumps(config, sort_keys=True, default=str)
    about = {
        "data": fingerprint,
        "settings": hashlib.sha256(settings.encode()).hexdigest(),
        "seed": seed,
    }
    path = folder / _ABOUT
    if path.exists():
        try:
            found = json.loads(path.read_text("utf8"))
        except ValueError:
            found = {}
        differs = [key for key, value in about.items() if found.get(key) != value]
        if differs:
            raise ConfigError(
                f"the checkpoint {folder} belongs to another training (its {', '.join(differs)} "
                "differ); resume with the same data and settings, or delete it"
            )
    else:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(about), "utf8")
    return Checkpoint(folder)


def can_resume(method: Any) -> bool:  # noqa: ANN401  (a Method)
    """Whether the method keeps checkpoints while it is fitted."""
    return "checkpoint" in inspect.signature(method.fit).parameters
