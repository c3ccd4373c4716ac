"""Training on another device than the CPU: torch's meta device, on which values can be neither read nor mixed."""

from __future__ import annotations

import pytest
import torch

from spikefront.plugins import Data, Registry, load_registry
from spikefront.runners.judging import precision
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.training import Trainer
from spikefront.searchspace import from_flat

REGISTRY: Registry = load_registry(third_parties=False)
PARTS = [
    *(
        {"coding": name, "neuron": min(REGISTRY.get("coding", name).neurons or ["lif"])}
        for name, entry in REGISTRY.entries["coding"].items()
        if entry.plugin.library != "snntorch"  # whose encoders read values to check them
    ),
    *(
        {"neuron": name} | ({"backbone": "mlp"} if entry.plugin.emits_changes else {})  # whose max is not theirs
        for name, entry in REGISTRY.entries["neuron"].items()
    ),
    *({"backbone": name} for name in REGISTRY.entries["backbone"] if name != "fsvae"),  # which makes images
    *({"training.optimizer": name} for name in REGISTRY.entries["optimizer"]),
    *({"training.loss": name} for name in REGISTRY.entries["loss"]),
    {"training.precision": "bf16"},
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: " ".join(part.values()))
def test_an_epoch_reads_nothing_from_the_device_before_its_end(
    part: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: True)  # of a device, as a processor may have none
    flat = {"task": "digits", "coding": "direct", "neuron": "lif", "backbone": "convnet", "steps": 3} | part
    candidate = from_flat(flat | {"training.batch": 8}, REGISTRY)
    task = REGISTRY.task(candidate)
    network = assemble(candidate, REGISTRY, (1, 8, 8), 10).to("meta")
    data = Data(torch.zeros(24, 1, 8, 8, device="meta"), torch.zeros(24, dtype=torch.int64, device="meta"))
    trainer = Trainer(network, task, data, candidate.training, seed=0)

    with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta tensors"):
        trainer.epoch()  # the mean loss, as a number

    assert trainer.state()["decay"]["last_epoch"] == 3  # all of its steps were made


def test_a_value_that_is_read_within_a_step_is_found() -> None:
    flat = {"task": "digits", "coding": "direct", "neuron": "lif", "backbone": "mlp", "steps": 3, "training.batch": 8}
    candidate = from_flat(flat, REGISTRY)
    network = assemble(candidate, REGISTRY, (1, 8, 8), 10).to("meta")
    network.penalty = lambda: float(next(network.parameters()).sum())  # type: ignore[method-assign]
    data = Data(torch.zeros(24, 1, 8, 8, device="meta"), torch.zeros(24, dtype=torch.int64, device="meta"))
    trainer = Trainer(network, REGISTRY.task(candidate), data, candidate.training, seed=0)

    with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta tensors"):
        trainer.epoch()

    assert trainer.state()["decay"]["last_epoch"] == 0
