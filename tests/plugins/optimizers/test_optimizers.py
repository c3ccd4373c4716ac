from __future__ import annotations

import torch

from spikefront.plugins.optimizers.adam import Adam
from spikefront.plugins.optimizers.sgd import SGD


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
