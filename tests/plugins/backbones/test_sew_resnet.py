from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Kind, Operations, Signal, SiteInfo
from spikefront.plugins.backbones.sew_resnet import LAYOUTS, Logic, SEWResNet, SEWResNetConfig
from spikefront.plugins.neurons.i_lif import unit_spikes
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.testing import NumberedSites
from spikefront.searchspace import UsageError


def build(config: SEWResNetConfig, input_shape: tuple[int, ...]) -> tuple[SEWResNet, list[SiteInfo]]:
    sites = NumberedSites(LIF)
    backbone = SEWResNet(config, input_shape=input_shape, outputs=10, sites=sites)
    sites.finish()
    return backbone, [site.info for site in sites.made]


def arithmetic(width: int, layout: tuple[int, ...], channels: int) -> int:
    """Weights of all convolutions, two per normed channel, and the read-out with its bias."""
    total, before = 9 * channels * width + 2 * width, width
    for stage, blocks in enumerate(layout):
        out = width * 2**stage
        if out != before:
            total += before * out + 2 * out  # shortcut of the first block
        total += 9 * before * out + (2 * blocks - 1) * 9 * out * out + 2 * blocks * 2 * out
        before = out
    return total + before * 10 + 10


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parameters_are_those_of_the_arithmetic(layout: str) -> None:
    backbone, _ = build(SEWResNetConfig(width=4, layout=layout), (2, 16, 16))
    assert sum(p.numel() for p in backbone.parameters()) == arithmetic(4, LAYOUTS[layout], 2)


def test_resnet_18_has_the_parameters_of_its_ann() -> None:
    backbone, _ = build(SEWResNetConfig(width=64, layout="resnet-18"), (3, 32, 32))
    # ResNet-18 for CIFAR-10: torchvision's 11,689,512, whose stem has 9408 weights for our 1728, and whose read-out
    # has 513,000 parameters for our 5130
    expected = 11_689_512 - 9408 + 1728 - 513_000 + 5130
    assert sum(p.numel() for p in backbone.parameters()) == expected == 11_173_962


def test_a_stage_ends_with_the_last_neurons_of_its_last_block() -> None:
    _, infos = build(SEWResNetConfig(width=4, layout="small"), (1, 9, 14))
    assert infos == [
        SiteInfo(0, 0, 4, (9, 14), False, 2),  # stem
        SiteInfo(1, 0, 4, (9, 14), False, 2),
        SiteInfo(2, 0, 4, (9, 14), True, 2),
        SiteInfo(3, 1, 8, (5, 7), False, 2),
        SiteInfo(4, 1, 8, (5, 7), True, 2),
        SiteInfo(5, 1, 8, (5, 7), False, 2),  # shortcut
    ]


def test_readout_of_spikes_adds_a_site_that_ends_no_stage() -> None:
    _, infos = build(SEWResNetConfig(layout="tiny", readout="spikes"), (1, 8, 8))
    assert infos[-1] == SiteInfo(3, 1, 10, (1, 1), False, 1)


def spikes(*values: float, kind: Kind = Kind.BINARY, coefficient: Tensor | None = None, delay: int = 0) -> Signal:
    return Signal(torch.tensor(values).view(1, 1, -1), 1, kind, coefficient, delay)


A, S = (0.0, 0.0, 1.0, 1.0), (0.0, 1.0, 0.0, 1.0)


@pytest.mark.parametrize(("connect", "truth"), [("and", [0.0, 0.0, 0.0, 1.0]), ("iand", [0.0, 1.0, 0.0, 0.0])])
def test_logic_has_its_truth_table(connect: str, truth: list[float]) -> None:
    joined = Logic(connect)(spikes(*A, delay=1), spikes(*S, delay=3))
    assert joined.values.flatten().tolist() == truth
    assert joined.kind is Kind.BINARY
    assert joined.delay == 3


@pytest.mark.parametrize(("connect", "worth"), [("and", 6.0), ("iand", 3.0)])
def test_logic_is_on_spikes_whatever_they_are_worth(connect: str, worth: float) -> None:
    two, three = torch.tensor([2.0]), torch.tensor([3.0])
    joined = Logic(connect)(spikes(*A, coefficient=two), spikes(*S, coefficient=three))
    assert joined.kind is Kind.BINARY
    assert joined.coefficient is not None
    assert joined.coefficient.tolist() == [worth]


def test_negative_spikes_inhibit_too() -> None:
    joined = Logic("iand")(spikes(-1, 0, 1, kind=Kind.TERNARY), spikes(1, 1, 1))
    assert joined.values.flatten().tolist() == [0, 1, 0]
    assert joined.kind is Kind.TERNARY


@pytest.mark.parametrize("connect", ["and", "iand"])
def test_counts_meet_slot_by_slot(connect: str) -> None:
    a, s = torch.randint(0, 5, (2, 200), generator=torch.Generator().manual_seed(0)).float()
    joined = Logic(connect)(spikes(*a.tolist(), kind=Kind.COUNT), spikes(*s.tolist(), kind=Kind.COUNT))
    first, second = (
        Signal(unit_spikes(one.view(1, 1, -1), 4), 4, Kind.BINARY)  # as a chip has them
        for one in (a, s)
    )
    by_slot = Logic(connect)(first, second).values.sum(0)
    assert torch.equal(joined.values[0], by_slot)
    assert joined.kind is Kind.COUNT
    subtracted = 200 if connect == "iand" else 0
    counts = Signal(a.view(1, 1, -1), 1, Kind.COUNT)
    assert Logic(connect).operations(counts, counts) == Operations(adds=200 + subtracted)


def test_gated_spikes_inhibit_in_part() -> None:
    joined = Logic("iand")(spikes(0.25, 0.0, kind=Kind.ANALOG), spikes(1, 1))
    assert joined.values.flatten().tolist() == [0.75, 1]
    assert joined.kind is Kind.ANALOG


def test_logic_compares_each_value_and_multiplies_what_is_analog() -> None:
    gated = spikes(0.5, 0.0, 0.5, kind=Kind.ANALOG)
    assert Logic("and").operations(spikes(1, 1, 0), gated) == Operations(adds=3)
    assert Logic("and").operations(spikes(0.5, 0.5, 0.0, kind=Kind.ANALOG), gated) == Operations(adds=3, multiplies=1)


def test_input_that_is_no_image_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"^backbone 'sew-resnet' needs images \(channels, height, width\), not shape \(64,\)$"
    ):
        build(SEWResNetConfig(), (64,))
