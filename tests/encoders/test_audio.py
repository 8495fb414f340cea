"""The default audio encoder: Essentia's spectrogram, one sound in many files, damaged files."""

import io
import struct
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from warmstart.core import registry
from warmstart.core.errors import ArtifactError, ConfigError, DataError, MissingExtraError
from warmstart.encoders import audio as module
from warmstart.encoders import encode
from warmstart.encoders.aisfx_model import network
from warmstart.encoders.audio import (
    AudioConfig,
    AudioEncoder,
    decoded,
    log_mel,
    mel_bank,
    windows,
)
from warmstart.encoders.cache import VectorCache
from warmstart.encoders.encoder import Encoder

RATE = 44_100
SAMPLES = Path("/usr/share/sonic-pi/samples")


@pytest.fixture(scope="module")
def encoder():
    try:
        distribution("aisfx")
    except PackageNotFoundError:
        pytest.skip("no weights; run: pip install --no-deps aisfx==0.1.2")
    return registry.lookup("encoders", "audio")()


def seconds(n, rate=RATE):
    return np.arange(round(n * rate)) / rate


def chirp(n=1.5, rate=RATE):
    t = seconds(n, rate)
    return 0.5 * np.sin(2 * np.pi * (100 * t + 3000 * t**2)) * np.hanning(len(t))


def plucks(n=1.5, rate=RATE):
    t = seconds(n, rate)
    return 0.6 * np.sin(2 * np.pi * 330 * t) * np.exp(-12 * (t % 0.25))


def noise(n=1.5, rate=RATE):
    t = seconds(n, rate)  # many partials without a common measure: as good as noise
    partials = np.random.default_rng(0).uniform(50, 9_000, (2, 80))
    return sum(np.sin(2 * np.pi * f * t + p) for f, p in partials.T) / 40


def file(wave, rate=RATE, kind="WAV", subtype="PCM_16"):
    if subtype == "PCM_16":  # libsndfile rounds one way for WAV and another for FLAC
        wave = np.round(wave * 32_767).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def test_the_spectrogram_is_that_of_essentia():
    # Essentia 2.1b6.dev1389, called as aisfx 0.1.2 calls it, on the same samples as 32-bit floats
    t = seconds(1.5)
    wave = 0.5 * np.sin(2 * np.pi * (100 * t + 3000 * t**2)) * np.exp(-t)
    wave += 0.1 * np.sin(2 * np.pi * 7000 * t)
    found = log_mel(decoded(file(wave, subtype="FLOAT"), most_seconds=60))
    assert found.shape == (66, 96)
    assert found.sum() == pytest.approx(3389.576, abs=0.02)
    for place, value in {
        (0, 2): 7.546313762664795,
        (0, 60): 2.8001952171325684,
        (10, 30): 7.7006330490112305,
        (30, 50): 0.02681349776685238,
        (33, 61): 0.00022013025591149926,
        (50, 63): 0.0013789801159873605,
        (63, 65): 5.767923355102539,
        (65, 66): 5.25294303894043,
    }.items():
        assert found[place] == pytest.approx(value, abs=1e-4)


