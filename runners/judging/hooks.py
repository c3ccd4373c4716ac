"""Forward hooks on the parts of a network that a counter listens to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from spikefront.plugins import Counted, Neuron, Signal
from spikefront.plugins.network.layers import counting
from spikefront.runners.judging.network import Network

Hook = Callable[..., Any]
"""Called with a module's name, the module, the signals and tensors that it was given, and its output; what it returns
takes the place of the output, unless it is None."""


@contextmanager
def listening(network: Network, hooks: Mapping[type[nn.Module], Hook]) -> Iterator[None]:
    """Context in which hooks are called after each counted call of a module of their class.

    Args:
        network: the network.
        hooks: by class; a module of several classes has the hook of each, in this order. A neuron that another one
            is made of has none: the outer one states what both do.
    """
    modules = list(network.named_modules())
    inner = {
        part
        for _, neuron in modules
        if isinstance(neuron, Neuron)
        for part in neuron.modules()
        if part is not neuron and isinstance(part, Neuron)
    }
    handles = [
        module.register_forward_hook(_named(hook, name))
        for name, module in modules
        if module not in inner
        for kind, hook in hooks.items()
        if isinstance(module, kind)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def inside_attention(network: Network) -> frozenset[str]:
    """Return the names of the modules within attention modules."""
    return frozenset(
        f"{name}.{inner}"
        for name, module in network.named_modules()
        if isinstance(module, Counted) and module.role == "attention"
        for inner, _ in module.named_modules()
        if inner
    )


def _named(hook: Hook, name: str) -> Callable[..., Any]:
    def forward_hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if not counting():
            return None
        return hook(name, module, *(arg for arg in args if isinstance(arg, (Signal, Tensor))), output)

    return forward_hook
