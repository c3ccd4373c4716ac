from __future__ import annotations

import pytest
import torch

from spikefront.plugins.optimizers import OPTIMIZERS, SGD, Adam


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_goes_downhill(name: str) -> None:
    x = torch.nn.Parameter(torch.tensor([3.0]))
    optimizer = OPTIMIZERS[name]()([x])
    for _ in range(20):
        optimizer.zero_grad()
        x.square().sum().backward()
        optimizer.step()
    assert abs(x.item()) < 3


def test_hyperparameters_reach_the_optimizer() -> None:
    x = torch.nn.Parameter(torch.zeros(1))
    assert Adam(lr=0.01, weight_decay=0.05)([x]).defaults["lr"] == 0.01
    assert Adam(lr=0.01, weight_decay=0.05)([x]).defaults["weight_decay"] == 0.05
    assert SGD(lr=0.2, momentum=0.5)([x]).defaults["momentum"] == 0.5


def test_group_keeps_a_learning_rate_of_its_own() -> None:
    groups = [
        {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.02},
        {"params": [torch.nn.Parameter(torch.ones(1))]},
    ]
    assert [group["lr"] for group in Adam(lr=0.01)(groups).param_groups] == [0.02, 0.01]
