"""A saved ad recommender: a folder of plain data that is checked before it is believed.

    model.safetensors   the arrays of both click models, of the ads' columns and of the delays
    coding.json         ids of users and ads, values of columns
    manifest.json       format, settings, seed, data, versions, sizes and hashes
    README.md           for people; it is never read back

The checks are those of `warmstart.core.sealed`; no pickle, and nothing that could run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors.numpy as st
from pydantic import Field

import warmstart
from warmstart.ads.click_model import ClickModel
from warmstart.ads.coding import Coding
from warmstart.ads.conversions import DelayCurve
from warmstart.ads.recommender import AdConfig, AdRecommender
from warmstart.core import sealed
from warmstart.core.config import Config
from warmstart.core.errors import ArtifactError, WarmstartError
from warmstart.core.sealed import CARD, MANIFEST, MODEL, File, Tensor
from warmstart.core.types import State

FORMAT = 1
CODING = "coding.json"
_FILES = frozenset({MANIFEST, MODEL, CODING, CARD})
_PARTS = ("click", "conversion")

R = TypeVar("R", bound=AdRecommender)


class Manifest(Config):
    """Everything that is neither an array nor a vocabulary; see `recommenders.artifact`.

    Attributes:
        kind: tells this folder from that of a recommender of items.
        states: of "click" and "conversion", the plain values of their `State`, if there is one.
    """

    format: int
    kind: str = Field(pattern="^ads$")
    created_by: str
    created: str | None = None
    config: dict[str, Any]
    states: dict[str, dict[str, Any]]
    seed: int
    data: dict[str, Any]
    versions: dict[str, str]
    tensors: dict[str, Tensor]
    files: dict[str, File]
    checksum: str


def save(model: AdRecommender, path: str | Path, *, created: str | None = None) -> Path:
    """Write a fitted recommender; see `AdRecommender.save`."""
    states: dict[str, Any] = {}
    arrays: dict[str, Any] = {f"ads/{name}": codes for name, codes in model.ad_fields.items()}
    if model.delays is not None:
        arrays["delays/age_seconds"] = model.delays.age_seconds
        arrays["delays/share"] = model.delays.share
    for part in _PARTS:
        inner: ClickModel | None = getattr(model, part)
        if inner is not None:
            state = inner.state()
            states[part] = state.meta
            arrays |= {f"{part}/{name}": array for name, array in state.arrays.items()}
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    sealed.check_arrays(arrays)
    blobs = {MODEL: st.save(arrays), CODING: model.coding.to_json().encode()}
    values = sealed.sealed(
        {
            "format": FORMAT,
            "kind": "ads",
            "created_by": f"warmstart {warmstart.__version__}",
            "created": created,
            "config": model.config.model_dump(mode="json"),
            "states": states,
            "seed": model.seed,
            "data": model.origin,
            "versions": sealed.versions(),
            "tensors": sealed.declared(arrays),
            "files": sealed.hashed(blobs),
        },
        what="the ad recommender",
    )
    blobs[MANIFEST] = json.dumps(values, ensure_ascii=False, indent=1).encode()
    blobs[CARD] = _card(values).encode()
    return sealed.write(Path(path), blobs)


def load(path: str | Path, kind: type[R]) -> R:
    """Read a saved recommender; see `AdRecommender.load`."""
    folder = Path(path)
    sealed.check_folder(folder, _FILES)
    values = sealed.read_manifest(folder, newest=FORMAT, ours=warmstart.__version__)
    try:
        manifest = Manifest.parse(values)
    except WarmstartError as error:
        raise ArtifactError(
            f"{folder / MANIFEST} is malformed: {str(error)[:300]}; get the model again"
        ) from None
    blobs = sealed.read_files(folder, manifest.files, expected={MODEL, CODING})
    arrays = sealed.read_arrays(blobs[MODEL], manifest.tensors, folder)
    try:
        model = kind(AdConfig.parse(manifest.config), seed=manifest.seed)
        model.coding = Coding.from_json(blobs[CODING].decode("utf8"))
        model.origin = manifest.data
        model.ad_fields = _ad_fields(arrays, model.coding)
        if "delays/share" in arrays:
            model.delays = DelayCurve(arrays["delays/age_seconds"], arrays["delays/share"])
        for part in _PARTS:
            if part in manifest.states:
                own = {
                    n.removeprefix(part + "/"): a
                    for n, a in arrays.items()
                    if n.startswith(part + "/")
                }
                state = State(own, manifest.states[part])
                setattr(model, part, ClickModel.from_state(state, model.coding))
        _try(model)
    except WarmstartError as error:
        raise ArtifactError(f"{folder} does not fit together: {error}; train it again") from None
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise ArtifactError(
            f"{folder} does not fit together ({type(error).__name__}: {error}); train it again"
        ) from None
    return model


def _ad_fields(arrays: dict[str, Any], coding: Coding) -> dict[str, Any]:
    found = {}
    for name, size in coding.fields_of("ad").items():
        codes = arrays[f"ads/{name}"]
        if codes.shape != (len(coding.ads),) or codes.dtype.kind != "i":
            raise ValueError(f"column {name!r} of the ads has the shape {codes.shape}")
        if len(codes) and not -1 <= int(codes.min()) <= int(codes.max()) < size:
            raise ValueError(f"column {name!r} of the ads has values that it cannot have")
        found[name] = codes
    return found


def _try(model: AdRecommender) -> None:
    """Score every ad once for a stranger, so that what cannot work fails here."""
    if not len(model.coding.ads):
        raise ValueError("it knows no ads")
    scores = model.score(model._occasion(None, np.arange(len(model.coding.ads)), {}, {}))
    both = scores.click if scores.conversion is None else scores.click_and_conversion
    if both is None or both.shape != (len(model.coding.ads),) or not np.isfinite(both).all():
        raise ValueError("its probabilities are not finite")


def _card(values: dict[str, Any]) -> str:
    data = values["data"]
    lines = [
        "# A model of advertisements, made by warmstart",
        "",
        f"Trained on {data['rows']:,} impressions of {data['ads']:,} ads: "
        f"{data['clicks']:,} clicks"
        + ("." if data["conversions"] is None else f", {data['conversions']:,} conversions."),
        "",
        f"Written by {values['created_by']}, seed {values['seed']}. Read it with",
        "`warmstart.AdRecommender.load`; nothing in this folder can run.",
        "",
    ]
    return "\n".join(lines)
