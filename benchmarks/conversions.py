"""Compare what an ANN of Fashion-MNIST is converted to: accuracy, operations, energy and latency of each coding.

One ANN for each backbone and seed, which all codings convert, and the first images of the validation split. A report,
not a test.

Run: python benchmarks/conversions.py --epochs 8 --samples 20000 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from spikefront.plugins import Data, Registry, SearchData, load_registry
from spikefront.runners.judging.judge import judge

BACKBONES: dict[str, dict[str, object]] = {
    "mlp": {"backbone.mlp.width": 256, "backbone.mlp.depth": 2},
    "convnet": {"backbone.convnet.pool": "avg"},
    "vgg": {
        f"backbone.vgg.{name}": value for name, value in {"width": 8, "stages": 3, "convs": 2, "hidden": 64}.items()
    },
}
"""The last has seven spiking layers."""

CODINGS: dict[str, tuple[int, ...]] = {
    "ttfs": (2, 4, 8),
    "ttfs-conversion": (4, 8, 16, 32),
    "rate-conversion": (4, 8, 16, 32),
    "differential-conversion": (2, 4, 8),
    "css": (4,),
}
VARIANTS: dict[str, dict[str, object]] = {
    "ttfs-conversion 16 analog": {"coding": "ttfs-conversion", "steps": 16, "coding.ttfs-conversion.input": "analog"},
    **{
        f"{coding} {steps}, least error": {"coding": coding, "steps": steps, f"coding.{coding}.scale": "least-error"}
        for coding in ("ttfs-conversion", "rate-conversion")
        for steps in CODINGS[coding]
    },
    "ttfs-conversion 16 analog, least error": {
        "coding": "ttfs-conversion",
        "steps": 16,
        "coding.ttfs-conversion.input": "analog",
        "coding.ttfs-conversion.scale": "least-error",
    },
    "ttfs 16, ceiling 3": {"coding": "ttfs", "steps": 16, "coding.ttfs.ceiling": 3.0},
}


def first_samples(registry: Registry, task: str, samples: int, validation: int) -> SearchData:
    """Return training samples of a task, drawn with a fixed seed, and the first of its validation split; 0 for all."""
    whole: SearchData = registry.get("task", task)().search_data(None, 1)
    order = torch.randperm(len(whole.train), generator=torch.Generator().manual_seed(0))[: samples or None]
    last = slice(validation or None)
    train = Data(whole.train.inputs[order], whole.train.targets[order])
    held = Data(whole.validation.inputs[last], whole.validation.targets[last])
    return SearchData(train, held, whole.outputs, whole.classes)


def candidates(backbone: str, seed: int, epochs: int) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield flat candidates with a name each; those of a conversion convert the same ANN."""
    same = {"task": "fashion-mnist", "backbone": backbone, "seed": seed, **BACKBONES[backbone]}
    same |= {"training.epochs": epochs, "training.optimizer.adam.lr": 0.002}
    for coding, lengths in CODINGS.items():
        for steps in lengths:
            yield f"{coding} {steps}", {**same, "coding": coding, "steps": steps}
    for name, variant in VARIANTS.items():
        yield name, same | variant


def measured(
    registry: Registry, data: SearchData, backbone: str, seeds: Sequence[int], epochs: int
) -> dict[str, list[dict[str, float]]]:
    """Judge the candidates of one backbone, by a name of their coding and steps."""
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as anns:
        for seed in seeds:
            for name, flat in candidates(backbone, seed, epochs):
                metrics = judge(flat, registry=registry, data=data, ann_cache=Path(anns)).metrics
                found.setdefault(name, []).append(metrics)
    return found


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Write rows in Markdown; means over the seeds."""
    lines = [
        "| coding, T | accuracy, % | points below its ANN | SOPs | MACs | energy, nJ | encoder, nJ | latency, steps |"
    ]
    lines.append("| --- " * 8 + "|")
    for name, runs in found.items():

        def mean(metric: str, runs: list[dict[str, float]] = runs) -> float:
            return statistics.mean(run.get(metric, 0.0) for run in runs)

        below = 100 * (mean("ann_quality") - mean("quality"))
        cells = [name, f"{100 * mean('quality'):.2f}", f"{below:.2f}"]
        cells += [f"{mean(metric):,.0f}" for metric in ("sops", "macs")]
        cells += [f"{mean(metric):,.1f}" for metric in ("energy_nj", "encoder_nj")]
        cells.append(f"{mean('latency_steps'):.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print a table for each backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--samples", type=int, default=20_000, help="training images")
    parser.add_argument("--validation", type=int, default=10_000, help="validation images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=["mlp", "convnet"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    registry = load_registry(third_parties=False)
    data = first_samples(registry, "fashion-mnist", arguments.samples, arguments.validation)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    print(f"{machine}; {arguments.epochs} epochs of {len(data.train)} images, seeds {arguments.seeds}; horowitz-45nm\n")
    for backbone in arguments.backbones:
        found = measured(registry, data, backbone, arguments.seeds, arguments.epochs)
        print(f"{backbone}: its ANN has {100 * found['ttfs-conversion 16'][0]['ann_quality']:.2f} % (first seed)\n")
        print(table(found), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
