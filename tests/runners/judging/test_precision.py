from __future__ import annotations

import pytest
import torch
from torch import nn

from spikefront.plugins import Data, Kind, Registry, Signal, Synapse
from spikefront.plugins.network.layers import in_bf16
from spikefront.runners.judging import precision
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.training import Trainer, evaluate
from spikefront.searchspace import UsageError, from_flat


def trainer(registry: Registry, chosen: str) -> Trainer:
    flat = {"task": "digits", "coding": "direct", "backbone": "convnet", "backbone.convnet.width": 8, "steps": 3}
    candidate = from_flat({**flat, "training.precision": chosen, "training.decay": "constant"}, registry)
    torch.manual_seed(0)
    network = assemble(candidate, registry, (1, 8, 8), 10)
    inputs = torch.randint(0, 17, (128, 1, 8, 8), dtype=torch.uint8)
    data = Data(inputs, inputs[:, 0, :2, :4].flatten(1).float().argmax(1))
    return Trainer(network, registry.get("task", "digits")(), data, candidate.training, seed=0)


def test_a_synapse_in_bf16_rounds_what_it_multiplies_and_returns_float32() -> None:
    torch.manual_seed(0)
    synapse, x = Synapse(nn.Linear(8, 4)), torch.randn(2, 3, 8)
    with in_bf16():
        out = synapse(Signal(x, 2, Kind.ANALOG)).values
    exact = synapse(Signal(x, 2, Kind.ANALOG)).values
    weight, bias = (parameter.bfloat16().double() for parameter in synapse.weight.parameters())
    rounded = x.bfloat16().double() @ weight.T + bias
    assert out.dtype == torch.float32
    assert not torch.equal(out, exact)
    torch.testing.assert_close(out, rounded.float(), rtol=2**-8, atol=1e-6)  # the result has 8 bits, too
    assert synapse(Signal(x, 2, Kind.ANALOG)).values.equal(exact)  # only inside


def test_training_in_bf16_learns_with_float32_weights_and_membrane(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: True)
    losses = {}
    for chosen in ("fp32", "bf16"):
        one = trainer(registry, chosen)
        seen: set[torch.dtype] = set()
        for module in one.network.modules():
            if type(module).__name__ == "LIF":
                module.register_forward_hook(
                    lambda module, args, out, seen=seen: seen.update((args[0].dtype, out.dtype))
                )
        losses[chosen] = [one.epoch() for _ in range(12)]
        assert seen == {torch.float32}
        assert {parameter.dtype for parameter in one.network.parameters()} == {torch.float32}
        assert losses[chosen][-1] < 0.8 * losses[chosen][0]
        evaluate(one.network, one._task, one._data)
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"][0] == pytest.approx(losses["fp32"][0], rel=0.05)


def test_bf16_is_refused_in_one_line_where_the_processor_would_emulate_it(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: False)
    trainer(registry, "fp32")
    with pytest.raises(UsageError, match="no bf16 arithmetic") as refused:
        trainer(registry, "bf16")
    assert "\n" not in str(refused.value)
