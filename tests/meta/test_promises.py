"""What every learner promises, whatever its module, against slow loops and finite differences."""

from dataclasses import replace

import torch
from tests.meta.cases import (
    BY_DESCENT,
    EXACT,
    INNER,
    KIND,
    N_TASKS,
    SHOTS,
    doubled,
    each,
    every_learner,
    only,
    setting_of,
)
from torch.func import functional_call

from warmstart.meta.learner import (
    Tasks,
    per_task,
)


@every_learner
def test_tasks_adapted_together_equal_each_alone_without_padding(learner, case):
    s = setting_of(learner, case)
    case, tasks, problem = s.case, s.case.tasks, s.case.problem
    together = s.learner.adapt(problem, s.meta, tasks.support)
    losses, gradients = s.learner.gradients(problem, s.meta, tasks)
    total = {n: torch.zeros_like(p) for n, p in s.meta.items()}
    for task in range(N_TASKS):
        support, query = case.alone(tasks.support, task), case.alone(tasks.query, task)
        own = s.learner.adapt(problem, s.meta, support)
        for name in together:
            torch.testing.assert_close(own[name][0], together[name][task], rtol=1e-5, atol=1e-5)
        one = Tasks(support, query, tasks.weight[[task]])
        loss, gradient = s.learner.gradients(problem, s.meta, one)
        torch.testing.assert_close(loss[0], losses[task], rtol=1e-5, atol=1e-5)
        for name in total:
            total[name] += gradient[name]
    torch.testing.assert_close(total, gradients, rtol=1e-4, atol=1e-5)


@every_learner
def test_the_order_of_the_support_does_not_matter(learner, case):
    s = setting_of(learner, case)
    tasks = s.case.tasks
    turned = replace(tasks, support=s.case.shuffled(tasks.support))
    torch.testing.assert_close(s.after(turned.support), s.after(tasks.support))
    torch.testing.assert_close(
        s.learner.gradients(s.case.problem, s.meta, turned),
        s.learner.gradients(s.case.problem, s.meta, tasks),
        rtol=1e-4,
        atol=1e-5,
    )


@every_learner
def test_padding_says_nothing(learner, case):
    s = setting_of(learner, case)
    tasks = s.case.tasks
    wide = replace(tasks, support=s.case.widened(tasks.support), query=s.case.widened(tasks.query))
    torch.testing.assert_close(s.after(wide.support), s.after(tasks.support))
    torch.testing.assert_close(
        s.learner.gradients(s.case.problem, s.meta, wide),
        s.learner.gradients(s.case.problem, s.meta, tasks),
        rtol=1e-4,
        atol=1e-5,
    )


@every_learner
def test_without_examples_a_task_keeps_the_prior(learner, case):
    s = setting_of(learner, case)
    support, problem = s.case.tasks.support, s.case.problem
    nothing = replace(support, mask=torch.zeros_like(support.mask))
    other = replace(nothing, inputs=s.case.shuffled(support).inputs, labels=support.labels + 5)
    narrow = s.case.but(nothing, lambda x: x[:, :0])
    found = s.after(nothing)
    names = {"anil": problem.head, "closed-form": problem.head[:1]}.get(learner, problem.adapted)
    if learner == "foma":
        start = {n: s.meta[f"start/{n}"][KIND] for n in problem.head}
    else:
        start = per_task(s.meta, names, N_TASKS)
    if learner == "amortised":  # what it writes of no example at all is learned, not the start
        torch.testing.assert_close(s.after(other), found, rtol=0, atol=1e-6)
        torch.testing.assert_close(s.after(narrow), found, rtol=0, atol=1e-6)
        return
    unadapted = problem.predict(s.meta, start, s.case.tasks.query)
    for prediction in (found, s.after(other), s.after(narrow)):
        assert torch.equal(prediction, unadapted)


@every_learner
def test_examples_move_predictions(learner, case):
    s = setting_of(learner, case)
    support = s.case.tasks.support
    moved = (s.after(support) - s.after(only(support, 0))).abs().amax(dim=1)
    assert (moved[SHOTS > 0] > 1e-3).all()
    assert (moved[SHOTS == 0] < 1e-6).all()


