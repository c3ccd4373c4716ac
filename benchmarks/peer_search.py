"""A search for spiking networks written by hand with Optuna and SpikingJelly, which imports nothing of spikefront.

Run: python benchmarks/peer_search.py --minutes 30 --seed 0 --to trials.jsonl

Two processes share a study of Optuna's multi-objective TPE with ``constant_liar``, as the manual advises for parallel
searches, and defaults else. Each trial is trained in full: 10,000 images of Fashion-MNIST, 8 epochs, Adam with a
cosine down to 0. Objectives are accuracy on 5,000 other images, and the energy of synapses per image, 45 nm: 0.9 pJ for
each accumulate that a spike causes, 4.6 pJ for each multiply-accumulate of an input that is a number (Horowitz, ISSCC
2014). A direct code is the same at each step, so its first layer is computed, and paid for, once. A black pixel does
not fire in a latency code; the encoder by itself would let it fire at the last step.

Each finished trial is a line of JSON in the file: seconds since the start, accuracy, energy in nJ, coding.
"""

from __future__ import annotations

import argparse
import fcntl
import gzip
import json
import math
import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from spikingjelly.activation_based import encoding, functional, layer, neuron, surrogate
from torch import Tensor, nn

FOLDER = Path("/usr/share/datasets/fashion-mnist")
TRAINING, VALIDATION = slice(0, 10_000), slice(50_000, 55_000)
EPOCHS, BATCH = 8, 64
COUNTED = 128  # validation images on which operations are counted
ACCUMULATE_PJ, MULTIPLY_PJ = 0.9, 4.6
CORES = 2


def read(split: slice) -> tuple[Tensor, Tensor]:
    """Return images ``(N, 1, 28, 28)`` in [0, 1] and their classes ``(N,)``."""
    with gzip.open(FOLDER / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)[split]
    with gzip.open(FOLDER / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)[split]
    return torch.tensor(images).float() / 255, torch.tensor(labels).long()


class SpikingNet(nn.Module):
    """Coding, backbone and read-out: mean over time of the last layer's output."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.steps, self.coding = settings["steps"], settings["coding"]
        self.poisson = encoding.PoissonEncoder(step_mode="m")
        self.latency = encoding.LatencyEncoder(self.steps, "linear")

        def spiking() -> nn.Module:
            made: nn.Module = neuron.LIFNode(
                tau=settings["tau"],
                v_threshold=settings["threshold"],
                surrogate_function=surrogate.ATan(alpha=2.0),
                detach_reset=True,
                step_mode="m",
            )
            return made

        parts: list[nn.Module] = []
        if settings["backbone"] == "mlp":
            size = 28 * 28
            for _ in range(settings["depth"]):
                width = settings["width"]
                parts += [layer.Linear(size, width, bias=False), layer.BatchNorm1d(width), spiking()]
                size = width
            parts = [layer.Flatten(), *parts, layer.Linear(size, 10)]
        else:
            channels, side = 1, 28
            for stage in range(settings["stages"]):
                width = settings["channels"] * 2**stage
                parts += [layer.Conv2d(channels, width, 3, padding=1, bias=False), layer.BatchNorm2d(width), spiking()]
                parts.append(layer.MaxPool2d(2))
                channels, side = width, side // 2
            parts += [layer.Flatten(), layer.Linear(channels * side * side, 10)]
        first = next(at for at, part in enumerate(parts) if isinstance(part, neuron.LIFNode))
        self.front, self.rest = nn.Sequential(*parts[:first]), nn.Sequential(*parts[first:])
        functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``(B, 10)`` of images ``(B, 1, 28, 28)``."""
        if self.coding == "direct":
            once = self.front(x.unsqueeze(0))
            current = once.expand(self.steps, *once.shape[1:])
        elif self.coding == "latency":
            current = self.front(self.latency.single_step_encode(x) * (x > 0))
        else:
            current = self.front(self.poisson(x.unsqueeze(0).expand(self.steps, *x.shape)))
        outputs: Tensor = self.rest(current).mean(0)
        return outputs


