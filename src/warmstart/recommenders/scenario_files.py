"""A tuning on disk: adapters as peft writes them, and one JSON file that says what they are.

    start/              the adapter from which every scenario's own was adapted
    scenarios/000/ …    one adapter a scenario
    tuning.json         settings, seed, scenarios and their folders, losses

Nothing in it can run: safetensors and JSON. What does not fit the settings is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from warmstart.core.errors import ArtifactError, ConfigError
from warmstart.llm.lora import Adapter, ListScorer
from warmstart.llm.torch_weights import Weights, load_weights
from warmstart.recommenders.scenario_tuning import TuneConfig, Tuned

START, SCENARIOS, TUNING = "start", "scenarios", "tuning.json"


def save_tuned(
    tuned: Tuned, scorer: ListScorer, config: TuneConfig, folder: str | Path, *, seed: int
) -> Path:
    """Write the start and all adapters as peft does, and `tuning.json` beside them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    scorer.save_adapter(tuned.start, folder / START)
    names = {}
    for place, (name, adapter) in enumerate(tuned.adapters.items()):
        names[name] = f"{SCENARIOS}/{place:03d}"
        scorer.save_adapter(adapter, folder / names[name])
    about = {
        "config": config.model_dump(mode="json"),
        "seed": seed,
        "scenarios": names,
        "report": tuned.report,
        "losses": tuned.losses,
    }
    text = json.dumps(about, ensure_ascii=False, indent=1) + "\n"
    (folder / TUNING).write_text(text, "utf8")
    return folder


def load_tuned(
    folder: str | Path, *, model: str | None = None
) -> tuple[Mapping[str, Adapter], ListScorer, Weights]:
    """Return the adapters of a folder by scenario, with the start under "", and what uses them.

    Args:
        folder: written by `save_tuned`.
        model: where its base is now; None for where it was.

    Raises:
        ArtifactError: the folder is damaged.
        ConfigError: the base is not here.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / TUNING).read_text("utf8"))
        config = TuneConfig.parse(about["config"])
        names = {str(k): str(v) for k, v in about["scenarios"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise ArtifactError(f"{folder / TUNING} cannot be read: {error}; tune again") from None
    if bad := [v for k, v in names.items() if v != f"{SCENARIOS}/{list(names).index(k):03d}"]:
        raise ArtifactError(f"{folder / TUNING} names {bad[0]!r}; tune again")
    weights = load_weights(model or config.model, dtype=config.dtype)
    scorer = ListScorer(weights, config.adapter)
    found = {"": scorer.load_adapter(folder / START)}
    found |= {name: scorer.load_adapter(folder / place) for name, place in names.items()}
    return found, scorer, weights
