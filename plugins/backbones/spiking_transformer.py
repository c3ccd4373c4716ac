"""Small spiking transformer: tokens are map positions, and attention multiplies spikes without a softmax.

Patch stages (3x3 convolution, batch norm, neurons, max pooling) make ``(D, H, W)`` maps whose N = H W positions are the
tokens. A further convolution adds their position. Then blocks, each of two branches that add their spikes to what they
got: self-attention and a two-layer perceptron, both of 1x1 convolutions with batch norm and neurons. Per head of d
features, and per step::

    q, k, v = neurons(W x)        (N, d), spikes
    A = scale * q (k^T v)         (N, d), a current for the next neurons; as (q k^T) v where that is cheaper

The read-out is linear in the mean over the map.

Reference: Zhou, Zhu, He, Wang, Yan, Tian & Yuan, "Spikformer: When spiking neural network meets transformer", ICLR
(2023). Its neurons behind A have half the threshold of the others; ours have the same, and ``scale`` makes up for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor, nn

from spikefront.plugins import (
    Add,
    AvgPool,
    Backbone,
    Counted,
    Flatten,
    Kind,
    MaxPool,
    Operations,
    Signal,
    Sites,
    Synapse,
    hookimpl,
)
from spikefront.searchspace import PINNED, Choice, Float, Int, UsageError


@dataclass(frozen=True, slots=True)
class SpikingTransformerConfig:
    """Hyperparameters of the spiking transformer."""

    width: Annotated[int, Choice((16, 32, 64, 128, 256))] = 64
    """Features D of a token."""
    patch_stages: Annotated[int, Int(1, 4)] = 2
    """Stages of convolution, neurons and pooling, which double the channels up to D; maps of one pixel are not pooled
    further."""
    depth: Annotated[int, Int(1, 4)] = 1
    """Blocks of self-attention and perceptron."""
    heads: Annotated[int, Choice((1, 2, 4, 8))] = 4
    """Heads of self-attention, D / heads features each."""
    mlp_ratio: Annotated[int, Choice((1, 2, 4))] = 2
    """Hidden features of a perceptron, relative to D."""
    scale: Annotated[float, Float(0.03, 1.0, log=True)] = 0.25
    """What the attention product is multiplied by; 0.125 in the paper, at half our threshold."""
    readout: Annotated[str, Choice(("current", "spikes")), PINNED] = "current"
    """What is decoded: the current of the last layer, or the spikes of neurons that it drives."""


class AttentionProduct(Counted):
    """``scale * q k^T v`` for each head, from three maps ``(T, B, D, H, W)`` to one, in the cheaper order."""

    role = "attention"

    def __init__(self, heads: int, scale: float) -> None:
        super().__init__()
        self.heads = heads
        self.scale = scale

    def forward(self, q: Signal, k: Signal, v: Signal) -> Signal:
        queries, keys, values = (self._tokens(edge) for edge in (q, k, v))
        tokens, features = queries.shape[-2:]
        product = queries @ (keys.mT @ values) if features <= tokens else (queries @ keys.mT) @ values
        joined = product.transpose(2, 3).flatten(3).unflatten(2, q.values.shape[-2:])  # (T, B, H, W, D)
        delay = max(q.delay, k.delay, v.delay)
        return Signal(self.scale * joined.permute(0, 1, 4, 2, 3), q.steps, Kind.ANALOG, delay=delay)

    def _tokens(self, edge: Signal) -> Tensor:
        """Return the tokens of each head, ``(T, B, heads, N, d)``."""
        maps = edge.decoded().permute(0, 1, 3, 4, 2)
        tokens: Tensor = maps.flatten(2, 3).unflatten(3, (self.heads, -1))
        return tokens.transpose(2, 3)

    def operations(self, q: Signal, k: Signal, v: Signal) -> Operations:
        """An addition per coincidence of non-zeros in the first product, and per row or column that the second picks.

        It takes a multiplication too where no factor is a plain spike. ``scale`` folds into the threshold behind.
        """
        queries, keys, values = (self._tokens(edge) != 0 for edge in (q, k, v))
        tokens, features = queries.shape[-2:]
        if features <= tokens:
            first, factors = int((keys.sum(-1) * values.sum(-1)).sum()), (k, v)
            second, picks = int(queries.sum()) * features, q
        else:
            first, factors = int((queries.sum(-2) * keys.sum(-2)).sum()), (q, k)
            second, picks = int(values.sum()) * tokens, v
        multiplies = first * (not any(map(_plain, factors))) + second * (not _plain(picks))
        return Operations(adds=first + second, multiplies=multiplies)


def _plain(edge: Signal) -> bool:
    return edge.kind in (Kind.BINARY, Kind.TERNARY) and edge.coefficient is None


class SelfAttention(nn.Module):
    """Queries, keys and values, their product, and a projection; neurons behind each."""

    def __init__(self, config: SpikingTransformerConfig, size: tuple[int, int], *, stage: int, sites: Sites) -> None:
        super().__init__()
        layers = [_layer(config.width, config.width, 1, size, stage=stage, sites=sites) for _ in range(3)]
        self.query, self.key, self.value = layers
        self.product = AttentionProduct(config.heads, config.scale)
        self.neurons = sites(config.width, size, stage=stage)
        self.projection = _layer(config.width, config.width, 1, size, stage=stage, sites=sites)

    def forward(self, x: Signal) -> Signal:
        product = self.product(self.query(x), self.key(x), self.value(x))
        out: Signal = self.projection(self.neurons(product))
        return out


class Residual(nn.Module):
    """A branch, plus its input."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.add = Add()

    def forward(self, x: Signal) -> Signal:
        y: Signal = self.add(self.branch(x), x)
        return y


