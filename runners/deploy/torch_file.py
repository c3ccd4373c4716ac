"""File format of a trained network: tensors and text, no executable content.

torch's own format, read with ``weights_only``, so that opening a file from an unknown source runs none of its code. The
checksum finds damage and careless edits. It is not a signature: a deliberate edit can come with a new one.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from spikefront.searchspace import UsageError
from spikefront.searchspace.targets import replaced

_KIND: Final = "spikefront network"
_VERSION: Final = 1
_KEYS: Final = {"kind", "version", "description", "state", "sha256"}


def write_archive(path: Path, description: str, state: Mapping[str, Tensor]) -> None:
    """Write a network; a file that exists stays as it is if that fails.

    Args:
        path: the file to write.
        description: text, which ``read_archive`` returns unchanged.
        state: tensors by name.
    """
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
    contents = {
        "kind": _KIND,
        "version": _VERSION,
        "description": description,
        "state": tensors,
        "sha256": checksum(description, tensors),
    }
    with replaced(path) as part:
        torch.save(contents, part)


def read_archive(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Read a network.

    Returns:
        Its description, and its tensors by name, on the CPU.

    Raises:
        UsageError: when the file is missing, cut short, damaged, changed, or not a network.
    """
    from spikefront.runners.deploy.safetensors_file import is_safetensors, read_safetensors

    if is_safetensors(path):
        return read_safetensors(path)
    contents = _load(path)
    if not isinstance(contents, dict) or contents.get("kind") != _KIND:
        raise _foreign(path)
    if contents.get("version") != _VERSION:
        raise UsageError(f"{path} has format {contents.get('version')!r}; this spikefront reads {_VERSION}: update it")
    description, state = contents.get("description"), contents.get("state")
    if contents.keys() != _KEYS or not isinstance(description, str) or not _is_state(state):
        raise UsageError(f"{path} is damaged: parts of it are missing or of the wrong type; export it again")
    assert isinstance(state, dict)
    try:
        written = checksum(description, state)
    except Exception as error:  # text or tensors that no export writes
        raise UsageError(f"{path} is damaged ({_reason(error)}); export it again") from error
    if contents["sha256"] != written:
        raise UsageError(f"{path} was changed after it was written: its checksum differs; export it again")
    return description, state


def checksum(description: str, state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a description and of names, types, shapes and bytes of all tensors, as hexadecimal text."""
    digest = hashlib.sha256(f"{len(description.encode())}\n{description}".encode())
    for name in sorted(state):
        tensor = state[name]
        digest.update(f"\n{name}\n{tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of a trial, as a search saved them.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        UsageError: when the file is missing, damaged, or not weights.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        _refuse_packed(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
            raise ValueError("no tensors by name")
        if not all(isinstance(tensor, Tensor) and _is_plain(tensor) for tensor in state.values()):
            raise ValueError("something else than tensors")
    except Exception as error:  # as in ``_load``
        raise UsageError(
            f"{path.name}: not the weights of a trial, or damaged ({_reason(error)[:120]}); take another member"
        ) from error
    return state


def _load(path: Path) -> Any:
    if not os.path.isfile(path):
        raise UsageError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            started = file.read(4) == b"PK\x03\x04"
        raise UsageError(f"{path} is cut short; copy it again") if started else _foreign(path)
    try:
        _refuse_packed(path)
        with path.open("rb") as file:  # of a path torch reads the suffix
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch raises: the file holds more than tensors and plain values, or less
        raise _foreign(path) from error


def _refuse_packed(path: Path) -> None:
    """Refuse what torch never writes: members that are packed, or that share bytes, and so need more memory."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("packed")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise ValueError("larger than the file")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _foreign(path: Path) -> UsageError:
    return UsageError(
        f"{path} is not a network that spikefront exported; make one with: spikefront export RUN --to FILE"
    )


def _is_state(state: object) -> bool:
    return (
        isinstance(state, dict)
        and all(
            isinstance(name, str) and isinstance(tensor, Tensor) and _is_plain(tensor) for name, tensor in state.items()
        )
        and len({tensor.untyped_storage().data_ptr() for tensor in state.values() if tensor.numel()})
        == sum(tensor.numel() > 0 for tensor in state.values())
    )


def _is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor is on the CPU, with memory of its own for each element."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
