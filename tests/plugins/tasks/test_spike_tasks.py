"""SHD and SSC, in files written here in their format; the real ones can't be had where this was written."""

from __future__ import annotations

import doctest
import sys
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from spikefront.plugins import Task
from spikefront.plugins.data import spike_files
from spikefront.plugins.data.spike_files import Array, SpikesConfig, SpikeTask, counted
from spikefront.plugins.tasks.shd import SHD
from spikefront.plugins.tasks.ssc import SSC
from spikefront.plugins.testing import TaskContract
from spikefront.searchspace import UsageError

pytestmark = pytest.mark.usefixtures("cache")


def write_recordings(path: Path, count: int, classes: int, *, speakers: int = 1, first: int = 0, seed: int = 0) -> Path:
    """Recordings as published: arrays of several lengths, times as float16, in seconds; speakers take turns."""
    draws = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.uint16))
        for number in range(count):
            spikes = int(draws.integers(200, 400))
            times[number] = np.sort(draws.uniform(0, 1.5, spikes)).astype(np.float16)
            units[number] = draws.integers(0, 700, spikes)
        file["labels"] = (np.arange(count) % classes).astype(np.uint16)
        file["extra/speaker"] = (first + np.arange(count) // classes % speakers).astype(np.uint16)
        file["extra/keys"] = np.array([f"word {number}".encode() for number in range(classes)])
    return path


@pytest.fixture(scope="module")
def shd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("spikes")
    write_recordings(place / "SHD" / "shd_train.h5", 120, 20, speakers=3, first=8)
    write_recordings(place / "SHD" / "shd_test.h5", 40, 20, speakers=2, first=4, seed=1)
    return place


@pytest.fixture(scope="module")
def ssc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("spikes")
    for seed, part in enumerate(("train", "valid", "test")):
        write_recordings(place / f"ssc_{part}.h5", 70, 35, speakers=2, seed=seed)
    return place


class TestSmallSHD(TaskContract):
    @pytest.fixture
    def plugin(self) -> type[Task]:
        return SHD

    @pytest.fixture
    def data_dir(self, shd: Path) -> Path:
        return shd


class TestSmallSSC(TaskContract):
    @pytest.fixture
    def plugin(self) -> type[Task]:
        return SSC

    @pytest.fixture
    def data_dir(self, ssc: Path) -> Path:
        return ssc


def by_hand(times: Array, units: Array, pool: int) -> Array:
    counts = np.zeros((100, 700 // pool), int)
    for time, unit in zip(times.tolist(), units.tolist(), strict=True):
        counts[min(99, int(Fraction(time) * 99 / Fraction(14, 10))), unit // pool] += 1
    return counts


@pytest.mark.parametrize("pool", [1, 5])
def test_a_file_of_200_recordings_of_700_units_is_counted_spike_by_spike(tmp_path: Path, pool: int) -> None:
    path = write_recordings(tmp_path / "shd_train.h5", 200, 20, speakers=10)
    data = SHD(SpikesConfig(pool=pool)).search_data(tmp_path, 100)
    assert data.train.inputs.shape == (160, 100, 700 // pool)
    assert data.train.inputs.dtype == torch.uint8
    assert (len(data.validation), data.outputs, data.classes[19]) == (40, 20, "word 19")
    with h5py.File(path) as file:
        numbers = range(0, 200, 20)
        expected = {
            by_hand(file["spikes/times"][number], file["spikes/units"][number], pool).tobytes(): number % 20
            for number in numbers
        }
    samples = [
        pair for split in (data.train, data.validation) for pair in zip(split.inputs, split.targets, strict=True)
    ]
    found = {inputs.numpy().astype(int).tobytes(): int(target) for inputs, target in samples}
    assert expected.items() <= found.items()


def test_times_are_99th_parts_of_1_4_seconds_and_all_that_is_later() -> None:
    assert doctest.testmod(spike_files) == doctest.TestResults(failed=0, attempted=1)
    draws = np.random.default_rng(3)
    times, units = draws.uniform(0, 1.6, 3000).astype(np.float32), draws.integers(0, 700, 3000)
    assert np.array_equal(counted(times, units), by_hand(times, units, 1))
    assert counted(np.zeros(300), np.full(300, 7)).max() == 255
    assert not counted(np.zeros(0, np.float16), np.zeros(0, np.uint16)).any()


def test_speakers_that_validate_do_not_train(shd: Path) -> None:
    data = SHD().search_data(shd, 100)
    with h5py.File(shd / "SHD" / "shd_train.h5") as file:
        speakers, labels = file["extra/speaker"][:], file["labels"][:]
        last = {file["spikes/units"][number].size for number in np.flatnonzero(speakers == 10)}
    assert set(speakers.tolist()) == {8, 9, 10}  # by number: as text, 10 goes before 8
    assert {int(sample.sum()) for sample in data.validation.inputs} == last
    assert sorted(data.validation.targets.tolist()) == sorted(labels[speakers == 10].tolist())
    assert len(data.train) == 80


def test_a_file_of_its_own_validates_ssc(ssc: Path) -> None:
    data = SSC().search_data(ssc, 100)
    with h5py.File(ssc / "ssc_valid.h5") as file:
        sizes = sorted(file["spikes/times"][number].size for number in range(70))
    assert sorted(int(sample.sum()) for sample in data.validation.inputs) == sizes
    assert (len(data.train), data.outputs) == (70, 35)


@pytest.mark.parametrize("task", [SHD, SSC])
def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: type[SpikeTask]) -> None:
    name = task.name
    with pytest.raises(UsageError, match=rf"^task '{name}': give .+ the folder with {name}_train.h5, the publ"):
        task().search_data(None, 100)
    missing = rf"no {name}_test.h5 there, nor in its folder {name} or {name.upper()}; take the published"
    with pytest.raises(UsageError, match=missing):
        task().test_data(tmp_path, 100)
    write_recordings(tmp_path / f"{name}_test.h5", 3, 2)
    monkeypatch.setitem(sys.modules, "h5py", None)  # as where it is not installed
    with pytest.raises(UsageError, match=rf"{name}_test.h5 with h5py \(.+\); install it: pip install 'spikefront\[seq"):
        task().test_data(tmp_path, 100)


def test_recordings_of_one_speaker_can_not_be_split(tmp_path: Path) -> None:
    write_recordings(tmp_path / "shd_train.h5", 4, 2, first=3)
    with pytest.raises(UsageError, match=r"shd_train.h5: all recordings are of speaker 3, and others must validate"):
        SHD().search_data(tmp_path, 100)


def put(file: h5py.File, name: str, number: int, value: object) -> None:
    values = file[name][number]
    values[0] = value
    file[name][number] = values


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("spikes/times", np.nan, "recording 1 has a spike at no time from 0 s on"),
        ("spikes/times", -0.5, "recording 1 has a spike at no time from 0 s on"),
        ("spikes/units", 700, "recording 1 has a spike of a unit beyond 0 to 699"),
        ("labels", 20, "recording 1 is of class 20; there are 20, from 0"),
        ("spikes/units", None, r"no HDF5 file of spikes/times, spikes/units and labels \("),
        ("labels", "short", r"labels, spikes/times and spikes/units are of shapes \(3,\), \(4,\), \(4,\); there must"),
        (
            "extra/speaker",
            "short",
            r"no extra/speaker for each recording, .+ \(it is of shape \(3,\), for 4 recordings",
        ),
        ("extra/speaker", None, r"no extra/speaker for each recording, by which validation is held out \("),
    ],
)
def test_a_file_that_is_no_data_set_is_refused_in_one_line(
    tmp_path: Path, name: str, value: float | str | None, problem: str
) -> None:
    path = write_recordings(tmp_path / "shd_train.h5", 4, 2, speakers=2)
    with h5py.File(path, "r+") as file:
        if value is None or value == "short":
            whole = file[name][:]
            del file[name]
            if value:
                file[name] = whole[:-1]
        elif name == "labels":
            file[name][1] = value
        else:
            put(file, name, 1, value)
    with pytest.raises(UsageError, match=problem) as refused:
        SHD().search_data(tmp_path, 100)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_a_file_cut_short_is_refused_and_nothing_of_it_is_cached(tmp_path: Path, cache: Path) -> None:
    path = write_recordings(tmp_path / "shd_train.h5", 4, 2, speakers=2)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"shd_train.h5: "):
        SHD().search_data(tmp_path, 100)
    assert not list(cache.rglob("*.npy"))
    path.write_bytes(whole)
    assert len(SHD().search_data(tmp_path, 100).train) == 2
