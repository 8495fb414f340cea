"""`maml` on plain arrays, against steps by hand, least squares and a model that does not adapt."""

import numpy as np
import pytest
import torch
from torch import nn

import warmstart as ws
from warmstart.core.errors import ConfigError, DataError, DivergedError
from warmstart.meta.amortised import Amortised
from warmstart.meta.arrays import maml
from warmstart.meta.closed_form import ClosedForm
from warmstart.meta.settings import AmortisedConfig, ClosedFormConfig


@pytest.fixture(scope="module")
def toy():
    """What the article calls its toy with, in the order of its arguments."""
    rng = np.random.default_rng(0)
    return rng.random((100, 10)), rng.random(100), rng.random((20, 10)), rng.random(20)


def family(n_tasks, *, shots=12, dim=3, noise=0.1, seed=0):
    """Return tasks y = x · w + 1, each with a w of its own around one that they share."""
    rng = np.random.default_rng(seed)
    w = rng.normal([2.0, -1.0, 0.5][:dim], 1.0, (n_tasks, dim))

    def side(n):
        x = rng.normal(size=(n_tasks, n, dim))
        return x, np.einsum("tnd,td->tn", x, w) + 1 + noise * rng.normal(size=(n_tasks, n))

    return *side(shots), *side(20)


def plain(y):
    """Return how far a constant is off."""
    return np.mean((y - y.mean()) ** 2)


# ---------------------------------------------------------------------------------- the article


def test_the_articles_call_meta_trains_and_predicts(toy):
    found = ws.maml(*toy, 10, 5, 0.01)
    assert len(found.losses) == 5
    assert np.diff(found.losses).max() < 0
    x, y, x_test, y_test = toy
    # the start is zero: the first loss is half the error after one step of 0.1 from there
    with_one = np.c_[x, np.ones(100)]
    step = 0.1 * with_one.T @ y / 100
    off = np.c_[x_test, np.ones(20)] @ step - y_test
    assert found.losses[0] == pytest.approx(0.5 * np.mean(off**2), rel=1e-5)
    assert found.predict(x, y, x_test).shape == (20,)
    assert found.loss(*toy) < np.mean(off**2)


def test_rows_without_a_task_axis_are_one_task(toy):
    flat, deep = maml(*toy, epochs=5), maml(*(a[None] for a in toy), epochs=5)
    assert flat.losses == deep.losses
    x, y, x_test, y_test = toy
    alone = flat.predict(x, y, x_test)
    np.testing.assert_array_equal(deep.predict(x[None], y[None], x_test[None])[0], alone)
    assert flat.loss(*toy) == pytest.approx(np.mean((alone - y_test) ** 2), rel=1e-6)


# ------------------------------------------------------------------------------- it does adapt


@pytest.fixture(scope="module")
def learned():
    return maml(*family(200), epochs=80, learning_rate=0.1, inner_lr=0.25, inner_steps=3)


def test_new_tasks_are_adapted_to_and_a_model_that_does_not_adapt_is_left_behind(learned):
    x, y, x_test, y_test = test = family(50, seed=1)
    pooled_x, pooled_y = (a.reshape(-1, *a.shape[2:]) for a in family(200)[:2])
    pooled = np.linalg.lstsq(np.c_[pooled_x, np.ones(len(pooled_x))], pooled_y, rcond=None)[0]
    not_adapted = np.mean((x_test @ pooled[:3] + pooled[3] - y_test) ** 2)
    unadapted = learned.loss(x[:, :0], y[:, :0], x_test, y_test)
    assert unadapted == pytest.approx(not_adapted, rel=0.1)  # its start is the pooled model
    assert learned.loss(*test) < 0.3 * not_adapted
    few = learned.loss(x[:, :3], y[:, :3], x_test, y_test)
    assert learned.loss(*test) < few < unadapted


def test_the_support_of_another_task_does_not_help(learned):
    x, y, x_test, y_test = family(50, seed=1)
    wrong = learned.loss(np.roll(x, 1, 0), np.roll(y, 1, 0), x_test, y_test)
    assert wrong > learned.loss(x[:, :0], y[:, :0], x_test, y_test)


def test_adapting_is_gradient_descent_from_the_learned_start(learned):
    x, y, x_test, _ = (a[0] for a in family(1, seed=2))
    w, with_one = learned.meta["weight"].numpy().astype(float), np.c_[x, np.ones(len(x))]
    for _ in range(3):
        w = w - 0.25 * with_one.T @ (with_one @ w - y) / len(y)
    expected = np.c_[x_test, np.ones(len(x_test))] @ w
    np.testing.assert_allclose(learned.predict(x, y, x_test), expected, rtol=1e-4, atol=1e-5)


def test_every_task_gets_what_it_would_get_alone(learned):
    x, y, x_test, _ = family(4, seed=3)
    together = learned.predict(x, y, x_test)
    for task in range(4):
        alone = learned.predict(x[task], y[task], x_test[task])
        np.testing.assert_allclose(together[task], alone, rtol=1e-5, atol=1e-6)


# --------------------------------------------------------------------- any module, any learner


class Wave(nn.Module):
    """A little network that is not linear in anything; its last layer has one unit."""

    def __init__(self, dropout=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(1, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 1)
        )

    def forward(self, x):
        return self.layers(x)[:, 0]


