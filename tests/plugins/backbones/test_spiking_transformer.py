from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Kind, Operations, Signal, SiteInfo
from spikefront.plugins.backbones.spiking_transformer import (
    AttentionProduct,
    SpikingTransformer,
    SpikingTransformerConfig,
)
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.testing import NumberedSites
from spikefront.searchspace import UsageError


def build(config: SpikingTransformerConfig, input_shape: tuple[int, ...]) -> tuple[SpikingTransformer, list[SiteInfo]]:
    sites = NumberedSites(LIF)
    backbone = SpikingTransformer(config, input_shape=input_shape, outputs=10, sites=sites)
    sites.finish()
    return backbone, [site.info for site in sites.made]


@pytest.mark.parametrize(("depth", "ratio"), [(1, 4), (3, 1)])
def test_parameters_are_those_of_the_arithmetic(depth: int, ratio: int) -> None:
    config = SpikingTransformerConfig(width=32, patch_stages=3, depth=depth, mlp_ratio=ratio)
    backbone, _ = build(config, (2, 16, 16))
    patches = 9 * (2 * 8 + 8 * 16 + 16 * 32) + 2 * (8 + 16 + 32)
    position = 9 * 32 * 32 + 2 * 32
    attention = 4 * (32 * 32 + 2 * 32)
    perceptron = 2 * 32 * 32 * ratio + 2 * (32 * ratio + 32)
    total = patches + position + depth * (attention + perceptron) + 32 * 10 + 10
    assert sum(p.numel() for p in backbone.parameters()) == total


def test_patches_are_stages_and_the_blocks_another() -> None:
    config = SpikingTransformerConfig(width=16, patch_stages=2, depth=2, mlp_ratio=2, readout="spikes")
    _, infos = build(config, (1, 9, 14))
    block = [(2, 16, (2, 3))] * 5 + [(2, 32, (2, 3)), (2, 16, (2, 3))]  # q, k, v, product, projection; perceptron
    expected = [(0, 8, (9, 14)), (1, 16, (4, 7)), (2, 16, (2, 3)), *block, *block, (3, 10, (1, 1))]
    assert [(info.stage, info.channels, info.size) for info in infos] == expected
    assert [info.index for info in infos if info.last_of_stage] == [0, 1, len(infos) - 2]


def edges(size: tuple[int, int], features: int, **kinds: Kind) -> list[Signal]:
    """Return queries, keys and values of 3 steps and 2 samples; analog ones are sparse."""
    signals = []
    for name in "qkv":
        values = torch.randint(0, 2, (3, 2, features, *size)).double()
        kind = kinds.get(name, Kind.BINARY)
        signals.append(Signal(values * torch.rand_like(values) if kind is Kind.ANALOG else values, 3, kind))
    return signals


def of_head(edge: Signal, t: int, b: int, head: int, heads: int) -> Tensor:
    """Return the tokens of one head, (N, d)."""
    maps = edge.decoded()[t, b]
    features = len(maps) // heads
    return maps[head * features : (head + 1) * features].flatten(1).T


SHAPES = [((2, 3), 8), ((3, 3), 4), ((1, 2), 8)]  # tokens of 2 heads: N = 6 > 4, 9 > 2, 2 < 4


@pytest.mark.parametrize(("size", "features"), SHAPES)
def test_attention_is_the_product_of_its_definition(size: tuple[int, int], features: int) -> None:
    q, k, v = edges(size, features)
    k = k.weighted(torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64))
    out = AttentionProduct(2, 0.25)(q, k, v)
    assert (out.kind, out.values.shape) == (Kind.ANALOG, q.values.shape)
    for t, b, head in product(range(3), range(2), range(2)):
        queries, keys, values = (of_head(edge, t, b, head, 2) for edge in (q, k, v))
        expected = torch.zeros_like(values)
        for n, m in product(range(len(queries)), repeat=2):
            expected[n] += 0.25 * float(queries[n] @ keys[m]) * values[m]
        torch.testing.assert_close(of_head(out, t, b, head, 2), expected)


def brute_force(q: Tensor, k: Tensor, v: Tensor) -> tuple[int, int]:
    """Return the additions of the two products in one head, one pair of values at a time."""
    tokens, features = q.shape
    first = second = 0
    if features <= tokens:
        for n, i, j in product(range(tokens), range(features), range(features)):
            first += bool(k[n, i]) and bool(v[n, j])
        for n, i, _ in product(range(tokens), range(features), range(features)):
            second += bool(q[n, i])  # adds row i of k^T v to row n
    else:
        for n, m, i in product(range(tokens), range(tokens), range(features)):
            first += bool(q[n, i]) and bool(k[m, i])
        for _, m, j in product(range(tokens), range(tokens), range(features)):
            second += bool(v[m, j])  # adds column m of q k^T to column j
    return first, second


@pytest.mark.parametrize(("size", "features"), SHAPES)
@pytest.mark.parametrize("analog", ["", "q", "k", "v", "qk", "kv", "qkv"])
def test_operations_are_those_of_a_brute_force_loop(size: tuple[int, int], features: int, analog: str) -> None:
    q, k, v = edges(size, features, **dict.fromkeys(analog, Kind.ANALOG))
    counted = [0, 0]
    for t, b, head in product(range(3), range(2), range(2)):
        pair = brute_force(*(of_head(edge, t, b, head, 2) for edge in (q, k, v)))
        counted = [total + more for total, more in zip(counted, pair, strict=True)]
    keys_first = features // 2 <= size[0] * size[1]
    factors, picks = ("kv", "q") if keys_first else ("qk", "v")
    multiplies = counted[0] * (set(factors) <= set(analog)) + counted[1] * (picks in analog)
    operations = AttentionProduct(2, 1.0).operations(q, k, v)
    assert operations == Operations(adds=sum(counted), multiplies=multiplies)


def test_weighted_spikes_are_multiplied() -> None:
    q, k, v = (edge.weighted(torch.tensor([1.0, 0.5, 2.0])) for edge in edges((2, 3), 8))
    operations = AttentionProduct(2, 1.0).operations(q, k, v)
    assert operations.multiplies == operations.adds > 0


def test_input_that_is_no_image_is_refused() -> None:
    with pytest.raises(
        UsageError,
        match=r"^backbone 'spiking-transformer' needs images \(channels, height, width\), not shape \(64,\)$",
    ):
        build(SpikingTransformerConfig(), (64,))