@torch.no_grad()
def energy_nj(network: SpikingNet, images: Tensor) -> float:
    """Return the energy of the synapses per image: what each input that is not 0 reaches, counted exactly."""
    operations = {ACCUMULATE_PJ: 0.0, MULTIPLY_PJ: 0.0}
    weighted = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]

    def count(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        used = (inputs[0] != 0).float().flatten(0, 1)
        if isinstance(module, nn.Linear):
            reached = float(used.sum()) * module.out_features
        elif isinstance(module, nn.Conv2d):
            ones = torch.ones(1, module.in_channels, *module.kernel_size)
            windows = nn.functional.conv2d(used, ones, padding=1).double()
            reached = float(windows.sum()) * module.out_channels
        operations[MULTIPLY_PJ if network.coding == "direct" and module is weighted[0] else ACCUMULATE_PJ] += reached

    handles = [module.register_forward_hook(count) for module in weighted]
    network.eval()(images)
    functional.reset_net(network)
    for handle in handles:
        handle.remove()
    return sum(price * number for price, number in operations.items()) / len(images) / 1000


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Return the settings of a trial."""
    settings: dict[str, Any] = {
        "coding": trial.suggest_categorical("coding", ["direct", "rate", "latency"]),
        "steps": trial.suggest_int("steps", 3, 8),
        "tau": trial.suggest_float("tau", 1.1, 10.0, log=True),
        "threshold": trial.suggest_float("threshold", 0.3, 2.0),
        "lr": trial.suggest_float("lr", 3e-4, 2e-2, log=True),
        "backbone": trial.suggest_categorical("backbone", ["mlp", "convnet"]),
    }
    if settings["backbone"] == "mlp":
        settings["width"] = trial.suggest_int("width", 16, 256, log=True)
        settings["depth"] = trial.suggest_int("depth", 1, 2)
    else:
        settings["channels"] = trial.suggest_int("channels", 4, 16, log=True)
        settings["stages"] = trial.suggest_int("stages", 1, 2)
    return settings


def train(settings: dict[str, Any], seed: int, training: tuple[Tensor, Tensor]) -> SpikingNet:
    """Return a trained network."""
    torch.manual_seed(seed)
    network = SpikingNet(settings)
    images, labels = training
    optimizer = torch.optim.Adam(network.parameters(), lr=settings["lr"])
    batches = math.ceil(len(images) / BATCH)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * batches)
    for _ in range(EPOCHS):
        network.train()
        for index in torch.randperm(len(images)).split(BATCH):
            loss = nn.functional.cross_entropy(network(images[index]), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            decay.step()
            functional.reset_net(network)
    return network


@torch.no_grad()
def accuracy(network: SpikingNet, validation: tuple[Tensor, Tensor]) -> float:
    """Return the share of images that a network classifies rightly."""
    network.eval()
    right = 0
    for images, labels in zip(validation[0].split(500), validation[1].split(500), strict=True):
        right += int((network(images).argmax(1) == labels).sum())
        functional.reset_net(network)
    return right / len(validation[0])


def work(number: int, study_file: str, to: Path, seed: int, began: float, seconds: float) -> None:
    """Carry out trials until the time is over; one that would end later is not counted."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    training, validation = read(TRAINING), read(VALIDATION)
    sampler = optuna.samplers.TPESampler(seed=1000 * seed + number, constant_liar=True)
    study = optuna.load_study(study_name="peer", storage=study_file, sampler=sampler)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        settings = suggest(trial)
        network = train(settings, seed, training)
        reached, energy = accuracy(network, validation), energy_nj(network, validation[0][:COUNTED])
        record = {"seconds": time.time() - began, "quality": reached, "energy_nj": energy, "coding": settings["coding"]}
        if record["seconds"] <= seconds:
            with to.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(json.dumps(record) + "\n")
        return reached, energy

    study.optimize(objective, timeout=max(0.0, seconds - (time.time() - began)))


def main() -> None:
    """Search."""
    began = time.time()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, required=True, help="file of finished trials")
    arguments = parser.parse_args()
    arguments.to.write_text("")
    study_file = f"sqlite:///{arguments.to.with_suffix('.db')}"
    optuna.create_study(study_name="peer", storage=study_file, directions=["maximize", "minimize"])
    more = (study_file, arguments.to, arguments.seed, began, 60 * arguments.minutes)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(number, *more)) for number in range(CORES)]
    for worker in workers:
        worker.start()
    for worker in workers:  # the trials that run when the time is over do not count, and are not waited for
        worker.join(max(0.0, 60 * arguments.minutes - (time.time() - began)))
        worker.kill()


if __name__ == "__main__":
    main()
