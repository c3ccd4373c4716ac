"""Properties that every part of a network has at inference, each written once; and networks to check them in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from spikefront.plugins.checks.probe import SAMPLES, fit_norms, probe
from spikefront.plugins.checks.stages import (
    Stage,
    refuse_lookahead,
    refuse_mixed_samples,
    refuse_negative_delay,
    refuse_state,
)
from spikefront.plugins.contracts import Backbone, Coding, InputKind, Neuron
from spikefront.plugins.contracts.network import Network
from spikefront.plugins.contracts.site import SiteFactory
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.testing.base import built_in

_KEPT: Final = (0, 5)
_LATER: Final = 1

Call = Callable[[list[Tensor]], tuple[Tensor, int]]


def six(x: Tensor) -> Tensor:
    """Return six samples of a batch, repeated if it has fewer."""
    return x[torch.arange(SAMPLES) % len(x)]


def assert_sound(part: str, call: Call, inputs: list[Tensor], others: list[Tensor]) -> None:
    """Check that a part keeps no state, does not draw, mixes no samples and sees no future.

    Args:
        part: the part, for messages.
        call: from inputs, ``(T, 6, ...)`` or ``(1, 6, ...)``, to values ``(T, 6, ...)`` and their delay.
        inputs: inputs of six samples.
        others: inputs of six others, of the same shapes.
    """
    first = _pass(part, call, inputs)
    refuse_negative_delay(first)
    refuse_state(first, _pass(part, call, inputs))
    drawn = _pass(part, call, inputs, seed=1)
    assert torch.equal(first[0].values, drawn[0].values), f"{part} draws at random at inference"
    mixed = [other.clone() for other in others]
    for tensor, other in zip(inputs, mixed, strict=True):
        other[:, _KEPT] = tensor[:, _KEPT]
    refuse_mixed_samples(first, _pass(part, call, mixed), _KEPT)
    steps = max(map(len, inputs))
    later = [tensor.clone() for tensor in inputs]
    for tensor, other in zip(later, others, strict=True):
        if len(tensor) == steps and steps > 1:
            tensor[-1] = other[-1]
    refuse_lookahead(first, _pass(part, call, later), range(SAMPLES), steps - 1)


def _pass(part: str, call: Call, inputs: list[Tensor], seed: int = 0) -> list[Stage]:
    torch.manual_seed(seed)
    with torch.no_grad():
        values, delay = call([tensor.clone() for tensor in inputs])
    return [Stage(part, values, delay)]


def assert_network_sound(network: Network, x: Tensor, inputs: InputKind = "static") -> None:
    """Check a whole network as the judging does before training, part by part.

    Args:
        network: an untrained network.
        x: a prepared batch, or frames of events ``(B, T, ...)``.
        inputs: which of the two.
    """
    x = six(x)
    probe(fit_norms(network, x), x, inputs)


def network_of(
    coding: Coding,
    shape: tuple[int, ...],
    *,
    neuron: type[Neuron],
    backbone: type[Backbone] | None = None,
    configs: tuple[Any, Any] = (None, None),
    outputs: int = 5,
    inputs: InputKind = "static",
) -> Network:
    """Return an untrained network.

    Args:
        coding: the coding.
        shape: shape of one input at one step.
        neuron: class of its neurons.
        backbone: class of the backbone; None for a multi-layer perceptron.
        configs: those of neurons and backbone; None for the defaults.
        outputs: number of outputs.
        inputs: kind of the inputs.
    """
    body: type[Backbone] = backbone or built_in().get("backbone", "mlp")
    torch.manual_seed(0)
    coding.bind(neuron(configs[0], surrogate=ATan()))
    sites = SiteFactory(lambda: neuron(configs[0], surrogate=ATan()), coding)
    made = body(configs[1], input_shape=coding.encoded_shape(shape), outputs=outputs, sites=sites)
    sites.finish()
    return Network(coding, made, inputs)


def normless(module: nn.Module) -> bool:
    """Return whether a module has no norm and no dropout, which differ between training and inference by design."""
    differing = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)
    return not any(isinstance(part, differing) or "ropout" in type(part).__name__ for part in module.modules())