@every_learner
def test_adapting_leaves_everything_else_alone(learner, case):
    s = setting_of(learner, case)
    model, tasks = s.case.problem.model, s.case.tasks
    kept = {n: p.clone() for n, p in (s.meta | model.state_dict()).items()}
    before = tasks.support.labels.clone(), tasks.support.mask.clone()
    s.learner.adapt(s.case.problem, s.meta, tasks.support)
    s.learner.gradients(s.case.problem, s.meta, tasks)
    torch.testing.assert_close(s.meta | model.state_dict(), kept, rtol=0, atol=0)
    torch.testing.assert_close((tasks.support.labels, tasks.support.mask), before, rtol=0, atol=0)
    assert all(p.grad is None for p in model.parameters())
    assert not any(p.requires_grad for p in s.meta.values())


@every_learner
def test_gradients_come_by_the_names_of_what_is_learned(learner, case):
    s = setting_of(learner, case)
    losses, gradients = s.learner.gradients(s.case.problem, s.meta, s.case.tasks)
    assert gradients.keys() == s.learner.init(s.case.problem).keys()
    for name, gradient in gradients.items():
        assert gradient.shape == s.meta[name].shape
        assert torch.isfinite(gradient).all()
    adapted = s.learner.adapt(s.case.problem, s.meta, s.case.tasks.support)
    direct = s.case.problem.losses(s.meta, adapted, s.case.tasks.query)
    torch.testing.assert_close(losses, direct)


@each(EXACT)
def test_the_meta_gradient_equals_finite_differences(learner, case):
    s = doubled(setting_of(learner, case))
    _, gradients = s.learner.gradients(s.case.problem, s.meta, s.case.tasks)
    way = {n: torch.randn_like(p) for n, p in s.meta.items()}

    def loss(distance):
        meta = {n: p + distance * way[n] for n, p in s.meta.items()}
        adapted = s.learner.adapt(s.case.problem, meta, s.case.tasks.support)
        return s.case.tasks.weight @ s.case.problem.losses(meta, adapted, s.case.tasks.query)

    slope = sum((gradients[n] * way[n]).sum() for n in way)
    step = 1e-5
    torch.testing.assert_close(slope, (loss(step) - loss(-step)) / (2 * step), rtol=1e-6, atol=1e-7)


@each(BY_DESCENT)
def test_descent_equals_a_plain_loop_over_tasks(learner, case):
    s = doubled(setting_of(learner, case))
    problem, tasks = s.case.problem, s.case.tasks
    leaves = {n: p.clone().requires_grad_() for n, p in s.meta.items()}
    total, adapted = 0.0, s.learner.adapt(problem, s.meta, tasks.support)
    for task in range(N_TASKS):
        support, query = s.case.alone(tasks.support, task), s.case.alone(tasks.query, task)
        own = slow_descent(learner, problem, leaves, support)
        for name, value in own.items():
            torch.testing.assert_close(value, adapted[name][task])
        total = total + tasks.weight[task] * slow_loss(problem, leaves | own, query)
    assert own.keys() == adapted.keys()
    if learner != "reptile":  # whose direction is not a gradient; see below
        found = torch.autograd.grad(total, list(leaves.values()), materialize_grads=True)
        _, gradients = s.learner.gradients(problem, s.meta, tasks)
        torch.testing.assert_close(gradients, dict(zip(leaves, found, strict=True)))


def slow_loss(problem, values, one):
    weights = {n: values[n] for n, _ in problem.model.named_parameters()}
    found = functional_call(problem.model, weights, tuple(x[0] for x in one.inputs))
    return problem.loss(found, one.labels[0], torch.ones_like(one.labels[0]), one.kind[0])


def slow_descent(learner, problem, meta, support):
    names = problem.head if learner in ("anil", "foma") else problem.adapted
    kind = int(support.kind[0])
    own = {n: meta[f"start/{n}"][kind] if learner == "foma" else meta[n] for n in names}
    sizes = dict.fromkeys(names, INNER["inner_lr"])
    if learner == "meta-sgd":
        sizes = {n: meta[f"step_size/{n}"] for n in names}
    if learner == "foma":
        sizes = {n: meta[f"step_size/{n}"][kind] for n in names}
    for _ in range(INNER["inner_steps"]):
        loss = slow_loss(problem, meta | own, support)
        steepest = torch.autograd.grad(loss, list(own.values()), create_graph=True)
        if learner in ("fomaml", "reptile", "foma"):
            steepest = [g.detach() for g in steepest]
        own = {n: own[n] - sizes[n] * g for n, g in zip(names, steepest, strict=True)}
    return own
