from __future__ import annotations

from typing import Any

import pytest
import torch

from spikefront.plugins import Optimizer
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


@pytest.mark.parametrize(
    ("ours", "plain"),
    [
        (Adam(lr=0.01, weight_decay=0.05), lambda x: torch.optim.AdamW(x, lr=0.01, weight_decay=0.05, foreach=False)),
        (SGD(lr=0.2), lambda x: torch.optim.SGD(x, lr=0.2, momentum=0.9, foreach=False)),
    ],
)
def test_steps_of_one_kernel_are_those_of_the_plain_loop(ours: Optimizer, plain: Any) -> None:
    weights = [[torch.nn.Parameter(torch.linspace(-1, 1, size)) for size in (7, 1, 20)] for _ in range(2)]
    for optimizer, some in zip((ours(weights[0]), plain(weights[1])), weights, strict=True):
        for step in range(5):
            for weight in some:
                weight.grad = torch.cos(weight.detach() * (step + 1))
            optimizer.step()
    for left, right in zip(*weights, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


def test_only_floats_on_a_processor_that_has_the_kernel_are_fused() -> None:
    x = torch.nn.Parameter(torch.zeros(2))
    assert Adam()([{"params": [x]}, {"params": [torch.nn.Parameter(torch.zeros(1))]}]).defaults["fused"]
    assert not Adam()([x, torch.nn.Parameter(torch.zeros(1, device="meta"))]).defaults["fused"]
    assert not SGD()([torch.nn.Parameter(torch.zeros(1, device="meta"))]).defaults["fused"]
