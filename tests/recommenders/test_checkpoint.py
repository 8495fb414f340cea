"""An interrupted training goes on where it stopped, and nowhere else."""

import numpy as np
import pytest
from tests.recommenders.small import SMALL

from warmstart.core.errors import ArtifactError, ConfigError
from warmstart.recommenders.default import Default

QUICK = SMALL.model_copy(update={"training": SMALL.training.model_copy(update={"epochs": 6})})


class Stop(Exception):
    """Somebody pressed Ctrl-C."""


def stop_at(share):
    def progress(done, total, message):
        if done >= share * total:
            raise Stop

    return progress


@pytest.fixture(scope="module")
def whole(split):
    return Default(QUICK).fit(split.train, seed=1).state()


@pytest.mark.parametrize("share", [0.1, 0.45, 0.9])
def test_a_resumed_training_ends_where_an_undisturbed_one_does(split, whole, tmp_path, share):
    with pytest.raises(Stop):
        Default(QUICK).fit(split.train, seed=1, progress=stop_at(share), checkpoint=tmp_path)
    state = Default(QUICK).fit(split.train, seed=1, checkpoint=tmp_path).state()
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(state.arrays[name], array, err_msg=name)


def test_resuming_does_not_train_again_what_is_done(split, whole, tmp_path):
    Default(QUICK).fit(split.train, seed=1, checkpoint=tmp_path)
    steps = []
    Default(QUICK).fit(
        split.train, seed=1, checkpoint=tmp_path, progress=lambda d, t, m: steps.append(m)
    )
    assert {m.partition(",")[0] for m in steps} <= {"questions"}  # which are practised anew


def test_the_checkpoint_of_another_training_is_refused(split, planted, tmp_path):
    with pytest.raises(Stop):
        Default(QUICK).fit(split.train, seed=1, progress=stop_at(0.5), checkpoint=tmp_path)
    with pytest.raises(ConfigError, match=r"another training \(its seed differ"):
        Default(QUICK).fit(split.train, seed=2, checkpoint=tmp_path)
    with pytest.raises(ConfigError, match=r"its data differ"):
        Default(QUICK).fit(planted, seed=1, checkpoint=tmp_path)
    with pytest.raises(ConfigError, match=r"its settings differ"):
        Default(SMALL).fit(split.train, seed=1, checkpoint=tmp_path)


def test_a_damaged_checkpoint_is_named(split, tmp_path):
    with pytest.raises(Stop):
        Default(QUICK).fit(split.train, seed=1, progress=stop_at(0.9), checkpoint=tmp_path)
    file = next(tmp_path.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=rf"{file.name} is damaged.*delete it"):
        Default(QUICK).fit(split.train, seed=1, checkpoint=tmp_path)
