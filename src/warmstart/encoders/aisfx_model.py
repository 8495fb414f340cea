"""The network of aiSFX and its trained weights: blocks of a log-mel spectrogram to vectors.

Four pairs of convolutions, each with batch normalisation and ReLU; the mean over the mel bands,
then the maximum over time. The weights come from the package `aisfx` (0.1.2, CC BY 4.0); none of
its code runs, nor does any code that a checkpoint could carry.

Reference: Ma and Lerch 2022, Representation learning for the automatic indexing of sound effects
libraries (ISMIR), the model X-Sequential-CE.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn

from warmstart.core.errors import ArtifactError, ConfigError

_AGAIN = "run: pip install --force-reinstall --no-deps aisfx==0.1.2"
_SHA256 = "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5"
_PREFIX = "embedding_net."
_WIDTHS = (64, 128, 256, 512)
# beside the weights lie the class counts of the training sets, as NumPy numbers; they are not read
_UNREAD = ("numpy.core.multiarray.scalar", "numpy.dtype", "_codecs.encode")


def network(path: Path) -> nn.Module:
    """Return the frozen network: (blocks, frames, bands) to (blocks, 512), no value below 0.

    Args:
        path: the checkpoint of `aisfx` 0.1.2.

    Raises:
        ArtifactError: the checkpoint is not the published one.
        ConfigError: torch is older than 2.6.
    """
    weights = _weights(path)
    with torch.device("meta"):  # no random weights are drawn: the caller's stream stays put
        net = _Network()
    net.load_state_dict(weights, assign=True)
    return net.eval().requires_grad_(False)


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        ins = (1, *_WIDTHS[:-1])
        for i, (n_in, n_out) in enumerate(zip(ins, _WIDTHS, strict=True), 1):
            self.add_module(f"conv_block{i}", _Block(n_in, n_out, halve=i < len(_WIDTHS)))

    def forward(self, blocks: Tensor) -> Tensor:
        x = blocks[:, None]
        for block in self.children():
            x = block(x)
        return x.mean(dim=3).amax(dim=2)


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, *, halve: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.side = 2 if halve else 1

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu_()
        x = self.bn2(self.conv2(x)).relu_()
        return nn.functional.max_pool2d(x, self.side)


class _Unread:
    """Stands for a value of the checkpoint that nobody needs."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def _weights(path: Path) -> OrderedDict[str, Tensor]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"the weights {path} cannot be read ({error}); {_AGAIN}") from None
    found = hashlib.sha256(raw).hexdigest()
    if found != _SHA256:
        raise ArtifactError(
            f"the weights {path} are not those of aisfx 0.1.2 (SHA-256 {found[:12]}…, not "
            f"{_SHA256[:12]}…); {_AGAIN}"
        )
    try:
        with torch.serialization.safe_globals([(_Unread, name) for name in _UNREAD]):
            weights, _ = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except (AttributeError, pickle.UnpicklingError) as error:  # an older torch knows no stand-ins
        raise ConfigError(
            f"torch {torch.__version__} cannot read the weights safely ({str(error)[:80]}); "
            'run: pip install "torch>=2.6"'
        ) from None
    return OrderedDict(
        (name.removeprefix(_PREFIX), _channels_last(tensor))
        for name, tensor in weights.items()
        if name.startswith(_PREFIX)
    )


def _channels_last(tensor: Tensor) -> Tensor:
    """Return the weights of a convolution in the order that is fastest on a CPU."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
