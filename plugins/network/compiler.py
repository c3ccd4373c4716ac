"""The compiler of kernels: numba, with LLVM's options for this processor and functions that numba lacks.

Imported where kernels are compiled only, as are ``kernels`` and ``pool_kernels``.
"""

from __future__ import annotations

from typing import Any, Final

import llvmlite.binding as llvm
import numba
from numba import types
from numba.extending import intrinsic

from spikefront.plugins.network.native import CALL, POOL_CALL

llvm.set_option("", "-runtime-memory-check-threshold=128")  # loops over many arrays, too, are made vector code
_FEATURES: Final = llvm.get_host_cpu_features().flatten()
_WIDE: Final = "+avx512f" in _FEATURES.split(",")
if _WIDE:  # LLVM prefers half of it, for processors that slow down
    llvm.set_option("", "-force-vector-width=16")

KERNEL: Final[dict[str, Any]] = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of a kernel's ``njit``: it is called from machine code only."""
SIGNATURE: Final = types.void(types.voidptr)

_RECORD: Final = numba.from_dtype(CALL)
_POOL_RECORD: Final = numba.from_dtype(POOL_CALL)


@intrinsic
def call_at(typing_context: Any, pointer: Any) -> Any:
    """Return the call at a pointer."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(_RECORD))

    return _RECORD(types.voidptr), code


@intrinsic
def pool_call_at(typing_context: Any, pointer: Any) -> Any:
    """Return the call of a pooling at a pointer."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(_POOL_RECORD))

    return _POOL_RECORD(types.voidptr), code


@intrinsic
def floats(typing_context: Any, address: Any) -> Any:
    """Return a pointer to float32 from an address."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(types.int64), code


@intrinsic
def octets(typing_context: Any, address: Any) -> Any:
    """Return a pointer to uint8 from an address."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint8)(types.int64), code


@intrinsic
def two_to(typing_context: Any, exponent: Any) -> Any:
    """Return 2 to the power of a whole number in [-126, 127]; both float32."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole, number = context.get_value_type(types.int32), context.get_value_type(types.float32)
        biased = builder.add(builder.fptosi(arguments[0], whole), context.get_constant(types.int32, 127))
        return builder.bitcast(builder.shl(biased, context.get_constant(types.int32, 23)), number)

    return types.float32(types.float32), code


@intrinsic
def take(typing_context: Any, address: Any) -> Any:
    """Return the integer at an address and add 1 to it, as one step for all threads."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = context.get_value_type(types.CPointer(types.int64))
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", builder.inttoptr(arguments[0], pointer), one, "monotonic")

    return types.int64(types.int64), code


def emit(kernels: list[Any], entries: tuple[str, ...]) -> bytes:
    """Return object code for this processor.

    Args:
        kernels: compiled functions.
        entries: their names in it.
    """
    modules = []
    for kernel, entry in zip(kernels, entries, strict=True):
        name = kernel.overloads[kernel.signatures[0]].fndesc.llvm_func_name
        wrapper = (
            f"\ndefine void @{entry}(ptr %call) {{\n  %failure = alloca ptr\n  %nothing = alloca ptr\n"
            f'  %code = call i32 @"{name}"(ptr %nothing, ptr %failure, ptr %call)\n  ret void\n}}\n'
        )
        modules.append(llvm.parse_assembly(kernel.inspect_llvm(kernel.signatures[0]) + wrapper))
    module = modules[0]
    for other in modules[1:]:
        module.link_in(other)
    module.verify()
    features = _FEATURES + ",-prefer-256-bit" if _WIDE else _FEATURES
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True, reloc="pic"
    )
    code: bytes = machine.emit_object(module)
    return code
