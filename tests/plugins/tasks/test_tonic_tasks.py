"""Tasks on files that tonic reads, written here in their formats; the real ones can't be had where this was written."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from spikefront.plugins import Task
from spikefront.plugins.data.event_tasks import PooledConfig
from spikefront.plugins.data.events import EVENT, Array, refuse_outside, to_frames
from spikefront.plugins.data.tonic_files import _events
from spikefront.plugins.tasks.cifar10_dvs import CIFAR10DVS
from spikefront.plugins.tasks.dvs128_gesture import DVS128Gesture
from spikefront.plugins.testing import TaskContract
from spikefront.searchspace import UsageError

pytestmark = pytest.mark.usefixtures("cache")

STREAMS = (
    '<dv version="2.0"><node name="outInfo" path="/"><node name="0" path="/0/">'
    '<attr key="compression" type="string">NONE</attr><attr key="typeIdentifier" type="string">EVTS</attr>'
    '<node name="info" path="/0/info/"><attr key="sizeX" type="int">128</attr><attr key="sizeY" type="int">128</attr>'
    "</node></node></node></dv>"
)


def some_events(seed: int, *, milliseconds: bool = False) -> Array:
    generator = np.random.default_rng(seed)
    events = np.zeros(60, EVENT)
    events["t"] = np.sort(generator.integers(0, 100, 60)) * (1000 if milliseconds else 1)
    for axis in ("x", "y"):
        events[axis] = generator.integers(0, 128, 60)
    events["polarity"] = generator.integers(0, 2, 60)
    events["t"] -= events["t"].min()
    return events


def flatbuffer(identifier: bytes, fields: bytes, offsets: list[int], tail: bytes) -> bytes:
    """One size-prefixed table: its vtable at 12, the table at the next multiple of 4, then what it refers to."""
    vtable = struct.pack(f"<{2 + len(offsets)}H", 4 + 2 * len(offsets), 4 + len(fields), *offsets)
    vtable += bytes(-len(vtable) % 4)
    table = 12 + len(vtable)
    body = struct.pack("<I", table - 4) + identifier + vtable + struct.pack("<i", table - 12) + fields + tail
    return struct.pack("<I", len(body)) + body


def aedat4(events: Array) -> bytes:
    """AEDAT 4.0: a line, the header with a description of the streams, then packets; times are absolute."""
    text = STREAMS.encode()
    fields = struct.pack("<iqI", 0, -1, 4)  # no compression, no table of contents, the text right behind
    header = flatbuffer(b"IOHE", fields, [4, 8, 16], struct.pack("<I", len(text)) + text + bytes(4))
    rows = zip(*(events[name].tolist() for name in ("t", "x", "y", "polarity")), strict=True)
    elements = b"".join(struct.pack("<qhhB3x", 1_600_000_000_000_000 + t, x, y, on) for t, x, y, on in rows)
    packet = flatbuffer(b"EVTS", struct.pack("<I", 4), [4], struct.pack("<I", len(events)) + elements)
    return b"#!AER-DAT4.0\r\n" + header + struct.pack("<ii", 0, len(packet)) + packet


def write_gestures(folder: Path) -> Path:
    """Recordings as tonic's archives hold them: columns x, y, polarity and milliseconds, by person and light."""
    for part, users in (("Train", (1, 2, 3)), ("Test", (24,))):
        for user in users:
            place = folder / "DVSGesture" / f"ibmGesture{part}" / f"user{user:02}_led"
            place.mkdir(parents=True)
            for gesture in range(2):
                events = some_events(10 * user + gesture, milliseconds=True)
                columns = (events["x"], events["y"], events["polarity"], events["t"] // 1000)
                np.save(place / f"{gesture}.npy", np.stack(columns, 1).astype(np.float64))
    return folder


def write_cifar10_dvs(folder: Path) -> Path:
    for label, name in enumerate(("airplane", "bird")):
        place = folder / "CIFAR10DVS" / name
        place.mkdir(parents=True)
        for number in range(11):
            (place / f"cifar10_{name}_{number}.aedat4").write_bytes(aedat4(some_events(100 * label + number)))
    return folder


@pytest.fixture
def tonic() -> None:
    for library in ("tonic", "aedat"):
        pytest.importorskip(library, reason="needs the extra: pip install 'spikefront[events]'")


@pytest.mark.usefixtures("tonic")
class TestDVS128Gesture(TaskContract):
    @pytest.fixture
    def plugin(self) -> type[Task]:
        return DVS128Gesture

    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Path:
        return write_gestures(tmp_path)


@pytest.mark.usefixtures("tonic")
class TestCIFAR10DVS(TaskContract):
    @pytest.fixture
    def plugin(self) -> type[Task]:
        return CIFAR10DVS

    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Path:
        return write_cifar10_dvs(tmp_path)


def frames_of(seeds: list[int], *, milliseconds: bool) -> set[bytes]:
    events = [some_events(seed, milliseconds=milliseconds) for seed in seeds]
    return {to_frames(one, (128, 128), steps=3, binning="count", pool=4).tobytes() for one in events}


@pytest.mark.usefixtures("tonic")
def test_gestures_are_split_by_person(tmp_path: Path) -> None:
    task, folder = DVS128Gesture(PooledConfig(pool=4)), write_gestures(tmp_path)
    data, test = task.search_data(folder, 3), task.test_data(folder, 3)
    found = {sample.numpy().tobytes() for split in (data.train, data.validation) for sample in split.inputs}
    assert found == frames_of([10, 11, 20, 21, 30, 31], milliseconds=True)
    validating = {sample.numpy().tobytes() for sample in data.validation.inputs}
    assert validating == frames_of([30, 31], milliseconds=True)  # all of the last person, and nothing of the others
    assert {sample.numpy().tobytes() for sample in test.inputs} == frames_of([240, 241], milliseconds=True)
    assert data.outputs == 2
    assert sorted(test.targets.tolist()) == [0, 1]


@pytest.mark.usefixtures("tonic")
def test_last_tenth_of_each_class_of_cifar10_dvs_is_the_test(tmp_path: Path) -> None:
    task, folder = CIFAR10DVS(PooledConfig(pool=4)), write_cifar10_dvs(tmp_path)
    data, test = task.search_data(folder, 3), task.test_data(folder, 3)
    # of 11, the first 10 in the order of their names: 0, 1, 10, 2, ..., 8
    assert {sample.numpy().tobytes() for sample in test.inputs} == frames_of([9, 109], milliseconds=False)
    found = {sample.numpy().tobytes() for split in (data.train, data.validation) for sample in split.inputs}
    assert found == frames_of(
        [base + n for base in (0, 100) for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 10)], milliseconds=False
    )
    assert (len(data.train), len(data.validation)) == (18, 2)


