"""Sounds to vectors, offline: the default audio encoder.

The network is aiSFX (X-Sequential-CE), trained on libraries of sound effects and frozen, without
its classifiers (512 dimensions); the weights come from the package `aisfx` (CC BY 4.0), whose code
is not run. What the weights were trained on is matched, with the package's default settings:

* 44,100 Hz, mono, limited to [-1, 1], loudness left as it is;
* Essentia's power mel spectrum: a symmetric Hann window of 2,048 samples every 1,024, the first
  one centred on the first sample; 96 triangles on the HTK mel scale from 0 to 22,050 Hz, linear in
  mel, each of sum 1; log10(1 + 10,000 x), divided by the largest value seen in training;
* windows of 100 frames (2.3 s), each beginning half a window after the last; a rest that fills no
  window is dropped, a sound shorter than a window is followed by zeros.

The package's other spectrogram, with librosa, feeds the network bands for frames; it is not
followed. Resampling is SciPy's polyphase filter in place of libsamplerate. The vectors of a sound's
windows are averaged and brought to length 1.

Reference: Ma and Lerch 2022, Representation learning for the automatic indexing of sound effects
libraries (ISMIR).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from functools import cache, cached_property
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.fft import rfft
from scipy.signal import firwin, resample_poly

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError, MissingExtraError
from warmstart.core.types import FloatArray
from warmstart.encoders.files import read_file

_DIM = 512
_RATE = 44_100  # Hz
_RATES = (4_000, 384_000)  # Hz; a header that says anything else is damaged
_FRAME, _STEP = 2048, 1024  # samples
_BANDS = 96
_LARGEST = 9.457798957824707  # of the spectrograms in training
_WINDOW = 100  # frames
_AT_ONCE = 4  # windows through the network; more are no faster on a CPU
_SILENT = 1e-6  # -120 dB: below the smallest step of a 16-bit file
_BLOCK = 1 << 20  # samples of all channels that are decoded at once
# no others: rare decoders are where the holes are
_FORMATS = ("AIFF", "AU", "CAF", "FLAC", "MP3", "OGG", "RF64", "W64", "WAV", "WAVEX")
_AGAIN = "save it again as WAV, FLAC or OGG, or leave it out"


class AudioConfig(Config):
    """Settings of the default audio encoder.

    Attributes:
        root: the folder that sounds must lie in; None trusts every path.
        most_bytes: a larger file is refused unread.
        most_seconds: what comes after so many seconds of one sound is not read.
        hop: from one window to the next, in windows; 1 takes half the time of the default.
    """

    root: str | Path | None = None
    most_bytes: int = Field(100_000_000, ge=1)
    most_seconds: float = Field(60.0, gt=0, le=600)
    hop: float = Field(0.5, ge=0.01, le=1)


class AudioEncoder:
    """Encode sounds with a frozen aiSFX network.

    Example:
        >>> import soundfile
        >>> buffer = io.BytesIO()
        >>> wave = np.sin(np.arange(44_100) / 16)
        >>> soundfile.write(buffer, wave, 44_100, format="WAV")
        >>> found, why = AudioEncoder().vectors([buffer.getvalue(), b"no sound"])
        >>> found.shape, list(why)
        ((2, 512), [1])
    """

    config_type: ClassVar[type[Config]] = AudioConfig
    dim = _DIM

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or AudioConfig()

    @property
    def name(self) -> str:
        """What the model is called."""
        return "aisfx"

    @cached_property
    def version(self) -> str:
        """Package of the weights, and how sounds are prepared.

        Raises:
            ConfigError: the package is not installed.
        """
        return (
            f"aisfx={_package().version} {_RATE}Hz mono hann={_FRAME}/{_STEP} mel={_BANDS} "
            f"htk log10 most={self.config.most_seconds:g}s hop={self.config.hop:g} mean length=1"
        )

    def read(self, content: Any) -> bytes | None:  # noqa: ANN401  (what a cell may hold)
        """Return the bytes of a sound given as a path or as bytes, or None where it is missing.

        Raises:
            DataError: there is no such file, it is empty, too large, or outside `root`.
        """
        return read_file(content, self.config.root, most_bytes=self.config.most_bytes)

    def vectors(self, contents: Sequence[bytes]) -> tuple[FloatArray, dict[int, str]]:
        """Return (contents, 512) vectors of length 1; no value is below 0.

        Raises:
            MissingExtraError: torch or soundfile is not installed.
            ConfigError: the package of the weights is not installed.
            ArtifactError: the weights are damaged.
        """
        network = self._network
        out = np.zeros((len(contents), _DIM), np.float32)
        causes: dict[int, str] = {}
        for place, content in enumerate(contents):
            try:
                sound = decoded(content, most_seconds=self.config.most_seconds)
            except DataError as error:
                causes[place] = str(error)
                continue
            cut = windows(log_mel(sound) / _LARGEST, hop=self.config.hop)
            out[place] = _pooled(network, cut.astype(np.float32))
        return out, causes

    @cached_property
    def _network(self) -> Any:  # noqa: ANN401  (torch is imported on first use)
        _soundfile()
        package = _package()
        try:
            import torch  # noqa: F401
        except ImportError:
            raise MissingExtraError("torch", extra="audio") from None
        from warmstart.encoders.aisfx_model import network

        return network(Path(str(package.locate_file("aisfx/models/checkpoint.pth"))))


def decoded(raw: bytes, *, most_seconds: float) -> FloatArray:
    """Return the beginning of a sound as mono samples in [-1, 1] at 44,100 Hz.

    Args:
        raw: a WAV, FLAC, OGG, MP3, AIFF, AU or CAF file.
        most_seconds: what comes after is not decoded, whatever length the header claims.

    Raises:
        DataError: it is no sound, damaged, empty, silent, not finite, or of an absurd rate.
        MissingExtraError: soundfile is not installed.
    """
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(raw)) as file:
            if file.format not in _FORMATS:
                raise DataError(
                    f"the sound is in the format {file.format}, none of {', '.join(_FORMATS)}; "
                    f"{_AGAIN}"
                )
            rate = file.samplerate
            if not _RATES[0] <= rate <= _RATES[1]:
                raise DataError(
                    f"the sound has {rate:,} samples a second, outside {_RATES[0]:,} to "
                    f"{_RATES[1]:,}; mend its header, or leave it out"
                )
            sound = _mono(file, most=int(np.ceil(most_seconds * rate)))
    except soundfile.SoundFileError as error:
        reason = str(getattr(error, "error_string", error))[:120].rstrip(".")
        raise DataError(f"the sound cannot be decoded ({reason}); {_AGAIN}") from None
    if not len(sound):
        raise DataError(f"the sound is empty: 0 samples follow the header; {_AGAIN}")
    if not np.isfinite(sound).all():
        bad = np.flatnonzero(~np.isfinite(sound))
        raise DataError(
            f"{len(bad):,} of the sound's {len(sound):,} samples are not finite (first: "
            f"sample {bad[0]:,}); {_AGAIN}"
        )
    if np.abs(sound).max() < _SILENT:
        raise DataError(
            f"the sound is silent: the {len(sound) / rate:.3g} s that were read hold nothing but "
            "zeros; leave it out"
        )
    return np.asarray(_resampled(np.clip(sound, -1, 1), rate), np.float32)


def log_mel(sound: FloatArray) -> FloatArray:
    """Return the (frames, 96) log-mel spectrogram of (samples,) at 44,100 Hz, before scaling.

    There are ceil(samples / 1,024) + 1 frames.

    Example:
        >>> log_mel(np.zeros(44_100, np.float32)).shape
        (45, 96)
    """
    n = -(-len(sound) // _STEP) + 1
    padded = np.zeros(n * _STEP + _FRAME, np.float32)
    padded[_FRAME // 2 : _FRAME // 2 + len(sound)] = sound
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_STEP][:n]
    spectrum = rfft(frames * np.hanning(_FRAME).astype(np.float32))
    power = spectrum.real**2 + spectrum.imag**2
    return np.asarray(np.log10(1 + 1e4 * (power @ mel_bank().T)), np.float32)


@cache
def mel_bank() -> FloatArray:
    """Return (96, 1025) weights of the spectrum's bins in each mel band; a row sums to 1."""
    mel = np.log1p(np.arange(_FRAME // 2 + 1) * (_RATE / _FRAME) / 700)
    edges = np.linspace(0, mel[-1], _BANDS + 2)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    weights = np.minimum((mel - low) / (middle - low), (high - mel) / (high - middle)).clip(0)
    bank = np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
    bank.flags.writeable = False  # one array serves every caller
    return bank


def windows(frames: FloatArray, *, hop: float) -> FloatArray:
    """Return the (windows, 100, bands) windows that (frames, bands) fill, one at least.

    Args:
        frames: of one sound.
        hop: from one window to the next, in windows.

    Example:
        >>> [len(windows(np.ones((n, 96)), hop=0.5)) for n in (3, 100, 149, 150, 1_000)]
        [1, 1, 1, 2, 19]
    """
    short = _WINDOW - len(frames)
    if short > 0:
        frames = np.pad(frames, ((0, short), (0, 0)))
    starts = range(0, len(frames) - _WINDOW + 1, max(1, round(_WINDOW * hop)))
    return np.stack([frames[s : s + _WINDOW] for s in starts])


def _mono(file: Any, *, most: int) -> npt.NDArray[np.float64]:  # noqa: ANN401  (no types)
    """Return the mean over channels of the first `most` samples, decoded a piece at a time."""
    pieces: list[npt.NDArray[np.float64]] = []
    step = max(1, _BLOCK // file.channels)
    while most > 0:
        piece = file.read(min(step, most), dtype="float32", always_2d=True)
        if not len(piece):  # the header may claim more than there is
            break
        pieces.append(piece.mean(axis=1, dtype=np.float64))
        most -= len(piece)
    return np.concatenate(pieces) if pieces else np.zeros(0)


def _resampled(sound: npt.NDArray[np.float64], rate: int) -> npt.NDArray[np.float64]:
    """Return a sound at 44,100 Hz.

    SciPy's own filter mirrors loud sounds at -60 dB, which the logarithm brings to light; this one
    is longer, and stops at -100 dB.
    """
    # near enough to any rate (1 in a million), and the filter stays short
    ratio = Fraction(_RATE, rate).limit_denominator(2_000)
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return sound
    slower = max(up, down)
    taps = firwin(48 * slower + 1, 0.95 / slower, window=("kaiser", 10.0))
    return np.asarray(resample_poly(sound, up, down, window=taps), np.float64)


def _pooled(network: Any, cut: FloatArray) -> FloatArray:  # noqa: ANN401
    """Return the mean over (windows, 100, bands), at length 1."""
    import torch

    found = np.zeros(_DIM, np.float64)
    with torch.inference_mode():
        for start in range(0, len(cut), _AT_ONCE):
            some = network(torch.from_numpy(cut[start : start + _AT_ONCE])).numpy()
            found += some.sum(axis=0, dtype=np.float64)
    return np.asarray(found / np.linalg.norm(found), np.float32)


def _soundfile() -> Any:  # noqa: ANN401  (the package has no types)
    try:
        import soundfile
    except (ImportError, OSError):  # the latter where the package is there without its library
        raise MissingExtraError("soundfile", extra="audio") from None
    return soundfile


def _package() -> Distribution:
    try:
        return distribution("aisfx")
    except PackageNotFoundError:
        raise ConfigError(
            "the weights of the audio encoder are not installed; run: pip install --no-deps "
            "aisfx==0.1.2 (the versions it pins are old and do not fit; only its weights are used)"
        ) from None
