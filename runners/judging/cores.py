"""Reach of synapses on a chip: the synapses that each input has on each core of the layer behind.

The neurons of a layer lie on its cores in the order (C, H, W), so many on each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikefront.plugins import Events
from spikefront.plugins.network.layers import Weight
from spikefront.runners.judging.reach import compose, conv_reach


@dataclass(frozen=True, slots=True)
class Fan:
    """Synapses of a group of input channels, which are the same for each of them.

    Attributes:
        channels: the input channels.
        cores: the first and the last core that they reach, exclusive.
        synapses: whole numbers ``(positions, cores)``: synapses of an input at that place of a map, or vector.
        rows: which rows of a map reach which rows of outputs, ``(H_out, H)``; None for a fully connected layer.
        columns: the same for columns.
    """

    channels: slice
    cores: slice
    synapses: Tensor
    rows: Tensor | None = None
    columns: Tensor | None = None

    def reached(self, events: Tensor) -> Tensor:
        """Return which outputs get an event, ``(T, B, 1, H_out, W_out)`` or ``(T, B, 1)``.

        Args:
            events: events by place, whatever their channel, ``(T, B, positions)``.
        """
        some = (events > 0).to(torch.float32)
        if self.rows is None or self.columns is None:
            into: Tensor = some @ (self.synapses > 0).any(1).to(some)
        else:
            maps = some.unflatten(2, (self.rows.shape[1], self.columns.shape[1]))
            into = self.rows.to(some) @ maps @ self.columns.to(some).T
        return (into > 0).unsqueeze(2)


def fans(
    weight: Weight, size_in: tuple[int, ...], size_out: tuple[int, ...], events: Events | None, per_core: int
) -> Iterator[Fan]:
    """Yield the synapses of a layer, group by group.

    Args:
        weight: the layer.
        size_in: shape of its input, ``(C, H, W)`` or ``(C,)``, for one sample and step.
        size_out: shape of its output.
        events: of average pooling in front, whose inputs are then those that count.
        per_core: neurons on a core.
    """
    if isinstance(weight, nn.Linear):
        cores = -(-weight.out_features // per_core)
        filled = torch.full((cores,), float(per_core), dtype=torch.float64)
        filled[-1] = weight.out_features - per_core * (cores - 1)
        positions = torch.ones(1)
        if events is not None:
            positions = (events.rows.any(0).unsqueeze(1) & events.columns.any(0)).flatten()
        yield Fan(slice(None), slice(0, cores), positions.to(filled).unsqueeze(1) * filled)
        return
    (channels_in, *inner), (channels, height, width) = size_in, size_out
    rows, columns = conv_reach(weight, (inner[0], inner[1]), (height, width))
    if events is not None:
        rows, columns = compose(rows, events.rows), compose(columns, events.columns)
        channels_in = events.count.shape[1]
    cores = -(-channels * height * width // per_core)
    core_of = (torch.arange(channels * height * width) // per_core).view(channels, -1)
    step_in, step_out = channels_in // weight.groups, channels // weight.groups
    for group in range(weight.groups):
        of_group = core_of[group * step_out : (group + 1) * step_out]
        first, last = int(of_group[0, 0]), int(of_group[-1, -1]) + 1
        places = torch.arange(height * width).expand_as(of_group)
        outputs = torch.zeros(height * width, last - first, dtype=torch.float64)  # channels by place and core
        outputs.index_put_((places, of_group - first), torch.ones((), dtype=torch.float64), accumulate=True)
        by_row = rows.double().T @ outputs.view(height, -1)  # (H, w * cores)
        by_place = torch.einsum("hwc,wx->hxc", by_row.view(-1, width, last - first), columns.double())
        assert last <= cores
        yield Fan(
            slice(group * step_in, (group + 1) * step_in),
            slice(first, last),
            by_place.flatten(0, 1),
            rows,
            columns,
        )
