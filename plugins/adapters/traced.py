"""What a ``torch.nn.Module`` for snnTorch, SpikingJelly or plain torch computes in one time step, read by ``torch.fx``.

Time is taken off: a loop over steps counts once, and so do the repetition of an input and the mean of an output over
time. States of neurons are left out, since sites hold their own.
"""

from __future__ import annotations

import operator
from collections import Counter
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import fx, nn

from spikefront.plugins.adapters.translation import INPUT, KNOWN, WEIGHTS, Step
from spikefront.searchspace import UsageError

_NEURONS: Final = {
    "snntorch": {"Leaky", "Synaptic", "Alpha", "Lapicque"},
    "spikingjelly": {"BaseNode", "SimpleBaseNode"},
}
"""Classes by library whose instances, and those of classes derived from them, are replaced by sites."""

_FEEDS_BACK: Final = ("RLeaky", "RSynaptic", "SLSTM", "SConv2dLSTM", "LinearRecurrentContainer")
_OVER_TIME: Final = {torch.mean, torch.sum, "mean", "sum"}
_REPEATS: Final = {"unsqueeze", "repeat", "expand", torch.unsqueeze}
_RESHAPES: Final = {"view", "reshape", torch.reshape}
_SUMS: Final = {operator.add, operator.iadd, torch.add, "add", "add_"}
_STACKS: Final = {torch.stack, torch.cat}


def is_neuron(module: nn.Module) -> bool:
    """Return whether a module is a spiking neuron of snnTorch or SpikingJelly that a site can stand for."""
    return any(
        base.__name__ in _NEURONS.get(base.__module__.partition(".")[0], ()) for base in type(module).__mro__
    ) and not any(base.__name__ in _FEEDS_BACK for base in type(module).__mro__)


def as_plain(module: nn.Module) -> nn.Module | None:
    """Return the layer of torch that a module is, with its parameters; None where it does something else.

    Args:
        module: a layer of torch, one derived from it that computes the same, or SpikingJelly's of the same name.
    """
    if type(module).__module__.startswith("spikingjelly.") and type(module).__name__ == "Dropout":
        return nn.Dropout(float(module.p))  # type: ignore[arg-type]
    plain = next((known for known in KNOWN if isinstance(module, known)), None)
    if plain is None:
        return None
    theirs = type(module).__module__.startswith("spikingjelly.") and type(module).__name__ == plain.__name__
    if not theirs and type(module).forward is not plain.forward:
        return None
    module.__class__ = plain  # a copy of the user's, see ModuleBackbone
    return module


