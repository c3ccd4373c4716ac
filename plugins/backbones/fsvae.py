"""Fully spiking variational autoencoder: images to spikes of a latent and back; and from random latents to new images.

The encoder is a stack of strided convolutions, the latent one of autoregressive Bernoulli spikes
(``spikefront.plugins.bases.latent``), the decoder a stack of transposed convolutions whose last layer has no neurons.
The loss is the reconstruction error, which is the task's, plus the distance between posterior and prior.

Reference: Kamata, Mukuta & Harada, "Fully spiking variational autoencoder", AAAI (2022), and its released code. Where
we differ:

- the output is decoded as the coding says (theirs: tanh of the sum over time, leaking 20 % per step), and the task
  turns it into pixels;
- neurons are the candidate's; their number of stages follows the image, and the last transposed convolution makes the
  pixels, where theirs is followed by neurons at full size and one more convolution: most of the time for few of the
  weights;
- the latent's past enters by a synapse of its own, beside the normalised features, rather than in one with them;
- the posterior unrolls with the norms' running statistics, as the prior does when it samples;
- scheduled sampling is parallel: with one probability throughout (theirs grows from 0.1 to 0.3, from the sixth step on)
  each spike of the past is replaced by the prior's pick given the posterior's past, in one pass (Mihaylova & Martins,
  "Scheduled sampling for transformers", ACL workshop, 2019);
- weights are not clipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from torch import nn

from spikefront.plugins import Backbone, Flatten, Signal, Sites, Synapse, hookimpl
from spikefront.plugins.bases.latent import SpikingLatent, high_gain
from spikefront.plugins.network.layers import Unflatten
from spikefront.searchspace import PINNED, Float, Int, UsageError


@dataclass(frozen=True, slots=True)
class FSVAEConfig:
    """Hyperparameters of the fully spiking variational autoencoder."""

    width: Annotated[int, Int(8, 64, log=True)] = 32
    """Channels of the first stage; each further stage doubles them."""
    stages: Annotated[int, Int(1, 4)] = 3
    """Stages that halve the image, while it has more than one pixel; as many double it again."""
    latents: Annotated[int, Int(16, 256, log=True)] = 64
    """Latent spikes per step."""
    choices: Annotated[int, Int(1, 40), PINNED] = 20
    """Neurons per latent, of which one is picked at each step."""
    own_past: Annotated[float, Float(0.0, 0.5), PINNED] = 0.2
    """Scheduled sampling: the probability with which the prior is trained on a spike that it picked itself."""
    distance_weight: Annotated[float, Float(0.1, 10.0, log=True), PINNED] = 1.0
    """Weight in the loss of the distance between posterior and prior."""


class FSVAE(Backbone):
    """Autoencoder with a latent of spikes that can be sampled."""

    name = "fsvae"
    Config = FSVAEConfig
    config: FSVAEConfig
    convertible = False
    output = "images"

    def __init__(
        self, config: FSVAEConfig | None = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites
    ) -> None:
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        if len(input_shape) != 3 or outputs % math.prod(input_shape[1:]):
            raise UsageError(
                f"backbone 'fsvae' makes images of the size that it is given, not {outputs} values from {input_shape}"
            )
        maps = _maps(input_shape, self.config)
        channels, height, width = maps[-1]
        features, latents, stage = channels * height * width, self.config.latents, len(maps) - 1
        encoder = _encoder(maps, sites)
        encoder += [Flatten(), Synapse(nn.Linear(features, latents, bias=False), high_gain(nn.BatchNorm1d(latents)))]
        encoder.append(sites(latents, stage=stage))
        latent = SpikingLatent(
            latents,
            latents,
            self.config.choices,
            own_past=self.config.own_past,
            weight=self.config.distance_weight,
            sites=sites,
            stage=stage,
        )
        decoder: list[nn.Module] = [
            Synapse(nn.Linear(latents, features, bias=False), high_gain(nn.BatchNorm1d(features)))
        ]
        decoder.append(Unflatten(maps[-1]))
        decoder += _decoder([(outputs // math.prod(input_shape[1:]), *maps[0][1:]), *maps[1:]], sites)
        self.layers = nn.Sequential(nn.Sequential(*encoder), latent, nn.Sequential(*decoder))

    def penalty(self) -> torch.Tensor | float:
        return self._latent.penalty()

    def sample(self, count: int, steps: int, device: torch.device) -> Signal:
        assert isinstance(self.layers, nn.Sequential)
        images: Signal = self.layers[2](self._latent.sample(count, steps, device))
        return images

    @property
    def _latent(self) -> SpikingLatent:
        assert isinstance(self.layers, nn.Sequential)
        latent = self.layers[1]
        assert isinstance(latent, SpikingLatent)
        return latent


Maps = tuple[int, int, int]


def _maps(input_shape: tuple[int, ...], config: FSVAEConfig) -> list[Maps]:
    """Return channels, height and width of the input and of each stage's output."""
    channels, height, width = input_shape
    maps = [(channels, height, width)]
    for stage in range(config.stages):
        if stage and max(height, width) == 1:
            break
        height, width = math.ceil(height / 2), math.ceil(width / 2)
        maps.append((config.width * 2**stage, height, width))
    return maps


def _encoder(maps: list[Maps], sites: Sites) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for stage, ((before, *_), (channels, *size)) in enumerate(pairwise(maps)):
        weight = nn.Conv2d(before, channels, 3, stride=2, padding=1, bias=False)
        layers.append(Synapse(weight, high_gain(nn.BatchNorm2d(channels))))
        layers.append(sites(channels, (size[0], size[1]), stage=stage, last_of_stage=True))
    return layers


def _decoder(maps: list[Maps], sites: Sites) -> list[nn.Module]:
    """Return neurons at the smallest maps, then, stage by stage, what doubles them; no neurons behind the last."""
    layers: list[nn.Module] = []
    for stage in range(len(maps) - 1, 0, -1):
        (channels, *size), (after, *larger) = maps[stage], maps[stage - 1]
        number = 2 * (len(maps) - 1) - stage
        layers.append(sites(channels, (size[0], size[1]), stage=number, last_of_stage=True))
        odd = (larger[0] - 2 * size[0] + 1, larger[1] - 2 * size[1] + 1)  # rows and columns that the stride leaves out
        weight = nn.ConvTranspose2d(channels, after, 3, stride=2, padding=1, output_padding=odd, bias=stage == 1)
        layers.append(Synapse(weight, high_gain(nn.BatchNorm2d(after)) if stage > 1 else None))
    return [*layers, Flatten()]


@hookimpl
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    register(FSVAE)
