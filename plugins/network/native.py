"""Machine code of the membrane kernels: compiled once per machine and user, loaded without a compiler.

numba takes seconds to import and to compile, so a process of its own does that, once, and keeps the object code in the
user's cache; others load it by llvmlite in some tens of milliseconds. Where that fails, for whatever reason, there is
no machine code, and neurons run in their torch form. ``SPIKEFRONT_NATIVE=0`` forbids it.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import struct
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

_log: Final = logging.getLogger(__name__)

TILE: Final = 1024
"""Neurons that a thread deals with at a time: what they need in one step fits the first cache."""

ENTRIES: Final = tuple(f"spikefront_{name}" for name in ("spike", "learn", "pool", "unpool", "spike_pooled"))
"""Names of the kernels in the object code: of neurons and of max pooling, forward and backward, and of both in one."""

_INTEGERS: Final = (
    "tiles", "slots",  # addresses of the counters of tiles and of threads that were given away
    "neurons", "steps", "silent",  # numbers of them
    # addresses, and elements from one step to the next, of X, of H (0 if it is not held), of S or its gradient, and of
    # X's gradient
    "current", "current_stride", "potential", "potential_stride", "spikes", "spikes_stride", "result", "result_stride",
    "upper", "lower", "slope_stride",  # derivatives of the two step functions at each potential
    "fires", "losses",  # addresses of T numbers each: where it fires, and what a soft reset takes
    "scratch", "scratch_stride",  # room of each thread
    "on_leak",  # gradient of the leak, a sum per tile
    # max pooling behind the neurons, as POOL_CALL has it: its outputs, or their gradient in place of that of S; or 0.
    # ``offset`` neurons lie before the first, of ``batch`` samples
    "pooled", "places", "offset", "batch", "channels", "rows", "columns", "out_rows", "out_columns", "size",
    "by_image", "by_row", "by_column", "by_channel",
    # rules, 0 or 1
    "decay", "hard", "ternary", "rectified", "centred", "attached", "constant", "learnt", "quotient", "exponential",
)  # fmt: skip
_NUMBERS: Final = (
    "leak", "keep", "start", "base", "adaptation", "rho", "spread", "gain", "unit", "margin",
    "constant_term", "linear_term", "square_term", "fall", "width", "below",  # of a quotient
    "height", "rate", "curve", "bend",  # of an exponential
)  # fmt: skip
CALL: Final = np.dtype([(name, np.int64) for name in _INTEGERS] + [(name, np.float32) for name in _NUMBERS])
"""What a kernel is told."""

_POOL_INTEGERS: Final = (
    "tiles",  # address of the counter of rows of outputs that were given away
    "images", "channels", "rows", "columns", "out_rows", "out_columns", "size",
    "values", "pooled", "places",  # addresses: of inputs, outputs, and which of its window each output is
    "by_image", "by_row", "by_column", "by_channel",  # strides of the outputs' gradient
)  # fmt: skip
POOL_CALL: Final = np.dtype([(name, np.int64) for name in _POOL_INTEGERS])
"""What a kernel of max pooling is told. Inputs and outputs, or their gradients, lie in the order image, row, column,
channel; ``places`` is 0 if nothing is learnt."""

_PACK: Final = struct.Struct(f"={len(_INTEGERS)}q{len(_NUMBERS)}f")  # as CALL; numpy takes many times as long

_POOL_PACK: Final = struct.Struct(f"={len(_POOL_INTEGERS)}q")

_GRAIN: Final = 32768
"""Neuron steps from which more than one thread pays, as of torch's own operations."""


