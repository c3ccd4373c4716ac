"""Learning rates over training steps are those of torch's schedulers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikefront.runners.judging.learning_rate import Decay, learning_rate
from spikefront.searchspace import Schedule


@pytest.mark.parametrize("decay", ["cosine", "cosine-by-epoch", "constant"])
def test_learning_rates_are_those_of_torch_s_scheduler_and_go_on_from_its_state(decay: str) -> None:
    share = learning_rate(Schedule(epochs=3, batch=4, decay=decay), samples=20)
    ours, theirs = (
        torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.3, 0.07)]) for _ in range(2)
    )
    mine, torchs = Decay(ours, share), torch.optim.lr_scheduler.LambdaLR(theirs, share)
    for step in range(15):
        theirs.step()
        torchs.step()
        if step == 7:  # as a checkpoint of an earlier version has it
            mine.load_state_dict(torchs.state_dict())
            ours.load_state_dict(theirs.state_dict())
        else:
            mine.step()
        assert [group["lr"] for group in ours.param_groups] == [group["lr"] for group in theirs.param_groups]


@pytest.mark.parametrize(("samples", "steps"), [(20, 4), (21, 4), (23, 5)])
def test_learning_rate_by_epoch_is_torch_s_cosine_annealing(samples: int, steps: int) -> None:
    """The last batch of one sample, of 21, is left out."""
    epochs = 7
    share = learning_rate(Schedule(epochs=epochs, batch=5, decay="cosine-by-epoch"), samples)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    annealed = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        rates = [share(epoch * steps + step) for step in range(steps)]
        assert rates == pytest.approx([optimizer.param_groups[0]["lr"]] * steps, abs=1e-12)
        optimizer.step()
        annealed.step()