@pytest.mark.usefixtures("tonic")
def test_damaged_file_is_named(tmp_path: Path) -> None:
    folder = write_cifar10_dvs(tmp_path)
    damaged = folder / "CIFAR10DVS" / "bird" / "cifar10_bird_0.aedat4"
    damaged.write_bytes(damaged.read_bytes()[:300])
    with pytest.raises(UsageError, match=r"cifar10_bird_0\.aedat4: not readable \("):
        CIFAR10DVS().search_data(folder, 3)


@pytest.mark.usefixtures("tonic")
@pytest.mark.parametrize(("task", "name"), [(DVS128Gesture, "DVSGesture"), (CIFAR10DVS, "CIFAR10DVS")])
def test_missing_folder_is_named_and_nothing_is_downloaded(tmp_path: Path, task: type[Task], name: str) -> None:
    with pytest.raises(UsageError, match=rf"^data_dir='{tmp_path}': no folder {name} there, as tonic unpacks it$"):
        task().search_data(tmp_path, 3)
    (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match=rf"{name}: no recordings of {name} \(Train\)$"):
        task().search_data(tmp_path, 3)


@pytest.mark.parametrize("task", [DVS128Gesture, CIFAR10DVS])
def test_without_tonic_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: type[Task]) -> None:
    monkeypatch.setitem(sys.modules, "tonic", None)  # as where it is not installed
    expected = (
        rf"^task '{task.name}' reads its files with tonic \(.+\); install it: pip install 'spikefront\[events\]'$"
    )
    with pytest.raises(UsageError, match=expected):
        task().search_data(tmp_path, 3)


def test_events_of_tonic_are_put_in_the_order_of_their_times() -> None:
    raw = np.array([(5, 1, 2, 1), (3, 9, 9, 0), (5, 3, 4, 0), (4, 7, 7, 1)], [(name, "i8") for name in "txyp"])
    assert _events(raw, "a").tolist() == [(0, 9, 9, 0), (1, 7, 7, 1), (2, 1, 2, 1), (2, 3, 4, 0)]


def test_events_of_tonic_that_no_sensor_sees_are_refused() -> None:
    raw = np.array([(5, -1, 70_000, 1)], [(name, "i8") for name in "txyp"])
    with pytest.raises(UsageError, match=r"^a: event 0 lies at column 65535, row 65535, outside the sensor"):
        refuse_outside(_events(raw, "a"), (128, 128), "a")
    with pytest.raises(UsageError, match=r"^a: its times reach beyond 71 minutes"):
        _events(np.array([(0, 1, 1, 1), (2**40, 1, 1, 1)], [(name, "i8") for name in "txyp"]), "a")