def test_the_spectrogram_is_the_fourier_sum_written_out():
    wave = (chirp(0.1) + noise(0.1)).astype(np.float32)
    found = log_mel(wave)
    n = np.arange(2048)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / 2047)
    # bins at 21.5 Hz; e^(-2πi k n / 2048) for every k and n
    waves = np.exp(-2j * np.pi * np.outer(np.arange(1025), n) / 2048)
    assert len(found) == 1 + -(-len(wave) // 1024)
    for frame in range(len(found)):
        piece = np.array(
            [wave[i] if 0 <= i < len(wave) else 0 for i in n + frame * 1024 - 1024], np.float64
        )
        power = np.abs(waves @ (piece * hann)) ** 2
        expected = np.log10(1 + 10_000 * slow_bank() @ power)
        np.testing.assert_allclose(found[frame], expected, atol=1e-3)


def slow_bank():
    """Triangles on the HTK mel scale, one weight at a time."""

    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    edges = [mel(22_050) * i / 97 for i in range(98)]
    bank = np.zeros((96, 1025))
    for band in range(96):
        low, middle, high = edges[band : band + 3]
        for k in range(1025):
            at = mel(k * 44_100 / 2048)
            if low < at <= middle:
                bank[band, k] = (at - low) / (middle - low)
            elif middle < at < high:
                bank[band, k] = (high - at) / (high - middle)
        bank[band] /= bank[band].sum()
    return bank


def test_the_mel_bands_are_triangles_of_sum_one():
    np.testing.assert_allclose(mel_bank(), slow_bank(), atol=1e-6)
    assert (mel_bank() > 0).any(axis=1).all()


@pytest.mark.parametrize("n_frames", [60, 99, 100, 149, 150, 151, 420])
def test_windows_are_those_of_the_package(n_frames):
    theirs = pytest.importorskip("aisfx.preprocessing")
    frames = np.random.default_rng(n_frames).random((n_frames, 96))
    np.testing.assert_array_equal(
        windows(frames, hop=0.5), theirs.blocking(frames, 100, 50, drop_partial_block=True)
    )


def test_the_vector_is_that_of_the_package(encoder):
    theirs = pytest.importorskip("aisfx.models.cnn2d").EmbeddingNet("max", 3, 1, 64)
    path = distribution("aisfx").locate_file("aisfx/models/checkpoint.pth")
    theirs.load_state_dict(network(Path(str(path))).state_dict())
    raw = file(np.concatenate([chirp(2), noise(2)]))
    frames = log_mel(decoded(raw, most_seconds=60)) / 9.457798957824707
    blocks = torch.from_numpy(np.stack([frames[s : s + 100] for s in (0, 50)]))
    with torch.no_grad():
        mean = theirs.eval()(blocks).mean(dim=0).numpy()
    np.testing.assert_allclose(encoder.vectors([raw])[0][0], mean / np.linalg.norm(mean), atol=1e-5)


def test_neither_company_nor_order_changes_a_vector(encoder):
    files = [file(chirp(0.4)), file(plucks(6)), file(noise(2.5)), file(chirp(3))]
    together, _ = encoder.vectors(files)
    alone = np.concatenate([encoder.vectors([f])[0] for f in reversed(files)])[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_one_sound_in_many_files_is_one_vector(encoder):
    wave = plucks()
    stereo = np.stack([wave, wave], axis=1)
    same = [file(wave), file(wave, kind="FLAC"), file(stereo), file(stereo, kind="AIFF")]
    near = [
        file(wave, subtype="PCM_24"),
        file(wave, subtype="FLOAT"),
        file(wave, kind="OGG", subtype="VORBIS"),
    ]
    vectors, causes = encoder.vectors(same + near)
    assert not causes
    for other in vectors[1 : len(same)]:
        np.testing.assert_allclose(other, vectors[0], atol=1e-6)
    assert (vectors[len(same) :] @ vectors[0] > 0.98).all()


@pytest.mark.parametrize("rate", [22_050, 32_000, 48_000, 96_000, 192_000])
def test_the_rate_of_a_file_changes_nothing_that_is_heard(rate):
    wave = decoded(file(chirp(rate=rate), rate, subtype="FLOAT"), most_seconds=60)
    assert abs(len(wave) - 1.5 * RATE) <= 1
    found, truth = log_mel(wave), log_mel(chirp().astype(np.float32))
    np.testing.assert_allclose(found[:64], truth[:64], atol=2e-3)


def test_a_resampled_sound_is_nearer_to_itself_than_to_any_other(encoder):
    makers = (chirp, plucks, noise)
    here, _ = encoder.vectors([file(m()) for m in makers])
    for rate in (22_050, 44_099, 48_000):
        there, _ = encoder.vectors([file(m(rate=rate), rate) for m in makers])
        alike = here @ there.T
        assert (np.diag(alike) > 0.95).all()
        assert (alike.argmax(axis=1) == np.arange(3)).all()
        assert (np.diag(alike) - np.sort(alike, axis=1)[:, -2] > 0.05).all()


def test_a_long_sound_is_read_as_far_as_agreed(encoder):
    short = type(encoder)(AudioConfig(most_seconds=3))
    head = plucks(3)
    files = [file(head), file(np.concatenate([head, noise(30)]))]
    vectors, _ = short.vectors(files)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    assert len(decoded(files[1], most_seconds=3)) == 3 * RATE
    assert short.version != encoder.version


def test_a_wider_hop_takes_every_other_window():
    frames = np.random.default_rng(0).random((450, 96))
    np.testing.assert_array_equal(windows(frames, hop=1), windows(frames, hop=0.5)[::2])


def with_rate(raw, rate):
    return raw[:24] + struct.pack("<I", rate) + raw[28:]


def claiming_hours(raw):
    """A FLAC file whose header says 2^36 - 1 samples: 18 days."""
    kept = bytearray(raw)
    kept[21] |= 0x0F
    kept[22:26] = b"\xff" * 4
    return bytes(kept)


def test_each_damaged_sound_is_named_and_the_others_are_encoded(encoder, tmp_path):
    good, wave = file(plucks()), noise(0.5)
    bad = wave.copy()
    bad[100:103] = np.nan, np.inf, np.nan
    flac = file(wave, kind="FLAC")
    (tmp_path / "text.wav").write_text("this is a text that someone called .wav\n" * 100)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "good.wav").write_bytes(good)
    outside = tmp_path.parent / f"{tmp_path.name}.wav"
    outside.write_bytes(good)
    cases = [
        ("good.wav", None),
        (file(np.zeros(0)), "is empty: 0 samples"),
        (file(np.zeros(RATE)), "is silent"),
        (file(np.stack([wave, -wave], 1), subtype="FLOAT"), "is silent"),
        (
            file(bad, subtype="FLOAT"),
            "3 of the sound's 22,050 samples are not finite (first: sample 100)",
        ),
        (with_rate(good, 1), "1 samples a second"),
        (with_rate(good, 2_000_000_000), None),
        (with_rate(good, 0), None),
        ("text.wav", "cannot be decoded"),
        ("empty.wav", "0 bytes"),
        ("absent.wav", "there is no file"),
        (f"../{outside.name}", "lies outside the folder"),
        (str(outside), "lies outside the folder"),
        (3, "expected a path or bytes, got int"),
        (flac[:60], None),
        (flac[:2000] + bytes(4000) + flac[6000:], None),
        (np.random.default_rng(0).bytes(5_000), "cannot be decoded"),
        (file(wave, kind="AVR"), "in the format AVR, none of AIFF"),
        (None, None),
        (float("nan"), None),
        ("", None),
        (b"", None),
        (file(wave), None),
    ]
    found = encode(
        AudioEncoder(AudioConfig(root=tmp_path)), [c for c, _ in cases], progress=lambda *_: None
    )
    why = {f.place: f.why for f in found.faults}
    for place, (_, cause) in enumerate(cases):
        if cause is not None:
            assert cause in why[place], why.get(place)
    assert {6, 7, 14, 15} <= set(why)
    assert all(";" in text for place, text in why.items() if place != 13)  # what to do
    assert not any("object at 0x" in text for text in why.values())
    missing = range(18, 22)
    assert not found.known[list(missing)].any()
    assert not set(missing) & set(why)
    assert found.known[[0, 22]].all()
    assert found.known.sum() + len(why) + len(missing) == len(cases)
    np.testing.assert_array_equal(found.vectors[0], encoder.vectors([good])[0][0])


def test_a_header_that_claims_hours_costs_no_memory(encoder, monkeypatch):
    wave = noise(2)
    flac, wav = file(wave, kind="FLAC"), bytearray(file(wave))
    wav[40:44] = struct.pack("<I", 0xFFFF_FFF0)  # 13 hours
    assert soundfile.SoundFile(io.BytesIO(claiming_hours(flac))).frames == 2**36 - 1
    sizes, empty = [], np.empty

    def counted(shape, *args, **kwargs):
        sizes.append(np.prod(shape))
        return empty(shape, *args, **kwargs)

    monkeypatch.setattr(np, "empty", counted)
    vectors, causes = encoder.vectors([flac, bytes(wav), claiming_hours(flac)])
    np.testing.assert_allclose(vectors[1], vectors[0], atol=1e-6)
    assert list(causes) == [2]
    assert "cannot be decoded" in causes[2]
    assert 0 < max(sizes) <= 2**20


def test_samples_that_are_too_loud_are_limited_not_refused():
    loud = 5 * plucks()
    found = decoded(file(loud, subtype="FLOAT"), most_seconds=60)
    np.testing.assert_allclose(found, np.clip(loud, -1, 1), atol=1e-6)


def test_a_file_that_is_too_large_is_refused_unread():
    small = AudioEncoder(AudioConfig(most_bytes=1_000))
    with pytest.raises(DataError, match=r"more than 1,000; make it smaller"):
        small.read(file(plucks()))


def test_the_cache_answers_the_second_time(encoder, tmp_path):
    cache = VectorCache(tmp_path / "vectors.sqlite")
    contents = [file(chirp()), file(np.zeros(100)), file(plucks())]
    first, second = (encode(encoder, contents, cache=cache) for _ in range(2))
    assert (first.cached, second.cached) == (0, 2)
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert first.faults == second.faults


def test_it_is_an_encoder_whose_settings_are_checked(encoder):
    assert isinstance(encoder, Encoder)
    assert AudioConfig.parse(AudioConfig(hop=1).model_dump()) == AudioConfig(hop=1)
    for wrong in ({"most_seconds": 0}, {"most_seconds": 1e9}, {"hop": 0}, {"rate": 1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            AudioConfig.parse(wrong)


def test_what_is_not_installed_is_named(encoder, monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    raw = [file(chirp(0.2))]
    with monkeypatch.context() as patched:
        patched.setattr(module, "distribution", absent)
        for ask in (lambda: AudioEncoder().version, lambda: AudioEncoder().vectors(raw)):
            with pytest.raises(ConfigError, match=r"pip install --no-deps aisfx==0\.1\.2 \(the"):
                ask()
    for package in ("soundfile", "torch"):
        with monkeypatch.context() as patched:
            patched.setitem(__import__("sys").modules, package, None)
            with pytest.raises(MissingExtraError, match=rf"{package} is .*warmstart\[audio\]"):
                type(encoder)().vectors(raw)


def test_weights_that_are_not_the_published_ones_are_not_loaded(tmp_path):
    changed = tmp_path / "checkpoint.pth"
    with pytest.raises(ArtifactError, match="cannot be read"):
        network(changed)
    torch.save(({"embedding_net.x": torch.zeros(1)}, {}), changed)
    with pytest.raises(ArtifactError, match=r"are not those of aisfx 0\.1\.2"):
        network(changed)


def test_loading_draws_no_random_numbers(encoder):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    type(encoder)().vectors([file(chirp(0.2))])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def real(encoder):
    if not SAMPLES.is_dir():
        pytest.skip(f"no {SAMPLES}; run: apt-get install sonic-pi-samples")
    kinds = ("ambi", "bd", "sn", "tabla")
    paths = [p for kind in kinds for p in sorted(SAMPLES.glob(f"{kind}_*.flac"))]
    found = encode(encoder, [str(p) for p in paths])
    assert found.known.all()
    return np.array([p.name.split("_")[0] for p in paths]), found.vectors


def test_real_sounds_are_nearest_to_their_kind(real):
    kinds, vectors = real
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -1)
    right = (kinds[alike.argmax(axis=1)] == kinds).mean()
    rng = np.random.default_rng(0)
    chance = [
        (shuffled[alike.argmax(axis=1)] == shuffled).mean()
        for shuffled in (rng.permutation(kinds) for _ in range(999))
    ]
    assert right > max(chance) + 0.1  # p < 0.001, with room
    assert right > 0.7


def test_bass_drums_are_more_alike_than_they_are_to_ambience(real):
    kinds, vectors = real
    drums, ambience = vectors[kinds == "bd"], vectors[kinds == "ambi"]
    among = drums @ drums.T
    np.fill_diagonal(among, np.nan)
    gap = np.nanmean(among, axis=1) - (drums @ ambience.T).mean(axis=1)
    assert (gap > 0).mean() > 0.9
    assert gap.mean() > 0.1
