"""The contract of an optimiser."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from spikefront.plugins.contracts import Optimizer
from spikefront.plugins.testing.base import PluginContract, sample_configs
from spikefront.searchspace import fields_of


class OptimizerContract(PluginContract):
    """What every optimiser must do."""

    kind = "optimizer"

    def test_learning_rate_is_a_hyperparameter(self, plugin: type[Optimizer]) -> None:
        assert "lr" in [field.name for field in fields_of(plugin.Config)]

    def test_goes_downhill(self, plugin: type[Optimizer]) -> None:
        x = nn.Parameter(torch.tensor([3.0]))
        optimizer = plugin()([x])
        for _ in range(20):
            _step(optimizer, [x])
        assert x.abs().item() < 3

    def test_groups_keep_learning_rates_of_their_own(self, plugin: type[Optimizer]) -> None:
        for config in sample_configs(plugin.Config):
            optimizer = config(_groups(2 * config.lr))
            assert [group["lr"] for group in optimizer.param_groups] == [2 * config.lr, config.lr]

    def test_stands_still_when_the_schedule_has_decayed_to_zero(self, plugin: type[Optimizer]) -> None:
        x = nn.Parameter(torch.tensor([3.0]))
        optimizer = plugin()([x])
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        _step(optimizer, [x])
        assert x.item() == 3

    def test_goes_on_from_a_checkpoint_as_without(self, plugin: type[Optimizer]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            x = nn.Parameter(torch.tensor([3.0, -1.0]))
            optimizer = config([x])
            for _ in range(3):
                _step(optimizer, [x])
            other = nn.Parameter(x.detach().clone())
            restored = config([other])
            restored.load_state_dict(deepcopy(optimizer.state_dict()))
            for _ in range(3):
                _step(optimizer, [x])
                _step(restored, [other])
            assert torch.equal(x, other)


def _groups(lr: float) -> list[dict[str, object]]:
    """Return two groups as training makes them: one with a learning rate of its own and without weight decay."""
    first = {"params": [nn.Parameter(torch.zeros(2))], "lr": lr, "weight_decay": 0.0}
    return [first, {"params": [nn.Parameter(torch.ones(1))]}]


def _step(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
    optimizer.zero_grad()
    sum((parameter.square().sum() for parameter in parameters), torch.zeros(())).backward()
    optimizer.step()
