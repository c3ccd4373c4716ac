"""The contract of a training loss."""

from __future__ import annotations

import torch
from torch import Tensor

from spikefront.plugins.contracts import Loss, Task
from spikefront.plugins.testing.base import PluginContract, built_in, sample_configs

_STEPS, _SAMPLES, _CLASSES = 3, 8, 4


class LossContract(PluginContract):
    """What every training loss must do, on a task of classes."""

    kind = "loss"

    def test_is_a_finite_scalar_with_a_gradient(self, plugin: type[Loss]) -> None:
        for config in sample_configs(plugin.Config):
            output, targets = outputs(plugin).requires_grad_(), torch.arange(_SAMPLES) % _CLASSES
            loss = config.of(_digits())(output, targets)
            assert loss.shape == ()
            assert loss.isfinite()
            (gradient,) = torch.autograd.grad(loss, output)
            assert gradient.isfinite().all()
            assert gradient.any(), "no gradient comes back"

    def test_is_the_mean_over_samples(self, plugin: type[Loss]) -> None:
        for config in sample_configs(plugin.Config):
            loss, output, targets = config.of(_digits()), outputs(plugin), torch.arange(_SAMPLES) % _CLASSES
            alone = [
                loss(output[..., number : number + 1, :], targets[number : number + 1]) for number in range(_SAMPLES)
            ]
            torch.testing.assert_close(loss(output, targets), torch.stack(alone).mean())

    def test_is_smaller_where_outputs_are_right(self, plugin: type[Loss]) -> None:
        targets = torch.arange(_SAMPLES) % _CLASSES
        right = torch.nn.functional.one_hot(targets, _CLASSES).float().expand_as(outputs(plugin))
        loss = plugin().of(_digits())
        assert loss(right, targets) < loss(right.roll(1, -1), targets)


def outputs(plugin: type[Loss]) -> Tensor:
    """Return outputs of each step for a loss that takes these, else decoded ones."""
    return torch.rand(*([_STEPS] if plugin.per_step else []), _SAMPLES, _CLASSES)


def _digits() -> Task:
    task: Task = built_in().get("task", "digits")()
    return task