class _Tracer(fx.Tracer):
    """Tracer that looks into containers and modules of the user, and into no layer."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        library, _, rest = type(m).__module__.partition(".")
        if isinstance(m, (nn.Sequential, nn.ModuleList)):
            return False
        if library == "spikingjelly":
            return not rest.startswith("activation_based.model")
        return library == "snntorch" or isinstance(m, KNOWN) or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(m, nn.Sequential) and type(m).__module__.startswith("spikingjelly."):
            out = args[0]  # its forward loops over time, or folds it
            for layer in m:
                out = layer(out)
            return out
        return super().call_module(m, forward, args, kwargs)


def traced(module: nn.Module, who: str) -> list[Step]:
    """Return the layers of a module in the order of its forward pass.

    Args:
        module: the network; its forward takes one input, ``(B, ...)``, or ``(T, B, ...)``.
        who: the backbone, for messages.

    Raises:
        UsageError: where it can't be traced, feeds back, has two outputs, or does something else than layers.
    """
    try:
        graph = _Tracer().trace(module)
    except Exception as error:  # whatever a user's forward raises on proxies
        why = " ".join(str(error).split())
        raise UsageError(
            f"backbone {who!r}: the forward of {type(module).__name__} can't be traced ({why}); it must not depend on "
            "values, and needs one argument"
        ) from error
    return _Reading(module, graph, who).steps()


class _Reading:
    """The graph of a module on its way to steps."""

    def __init__(self, module: nn.Module, graph: fx.Graph, who: str) -> None:
        self._who, self._graph = who, graph
        self._modules = dict(module.named_modules())
        self._calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
        self._loops = max(self._calls.values(), default=1)
        self._in_time = self._loops > 1 or any(getattr(m, "step_mode", "s") == "m" for m in self._modules.values())
        self._found: dict[fx.Node, str | None] = {}  # the step that a node stands for; None for what carries no values
        self._states: set[fx.Node] = set()
        self._steps: list[Step] = []

    def steps(self) -> list[Step]:
        inputs = [node for node in self._graph.nodes if node.op == "placeholder"]
        if len(inputs) != 1:
            raise self._error(f"its forward takes {len(inputs)} arguments; it must take one, the input")
        output: Any = None
        for node in self._graph.nodes:
            if node.op == "placeholder":
                self._found[node] = INPUT
            elif node.op == "output":
                output = node.args[0]
            else:
                self._found[node] = self._read(node)
        last = self._output(output)
        if last == INPUT:
            raise self._error("its output is its input")
        self._steps.append(Step("output", nn.Identity(), (last,)))
        return self._needed()

    def _needed(self) -> list[Step]:
        """Return the steps that the output depends on."""
        needed = {"output"}
        for step in reversed(self._steps):
            if step.name in needed:
                needed.update(step.inputs)
        return [step for step in self._steps if step.name in needed]

    def _read(self, node: fx.Node) -> str | None:
        if node.op == "get_attr":
            return None
        if node.op == "call_module":
            return self._call(node)
        what = node.target
        if what is operator.getitem:
            return self._item(node)
        if what in (getattr, "size", "dim"):
            return None
        if what in _STACKS:
            return self._first(node.args[0] if node.args else node.kwargs["tensors"])
        source = self._source(node)
        if what in _OVER_TIME and self._in_time and self._axis(node) == 0:
            return source
        if what in _REPEATS and source == INPUT:
            return INPUT  # the coding says what comes when
        if what in _SUMS:
            return self._sum(node)
        if (layer := self._as_layer(node)) is not None:
            return self._once(node.name, layer, (source,))
        raise self._error(f"{_shown(what)} is not understood: build it of layers, and sums by +")

    def _call(self, node: fx.Node) -> str | None:
        name = str(node.target)
        module = self._modules[name]
        counted = isinstance(module, WEIGHTS) or is_neuron(module)
        if counted and self._calls[name] not in (1, self._loops):
            raise self._error(f"layer {name!r} is called {self._calls[name]} times, and others {self._loops} times")
        source = self._source(node)
        if (before := next((step for step in self._steps if step.name == name), None)) is not None:
            if before.inputs == (source,):
                return name  # a later step of a loop over time
            raise self._error(f"layer {name!r} is called twice in a step; its weights or its state would be shared")
        if is_neuron(module):
            return self._step(name, "neurons", (source,))
        if (plain := as_plain(module)) is not None:
            return self._step(name, plain, (source,))
        what = f"layer {name!r} ({type(module).__name__})"
        if any(base.__name__ in _FEEDS_BACK for base in type(module).__mro__):
            raise self._error(f"{what} feeds back; backbone 'recurrent' does")
        known = ", ".join(each.__name__ for each in KNOWN)
        raise self._error(
            f"{what} is not understood; known are {known}, and the neurons of snnTorch "
            f"({', '.join(sorted(_NEURONS['snntorch']))}) and SpikingJelly (BaseNode)"
        )

    def _step(self, name: str, layer: Any, inputs: tuple[str, ...]) -> str:
        self._steps.append(Step(name, layer, inputs))
        return name

    def _once(self, name: str, layer: Any, inputs: tuple[str, ...]) -> str:
        """Add a step without weights, unless the same was computed in an earlier step of a loop over time."""
        same = (s.name for s in self._steps if s.inputs == inputs and repr(s.layer) == repr(layer))
        return next(same, None) or self._step(name, layer, inputs)

    def _item(self, node: fx.Node) -> str | None:
        source, index = node.args
        assert isinstance(source, fx.Node)
        found = self._found[source]
        if source.op == "call_module" and is_neuron(self._modules[str(source.target)]) and isinstance(index, int):
            if index:
                self._states.add(node)
                return None
            return found
        if found is None or found == INPUT:
            return found  # of a shape, or an input at one step
        raise self._error(f"{found!r} is indexed by {index!r}; give it whole to the next layer")

    def _sum(self, node: fx.Node) -> str:
        inputs = tuple(self._found[each] for each in node.args if isinstance(each, fx.Node))
        if len(inputs) != 2 or None in inputs:
            raise self._error(f"{node.name!r} adds something else than what two layers give")
        return self._once(node.name, "sum", inputs)  # type: ignore[arg-type]

    def _source(self, node: fx.Node) -> str:
        first = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
        found = self._found.get(first) if isinstance(first, fx.Node) else None
        if found is None:
            what = node.target if node.op == "call_module" else _shown(node.target)
            raise self._error(f"{what!r} takes something else than what a layer gives")
        return found

    def _first(self, listed: Any) -> str | None:
        found = [self._found.get(each) for each in listed if isinstance(each, fx.Node)]
        if not found or any(each != found[0] for each in found):
            raise self._error("it puts the outputs of several layers side by side, which has no count")
        if found[0] is None and all(each in self._states for each in listed):
            return None
        return found[0]

    def _as_layer(self, node: fx.Node) -> nn.Module | None:
        """Return the layer that a function stands for; None where there is none."""
        what, more = node.target, node.args[1:]
        named = {name: value for name, value in node.kwargs.items() if name != "input"}
        if what in (torch.flatten, "flatten"):
            begins = more[0] if more else named.get("start_dim", 0)
            return nn.Flatten() if begins == (2 if self._in_time and self._loops == 1 else 1) else None
        if what in _RESHAPES:
            shape = more[0] if len(more) == 1 and isinstance(more[0], (tuple, list)) else more
            return nn.Flatten() if shape and shape[-1] == -1 and len(shape) in (2, 3) else None
        if what in (F.max_pool2d, torch.max_pool2d):
            return nn.MaxPool2d(*more, **named)  # type: ignore[arg-type]
        if what in (F.avg_pool2d, torch._C._nn.avg_pool2d):
            return nn.AvgPool2d(*more, **named)  # type: ignore[arg-type]
        if what is F.dropout:
            return nn.Dropout(*more[:1], **{name: value for name, value in named.items() if name == "p"})  # type: ignore[arg-type]
        return None

    def _axis(self, node: fx.Node) -> Any:
        return node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")

    def _output(self, output: Any) -> str:
        """Return the step that the output comes from, states left out."""
        listed = list(output) if isinstance(output, (tuple, list)) else [output]
        nodes = [each for each in listed if isinstance(each, fx.Node)]
        found = list(dict.fromkeys(name for node in nodes if (name := self._found[node]) is not None))
        if isinstance(output, dict) or len(found) > 1:
            raise self._error(f"it has {len(output) if isinstance(output, dict) else len(found)} outputs; give one")
        if not found:
            raise self._error("its output is the state of a neuron; give spikes, or the current of the last layer")
        return found[0]

    def _error(self, what: str) -> UsageError:
        return UsageError(f"backbone {self._who!r}: {what}")


def _shown(target: Any) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))
