"""Image models in a folder: real networks with random weights, against a direct computation."""

import io
import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from warmstart.core.errors import ArtifactError, ConfigError
from warmstart.encoders import VectorCache, encode
from warmstart.encoders.image_folder import ImageFolderConfig, ImageFolderEncoder

SIDE = 32
PLAN = {
    "size": {"height": SIDE, "width": SIDE}, "do_resize": True, "do_rescale": True,
    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.3, 0.4], "resample": 2,
}  # fmt: skip


def clip():
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
             "num_attention_heads": 2}  # fmt: skip
    return transformers.CLIPModel(
        transformers.CLIPConfig(
            text_config=small | {"vocab_size": 64, "max_position_embeddings": 8},
            vision_config=small | {"image_size": SIDE, "patch_size": 8},
            projection_dim=12,
        )
    )


def vit():
    return transformers.ViTModel(
        transformers.ViTConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            image_size=SIDE, patch_size=8,
        ),
        add_pooling_layer=False,
    )  # fmt: skip


def resnet():
    return transformers.ResNetModel(
        transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
        )
    )


def folder_of(make, path, seed=0):
    torch.manual_seed(seed)
    make().eval().save_pretrained(path)
    (path / "preprocessor_config.json").write_text(json.dumps(PLAN))
    return path


def picture(colour=(200, 30, 90), size=(50, 70)):
    rng = np.random.default_rng(sum(colour))
    noise = rng.integers(0, 60, size=(size[1], size[0], 3))
    values = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def encoder_of(path, **more):
    return ImageFolderEncoder(ImageFolderConfig.parse({"model": str(path), **more}))


def by_hand(make, path, content):
    """What the library itself gives for a picture that is prepared without the encoder."""
    model = type(make()).from_pretrained(path).eval()
    square = Image.open(io.BytesIO(content)).convert("RGB").resize((SIDE, SIDE), 2)
    values = torch.tensor(np.array(square)).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(PLAN[f"image_{n}"])[:, None, None] for n in ("mean", "std"))
    batch = ((values - mean) / std)[None]
    with torch.no_grad():
        if make is clip:
            vision = model.vision_model(pixel_values=batch).pooler_output
            found = model.visual_projection(vision)
        elif make is vit:
            found = model(pixel_values=batch).last_hidden_state.mean(dim=1)
        else:
            found = model(pixel_values=batch).pooler_output.flatten(1)
    found = found[0].numpy()
    return found / np.linalg.norm(found)


@pytest.mark.parametrize("make", [clip, vit, resnet])
def test_vectors_are_those_of_the_model(make, tmp_path):
    """CLIP's image features, ViT's mean over positions, a network's pooled output."""
    encoder = encoder_of(folder_of(make, tmp_path / "m"))
    contents = [picture(), picture((10, 200, 40), (90, 40))]
    found, causes = encoder.vectors(contents)
    assert not causes
    assert found.shape == (2, encoder.dim)
    for vector, content in zip(found, contents, strict=True):
        np.testing.assert_allclose(vector, by_hand(make, tmp_path / "m", content), atol=1e-4)


def test_weights_that_are_missing_are_not_drawn_at_random(tmp_path):
    """Two encoders of one folder agree, and a half-empty one is refused."""
    path = folder_of(vit, tmp_path / "m")  # whose pooler was never trained
    first, second = (encoder_of(path).vectors([picture()])[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ArtifactError, match="lack"):
        encoder_of(path).vectors([picture()])


def test_a_short_side_is_resized_and_the_middle_cropped(tmp_path):
    """As CLIP's own settings ask for."""
    path = folder_of(clip, tmp_path / "m")
    plan = PLAN | {"size": {"shortest_edge": SIDE}, "do_center_crop": True, "crop_size": SIDE}
    (path / "preprocessor_config.json").write_text(json.dumps(plan))
    wide = Image.new("RGB", (4 * SIDE, SIDE), "white")
    wide.paste((255, 0, 0), (2 * SIDE - SIDE // 2, 0, 2 * SIDE + SIDE // 2, SIDE))
    square = Image.new("RGB", (SIDE, SIDE), (255, 0, 0))
    both = []
    for image in (wide, square):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        both.append(buffer.getvalue())
    found, _ = encoder_of(path).vectors(both)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


@pytest.mark.parametrize("size", [{"shortest_edge": SIDE}, SIDE])
def test_a_strip_is_refused_before_it_grows(tmp_path, size):
    """The short side would be made as long as the model wants, and the long one with it."""
    path = folder_of(clip, tmp_path / "m")
    plan = PLAN | {"size": size, "do_center_crop": True, "crop_size": SIDE}
    (path / "preprocessor_config.json").write_text(json.dumps(plan))
    found, causes = encoder_of(path).vectors([picture(size=(1, 20_000)), picture()])
    assert list(causes) == [0]
    assert "strip" in causes[0]
    assert np.isfinite(found).all()


def test_a_model_of_texts_is_refused(tmp_path):
    """It reads no pictures."""

    def bert():
        return transformers.BertModel(
            transformers.BertConfig(
                vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                intermediate_size=16,
            )
        )  # fmt: skip

    path = folder_of(bert, tmp_path / "m")
    with pytest.raises(ArtifactError, match="choose an image model"):
        encoder_of(path).vectors([picture()])


def test_bad_pictures_are_causes_and_the_others_keep_their_vectors(tmp_path):
    """Damaged, too large, missing."""
    encoder = encoder_of(folder_of(vit, tmp_path / "m"), most_pixels=5_000)
    contents = [picture(), b"no picture", picture(size=(100, 100)), None]
    done = encode(encoder, contents, cache=VectorCache(tmp_path / "c.sqlite"))
    assert done.known.tolist() == [True, False, False, False]
    assert [fault.place for fault in done.faults] == [1, 2]
    again = encode(encoder, contents, cache=VectorCache(tmp_path / "c.sqlite"))
    assert again.cached == 1


def test_the_version_is_that_of_the_weights(tmp_path):
    """The same folder has one, other weights or settings another."""
    first, second = folder_of(vit, tmp_path / "a"), folder_of(vit, tmp_path / "b", seed=1)
    assert encoder_of(first).version == encoder_of(first).version != encoder_of(second).version
    before = encoder_of(first).version
    (first / "preprocessor_config.json").write_text(json.dumps(PLAN | {"resample": 3}))
    assert encoder_of(first).version != before


def test_folders_that_cannot_be_used_are_refused(tmp_path):
    """With one line that says what to do, and nothing is fetched or unpickled."""
    with pytest.raises(ArtifactError, match=r"config\.json"):
        _ = encoder_of(tmp_path / "none").version
    with pytest.raises(ConfigError):
        ImageFolderConfig.parse({"modle": "x"})
    path = folder_of(vit, tmp_path / "m")
    (path / "preprocessor_config.json").unlink()
    with pytest.raises(ArtifactError, match="how pictures are prepared"):
        encoder_of(path).vectors([picture()])
    for weights in path.glob("*.safetensors"):
        weights.unlink()
    (path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ArtifactError, match="safetensors"):
        _ = encoder_of(path).version
    odd = folder_of(vit, tmp_path / "odd")
    (odd / "config.json").write_text('{"model_type": "nothing known"}')
    with pytest.raises(ArtifactError, match="cannot be opened"):
        encoder_of(odd).vectors([picture()])
