"""Work that nobody counts: products and weights that are used outside of what states its operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from spikefront.plugins.checks.flops import flop_registry
from spikefront.plugins.checks.owners import owned_modules
from spikefront.plugins.checks.watch import OperationWatch
from spikefront.plugins.contracts.coding import Coding
from spikefront.plugins.contracts.network import Network
from spikefront.plugins.contracts.neuron import Neuron
from spikefront.plugins.contracts.site import Site
from spikefront.plugins.network.layers import Counted, MaxPool, Synapse, counting
from spikefront.plugins.network.operations import Operations
from spikefront.plugins.network.signal import ContractError, Signal

_aten: Final = torch.ops.aten
_SMALL_PRODUCTS: Final = {_aten.dot, _aten.vdot, _aten.mv, _aten.addmv}  # which torch's counter of FLOPs leaves out
_CURE: Final = "make it a Synapse, or a Counted that states its operations"


@dataclass(slots=True)
class _Scope:
    name: str
    module: nn.Module
    products: float = 0.0


class UncountedWork(OperationWatch):
    """Watches forward passes of parts of a network, and raises at work that the op counter would not see.

    The op counter sees a ``Synapse``, a neuron and a ``Counted``, with what they call. Outside of those a product, a
    convolution or a learnt weight is work for nothing; so is a product in a neuron, whose price is that of an update,
    and in a ``Counted`` that says it costs nothing. An encoder may scale by learnt numbers.

    Args:
        network: the network.
        nonlinear: whether to raise, too, at what is not linear in a backbone, such as a step function of its own: only
            neurons, max pooling and what a ``Counted`` states is paid for.
    """

    def __init__(self, network: Network, *, nonlinear: bool = False) -> None:
        super().__init__()
        self._modules = owned_modules(network)
        self._weights = {
            id(weight): module.where(f"{type(module.module).__name__}.{name}")
            for module in self._modules
            for name, weight in module.module.named_parameters(recurse=False)
        }
        self._nonlinear = nonlinear
        self._inside: list[_Scope] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the forward passes inside.

        Raises:
            ContractError: at the first work that nobody counts.
        """
        handles = []
        for owned in self._modules:
            handles += [
                owned.module.register_forward_pre_hook(self._enter(owned.where(type(owned.module).__name__))),
                owned.module.register_forward_hook(self._leave),
            ]
        try:
            with self:
                yield
        finally:
            self._inside.clear()
            for handle in handles:
                handle.remove()

    @contextmanager
    def encoding(self, part: str, coding: Coding) -> Iterator[None]:
        """Watch an ``encode``, which may scale by learnt numbers."""
        self._inside.append(_Scope(part, coding))
        yield
        self._inside.pop()

    @contextmanager
    def decoding(self, part: str, state: Callable[[], Operations]) -> Iterator[None]:
        """Watch a ``decode``, whose products the operations that ``state`` returns have to cover."""
        scope = _Scope(part, Counted())
        self._inside.append(scope)
        stated, scope.products = state(), 0.0  # what it takes to count is no work of the network
        yield
        self._inside.pop()
        if scope.products > stated.adds + stated.multiplies + stated.shifts:
            raise ContractError(f"{part} decodes with products that nobody counts: decode_operations() must state them")

    def _enter(self, scope: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            self._inside.append(_Scope(scope, module))

        return hook

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        scope = self._inside.pop()
        if not isinstance(module, Counted) or not scope.products or not counting():
            return
        values = output.values if isinstance(output, Signal) else output
        if not isinstance(values, Tensor) or not values.any():  # without events there may be nothing to pay for
            return
        self._inside.append(scope)  # what it takes to count is no work of the network
        stated = module.operations(*(arg for arg in args if isinstance(arg, (Signal, Tensor))))
        self._inside.pop()
        if not stated.adds + stated.multiplies + stated.shifts:
            raise ContractError(f"{scope.name} computes products, but its operations() says that it costs nothing")

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        if counting():
            self._check(function, args, kwargs or {}, out)
        return out

    def _check(self, function: Any, args: Any, kwargs: Any, out: Any) -> None:
        operation = function.overloadpacket
        flops = flop_registry.get(operation)
        products = flops(*args, **kwargs, out_val=out) / 2 if flops else 0.0
        if operation in _SMALL_PRODUCTS:
            products = float(args[-1].numel())
        weights = [self._weights[id(arg)] for arg in args if id(arg) in self._weights]
        if self._nonlinear:
            self._refuse_nonlinear(function, args)
        if not products and not weights:
            return
        counted = next((scope for scope in reversed(self._inside) if isinstance(scope.module, _COUNTED)), None)
        if isinstance(counted and counted.module, Synapse):
            return
        if isinstance(counted and counted.module, Counted):
            assert counted is not None
            counted.products += products
            return
        if products and isinstance(counted and counted.module, Neuron):
            assert counted is not None
            raise ContractError(f"{self._inside[-1].name} computes products that nobody counts; {_CURE}")
        if counted is not None:  # a neuron's learnt numbers are part of its update
            return
        if products:
            raise ContractError(f"{self._inside[-1].name} computes products that nobody counts; {_CURE}")
        if not any(isinstance(scope.module, Coding) for scope in self._inside):
            raise ContractError(f"{weights[0]} is a weight that nobody counts; {_CURE}")

    def _refuse_nonlinear(self, function: Any, args: Any) -> None:
        if any(isinstance(scope.module, (*_COUNTED, Site, MaxPool)) for scope in self._inside):
            return
        name = function.overloadpacket.__name__.rstrip("_")
        both = [arg for arg in args if isinstance(arg, Tensor) and arg.numel() > 1 and id(arg) not in self._weights]
        elementwise = torch.Tag.pointwise in function.tags and name not in _LINEAR
        if elementwise or name in _CHOOSING or (name in ("mul", "div") and len(both) > 1):
            where = self._inside[-1].name if self._inside else "it"
            raise ContractError(f"{where} computes {name!r}, which nobody counts; {_NEURON}")


_NEURON: Final = "ask sites for a spiking layer, or make it a Counted that states its operations"
_LINEAR: Final = frozenset({"add", "sub", "rsub", "mul", "div", "neg", "copy", "clone", "fill", "lift_fresh", "detach"})
_CHOOSING: Final = frozenset(
    {"max", "amax", "min", "amin", "sort", "topk", "max_pool2d_with_indices", "_softmax", "_log_softmax"}
)
_COUNTED: Final = (Synapse, Counted, Neuron)
