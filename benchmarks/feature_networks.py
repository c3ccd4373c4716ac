"""Trains the classifiers in whose features generated images are compared, into plugins/tasks; 1 minute.

Their weights are part of the package, so that a Fréchet distance means the same everywhere. Run it again only to change
them: every distance that was measured before is then worth nothing.

    python benchmarks/feature_networks.py --to plugins/tasks
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from spikefront.plugins.bases.frechet import FeatureNetwork, load, save, trained
from spikefront.plugins.bases.generation import ImageGeneration
from spikefront.plugins.tasks.digits_generation import DigitsGeneration
from spikefront.plugins.tasks.fashion_mnist_generation import FashionMNISTGeneration

EPOCHS = {DigitsGeneration: 60, FashionMNISTGeneration: 8}


def accuracy(task: type[ImageGeneration], network: FeatureNetwork) -> float:
    """Return the accuracy on the validation split."""
    source = task.source()
    validation = source.search_data(None, 1).validation
    with torch.no_grad():
        return source.score(network(source.prepare(validation.inputs)), validation.targets)


def main() -> None:
    """Train, write and check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True)
    folder: Path = parser.parse_args().to
    torch.set_num_threads(1)  # the order of sums, and with it the weights, depends on it
    for task, epochs in EPOCHS.items():
        source = task.source()
        train = source.search_data(None, 1).train
        network = trained(source.prepare(train.inputs), train.targets, epochs=epochs)
        path = folder / task.features.name
        save(network, path)
        print(f"{path}: {path.stat().st_size} bytes, accuracy {accuracy(task, load(path)):.4f}")


if __name__ == "__main__":
    main()