def waves(n_tasks, seed):
    """Return tasks y = ± sin(2x): the mean over tasks says nothing."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.5, 1.5, (n_tasks, 26, 1))
    y = rng.choice([-1, 1], (n_tasks, 1)) * np.sin(2 * x[..., 0])
    return x[:, :6], y[:, :6], x[:, 6:], y[:, 6:]


def test_any_module_is_meta_trained_and_itself_left_alone():
    module = Wave()
    before = [p.detach().clone() for p in module.parameters()]
    found = maml(*waves(32, 0), None, 120, 0.03, inner_lr=0.3, inner_steps=2, model=module)
    test = waves(64, 1)
    assert found.loss(*test) < 0.25 * plain(test[3])
    for parameter, old in zip(module.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), old, rtol=0, atol=0)


def test_the_closed_form_recovers_least_squares():
    learner = ClosedForm(ClosedFormConfig(prior_scale=3.0, noise=0.1))
    x, y, x_test, _ = data = family(5, noise=0.0)
    found = maml(*data, epochs=1, learning_rate=1e-9, learner=learner)
    for task, predicted in enumerate(found.predict(x, y, x_test)):
        z, z_test = (np.c_[a[task], np.ones(len(a[task]))] for a in (x, x_test))
        ridge = np.linalg.solve(z.T @ z + (0.1 / 3) ** 2 * np.eye(4), z.T @ y[task])
        np.testing.assert_allclose(predicted, z_test @ ridge, rtol=1e-3, atol=1e-3)
        least_squares = np.linalg.lstsq(z, y[task], rcond=None)[0]
        np.testing.assert_allclose(predicted, z_test @ least_squares, atol=0.02)


def test_the_same_seed_gives_the_same_result_and_torch_is_left_as_it_was(toy):
    def run(seed):
        learner = Amortised(AmortisedConfig(hidden_dim=8))
        return maml(*toy, epochs=3, learner=learner, seed=seed)

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = run(0)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    assert run(0).losses == first.losses != run(1).losses


@pytest.mark.parametrize("whose", ["module", "learner"])
def test_units_are_dropped_in_training_alone(whose):
    model = Wave(dropout=0.5) if whose == "module" else None
    learner = None if model else Amortised(AmortisedConfig(hidden_dim=8, dropout=0.5))
    x, y, x_test, _ = data = waves(8, 0)
    found = maml(*data, epochs=3, model=model, learner=learner)
    again = found.predict(x, y, x_test)
    np.testing.assert_array_equal(found.predict(x, y, x_test), again)


def test_progress_is_told_after_each_step(toy):
    told = []
    found = maml(*toy, epochs=4, progress=lambda *update: told.append(update))
    assert told == [(i + 1, 4, loss) for i, loss in enumerate(found.losses)]


# -------------------------------------------------------------------------- what may go wrong


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({0: lambda x: x[0]}, r"train_task: x has the shape \(10,\)"),
        ({1: lambda y: y[:7]}, r"train_task: .* y \(1, 7\)"),
        ({3: lambda y: y[:, None]}, r"test_task: .* y \(1, 20, 1\)"),
        ({2: lambda x: x[:, :4]}, "train tasks of 10 features and 1 test tasks of 4"),
        ({0: lambda x: np.stack([x, x]), 1: lambda y: np.stack([y, y])}, "2 train tasks of 10"),
        ({0: lambda x: x[None, :0], 1: lambda y: y[:0]}, r"y \(0,\)"),
        ({0: lambda x: x[None][:0], 1: lambda y: y[None][:0]}, r"\(0, 100, 10\)"),
        ({1: lambda y: np.where(y > 0.9, np.nan, y)}, "train_task: a value is not finite"),
        ({2: lambda x: x * np.inf}, "test_task: a value is not finite"),
        ({0: lambda x: x * 1e300}, "train_task: a value is not finite"),
        ({3: lambda y: np.array(["a"] * 20)}, "test_task: could not convert .* arrays of numbers"),
    ],
)
def test_wrong_arrays_are_refused(toy, change, says):
    arrays = [change.get(i, lambda a: a)(a) for i, a in enumerate(toy)]
    with pytest.raises(DataError, match=says):
        maml(*arrays)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"task_size": 9}, DataError, "task_size is 9, but the examples have 10 features"),
        ({"epochs": 0}, ConfigError, "epochs: .* greater than or equal to 1"),
        ({"learning_rate": 0.0}, ConfigError, "outer_lr: .* greater than 0"),
        ({"inner_lr": -1.0}, ConfigError, "inner_lr: .* greater than 0"),
        ({"inner_steps": 0}, ConfigError, "inner_steps: .* greater than or equal to 1"),
        ({"inner_lr": 1e20, "inner_steps": 3}, DivergedError, r"inner_lr=1e\+20 .*lower inner_lr"),
        ({"model": nn.Linear(10, 1)}, ConfigError, r"the shape \(20, 1\) for 20 examples"),
        ({"model": nn.Linear(10, 1), "learner": ClosedForm()}, ConfigError, r"nn\.Flatten"),
    ],
)
def test_wrong_settings_are_refused_by_name(toy, settings, error, says):
    with pytest.raises(error, match=says):
        maml(*toy, **settings)


def test_predictions_of_shapes_that_do_not_fit_are_refused(learned):
    x, y, x_test, y_test = family(3, seed=1)
    with pytest.raises(DataError, match="3 supports and x of 2 tasks"):
        learned.predict(x, y, x_test[:2])
    with pytest.raises(DataError, match="3 supports and x of 1 tasks"):
        learned.predict(x, y, x_test[0])
    with pytest.raises(DataError, match=r"support: .* y \(3, 5\)"):
        learned.predict(x, y[:, :5], x_test)
    with pytest.raises(DataError, match=r"y \(3, 20, 1\)"):
        learned.loss(x, y, x_test, y_test[..., None])
