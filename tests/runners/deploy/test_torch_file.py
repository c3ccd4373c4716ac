from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spikefront.runners.deploy.torch_file import checksum, read_archive, write_archive
from spikefront.searchspace import UsageError

STATE = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "count": torch.tensor(3),
    "half": torch.ones(2, dtype=torch.bfloat16),
}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    write_archive(tmp_path / "net.pt", "a description", STATE)
    return tmp_path / "net.pt"


def test_what_is_written_comes_back(archive: Path) -> None:
    text, state = read_archive(archive)

    assert text == "a description"
    assert state.keys() == STATE.keys()
    for name, tensor in STATE.items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)


def test_file_holds_no_memory_behind_a_slice(tmp_path: Path) -> None:
    write_archive(tmp_path / "net.pt", "", {"weight": torch.zeros(1_000_000)[:2]})

    assert (tmp_path / "net.pt").stat().st_size < 10_000


def test_writing_that_fails_leaves_the_old_file_and_no_part_of_a_new_one(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        write_archive(archive, "another", STATE)

    assert [path.name for path in archive.parent.iterdir()] == ["net.pt"]
    assert read_archive(archive)[0] == "a description"


def test_checksum_tells_apart_what_differs_in_anything() -> None:
    values = torch.tensor([1.0, 2.0])
    alike = [
        ("a", {"w": values}),
        ("b", {"w": values}),
        ("a", {"v": values}),
        ("a", {"w": torch.tensor([1.0, 2.0000002])}),
        ("a", {"w": values.reshape(2, 1)}),
        ("a", {"w": values.view(torch.int32)}),
        ("a", {"w": values, "x": values}),
        ("a\nw", {}),
    ]

    assert len({checksum(text, state) for text, state in alike}) == len(alike)


class Malicious:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.folder / "executed",))


def edited(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        contents = torch.load(path, weights_only=True)
        change(contents)
        torch.save(contents, path)

    return edit


def flip_a_byte(path: Path) -> None:
    """Change one byte of a tensor."""
    raw = bytearray(path.read_bytes())
    place = raw.index(torch.arange(6.0).numpy().tobytes())
    raw[place + 4] ^= 1
    path.write_bytes(raw)


def empty_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("hello", "world")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is cut short; copy it again"),
    "byte flipped": (flip_a_byte, "was changed after it was written"),
    "description edited": (edited(lambda c: c.update(description="better")), "was changed after it was written"),
    "weight edited": (edited(lambda c: c.update(state={**STATE, "count": torch.tensor(4)})), "was changed after"),
    "part missing": (edited(lambda c: c.pop("state")), "is damaged"),
    "state of numbers": (edited(lambda c: c.update(state={"weight": 1.0})), "is damaged"),
    "newer format": (edited(lambda c: c.update(version=2)), "has format 2; this spikefront reads 1: update it"),
    "text": (lambda path: path.write_text("hello"), "is not a network that spikefront exported"),
    "nothing": (lambda path: path.write_bytes(b""), "is not a network that spikefront exported"),
    "another zip": (empty_zip, "is not a network that spikefront exported"),
    "plain weights": (lambda path: torch.save(STATE, path), "is not a network that spikefront exported"),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps(STATE)), "is not a network that spikefront exported"),
    "code": (
        lambda path: torch.save({"state": Malicious(path.parent)}, path),
        "is not a network that spikefront exported",
    ),
    "gone": (lambda path: path.unlink(), "no such file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_or_foreign_file_is_refused_in_one_line(archive: Path, damage: str) -> None:
    do, reason = DAMAGES[damage]
    do(archive)

    with pytest.raises(UsageError) as refused:
        read_archive(archive)

    assert reason in str(refused.value)
    assert str(refused.value).startswith(str(archive))
    assert "\n" not in str(refused.value)
    assert not (archive.parent / "executed").exists()
