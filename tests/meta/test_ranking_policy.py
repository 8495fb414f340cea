"""The ranking policy against enumeration of every list of a tiny catalogue."""

import itertools

import numpy as np
import pytest
import torch
from tests.meta.cases import ranking_case
from torch.func import grad_and_value, vmap

from warmstart.core.registry import lookup
from warmstart.evaluation.metrics import ndcg
from warmstart.meta.learner import Problem
from warmstart.meta.ranking_policy import draw_lists, expected_ndcg, log_chances
from warmstart.meta.settings import FOMAConfig, PolicyConfig

LOGITS = torch.tensor([0.3, -0.5, 1.1, 0.0, 2.0], dtype=torch.float64)
RELEVANT = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
MASK = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0], dtype=torch.float64)  # the last may not be shown
LENGTH, TEMPERATURE, KIND = 2, 0.7, torch.tensor(0)


def every_list(logits):
    """Yield every list of two of the four items, with its chance, one place after the other."""
    for first, second in itertools.permutations(range(4), 2):
        weight = (logits[:4] / TEMPERATURE).exp()
        left = weight.sum() - weight[first]
        yield (first, second), weight[first] / weight.sum() * weight[second] / left


def by_enumeration():
    import scipy.sparse as sp

    logits = LOGITS.clone().requires_grad_()
    wanted = sp.csr_array((RELEVANT * MASK).numpy()[None])
    expected = sum(
        chance * ndcg(np.array([both]), wanted, LENGTH)[0] for both, chance in every_list(logits)
    )
    expected.backward()
    return float(expected.detach()), logits.grad


def drawn_gradients(loss, n):
    """Return (n, items) gradients and (n,) values, each of its own draws, as tasks of a batch."""
    each = grad_and_value(lambda logits: loss(logits, RELEVANT, MASK, KIND))
    return vmap(each, randomness="different")(LOGITS.expand(n, -1))


@pytest.mark.parametrize("samples", [2, 8])
def test_value_and_gradient_are_those_of_the_expected_ndcg(samples):
    torch.manual_seed(0)
    value, gradient = by_enumeration()
    loss = expected_ndcg(PolicyConfig(samples=samples, length=LENGTH, temperature=TEMPERATURE))
    each, values = drawn_gradients(loss, 20_000)
    error = each.std(dim=0) / len(each) ** 0.5
    # four errors on four coordinates: by accident once in four thousand seeds
    assert (((each.mean(dim=0) + gradient) / error.clamp(min=1e-9)).abs()[:4] < 4).all()
    assert each[:, 4].abs().max() == 0
    doubt = float(values.std()) / len(values) ** 0.5
    assert float(values.mean()) == pytest.approx(-value, abs=4 * doubt)


def test_the_baseline_takes_most_of_the_variance_away():
    torch.manual_seed(1)
    config = PolicyConfig(samples=16, length=LENGTH, temperature=TEMPERATURE)
    with_baseline = drawn_gradients(expected_ndcg(config), 2_000)[0].var(dim=0).sum() * 16

    def plain(logits, labels, mask, kind):
        own = logits / TEMPERATURE - 1e4 * (1 - mask)
        drawn = draw_lists(own.detach(), 1, LENGTH)
        gain = ((labels * mask)[drawn[0]] * torch.tensor([1, 0.63093])).sum() / 1.63093
        return -gain * log_chances(own, drawn).sum()

    assert with_baseline < 0.6 * drawn_gradients(plain, 30_000)[0].var(dim=0).sum()


def test_lists_are_drawn_as_often_as_their_chance_says():
    torch.manual_seed(2)
    own = LOGITS / TEMPERATURE - 1e4 * (1 - MASK)
    drawn = draw_lists(own, 40_000, LENGTH)
    for both, chance in every_list(LOGITS):
        often = (drawn == torch.tensor(both)).all(dim=1).double().mean()
        assert float(often) == pytest.approx(float(chance), abs=0.01)
        assert float(log_chances(own, torch.tensor([both])).sum().exp()) == pytest.approx(
            float(chance)
        )


def test_a_list_as_long_as_the_catalogue_is_no_trouble():
    torch.manual_seed(3)
    logits = torch.tensor([3.0, 0.0, -60.0], requires_grad=True)
    loss = expected_ndcg(PolicyConfig(samples=4, length=10))
    said = loss(logits, torch.tensor([0.0, 1.0, 0.0]), torch.ones(3), KIND)
    said.backward()
    assert -1 <= float(said.detach()) < -0.6
    assert logits.grad.isfinite().all()
    nothing = loss(logits, torch.zeros(3), torch.ones(3), KIND)
    assert float(nothing.detach()) == 0  # a task without anything relevant says nothing


@pytest.mark.parametrize("name", ["maml", "fomaml", "anil", "meta-sgd", "foma", "closed-form"])
def test_a_learner_descends_on_its_loss_and_is_judged_by_another(name):
    case = ranking_case()
    kind = lookup("learners", name)
    learner = kind(FOMAConfig(kinds=2)) if name == "foma" else kind()

    def strange(found, labels, mask, kind):
        return (mask * found**2).sum()

    judged = Problem.of(case.problem.model, case.problem.loss, judge=strange)
    meta = learner.init(case.problem)
    adapted = learner.adapt(case.problem, meta, case.tasks.support)
    for n, p in learner.adapt(judged, meta, case.tasks.support).items():
        torch.testing.assert_close(p, adapted[n])
    query = case.tasks.query
    predictions = judged.predict(meta, adapted, query)
    losses, gradients = learner.gradients(judged, meta, case.tasks)
    torch.testing.assert_close(losses, (query.mask * predictions.detach() ** 2).sum(dim=1))
    other = learner.gradients(case.problem, meta, case.tasks)[1]
    assert any(not torch.allclose(gradients[n], other[n]) for n in gradients)
