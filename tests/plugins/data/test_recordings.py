"""Where recordings are found and what is wrong with them, on real ones."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikefront.plugins.data.events import EVENT, read_40_bit
from spikefront.plugins.data.images import Folder, open_source
from spikefront.plugins.data.recordings import (
    Part,
    Recording,
    Recordings,
    find_part,
    folder_fingerprint,
    in_share,
    write,
)
from spikefront.plugins.tasks.dvs128_gesture import DVS128Gesture
from spikefront.searchspace import UsageError

NMNIST = Path(__file__).parents[2] / "data" / "nmnist"


def pack(archive: Path, *parts: str, above: str = "") -> Path:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for part in parts:
            file.mkdir(f"{above}{part}")
            for path in sorted((NMNIST / part).rglob("*")):
                name = f"{above}{path.relative_to(NMNIST)}"
                file.mkdir(name) if path.is_dir() else file.write(path, name)
    return archive


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the recordings, to be damaged."""
    return Path(shutil.copytree(NMNIST, tmp_path / "copy"))


def contents(part: Part | None) -> list[tuple[str, str, bytes]]:
    assert part is not None
    return [(label, name[-9:], bytes(raw)) for label, name, raw in part.read()]


@pytest.mark.parametrize(
    ("archives", "above"),
    [
        ({"small.zip": ("Train", "Test")}, ""),
        ({"Train.zip": ("Train",), "Test.zip": ("Test",)}, ""),
        ({"train.zip": ("Train",), "other.zip": ("Test",)}, ""),
        ({"n-mnist/N-MNIST.zip": ("Train", "Test")}, "N-MNIST/"),
    ],
    ids=["one", "two", "other names", "deeper, in a subfolder"],
)
def test_zips_give_what_folders_give(tmp_path: Path, archives: dict[str, tuple[str, ...]], above: str) -> None:
    for name, parts in archives.items():
        pack(tmp_path / name, *parts, above=above)
    for part in ("Train", "Test"):
        assert contents(find_part(part, tmp_path, ["n-mnist"])) == contents(find_part(part, NMNIST, []))


def test_a_zip_may_stand_in_the_place_of_the_folder(tmp_path: Path) -> None:
    archive = pack(tmp_path / "all.zip", "Train")
    assert contents(find_part("Train", archive, [])) == contents(Part(NMNIST / "Train", "Train"))
    assert find_part("Test", archive, []) is None


def test_recordings_come_in_the_order_of_their_numbers() -> None:
    numbers = [name for _, name, _ in contents(Part(NMNIST / "Train", "Train"))]
    assert numbers == sorted(numbers)
    assert len(numbers) == 9


def test_hidden_files_are_no_recordings(folder: Path) -> None:
    before = Part(folder / "Train", "Train").members()
    (folder / "Train" / "0" / "._00211.bin").write_bytes(b"of some system")
    assert Part(folder / "Train", "Train").members() == before


def test_what_was_written_is_loaded(tmp_path: Path) -> None:
    part = Part(NMNIST / "Test", "Test")
    recordings = [Recording(label, read_40_bit(raw, name), name) for label, name, raw in part.read()]
    write(iter(recordings), tmp_path)
    loaded = Recordings.load(tmp_path)
    assert loaded.classes == ("0", "3", "8")
    assert [loaded.classes[label] for label in loaded.labels] == [recording.label for recording in recordings]
    assert len(loaded) == len(recordings) == 6
    for number, recording in enumerate(recordings):
        assert np.array_equal(loaded[number], recording.events)
    assert isinstance(loaded.events, np.memmap)
    assert loaded.events.dtype == EVENT


def test_every_change_of_a_file_changes_the_fingerprint(folder: Path) -> None:
    part, seen = Part(folder / "Train", "Train"), set[str]()
    file = folder / "Train" / "0" / "00211.bin"
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: file.write_bytes(file.read_bytes()[:-5]),
        lambda: os.utime(file, ns=(0, file.stat().st_mtime_ns + 2_000_000_000)),
        lambda: shutil.copy(file, file.with_name("00999.bin")),
    ]
    for change in changes:
        change()
        seen.add(part.fingerprint())
        assert part.fingerprint() == part.fingerprint()
    assert len(seen) == len(changes)
    assert folder_fingerprint(folder / "Train") != folder_fingerprint(folder / "Test")


def test_empty_class_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "Train" / "5").mkdir()
    with pytest.raises(UsageError, match=r"copy/Train: class 5 of Train is empty; remove it, or fetch its recordings$"):
        list(Part(folder / "Train", "Train").read())
    archive = pack(tmp_path / "Train.zip", "Train")
    with zipfile.ZipFile(archive, "a") as file:
        file.mkdir("Train/5")
    with pytest.raises(UsageError, match=r"Train\.zip: class 5 of Train is empty; remove it, or fetch its recordings$"):
        list(Part(archive, "Train").read())


def test_part_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no recordings of the layout Train/<class>/<number>\.bin$"):
        Part(tmp_path, "Train").members()


def test_damaged_zip_is_named(tmp_path: Path) -> None:
    archive = pack(tmp_path / "Train.zip", "Train")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        UsageError, match=r"Train\.zip: no zip archive, or cut short \(File is not a zip file\); fetch it again$"
    ):
        find_part("Train", tmp_path, [])
    middle = len(whole) // 3
    archive.write_bytes(whole[:middle] + bytes(200) + whole[middle + 200 :])
    with pytest.raises(
        UsageError, match=r"Train\.zip: Train/\d/\d{5}\.bin is damaged \(.+\); fetch the archive again$"
    ):
        list(Part(archive, "Train").read())