class Kernels:
    """The kernels, on the threads of torch.

    Args:
        code: object code that ``kernels.write`` has made on such a processor.
    """

    def __init__(self, code: bytes) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module = llvm.parse_assembly("")
        module.triple = llvm.get_process_triple()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self._entries = [kind(self._engine.get_function_address(name)) for name in ENTRIES]
        if not all(ctypes.cast(entry, ctypes.c_void_p).value for entry in self._entries):
            raise OSError("the object code lacks a kernel")

    def spike(self, **call: Any) -> None:
        """Run the forward kernel; arguments as in ``CALL``."""
        self._run(0, 4 * TILE, call)

    def spike_pooled(self, **call: Any) -> None:
        """Run the forward kernel with max pooling behind it; arguments as in ``CALL``."""
        self._run(4, 4 * TILE + call["steps"] * call["size"] * call["columns"] * call["channels"], call)

    def learn(self, **call: Any) -> None:
        """Run the backward kernel; arguments as in ``CALL``."""
        self._run(1, (7 + 2 * call["steps"] + call["silent"]) * TILE, call)

    def pool(self, **call: Any) -> None:
        """Run max pooling; arguments as in ``POOL_CALL``."""
        self._run_pooling(2, call)

    def unpool(self, **call: Any) -> None:
        """Run the backward pass of max pooling; arguments as in ``POOL_CALL``."""
        self._run_pooling(3, call)

    def _run_pooling(self, entry: int, call: dict[str, Any]) -> None:
        rows = call["images"] * call["out_rows"]
        work = rows * call["size"] * call["columns"] * call["channels"]
        counter = (ctypes.c_int64 * 16)()
        call["tiles"] = ctypes.addressof(counter)
        told = ctypes.create_string_buffer(_POOL_PACK.pack(*(call.get(name, 0) for name in _POOL_INTEGERS)))
        self._start(entry, told, min(torch.get_num_threads(), rows) if work >= _GRAIN else 1)

    def _run(self, entry: int, room: int, call: dict[str, Any]) -> None:
        work = call["neurons"] * call["steps"]
        tiles = -(-call["neurons"] // TILE)
        threads = min(torch.get_num_threads(), tiles) if work >= _GRAIN else 1
        stride = room + 64  # the room of two threads must not share lines of the cache
        scratch = torch.empty(threads * stride, dtype=torch.float32, device="cpu")
        counters = (ctypes.c_int64 * 32)()
        address = ctypes.addressof(counters)  # two of them, far from each other likewise
        call |= {"tiles": address, "slots": address + 128, "scratch": scratch.data_ptr(), "scratch_stride": stride}
        integers, numbers = [call.get(name, 0) for name in _INTEGERS], [call.get(name, 0.0) for name in _NUMBERS]
        told = ctypes.create_string_buffer(_PACK.pack(*integers, *numbers))
        self._start(entry, told, threads)

    def _start(self, entry: int, told: Any, threads: int) -> None:
        if threads > 1 and _parallel():
            _parallel()(self._entries[entry], told, threads, 0)
        else:
            self._entries[entry](told)


@cache
def _parallel() -> Any:
    """Return OpenMP's entry that runs a function on the threads of torch, or None where it is another library."""
    try:
        entry = ctypes.CDLL(None).GOMP_parallel  # of the library that torch has loaded, so that there is one pool
    except (AttributeError, OSError, TypeError):
        return None
    entry.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    entry.restype = None
    return entry


@cache
def kernels() -> Kernels | None:
    """Return the kernels; None where they can't be had, or where ``SPIKEFRONT_NATIVE=0``."""
    if os.environ.get("SPIKEFRONT_NATIVE") == "0":
        return None
    try:
        return Kernels(_code())
    except Exception as error:  # of numba, LLVM, a compiling process or a file system: speed is all that is lost
        _log.warning("neurons run without native code: %s", " ".join(str(error).split())[-300:])
        return None


def kernels_for(*inputs: Tensor) -> Kernels | None:
    """Return the kernels if they may compute with these tensors; None where torch must.

    It must on other devices and in other types than float32, and wherever operations are watched rather than only
    computed: export and compilation, transforms, modes of dispatch, subclasses of Tensor.
    """
    plain = all(
        type(x) in (Tensor, torch.nn.Parameter)
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and not x.is_neg()
        and x.numel()
        for x in inputs
    )
    return None if watched() or not plain else kernels()


def watched() -> bool:
    """Return whether operations are recorded or replaced rather than only computed."""
    return bool(
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
    )


def _code() -> bytes:
    import platformdirs
    from filelock import FileLock

    path = Path(platformdirs.user_cache_dir("spikefront")) / "kernels" / f"{_key()}.o"
    if (code := _stored(path)) is not None:
        return code
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=120):  # of many workers that start at once, one compiles
            if (code := _stored(path)) is None:
                code = _compiled()
                _store(path, code)
            return code
    except OSError:  # no folder to write to; filelock's Timeout is one too
        return _compiled()


def _key() -> str:
    import llvmlite.binding as llvm

    names = ("native.py", "compiler.py", "kernels.py", "pool_kernels.py")
    sources = [Path(__file__).with_name(name) for name in names]
    parts = [version("numba"), version("llvmlite"), llvm.get_process_triple(), llvm.get_host_cpu_name()]
    parts += [llvm.get_host_cpu_features().flatten(), *(source.read_text("utf-8") for source in sources)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _stored(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    code = content[32:]
    return code if content[:32] == hashlib.sha256(code).digest() else None  # a disk that was full, say


def _store(path: Path, code: bytes) -> None:
    from spikefront.searchspace.targets import replaced

    with replaced(path) as part:
        part.write_bytes(hashlib.sha256(code).digest() + code)


def _compiled() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.o"
        command = "import sys; from pathlib import Path; from spikefront.plugins.network import kernels; "
        command += "kernels.write(Path(sys.argv[1]))"
        done = subprocess.run(
            [sys.executable, "-c", command, str(path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            raise RuntimeError(f"numba did not compile: {done.stderr}")
        return path.read_bytes()
