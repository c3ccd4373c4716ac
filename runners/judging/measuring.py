"""Measurement of a trained network, whole and stopped after fewer steps: quality, operations and energy."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from spikefront.plugins import ContractError, Counts, Data, EnergyModel, Task
from spikefront.plugins.checks.prefix import refuse_other_prefix, whole_run
from spikefront.plugins.contracts.energy import energy_metrics
from spikefront.runners.failures import one_line
from spikefront.runners.judging.counting import count_ends, count_operations, try_to_count
from spikefront.runners.judging.network import Network, muted
from spikefront.runners.judging.seeding import fixed_randomness, kept_randomness, reseed
from spikefront.runners.judging.training import evaluate, evenly

MEASURING_SAMPLES: Final = 128
"""Number of validation samples, evenly spaced, on which operations are counted."""

MEASURING_SEED: Final = 20_233
_CHECKED_SAMPLES: Final = 6


def measure(
    network: Network,
    task: Task,
    validation: Data,
    batch: Tensor,
    energy_model: EnergyModel,
    *,
    traffic: bool = True,
    outputs: Tensor | None = None,
) -> tuple[dict[str, float], Counts]:
    """Measure a trained network: quality, operations and energy.

    Args:
        network: the network.
        task: its task.
        validation: the split that quality is measured on.
        batch: prepared inputs on which operations are counted.
        energy_model: what prices them.
        traffic: whether to count a chip's traffic too; an energy model may need it.
        outputs: decoded outputs of the split; computed when None.

    Returns:
        Those metrics of ``Judging.epoch`` that need no training, and the operations.
    """
    measured = evaluate(network, task, validation, outputs)
    with fixed_randomness(MEASURING_SEED):
        counts = count_operations(network, batch, traffic=traffic)
    return _metrics(network, energy_model, measured, counts), counts


def measure_points(
    network: Network,
    task: Task,
    validation: Data,
    batch: Tensor,
    energy_model: EnergyModel,
    outputs: Mapping[int, Tensor],
    errors: Mapping[int, Mapping[str, float]],
    counted: dict[int, Counts] | None = None,
) -> dict[int, dict[str, float]]:
    """Measure a trained network that is stopped after each of several steps, at once.

    What it returns at a step is what ``measure`` and ``energy_error`` return of the network cut there, to the last
    digit.

    Args:
        network: the network, not cut.
        task: its task.
        validation: the split that quality is measured on.
        batch: prepared inputs on which operations are counted.
        energy_model: what prices them. One that reads a chip's traffic takes a pass for each step.
        outputs: decoded outputs of the split by the step T' after which it is stopped, as ``split_outputs_at`` returns
            them.
        errors: what ``energy_errors`` returns of the network at these steps.
        counted: receives the operations by T', where given.

    Returns:
        Metrics by T', without those whose quality or energy is not finite.
    """
    cuts = tuple(outputs)
    counts = count_ends(network, [batch], cuts, traffic=energy_model.reads_traffic, seed=MEASURING_SEED)
    if counted is not None:
        counted.update((cut, whole) for cut, (whole,) in counts.items())
    points = {}
    for cut in cuts:
        with network.cut_at(cut):
            measured = evaluate(network, task, validation, outputs[cut])
            points[cut] = {**_metrics(network, energy_model, measured, counts[cut][0]), **errors[cut]}
    return {
        cut: point
        for cut, point in points.items()
        if math.isfinite(point["quality"]) and math.isfinite(point["energy_nj"])
    }


def cuts_that_hold(network: Network, batch: Tensor) -> tuple[int, ...]:
    """Return the steps after which a network may be stopped; none of a network that is cut already.

    The coding states them. That the other parts agree is checked, at three of them on six samples: the network cut
    there must give what the whole one gives in these steps. Where it does not, because a neuron depends on T, say,
    or where a plugin raises, there is a warning, and no step is returned.

    Args:
        network: the network, which stays in eval mode.
        batch: prepared inputs.
    """
    cuts = () if network.cut else network.cuts
    x = evenly(batch, _CHECKED_SAMPLES)
    network.eval()
    whole = None
    for cut in (cuts[at] for at in sorted({0, len(cuts) // 2, len(cuts) - 1}) if cuts):
        try:
            with kept_randomness():
                whole = whole_run(network, x, reseed) if whole is None else whole
                refuse_other_prefix(network, x, cut, reseed, whole)
                with network.cut_at(cut):
                    try_to_count(network, x)
        except Exception as error:  # a plugin may raise anything, and the whole network is sound
            why = str(error) if isinstance(error, ContractError) else one_line(error)
            warnings.warn(f"the network is not measured at fewer steps, such as {cut}: {why}", stacklevel=2)
            return ()
    return cuts


def _metrics(
    network: Network, energy_model: EnergyModel, measured: Mapping[str, float], counts: Counts
) -> dict[str, float]:
    rates = counts.layer_rates.values()
    return {
        **measured,
        **energy_metrics(energy_model, counts),
        "latency_steps": float(network.latency_steps(counts.delay)),
        "sops": counts.sops,
        "macs": counts.macs,
        "macs_every_step": counts.macs_every_step,
        "spike_rate": counts.spike_rate,
        "min_layer_rate": min(rates, default=0.0),
        "max_layer_rate": max(rates, default=0.0),
        "parameters": float(network.parameter_count),
    }


def silent_counts(network: Network, batch: Tensor, *, traffic: bool = True) -> Counts:
    """Count the operations of a network in which no neuron spikes, on the inputs and with the draws of ``measure``.

    What is left is spent whatever the firing rate is: the synapses that read the input or currents, updates of neurons,
    gates, biases, the encoder and the read-out.

    Args:
        network: the network.
        batch: prepared inputs.
        traffic: whether to count a chip's traffic too; an energy model may need it.
    """
    return silent_counts_at(network, batch, (0,), traffic=traffic)[0]


def silent_counts_at(
    network: Network, batch: Tensor, cuts: Sequence[int], *, traffic: bool = True
) -> dict[int, Counts]:
    """Return by T' what ``silent_counts`` returns of the network that is stopped there.

    Args:
        network: the network.
        batch: prepared inputs.
        cuts: steps of ``network.cuts``, and 0 for the network as it is.
        traffic: as for ``silent_counts``.
    """
    with muted(network):
        counts = count_ends(network, [batch], cuts, traffic=traffic, seed=MEASURING_SEED)
    return {cut: whole for cut, (whole,) in counts.items()}


def measuring_batch(task: Task, validation: Data, device: torch.device | str = "cpu") -> Tensor:
    """Return the prepared inputs on which operations are counted: evenly spaced ones of the validation split."""
    return task.prepare(evenly(validation.inputs, MEASURING_SAMPLES).to(device))
