"""Trained networks as safetensors files: weights that anything reads, with the network's description as metadata.

The format holds tensors and text, so that opening a file executes nothing. What makes the file a network of ours is in
its metadata: ``spikefront``, the description, and ``sha256``, by which damage and careless edits are found.

Reference: the format is described at https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from spikefront.runners.deploy.torch_file import checksum
from spikefront.searchspace import UsageError
from spikefront.searchspace.targets import replaced

_KIND: Final = "spikefront network"
_LONGEST: Final = 100_000_000
"""Most bytes of a header, as the format defines it."""


def is_safetensors(path: Path) -> bool:
    """Return whether a file begins as one of the format does: the length of a header, and an opening brace."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and int.from_bytes(start[:8], "little") <= _LONGEST and start[8:] == b"{"


def write_safetensors(path: Path, description: str, state: Mapping[str, Tensor]) -> None:
    """Write a network; a file that exists stays as it is if that fails.

    Args:
        path: the file to write.
        description: text, which ``read_safetensors`` returns unchanged.
        state: tensors by name.

    Raises:
        UsageError: when the package safetensors is missing.
    """
    library = _library()
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    about = {"kind": _KIND, "spikefront": description, "sha256": checksum(description, tensors)}
    with replaced(path) as part:
        library.save_file(tensors, part, metadata=about)


def read_safetensors(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Read a network.

    Returns:
        Its description, and its tensors by name, on the CPU.

    Raises:
        UsageError: when the file is damaged, changed, or not a network, or when the package safetensors is missing.
    """
    _library()
    import safetensors

    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except Exception as error:  # whatever the library raises for a header or a length that is not right
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path} is not a safetensors file, or damaged ({reason}); export it again") from error
    if about.get("kind") != _KIND or "spikefront" not in about:
        raise UsageError(
            f"{path} holds tensors, but not a network that spikefront exported; make one with: "
            "spikefront export RUN --format safetensors --to FILE"
        )
    description = about["spikefront"]
    if about.get("sha256") != checksum(description, state):
        raise UsageError(f"{path} was changed after it was written: its checksum differs; export it again")
    return description, state


def _library() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise UsageError(
            "safetensors files need the package safetensors; install it with: pip install 'spikefront[safetensors]'"
        ) from error
    return safetensors.torch
