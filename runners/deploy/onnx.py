"""Export to ONNX: one graph from raw inputs to decoded outputs, unrolled over all time steps.

torch's exporter traces the network, so whatever a plugin computes with torch comes along: coding, attention, any
neuron. It can't express a random code, whose draws would differ from torch's.

What a graph computes differs from torch in the last digits, since another library adds in another order. A membrane
potential that close to the threshold may then fire or not, so each export is run by ONNX Runtime on real inputs.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from spikefront.runners.deploy.description import output_name
from spikefront.runners.deploy.model import Model
from spikefront.searchspace import UsageError
from spikefront.searchspace.targets import replaced

CLOSE: Final = 1e-4
"""Largest difference of an output, relative to the largest output, that rounding may make."""

_MOST_DIFFERENT: Final = 0.02
"""Largest share of inputs on which a spike may come out otherwise."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Comparison of an exported graph with its network.

    Attributes:
        inputs: number of inputs on which both were run.
        close: number of inputs whose outputs differ by rounding at most.
        largest: largest difference of an output; of values, in the unit that was learnt.
    """

    inputs: int
    close: int
    largest: float


def export_onnx(model: Model, path: Path, inputs: Tensor) -> Agreement:
    """Write a network as an ONNX file and compare the two.

    The graph takes ``inputs``, raw and in any number N. It gives ``logits``, the scores of classes ``(N, K)``, or, of a
    task without classes, ``outputs``, what ``Model.predict`` returns.

    Args:
        model: the network, on the CPU.
        path: the file to write.
        inputs: raw inputs to compare on, ``(N, ...)``, N at least 1.

    Raises:
        UsageError: when a part of the network can't be expressed, when the graph's outputs differ, or when a package
            is missing.
    """
    runtime = _runtime()
    module = model.raw_to_outputs()
    program = _traced(model, module, torch.cat([inputs[:1], inputs[-1:]]))  # one input would make N a constant
    _refuse_randomness(program, model)
    with replaced(path) as part:
        exported = _translated(model, program)
        exported.model.metadata_props["spikefront"] = model.description.to_json()
        exported.save(part)
        agreement = _compare(runtime, part, model, module, inputs)
        if agreement.close < (1 - _MOST_DIFFERENT) * agreement.inputs:
            raise UsageError(
                f"the ONNX graph gives other outputs than the network on {agreement.inputs - agreement.close} of "
                f"{agreement.inputs} inputs, by up to {agreement.largest:.2g}; use --format torch"
            )
    return agreement


def _runtime() -> Any:
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        missing = error.name or "onnx"
        raise UsageError(
            f"ONNX needs the package {missing}; install it with: pip install 'spikefront[onnx]'"
        ) from error
    return onnxruntime


@torch.no_grad()
def _traced(model: Model, module: torch.nn.Module, inputs: Tensor) -> torch.export.ExportedProgram:
    try:
        with _quiet():
            return torch.export.export(module, (inputs,), dynamic_shapes=({0: torch.export.Dim("N")},))
    except Exception as error:  # of many types, each with pages of advice
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{model.candidate} can't be traced for ONNX: {reason}; use --format torch") from error


def _translated(model: Model, program: torch.export.ExportedProgram) -> Any:
    try:
        with _quiet():
            return torch.onnx.export(
                program,
                dynamo=True,
                input_names=["inputs"],
                output_names=[output_name(model.description)],
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        unknown = re.search(r"No ONNX function found for [^>]*>", f"{error} {error.__cause__}")
        reason = unknown[0] if unknown else " ".join(str(error.__cause__ or error).split())[:200]
        raise UsageError(f"{model.candidate} can't be expressed in ONNX: {reason}; use --format torch") from error


def _refuse_randomness(program: torch.export.ExportedProgram, model: Model) -> None:
    for node in program.graph.nodes:
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            modules = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
            kind = "backbone" if any(name.endswith("backbone") for name in modules) else "coding"
            raise UsageError(
                f"ONNX can't express {kind} {getattr(model.candidate, kind).name!r} as it is configured: it draws "
                f"random numbers ({node.target}), and a graph's would be others; use --format torch"
            )


@torch.no_grad()
def _compare(runtime: Any, path: Path, model: Model, module: torch.nn.Module, inputs: Tensor) -> Agreement:
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    of_graph = _learnt(model, torch.from_numpy(session.run(None, {"inputs": inputs.numpy()})[0]))
    of_network = _learnt(model, module(inputs))
    difference = (of_graph - of_network).abs().flatten(1).amax(1)
    close = int((difference <= CLOSE * of_network.abs().max().clamp(min=1)).sum())
    return Agreement(len(inputs), close, float(difference.max()))


def _learnt(model: Model, outputs: Tensor) -> Tensor:
    """Return values in the unit that was learnt: in that of the data, they may be far from 0, or all small."""
    if model.description.classes or model.generates:
        return outputs
    zero, one = model.in_units(torch.stack([torch.zeros_like(outputs[0]), torch.ones_like(outputs[0])]).double())
    learnt: Tensor = (outputs - zero) / torch.where(one == zero, 1, one - zero)
    return learnt


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's progress messages and warnings, on which a user can't act."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
