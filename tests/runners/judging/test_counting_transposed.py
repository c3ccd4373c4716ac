"""The op counter on transposed convolutions, against a brute-force loop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikefront.plugins import AvgPool, Backbone, Coding, Geometry, Kind, Signal, Synapse, load_registry
from spikefront.plugins.network.layers import uncounted
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import Network


class Given(Coding):
    """Feeds a prepared signal, whatever the batch holds."""

    name = "given"

    def __init__(self, values: Tensor, kind: Kind) -> None:
        super().__init__(steps=len(values))
        self.signal = Signal(values, self.steps, kind)

    def encode(self, x: Tensor) -> Signal:
        return self.signal


class Chain(Backbone):
    """The layers it is given."""

    name = "chain"

    def __init__(self, *layers: nn.Module) -> None:
        nn.Module.__init__(self)
        self.layers = nn.Sequential(*layers)


def count(values: Tensor, kind: Kind, *layers: nn.Module) -> list[tuple[int, int]]:
    counts = count_operations(Network(Given(values, kind), Chain(*layers)), torch.zeros(values.shape[1], 1))
    return [(c.sops, c.macs) for c in counts.layers if c.role == "synapse"]


def brute_force(conv: nn.ConvTranspose2d, x: Tensor) -> int:
    """Count (event, tap, output channel) triples that land inside the output, one by one."""
    height, width = conv(x[0]).shape[-2:]
    assert not isinstance(conv.padding, str)
    (ph, pw), (sh, sw), (dh, dw) = conv.padding, conv.stride, conv.dilation
    total = 0
    for _, _, _, h, w in (x != 0).nonzero().tolist():
        for i in range(conv.kernel_size[0]):
            for j in range(conv.kernel_size[1]):
                row, column = h * sh + i * dh - ph, w * sw + j * dw - pw
                if 0 <= row < height and 0 <= column < width:
                    total += conv.out_channels // conv.groups
    return total


@settings(max_examples=80, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    more=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from([1, 2]),
    size=st.tuples(st.integers(4, 6), st.integers(4, 6)),
    seed=st.integers(0, 10_000),
)
def test_transposed_convolutions_agree_with_brute_force(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    more: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    size: tuple[int, int],
    seed: int,
) -> None:
    torch.manual_seed(seed)
    rows, columns = (min(more[axis], max(stride[axis], dilation[axis]) - 1) for axis in (0, 1))  # torch allows no more
    ends = ((size[at] - 1) * stride[at] - 2 * padding[at] + dilation[at] * (kernel[at] - 1) for at in (0, 1))
    assume(min(end + extra for end, extra in zip(ends, (rows, columns), strict=True)) >= 0)  # else there is no output
    conv = nn.ConvTranspose2d(2, 4, kernel, stride, padding, (rows, columns), groups, dilation=dilation)
    x = (torch.rand(3, 2, 2, *size) < 0.3).float()
    expected = brute_force(conv, x)
    assert count(x, Kind.BINARY, Synapse(conv)) == [(expected, 0)]
    assert count(x * 0.5, Kind.ANALOG, Synapse(conv)) == [(0, expected)]


def test_every_input_is_charged_for_the_outputs_that_it_changes() -> None:
    # 3x3, stride 2, padding 1 and an extra row and column, as in the decoder of an autoencoder
    conv = nn.ConvTranspose2d(1, 3, 3, stride=2, padding=1, output_padding=1, bias=False)
    nn.init.ones_(conv.weight)
    for position in range(16):
        x = torch.zeros(16)
        x[position] = 1
        image = x.view(1, 1, 1, 4, 4)
        assert count(image, Kind.BINARY, Synapse(conv)) == [(int(torch.count_nonzero(conv(image[0]))), 0)]


def test_events_that_wait_behind_average_pooling_reach_what_the_pooled_value_reaches() -> None:
    x = torch.zeros(1, 1, 1, 4, 4)
    x[..., 0, 0] = x[..., 1, 1] = x[..., 3, 3] = 1  # two events in the first window, one in the last
    conv = nn.ConvTranspose2d(1, 5, 3, stride=2, padding=1)  # 2x2 to 3x3: a corner reaches 2x2 outputs
    assert count(x, Kind.BINARY, AvgPool(2), Synapse(conv)) == [(3 * 4 * 5, 0)]


def test_energy_models_price_a_transposed_convolution_by_its_own_size() -> None:
    conv = nn.ConvTranspose2d(4, 6, (3, 5), stride=2, padding=1, output_padding=1)
    x = (torch.rand(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    counts = count_operations(Network(Given(x, Kind.BINARY), Chain(Synapse(conv))), torch.zeros(3, 1))
    (layer,) = (c for c in counts.layers if c.role == "synapse")
    assert layer.geometry == Geometry(4 * 25, 6 * 10 * 12, 6, 4 * 6 * 15, (3, 5), (2, 2), True)
    for entry in load_registry(third_parties=False).entries["energy"].values():
        assert entry.plugin().layer_energy_nj(counts)[layer.layer] > 0


class Twice(nn.Module):
    """Runs a layer twice, the first time for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Synapse(nn.Linear(4, 3))

    def forward(self, signal: Signal) -> Signal:
        with uncounted():
            self.inner(signal)
        out: Signal = self.inner(signal)
        return out


@pytest.mark.parametrize("events", [0, 4])
def test_what_runs_uncounted_is_not_counted(events: int) -> None:
    x = torch.zeros(1, 1, 4)
    x[..., :events] = 1
    assert count(x, Kind.BINARY, Twice()) == [(events * 3, 0)]