def test_vanished_file_is_named(folder: Path) -> None:
    reading = Part(folder / "Train", "Train").read()
    next(reading)
    shutil.rmtree(folder / "Train")
    with pytest.raises(UsageError, match=r"Train/\d/\d{5}\.bin: No such file or directory$"):
        next(reading)


def test_first_nine_in_ten_train() -> None:
    names = [f"{number:02}" for number in range(11)]
    assert in_share(names, "Train") == names[:10]  # 9.9, rounded up
    assert in_share(names, "Test") == names[10:]
    assert in_share(names, "") == names


def test_zips_with_backslashes_give_what_folders_give(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "Train.zip", "w") as file:
        for path in sorted((NMNIST / "Train").rglob("*.bin")):
            file.write(path, str(path.relative_to(NMNIST)).replace("/", "\\"))
    assert contents(find_part("Train", tmp_path, [])) == [
        (label, name.replace("/", "\\")[-9:], raw) for label, name, raw in contents(Part(NMNIST / "Train", "Train"))
    ]


def test_strange_names_in_a_zip_are_passed_over(tmp_path: Path) -> None:
    archive = pack(tmp_path / "Train.zip", "Train")
    with zipfile.ZipFile(archive, "a") as file:
        for name in ("x.bin", "Train/x.bin", "", "/", "..", "Train//", "Train/3//"):
            file.writestr(zipfile.ZipInfo(name), b"")
    assert contents(Part(archive, "Train")) == contents(Part(NMNIST / "Train", "Train"))


def test_recordings_that_are_too_large_are_not_read(tmp_path: Path) -> None:
    for name in ("Train/0/1.bin", "Train/0/2.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / name).open("wb") as file:
            file.truncate(1 << 40)  # a hole: it takes no room
    with pytest.raises(
        UsageError, match=r"0/1\.bin: 1,099,511,627,776 bytes, and a recording may have 67,108,864; cut"
    ):
        next(Part(tmp_path / "Train", "Train").read())
    (tmp_path / "Train/0/1.bin").unlink()
    os.mkfifo(tmp_path / "Train/0/1.bin")  # would never end
    with pytest.raises(UsageError, match=r"0/1\.bin: not a file; remove it$"):
        next(Part(tmp_path / "Train", "Train").read())


def test_recordings_of_a_zip_that_are_too_large_are_not_read(tmp_path: Path) -> None:
    archive = zipfile.ZipFile(tmp_path / "Train.zip", "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("Train/0/1.bin", "w", force_zip64=True) as member:
        for _ in range(80):
            member.write(bytes(1 << 20))
    with pytest.raises(
        UsageError, match=r"Train/0/1\.bin is damaged \(it has 83,886,080 bytes, and may have 67,108,864"
    ):
        next(Part(tmp_path / "Train.zip", "Train").read())


def test_folders_that_lie_too_deep_are_refused_in_one_line(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(102):
        deep = deep / "a"
        deep.mkdir()
    with pytest.raises(UsageError, match=r"more than 100 folders lie in it, one in the other; flatten or remove them"):
        folder_fingerprint(tmp_path)
    with pytest.raises(UsageError, match=r"more than 100 folders lie in it"):
        list(Folder(tmp_path).names())
    with zipfile.ZipFile(tmp_path / "deep.zip", "w") as archive:
        archive.writestr("a/" * 30_000 + "x.png", b"")
    with pytest.raises(UsageError, match=r"deep\.zip: more than 100 folders lie in it"):
        open_source(tmp_path / "deep.zip")


def test_recordings_of_one_person_are_in_one_split(tmp_path: Path) -> None:
    """Five persons under two lights, with three gestures each, named as DVS128 Gesture is published."""
    events = read_40_bit((NMNIST / "Train" / "0" / "00211.bin").read_bytes(), "a")
    task = DVS128Gesture()
    names = [
        f"/data/DVSGesture/ibmGestureTrain/user{person:02}_{light}/{gesture}.npy"
        for person in range(1, 6)
        for light in ("led", "fluorescent_led")
        for gesture in range(3)
    ]
    write((Recording(Path(name).stem, events, name, task.group(name)) for name in names), tmp_path)
    recordings = Recordings.load(tmp_path)
    train, validation = task._split(recordings)
    assert sorted([*train, *validation]) == list(range(len(names)))
    sides = [{names[number].split("/")[4].partition("_")[0] for number in side} for side in (train, validation)]
    assert sides == [{"user01", "user02", "user03", "user04"}, {"user05"}]
    assert set(recordings.labels[validation]) == {0, 1, 2}
    assert not np.array_equal(validation, np.sort(validation))  # a part of it has all classes
    assert [side.tolist() for side in task._split(recordings)] == [train.tolist(), validation.tolist()]


def test_a_split_by_person_needs_two_and_their_names(tmp_path: Path) -> None:
    task = DVS128Gesture()
    with pytest.raises(UsageError, match=r"^/d/someone/0\.npy: its folder must be userNN_LIGHT, as published"):
        task.group("/d/someone/0.npy")
    events = read_40_bit((NMNIST / "Train" / "0" / "00211.bin").read_bytes(), "a")
    write((Recording(str(number), events, "a", "user07") for number in range(3)), tmp_path)
    with pytest.raises(UsageError, match="all training recordings are of user07, and others must validate"):
        task._split(Recordings.load(tmp_path))
