from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from spikefront.plugins import Task
from spikefront.plugins.data.event_tasks import PooledConfig
from spikefront.plugins.data.events import read_40_bit, to_frames
from spikefront.plugins.tasks.n_caltech101 import NCaltech101
from spikefront.plugins.testing import TaskContract
from spikefront.searchspace import UsageError

pytestmark = pytest.mark.usefixtures("cache")


def recording(number: int) -> bytes:
    """Events at the corners of the sensor and at places that tell the recording, in the 40-bit format."""
    events = [(0, 0, 0, 0), (1, 239, 179, 1)] + [(number + t, 7 * t, 3 * t + number, t % 2) for t in range(2, 20)]
    return b"".join((x << 32 | y << 24 | on << 23 | t).to_bytes(5, "big") for t, x, y, on in events)


def write_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "Caltech101.zip", "w") as archive:
        for offset, label in ((0, "accordion"), (50, "BACKGROUND_Google")):
            for number in range(12):
                archive.writestr(f"Caltech101/{label}/image_{number + 1:04}.bin", recording(offset + number))
    return folder


class TestSmallNCaltech101(TaskContract):
    @pytest.fixture
    def plugin(self) -> type[Task]:
        return NCaltech101

    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Path:
        return write_zip(tmp_path)


def test_last_tenth_of_each_class_is_the_test(tmp_path: Path) -> None:
    task = NCaltech101(PooledConfig(pool=8))
    data, test = task.search_data(write_zip(tmp_path), 2), task.test_data(tmp_path, 2)

    def expected(number: int) -> bytes:
        return to_frames(read_40_bit(recording(number), "a"), (180, 240), steps=2, binning="count", pool=8).tobytes()

    assert data.train.inputs.shape[1:] == (2, 2, 23, 30)
    assert [sample.numpy().tobytes() for sample in test.inputs] == [expected(61), expected(11)]
    assert test.targets.tolist() == [0, 1]  # capitals come first
    assert (len(data.train), len(data.validation), data.outputs) == (20, 2, 2)  # of 11 each, one in six


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no recordings Caltech101/<class>/<name>\.bin there, nor in its folder n-caltech"
    ):
        NCaltech101().search_data(tmp_path, 2)
    with pytest.raises(
        UsageError, match=r"^task 'n-caltech101': give data_dir= the folder with Caltech101\.zip, from http"
    ):
        NCaltech101().search_data(None, 2)
