"""The 40-bit format and the making of frames, on real recordings and against independent implementations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefront.plugins.data.events import (
    EVENT,
    Array,
    frame_of_each,
    pooled_size,
    read_40_bit,
    refuse_outside,
    to_frames,
)
from spikefront.searchspace import UsageError

FILES = sorted((Path(__file__).parents[2] / "data" / "nmnist").glob("*/*/*.bin"))
SIZE = (34, 34)


def read_bit_by_bit(raw: bytes) -> list[tuple[int, int, int, int]]:
    """Time, column, row and polarity of each event: the published table of bits, one number of 40 bits each."""
    events = []
    for begin in range(0, len(raw), 5):
        number = int.from_bytes(raw[begin : begin + 5], "big")
        assert number >> 40 == 0
        events.append((number & (1 << 23) - 1, number >> 32, number >> 24 & 0xFF, number >> 23 & 1))
    return events


def written(*events: tuple[int, int, int, int]) -> bytes:
    """Write events (time, column, row, polarity) in the 40-bit format."""
    return b"".join((x << 32 | y << 24 | on << 23 | t).to_bytes(5, "big") for t, x, y, on in events)


def events_of(*events: tuple[int, int, int, int]) -> Array:
    return np.array(list(events), EVENT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_decoded_events_equal_those_of_an_independent_reading(path: Path) -> None:
    events = read_40_bit(path.read_bytes(), path.name)
    assert events.tolist() == read_bit_by_bit(path.read_bytes())
    assert set(events["polarity"].tolist()) == {0, 1}
    assert events["t"].max() > 280_000  # three saccades of about 100 ms


def test_there_are_real_recordings() -> None:
    assert len(FILES) == 15


@given(st.lists(st.tuples(*map(st.integers, (0, 0, 0, 0), (2**23 - 1, 255, 239, 1))), min_size=1, max_size=20))
def test_what_was_written_is_read(events: list[tuple[int, int, int, int]]) -> None:
    in_time = sorted(events, key=lambda event: event[0])
    assert read_40_bit(written(*in_time), "a").tolist() == in_time


@given(st.lists(st.tuples(*map(st.integers, (0, 0, 0, 0), (2**22, 255, 239, 1))), min_size=1, max_size=20))
def test_events_are_put_in_the_order_of_their_times_and_stay_within_one(
    events: list[tuple[int, int, int, int]],
) -> None:
    assert read_40_bit(written(*events), "a").tolist() == sorted(events, key=lambda event: event[0])


@pytest.mark.parametrize("seed", range(4))
def test_clock_of_23_bits_is_unwrapped(seed: int) -> None:
    """Thirty seconds, three rounds of the clock; events are written up to two seconds late."""
    generator = np.random.default_rng(seed)
    times = np.cumsum(generator.integers(0, 300_000, 200))
    events = [(int(t), number % 256, number % 240, number % 2) for number, t in enumerate(times)]
    late = sorted(events[1:], key=lambda event: event[0] + int(generator.integers(0, 2_000_000)))
    raw = written(*((t % 2**23, *rest) for t, *rest in [events[0], *late]))  # type: ignore[arg-type]
    assert times[-1] > 3 * 2**23
    assert read_40_bit(raw, "a").tolist() == sorted([events[0], *late], key=lambda event: event[0])


def test_a_pause_in_the_first_round_of_the_clock_is_no_step_back() -> None:
    events = [(0, 1, 1, 1), (6_000_000, 2, 2, 0), (8_000_000, 3, 3, 1)]
    assert read_40_bit(written(*events), "a").tolist() == events


def test_pieces_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    clock = generator.integers(0, 2**23, 300).tolist()
    events = written(*((t, 1, 240 if number % 7 == 0 else 2, 1) for number, t in enumerate(clock)))
    whole = read_40_bit(events, "a")
    for piece in (1, 2, 50):
        monkeypatch.setattr("spikefront.plugins.data.events._PIECE", piece)
        assert read_40_bit(events, "a").tolist() == whole.tolist()


@pytest.mark.parametrize("binning", ["time", "count"])
def test_frames_do_not_depend_on_the_order_in_the_file(binning: str) -> None:
    raw = FILES[0].read_bytes()
    rows = np.frombuffer(raw, np.uint8).reshape(-1, 5)
    times = [event[0] for event in read_bit_by_bit(raw)]
    unlike = rows[np.unique(times, return_index=True)[1]]  # of events at one time the order in the file decides
    shuffled = np.random.default_rng(0).permutation(unlike).tobytes()
    expected = counted_one_by_one(read_bit_by_bit(unlike.tobytes()), 5, binning)
    assert np.array_equal(to_frames(read_40_bit(shuffled, "a"), SIZE, steps=5, binning=binning), expected)


def test_times_that_no_event_can_hold_are_refused() -> None:
    falls = written(*((t, 1, 1, 1) for _ in range(600) for t in (0, 4_000_000, 8_000_000)))  # 600 rounds of 8.39 s
    with pytest.raises(UsageError, match=r"^a: its times reach beyond 71 minutes; cut it, or fetch it again$"):
        read_40_bit(falls, "a")


def test_wrapped_clock_moves_what_follows() -> None:
    wrap = (0, 0, 240, 0)
    raw = written((5, 1, 2, 1), wrap, (6, 1, 2, 0), wrap, wrap, (7, 3, 4, 1))
    assert read_40_bit(raw, "a").tolist() == [(5, 1, 2, 1), (6 + 8192, 1, 2, 0), (7 + 3 * 8192, 3, 4, 1)]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (bytes(12), r"^a\.bin: cut short: 12 bytes are no whole number of events of 5 bytes; fetch it again$"),
        (b"", r"^a\.bin: no event in it; fetch it again, or remove it$"),
        (written((0, 0, 240, 0)), r"^a\.bin: no event in it; fetch it again, or remove it$"),
    ],
    ids=["cut", "empty", "only a wrapped clock"],
)
def test_damaged_recording_is_refused_in_one_line(raw: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_40_bit(raw, "a.bin")


def test_event_outside_the_sensor_is_named() -> None:
    inside, outside = (0, 33, 33, 1), (1, 34, 5, 0)
    refuse_outside(events_of(inside), SIZE, "a.bin")
    with pytest.raises(
        UsageError,
        match=r"^a\.bin: event 1 lies at column 34, row 5, outside the sensor of 34x34 pixels; fetch it again",
    ):
        refuse_outside(events_of(inside, outside), SIZE, "a.bin")
    with pytest.raises(UsageError, match=r"column 2, row 3, outside the sensor of 10x3 pixels; fetch it again"):
        refuse_outside(events_of((0, 2, 3, 0)), (3, 10), "a.bin")


def counted_one_by_one(events: list[tuple[int, int, int, int]], steps: int, binning: str) -> Array:
    """SpikingJelly's definition: frame j of T holds what lies in [j d, (j + 1) d), the last all that follows.

    Here d is the duration over T, or the number of events over T, rounded down.
    """
    frames = np.zeros((steps, 2, *SIZE), int)
    first, last = events[0][0], events[-1][0]
    for number, (t, x, y, polarity) in enumerate(events):
        place, whole = (t - first, last - first) if binning == "time" else (number, len(events))
        inside = [j for j in range(steps) if j * (whole // steps) <= place < (j + 1) * (whole // steps)]
        frames[inside[0] if inside else steps - 1, polarity, y, x] += 1
    return frames


@pytest.mark.parametrize("steps", [1, 3, 4, 10, 16])
@pytest.mark.parametrize("binning", ["time", "count"])
def test_frames_equal_those_of_an_independent_count(steps: int, binning: str) -> None:
    for path in FILES[:3]:
        events = read_40_bit(path.read_bytes(), path.name)
        frames = to_frames(events, SIZE, steps=steps, binning=binning)
        assert frames.dtype == np.uint8
        assert np.array_equal(frames, counted_one_by_one(read_bit_by_bit(path.read_bytes()), steps, binning))
        assert frames.sum() == len(events)


def test_off_comes_before_on_and_rows_before_columns() -> None:
    frames = to_frames(events_of((0, 3, 1, 1), (9, 0, 2, 0)), (3, 4), steps=2, binning="count")
    assert frames.shape == (2, 2, 3, 4)
    assert np.argwhere(frames).tolist() == [[0, 1, 1, 3], [1, 0, 2, 0]]


def test_frames_of_equal_duration_and_of_equally_many_events() -> None:
    t = np.array([0, 1, 2, 3, 40, 100], np.uint32)
    assert frame_of_each(t, 2, "time").tolist() == [0, 0, 0, 0, 0, 1]
    assert frame_of_each(t, 2, "count").tolist() == [0, 0, 0, 1, 1, 1]
    assert frame_of_each(t, 4, "count").tolist() == [0, 1, 2, 3, 3, 3]  # the last takes what is left over
    assert frame_of_each(t, 4, "time", (0, 400)).tolist() == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("binning", ["time", "count"])
def test_fewer_events_than_frames_are_kept(binning: str) -> None:
    for times in ([7], [7, 7, 8]):
        events = events_of(*((t, 0, 0, 1) for t in times))
        assert to_frames(events, (2, 2), steps=5, binning=binning).sum() == len(times)
    assert to_frames(events_of(), (2, 2), steps=5, binning=binning).sum() == 0


def test_more_than_255_events_count_as_255() -> None:
    events = np.repeat(events_of((0, 1, 1, 1), (0, 0, 0, 1)), [300, 255])
    frames = to_frames(events, (2, 2), steps=1, binning="count")
    assert frames[0, 1].tolist() == [[255, 0], [0, 255]]


@pytest.mark.parametrize("pool", [1, 2, 3, 5])
def test_pooled_frames_sum_the_events_of_a_square(pool: int) -> None:
    events = read_40_bit(FILES[0].read_bytes(), "a")
    whole = to_frames(events, SIZE, steps=3, binning="time").astype(int)
    height, width = pooled_size(SIZE, pool)
    padded = np.pad(whole, ((0, 0), (0, 0), (0, height * pool - 34), (0, width * pool - 34)))
    expected = padded.reshape(3, 2, height, pool, width, pool).sum((3, 5))
    assert np.array_equal(to_frames(events, SIZE, steps=3, binning="time", pool=pool), expected)
