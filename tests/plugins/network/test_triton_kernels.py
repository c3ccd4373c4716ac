"""Kernels for GPUs, compiled for GPUs that need not be there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("triton", reason="it is published for Linux only")

COMPILE = """
import json, re, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.tools.disasm import get_sass
from spikefront.plugins.network import triton_kernels

ARRAYS = dict.fromkeys(("current", "spikes", "gradient", "result"), "*bf16") | dict.fromkeys(
    ("potential", "upper", "lower", "kept", "learnt_leak", "table"), "*fp32") | {"on_leak": "*fp32"}

def compiled(name, rules, target):
    kernel = getattr(triton_kernels, name)
    signature, constants = {}, {}
    for place, parameter in enumerate(kernel.params):
        if parameter.is_constexpr:
            constants[(place,)] = triton_kernels.BLOCK if parameter.name == "block" else rules[parameter.name]
            kind = "constexpr"
        elif parameter.name in ARRAYS:
            kind = ARRAYS[parameter.name]
        else:
            kind = "i32" if parameter.name in ("neurons", "steps") or "stride" in parameter.name else "fp32"
        signature[parameter.name] = kind
    source = ASTSource(kernel, signature, constants)
    return triton.compile(source, target=GPUTarget(*target), options={"enable_fp_fusion": False, "num_warps": 4})

for name, rules, target in json.loads(sys.argv[1]):
    code = compiled(name, rules, target)
    binary = code.asm["cubin" if target[0] == "cuda" else "hsaco"]
    sass = get_sass(binary) if target[0] == "cuda" else code.asm["amdgcn"]
    print(json.dumps({"bytes": len(binary), "fused": re.findall(r"FFMA\\S*|v_(?:pk_)?fmac?_f32", sass)}))
"""
PLAIN = {
    **{"silent": 0, "decay": True, "hard": True, "ternary": False, "rectified": False, "centred": True},
    **{"adaptive": False, "learnt": False, "varies": False, "held": True, "attached": False, "scaled": False},
    **{"formula": "quotient", "constant": False},
}
OF_PLIF = PLAIN | {"learnt": True, "varies": True, "attached": True, "constant": True}
OF_ALIF = PLAIN | {"hard": False, "adaptive": True, "attached": True, "formula": "exponential"}
OF_BOX = PLAIN | {"formula": ""}
OF_TSA = PLAIN | {
    **{"silent": 1, "decay": False, "hard": False, "ternary": True, "rectified": True, "centred": False},
    **{"attached": True, "scaled": True},
}


def compiled(cases: list[tuple[str, dict[str, Any], tuple[str, Any, int]]], folder: Any) -> list[dict[str, Any]]:
    """Compile kernels for GPUs that need not be there, in a process that does not interpret them."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRITON_CACHE_DIR": str(folder), "TRITON_INTERPRET": "0"}
    command = [sys.executable, "-c", COMPILE, json.dumps(cases)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


AMPERE, HOPPER, MI300 = ("cuda", 80, 32), ("cuda", 90, 32), ("hip", "gfx942", 64)


def test_kernels_compile_without_a_gpu_and_the_forward_one_contracts_nothing(tmp_path: Any) -> None:
    forward, backward = compiled([("spike", OF_TSA, AMPERE), ("learn", OF_PLIF, AMPERE)], tmp_path)
    assert min(forward["bytes"], backward["bytes"]) > 1000
    # a fused multiplication and addition rounds once where the torch form rounds twice: other spikes at a threshold
    assert not forward["fused"]
    assert backward["fused"]  # of divisions: they are found where there are any


@pytest.mark.slow
def test_all_kernels_compile_for_gpus_of_two_vendors(tmp_path: Any) -> None:
    rules = (PLAIN, OF_PLIF, OF_ALIF, OF_TSA, OF_BOX)
    cases = [(name, rule, target) for name in ("spike", "learn") for rule in rules for target in (HOPPER, MI300)]
    done = compiled(cases, tmp_path)
    assert len(done) == len(cases)
    assert not any(code["fused"] for (name, _, _), code in zip(cases, done, strict=True) if name == "spike")
