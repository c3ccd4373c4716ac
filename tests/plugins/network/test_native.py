from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikefront.plugins.network import native


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "spikefront" / "kernels"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was compiled: other code each time."""
    made: list[bytes] = []

    def compile_() -> bytes:
        made.append(f"code {len(made)}".encode())
        return made[-1]

    monkeypatch.setattr(native, "_compiled", compile_)
    return made


def test_code_is_compiled_once_and_stored(folder: Path, compiled: list[bytes]) -> None:
    assert native._code() == native._code() == b"code 0"
    assert len(compiled) == 1
    assert len(list(folder.glob("*.o"))) == 1


def test_a_damaged_file_is_compiled_again(folder: Path, compiled: list[bytes]) -> None:
    native._code()
    (file,) = folder.glob("*.o")
    file.write_bytes(file.read_bytes()[:-1])
    assert native._code() == b"code 1"
    assert native._code() == b"code 1"


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[bytes]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # where a folder is needed
    assert native._code() == b"code 0"


def test_neurons_run_without_native_code_where_it_does_not_compile(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> bytes:
        raise OSError("numba did not compile: no numba here")

    monkeypatch.setattr(native, "_compiled", fail)
    assert native.kernels.__wrapped__() is None
    assert "no numba here" in caplog.text


def test_native_code_can_be_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEFRONT_NATIVE", "0")
    assert native.kernels.__wrapped__() is None


def test_neither_numba_nor_llvm_is_imported_before_a_neuron_runs_and_numba_never() -> None:
    assert native.kernels() is not None  # stored now
    script = """
import sys, torch
from spikefront.plugins import load_registry
from spikefront.plugins.surrogates.atan import ATan
neuron = load_registry(third_parties=False).get("neuron", "lif")(surrogate=ATan())
assert "llvmlite" not in sys.modules
neuron(torch.ones(2, 1, 3), 2)
assert "llvmlite" in sys.modules and "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.slow  # it compiles
def test_two_processes_that_start_at_once_compile_once(folder: Path) -> None:
    script = "from spikefront.plugins.network import native; assert native.kernels() is not None"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [subprocess.Popen([sys.executable, "-c", script], env=environment) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    files = list(folder.glob("*.o"))
    assert len(files) == 1
    assert native._stored(files[0])