class SpikingTransformer(Backbone):
    """Convolutional patches, then blocks of spiking self-attention and perceptron."""

    name = "spiking-transformer"
    Config = SpikingTransformerConfig
    config: SpikingTransformerConfig
    convertible: ClassVar[bool] = False  # a product of what sites emit is not linear

    def __init__(
        self,
        config: SpikingTransformerConfig | None = None,
        *,
        input_shape: tuple[int, ...],
        outputs: int,
        sites: Sites,
    ) -> None:
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        if len(input_shape) != 3:
            raise UsageError(
                f"backbone 'spiking-transformer' needs images (channels, height, width), not shape {input_shape}"
            )
        patches, size = self._patches(input_shape, sites)
        stage, width = self.config.patch_stages, self.config.width
        layers = [*patches, Residual(_layer(width, width, 3, size, stage=stage, sites=sites))]
        for block in range(self.config.depth):
            layers += self._block(size, sites, last=block == self.config.depth - 1)
        layers += [AvgPool(size), Flatten(), Synapse(nn.Linear(width, outputs))]
        if self.config.readout == "spikes":
            layers.append(sites(outputs, stage=stage + 1))
        self.layers = nn.Sequential(*layers)

    def _patches(self, shape: tuple[int, ...], sites: Sites) -> tuple[list[nn.Module], tuple[int, int]]:
        """Return the patch stages, and the height and width of the maps that leave them."""
        channels, height, width = shape
        layers: list[nn.Module] = []
        for stage in range(self.config.patch_stages):
            out = self.config.width // 2 ** (self.config.patch_stages - 1 - stage)
            layers.append(_layer(channels, out, 3, (height, width), stage=stage, last=True, sites=sites))
            if min(height, width) > 1:
                layers.append(MaxPool(2))
                height, width = height // 2, width // 2
            channels = out
        return layers, (height, width)

    def _block(self, size: tuple[int, int], sites: Sites, *, last: bool) -> list[nn.Module]:
        stage, width, hidden = self.config.patch_stages, self.config.width, self.config.mlp_ratio * self.config.width
        attention = SelfAttention(self.config, size, stage=stage, sites=sites)
        perceptron = nn.Sequential(
            _layer(width, hidden, 1, size, stage=stage, sites=sites),
            _layer(hidden, width, 1, size, stage=stage, last=last, sites=sites),
        )
        return [Residual(attention), Residual(perceptron)]


def _layer(
    channels: int, out: int, kernel: int, size: tuple[int, int], *, stage: int, sites: Sites, last: bool = False
) -> nn.Sequential:
    """Return convolution, batch norm and neurons."""
    weight = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(Synapse(weight, nn.BatchNorm2d(out)), sites(out, size, stage=stage, last_of_stage=last))


@hookimpl
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    register(SpikingTransformer)
