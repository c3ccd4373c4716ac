from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikefront.plugins import Task
from spikefront.plugins.data.event_tasks import FramesConfig
from spikefront.plugins.data.events import read_40_bit, to_frames
from spikefront.plugins.tasks.n_mnist import NMNIST
from spikefront.plugins.testing import TaskContract
from spikefront.searchspace import UsageError

pytestmark = pytest.mark.usefixtures("cache")


class TestSmallNMNIST(TaskContract):
    @pytest.fixture
    def plugin(self) -> type[Task]:
        return NMNIST

    @pytest.fixture
    def data_dir(self, nmnist: Path) -> Path:
        return nmnist


@pytest.fixture
def folder(nmnist: Path, tmp_path: Path) -> Path:
    """A copy of the recordings, to be damaged."""
    return Path(shutil.copytree(nmnist, tmp_path / "copy"))


@pytest.mark.parametrize("binning", ["time", "count"])
def test_each_sample_is_the_frames_of_a_recording_with_its_class(nmnist: Path, binning: str) -> None:
    task = NMNIST(FramesConfig(binning=binning))
    data, test = task.search_data(nmnist, 4), task.test_data(nmnist, 4)
    assert data.outputs == 3
    for splits, part in (((data.train, data.validation), "Train"), ((test,), "Test")):
        expected = {}
        for number, digit in enumerate("038"):
            for path in (nmnist / part / digit).iterdir():
                frames = to_frames(read_40_bit(path.read_bytes(), "a"), (34, 34), steps=4, binning=binning)
                expected[frames.tobytes()] = number
        samples = [sample for split in splits for sample in zip(split.inputs, split.targets, strict=True)]
        assert {inputs.numpy().tobytes(): int(target) for inputs, target in samples} == expected
        assert len(samples) == len(expected)


def test_one_recording_of_each_class_validates(nmnist: Path) -> None:
    data = NMNIST().search_data(nmnist, 2)
    assert data.validation.targets.sort().values.tolist() == [0, 1, 2]
    assert data.train.targets.sort().values.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_search_reads_train_only_and_a_test_test_only(folder: Path) -> None:
    readers = {
        "Train": lambda: NMNIST().search_data(folder, 2).train.inputs.clone(),
        "Test": lambda: NMNIST().test_data(folder, 2).inputs.clone(),
    }
    for damaged, other in (("Test", "Train"), ("Train", "Test")):
        before = readers[other]()
        path = next((folder / damaged).rglob("*.bin"))
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        assert torch.equal(readers[other](), before)
        with pytest.raises(UsageError, match=path.name):
            readers[damaged]()
        path.write_bytes(whole)


def test_test_classes_are_numbered_as_in_training(folder: Path) -> None:
    shutil.rmtree(folder / "Test" / "0")
    assert set(NMNIST().test_data(folder, 2).targets.tolist()) == {1, 2}
    shutil.rmtree(folder / "Train" / "8")
    with pytest.raises(
        UsageError, match=r"^.*copy/Test: class 8 is tested but has no training recording; remove it, or train on it$"
    ):
        NMNIST().test_data(folder, 2)


def test_what_is_cached_is_neither_read_nor_made_again(nmnist: Path, cache: Path) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.suffix != ".lock"}

    first = NMNIST().search_data(nmnist, 3)
    made = files()
    second = NMNIST().search_data(nmnist, 3)
    assert files() == made
    assert torch.equal(first.train.inputs, second.train.inputs)
    NMNIST().search_data(nmnist, 5)
    more = files()
    assert more.items() > made.items()
    assert not any("n-mnist-events" in str(path) for path in more.keys() - made.keys())  # only frames are new
    NMNIST(FramesConfig(binning="time")).search_data(nmnist, 5)
    assert files().items() > more.items()


def test_frames_are_mapped_and_writing_to_them_changes_no_file(nmnist: Path) -> None:
    data = NMNIST().search_data(nmnist, 2)
    before = data.train.inputs.clone()
    data.train.inputs.zero_()
    assert torch.equal(NMNIST().search_data(nmnist, 2).train.inputs, before)


def test_changed_recording_is_read_anew(folder: Path) -> None:
    NMNIST().search_data(folder, 2)
    source, target = folder / "Test" / "3" / "60045.bin", folder / "Train" / "3" / "00575.bin"
    target.write_bytes(source.read_bytes())
    data = NMNIST().search_data(folder, 2)
    expected = to_frames(read_40_bit(source.read_bytes(), "a"), (34, 34), steps=2, binning="count")
    samples = torch.cat([data.train.inputs, data.validation.inputs])
    assert any(np.array_equal(sample, expected) for sample in samples)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def _outside(path: Path) -> None:
    path.write_bytes(bytes([3, 7, 0, 0, 1]) + bytes([34, 7, 0, 0, 2]))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _without_siblings(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, r"00575\.bin: cut short: 13983 bytes are no whole number of events of 5 bytes; fetch it again$"),
        (_outside, r"00575\.bin: event 1 lies at column 34, row 7, outside the sensor of 34x34 pixels; fetch it again"),
        (_empty, r"00575\.bin: no event in it; fetch it again, or remove it$"),
        (_without_siblings, r"class 3 of Train is empty; remove it"),
    ],
    ids=["cut", "outside", "empty", "empty class"],
)
def test_damaged_recording_is_named_and_nothing_is_cached(
    folder: Path, cache: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder / "Train" / "3" / "00575.bin")
    with pytest.raises(UsageError, match=message):
        NMNIST().search_data(folder, 2)
    assert [path for path in cache.glob("*") if path.suffix != ".lock"] == []


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    expected = (
        rf"^data_dir='{tmp_path}': no recordings Train/<digit>/<number>\.bin there, nor in its folder n-mnist "
        r"or N-MNIST, neither in folders nor in a zip$"
    )
    with pytest.raises(UsageError, match=expected):
        NMNIST().search_data(tmp_path, 2)


def test_a_single_recording_of_each_class_can_not_be_split(folder: Path) -> None:
    for digit in (folder / "Train").iterdir():
        for path in sorted(digit.iterdir())[1:]:
            path.unlink()
    with pytest.raises(
        UsageError, match=r"^task 'n-mnist': no class has two recordings, of which one could validate; add some$"
    ):
        NMNIST().search_data(folder, 2)


def test_chance_is_the_share_of_the_most_frequent_class(nmnist: Path) -> None:
    data = NMNIST().search_data(nmnist, 2)
    assert NMNIST().chance_quality(data) == pytest.approx(1 / 3)
    skewed = replace(data, validation=replace(data.validation, targets=torch.tensor([2, 2, 0])))
    assert NMNIST().chance_quality(skewed) == pytest.approx(2 / 3)
