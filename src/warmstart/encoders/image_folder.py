"""Pictures to vectors with any image model in a folder: CLIP, SigLIP, ViT, DINO, ConvNeXt, timm.

The folder is in Hugging Face's format and is opened by `transformers` (timm's checkpoints need
`timm` beside it). Nothing is downloaded, weights are read from safetensors only, and code that
comes with a model is never run. A picture is resized, cropped and normalised as the folder's
`preprocessor_config.json` says, by Pillow and NumPy. The vector is the model's image features if it
has such, else its pooled output, else the mean over positions.

Reference: Radford et al. 2021, arXiv:2103.00020 (CLIP).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import ArtifactError, DataError, MissingExtraError
from warmstart.core.types import FloatArray
from warmstart.encoders.files import read_file
from warmstart.encoders.folders import check_weights, fingerprint, first_line, quiet
from warmstart.encoders.image import ImageConfig, opened

if TYPE_CHECKING:
    from PIL import Image as Pillow

_EXTRA = "image-folder"
_HALF = (0.5, 0.5, 0.5)
_LONGEST = 50  # times the short side: a longer picture would grow beyond all memory


class ImageFolderConfig(ImageConfig):
    """Settings of an image model in a folder; limits on pictures as of the default encoder.

    Attributes:
        model: the folder.
        device: where it runs, such as `cpu` or `cuda`.
    """

    model: str = Field(min_length=1)
    device: str = "cpu"


class ImageFolderEncoder:
    """Encode pictures with an image model in a folder, opened by `transformers`."""

    config_type: ClassVar[type[Config]] = ImageFolderConfig

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or ImageFolderConfig.parse({})
        self._pools = True

    @property
    def name(self) -> str:
        """What the model is called."""
        return Path(self.config.model).name

    @cached_property
    def version(self) -> str:
        """A hash of weights and settings in the folder."""
        return fingerprint(self._folder)

    @cached_property
    def dim(self) -> int:
        """Width of the vectors, found with a white picture."""
        side = self._plan.size
        return int(self._encoded([np.zeros((3, *side), np.float32)]).shape[1])

    def read(self, content: Any) -> bytes | None:  # noqa: ANN401  (what a cell may hold)
        """Return the bytes of a picture given as a path or as bytes, or None where it is missing.

        Raises:
            DataError: there is no such file, it is empty, too large, or outside `root`.
        """
        return read_file(content, self.config.root, most_bytes=self.config.most_bytes)

    def vectors(self, contents: Sequence[bytes]) -> tuple[FloatArray, dict[int, str]]:
        """Return (contents, dim) vectors of length 1, and why some have none.

        Raises:
            ArtifactError: the folder holds no model that can be opened.
            MissingExtraError: torch, Pillow or transformers is not installed.
        """
        out = np.zeros((len(contents), self.dim), np.float32)
        causes: dict[int, str] = {}
        for start in range(0, len(contents), self.config.batch_size):
            prepared: dict[int, FloatArray] = {}
            for place in range(start, min(start + self.config.batch_size, len(contents))):
                try:
                    picture = opened(
                        contents[place],
                        most_pixels=self.config.most_pixels,
                        side=max(self._plan.size),
                    )
                    prepared[place] = self._plan.applied(picture)
                except DataError as error:
                    causes[place] = str(error)
            if prepared:
                out[list(prepared)] = self._encoded(list(prepared.values()))
        return out, causes

    @cached_property
    def _folder(self) -> Path:
        folder = Path(self.config.model)
        if not (folder / "config.json").is_file():
            raise ArtifactError(
                f"{folder} is no folder with a config.json; give the folder of a downloaded model"
            )
        check_weights(folder)
        return folder

    @cached_property
    def _plan(self) -> _Plan:
        return _Plan.read(self._folder)

    @cached_property
    def _model(self) -> Any:  # noqa: ANN401  (the library is optional)
        try:
            import torch
            from transformers import AutoModel
        except ImportError:
            raise MissingExtraError("transformers", extra=_EXTRA) from None
        try:
            with torch.random.fork_rng(devices=[]), quiet():  # the caller's stream stays put
                model, loaded = AutoModel.from_pretrained(
                    str(self._folder),
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    output_loading_info=True,
                )
        except Exception as error:  # a folder of any make; the library answers with nearly anything
            raise ArtifactError(
                f"the model {self._folder} cannot be opened ({first_line(error)}); fetch it again "
                "or choose another"
            ) from None
        lacking = [key for key in loaded["missing_keys"] if "pooler" not in key]
        if lacking:
            raise ArtifactError(
                f"the weights in {self._folder} lack {len(lacking)} of the model's "
                f"(first: {lacking[0]}); fetch it again or choose another"
            )
        # what was not trained would be drawn at random: then the positions are averaged
        self._pools = not loaded["missing_keys"]
        return model.eval().requires_grad_(False).to(self.config.device)

    def _encoded(self, pictures: Sequence[FloatArray]) -> FloatArray:
        import torch

        model = self._model
        with torch.inference_mode():
            batch = torch.from_numpy(np.stack(pictures)).to(self.config.device)
            named = getattr(model, "get_image_features", model)
            try:
                found = named(pixel_values=batch)
            except (TypeError, ValueError) as error:
                raise ArtifactError(
                    f"the model {self._folder} reads no pictures of {batch.shape[-2]} × "
                    f"{batch.shape[-1]} ({first_line(error)}); choose an image model"
                ) from None
            if not isinstance(found, torch.Tensor):
                pooled = getattr(found, "pooler_output", None) if self._pools else None
                found = _over_positions(found.last_hidden_state) if pooled is None else pooled
            found = found.flatten(start_dim=1)
            vectors: FloatArray = torch.nn.functional.normalize(found, dim=1).cpu().numpy()
        return vectors.astype(np.float32)


class _Plan:
    """How a picture becomes the numbers that a model wants, as its folder says.

    Attributes:
        size: height and width.
        resize: the short side before it is cropped, or None where the picture is stretched.
    """

    def __init__(self, said: Mapping[str, Any]) -> None:
        size, crop = said.get("size", 224), said.get("crop_size")
        short = size.get("shortest_edge") if isinstance(size, Mapping) else None
        if isinstance(size, int) and said.get("do_center_crop"):
            short = size  # as CLIP's first folders spell it
        self.size = _height_width(crop if crop is not None and said.get("do_center_crop") else size)
        self.resize: int | None = short if said.get("do_resize", True) else None
        self.scale = float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", 1) else 1
        normal = said.get("do_normalize", True)
        mean = said.get("image_mean", _HALF) if normal else (0, 0, 0)
        std = said.get("image_std", _HALF) if normal else (1, 1, 1)
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        self.resample = int(said.get("resample", 2))

    @classmethod
    def read(cls, folder: Path) -> _Plan:
        """Read `preprocessor_config.json`.

        Raises:
            ArtifactError: it is not there, or says something else than sizes and means.
        """
        path = folder / "preprocessor_config.json"
        try:
            return cls(json.loads(path.read_text("utf8")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(
                f"{path} does not say how pictures are prepared ({first_line(error)}); fetch the "
                "model again with this file"
            ) from None

    def applied(self, picture: Pillow.Image) -> FloatArray:
        """Return (3, height, width) numbers.

        Raises:
            DataError: the picture is a strip.
        """
        from PIL import Image

        height, width = self.size
        filter_ = Image.Resampling(self.resample)
        if self.resize is None:
            picture = picture.resize((width, height), filter_)
        else:
            short = min(picture.size)
            if max(picture.size) > _LONGEST * short:
                raise DataError(
                    f"the picture is a strip of {picture.width:,} × {picture.height:,} pixels, of "
                    "which the model would see a sliver; crop it"
                )
            sides = [int(self.resize * side / short) for side in picture.size]
            picture = picture.resize((sides[0], sides[1]), filter_)
            left, top = (picture.width - width) // 2, (picture.height - height) // 2
            picture = picture.crop((left, top, left + width, top + height))
        values = (np.asarray(picture, np.float32) * self.scale - self.mean) / self.std
        return np.ascontiguousarray(values.transpose(2, 0, 1), np.float32)


def _height_width(size: Any) -> tuple[int, int]:  # noqa: ANN401  (what a file may hold)
    if isinstance(size, Mapping):
        if "shortest_edge" in size:
            return int(size["shortest_edge"]), int(size["shortest_edge"])
        return int(size["height"]), int(size["width"])
    return int(size), int(size)


def _over_positions(hidden: Any) -> Any:  # noqa: ANN401  (a tensor)
    """Return the mean over the positions of (pictures, positions, dim) or (…, dim, y, x)."""
    return hidden.mean(dim=1) if hidden.ndim == 3 else hidden.mean(dim=(2, 3))
