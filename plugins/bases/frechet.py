"""The Fréchet distance between two sets of images, in the features of a small classifier.

Both sets are described by mean and covariance of their features, as if these were normally distributed::

    |m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))

It is 0 for equal statistics and grows with whatever the classifier sees: wrong shapes, too few kinds of images, blur.
Fewer images give larger distances, so compare only distances of equally many.

The classifier is trained once on the labelled images (``trained``) and kept as a file, so that a distance means the
same on every machine. Distances in different features, such as the Inception network's, are not comparable.

Reference: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", NeurIPS
(2017).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

_FEATURES: Final = 64
_AT_ONCE: Final = 1000
_SEED: Final = 20_234


class FeatureNetwork(nn.Module):
    """A small convolutional classifier, whose features are what is in front of its last layer.

    Args:
        channels: channels of an image.
        classes: number of classes that it is trained on.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, _FEATURES, 3, padding=1),
            nn.ReLU(),
        )
        self.classify = nn.Linear(_FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(N, classes)`` of images ``(N, C, H, W)`` in [0, 1]."""
        logits: Tensor = self.classify(self.features(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Return the features ``(N, 64)``, each the mean of a map."""
        maps: Tensor = self.convolutions(images)
        return maps.mean((2, 3))


def trained(images: Tensor, labels: Tensor, *, epochs: int) -> FeatureNetwork:
    """Train a classifier from a fixed seed.

    Args:
        images: ``(N, C, H, W)`` in [0, 1].
        labels: classes ``(N,)``, from 0.
        epochs: passes over the images.
    """
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        network = FeatureNetwork(images.shape[1], int(labels.max()) + 1)
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
        for _ in range(epochs):
            for index in torch.randperm(len(images)).split(128):
                loss = nn.functional.cross_entropy(network(images[index]), labels[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return network.eval()


def save(network: FeatureNetwork, path: Path) -> None:
    """Write the weights of a classifier as half-precision arrays, an ``.npz`` file."""
    arrays = {name: tensor.numpy().astype(np.float16) for name, tensor in network.state_dict().items()}
    np.savez(path, allow_pickle=False, **arrays)


@cache
def load(path: Path) -> FeatureNetwork:
    """Return the classifier that ``save`` wrote; the same object each time, which is not to be changed."""
    with np.load(path, allow_pickle=False) as arrays:
        state = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}
    network = FeatureNetwork(state["convolutions.0.weight"].shape[1], len(state["classify.bias"]))
    network.load_state_dict(state)
    return network.requires_grad_(False).eval()


def frechet_distance(images: Tensor, others: Tensor, network: FeatureNetwork) -> float:
    """Return the distance between two sets of images ``(N, C, H, W)`` in [0, 1], N at least 2; at least 0."""
    return feature_distance(_features(images, network), _features(others, network))


def feature_distance(features: Tensor, others: Tensor) -> float:
    """Return the distance between two sets of features ``(N, F)``, computed in double precision."""
    features, others = features.double(), others.double()
    ours, theirs = features.T.cov(), others.T.cov()
    # the trace of (C1 C2)^(1/2) is that of (C1^(1/2) C2 C1^(1/2))^(1/2), which is symmetric
    values, vectors = torch.linalg.eigh(ours)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    mixed = torch.linalg.eigvalsh(root @ theirs @ root).clamp_min(0).sqrt().sum()
    apart = (features.mean(0) - others.mean(0)).square().sum()
    return max(0.0, float(apart + ours.trace() + theirs.trace() - 2 * mixed))


@torch.no_grad()
def _features(images: Tensor, network: FeatureNetwork) -> Tensor:
    on_device = network.to(images.device)
    return torch.cat([on_device.features(part) for part in images.split(_AT_ONCE)])
