"""Recordings of event cameras: the 40-bit format, and frames that count the events of a stretch of time.

An event is a change of brightness at one pixel: when (microseconds), where (column x, row y) and whether it grew
brighter (polarity 1, ON) or darker (0, OFF). The format writes it as five bytes, the highest bit first::

    bits 39-32  x        bits 31-24  y        bit 23  polarity        bits 22-0  time in microseconds

A row of 240 is no event: the clock of the recorder wrapped, and what follows, itself included, is 2^13 us later. The
time itself wraps too, after 2^23 us (8.39 s): a fall by more than half of that is a new round, a smaller one an event
that was written late. Events are put in the order of their times; those of one time stay as they were.

Source: the page of N-MNIST (Orchard, Jayawant, Cohen & Thakor, "Converting static image datasets to spiking
neuromorphic datasets using saccades", Frontiers in Neuroscience 9, 2015) for the bits; the authors' reader for the
row of 240, which the page does not mention.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spikefront.searchspace import UsageError

Array = npt.NDArray[Any]

EVENT: Final = np.dtype([("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("polarity", "u1")])
"""One event: microseconds since the recording began, column, row, 1 for ON and 0 for OFF."""

LATEST: Final = (1 << 32) - 1
"""The latest time that an event can have, in microseconds: 71 minutes."""

BINNINGS: Final = ("time", "count")
"""How a recording is cut into frames: of equal duration, or of equally many events."""

_BYTES: Final = 5
_WRAPPED_ROW: Final = 240
_WRAP_US: Final = 1 << 13
_CLOCK_US: Final = 1 << 23
_LOW: Final = (1 << 32) - 1
_PIECE: Final = 1 << 16  # events that are decoded at once: what they take meanwhile is small
_COUNTED: Final = 1 << 20  # events that are counted at once


def read_40_bit(raw: bytes | bytearray, name: str) -> Array:
    """Decode a recording in the 40-bit format.

    Args:
        raw: the file's content.
        name: what to call it in messages.

    Returns:
        Events ``(E,)`` of dtype ``EVENT``, in the order of their times; at least one.

    Raises:
        UsageError: when it is cut short, holds no event, or lasts longer than 71 minutes.

    Example:
        >>> read_40_bit(bytes([3, 7, 0x80, 0x01, 0x02]), "example").tolist()
        [(258, 3, 7, 1)]
    """
    if len(raw) % _BYTES:
        raise UsageError(
            f"{name}: cut short: {len(raw)} bytes are no whole number of events of {_BYTES} bytes; fetch it again"
        )
    columns = np.frombuffer(raw, np.uint8).reshape(-1, _BYTES)
    keys = _times(columns, name)
    if not len(keys):
        raise UsageError(f"{name}: no event in it; fetch it again, or remove it")
    if not np.all(keys[1:] >= keys[:-1]):
        keys.sort()
    events: Array = np.empty(len(keys), EVENT)
    while left := len(keys):  # from the end, and keys get shorter: they would take as much memory as the events
        begin = max(0, left - _PIECE)
        piece, found = keys[begin:], events[begin:left]
        found["t"] = piece >> np.uint64(32)
        rows = columns[(piece & np.uint64(_LOW)).astype(np.int64)]
        found["x"], found["y"], found["polarity"] = rows[:, 0], rows[:, 1], rows[:, 2] >> 7
        del piece
        keys.resize(begin, refcheck=False)
    return events


def _times(columns: Array, name: str) -> Array:
    """Return the time of each event, in the upper 32 bits, and its row in the file, in the lower."""
    keys: Array = np.empty(int(np.count_nonzero(columns[:, 1] != _WRAPPED_ROW)), np.uint64)
    done, moved, clock = 0, 0, _Clock()
    for begin in range(0, len(columns), _PIECE):
        piece = columns[begin : begin + _PIECE]
        wrapped = piece[:, 1] == _WRAPPED_ROW
        later = moved + np.cumsum(wrapped, dtype=np.int64) * _WRAP_US
        moved = int(later[-1])
        rows = np.flatnonzero(~wrapped)
        high, middle, low = (piece[rows, byte].astype(np.int64) for byte in (2, 3, 4))
        t = clock.unwrapped((high & 0x7F) << 16 | middle << 8 | low) + later[rows]
        if len(t) and t.max() > LATEST:
            raise too_long(name)
        keys[done : done + len(t)] = t.astype(np.uint64) << np.uint64(32) | (begin + rows).astype(np.uint64)
        done += len(t)
    return keys


class _Clock:
    """A clock of 23 bits that is read in pieces."""

    def __init__(self) -> None:
        self._last = self._round = 0

    def unwrapped(self, t: Array) -> Array:
        """Return times ``(E,)`` that follow those of the last call, counted from the first round of the clock."""
        if not len(t):
            return t
        change = np.diff(t, prepend=self._last)
        turns = (change < -_CLOCK_US // 2).astype(np.int64) - (change > _CLOCK_US // 2)
        rounds = self._round + np.cumsum(turns)
        # nothing comes before the first round: such a rise is a pause
        rounds -= np.minimum(np.minimum.accumulate(rounds), 0)
        self._last, self._round = int(t[-1]), int(rounds[-1])
        unwrapped: Array = t + rounds * _CLOCK_US
        return unwrapped


def in_order(events: Array) -> Array:
    """Return events ``(E,)`` in the order of their times, those of one time as they were; ``events`` may be changed."""
    if np.all(events["t"][1:] >= events["t"][:-1]):
        return events
    # in place, by time and then number: argsort would need another 8 bytes for each event
    keys = events["t"].astype(np.uint64) << np.uint64(32)
    keys |= np.arange(len(events), dtype=np.uint32)
    keys.sort()
    keys &= np.uint64(0xFFFFFFFF)
    order = keys.view(np.int64)
    for field in EVENT.names or ():
        events[field] = events[field][order]
    return events


def too_long(name: str) -> UsageError:
    """Return the error for a recording whose times no ``EVENT`` can hold."""
    return UsageError(f"{name}: its times reach beyond 71 minutes; cut it, or fetch it again")


def refuse_outside(events: Array, size: tuple[int, int], name: str) -> None:
    """Raise ``UsageError`` for the first event that lies outside a sensor of ``size`` (rows, columns)."""
    height, width = size
    outside = (events["x"] >= width) | (events["y"] >= height)
    if outside.any():
        number = int(outside.argmax())
        x, y = int(events["x"][number]), int(events["y"][number])
        raise UsageError(
            f"{name}: event {number} lies at column {x}, row {y}, outside the sensor of {width}x{height} pixels; "
            "fetch it again, or remove it"
        )


def frame_of_each(
    t: Array, steps: int, binning: str, span: tuple[int, int] | None = None, part: tuple[int, int] | None = None
) -> Array:
    """Return in which of T frames each event of a recording falls, ``(E,)`` in [0, T).

    With whole numbers throughout, as SpikingJelly cuts, whose frames TCJA and others train on: what does not divide
    evenly goes to the last frame.

    Args:
        t: times in microseconds, ascending, ``(E,)``.
        steps: number of frames T.
        binning: ``time``: frames of equal duration; ``count``: of equally many events.
        span: for ``time``, what is cut into equal parts, begin and end in microseconds; from the first to the last
            event when None.
        part: for ``count``, which number the first of these events has in its recording, and how many that has, where
            it is taken in parts.
    """
    if binning == "count":
        first, events = part or (0, len(t))
        return np.minimum(np.arange(first, first + len(t)) // max(events // steps, 1), steps - 1)
    begin, end = span or (int(t[0]), int(t[-1]))
    duration = max((end - begin) // steps, 1)
    return np.minimum((t.astype(np.int64) - begin) // duration, steps - 1)


def to_frames(
    events: Array,
    size: tuple[int, int],
    *,
    steps: int,
    binning: str,
    span: tuple[int, int] | None = None,
    pool: int = 1,
) -> Array:
    """Count a recording's events by frame, polarity and pixel.

    Args:
        events: ``(E,)`` of dtype ``EVENT``, within the sensor, in the order of their times; may be none.
        size: rows H and columns W of the sensor.
        steps: number of frames T.
        binning: ``time`` or ``count``, see ``frame_of_each``.
        span: for ``time``, what is cut into equal parts, in microseconds.
        pool: squares of this many pixels a side count as one pixel; what is left over at the right and at the bottom
            makes narrower ones.

    Returns:
        Numbers of events, uint8 ``(T, 2, ceil(H / pool), ceil(W / pool))``, OFF before ON; more than 255 count as 255.
    """
    height, width = pooled_size(size, pool)
    shape = (steps, 2, height, width)
    if not len(events):
        return np.zeros(shape, np.uint8)
    span = span or (int(events["t"][0]), int(events["t"][-1]))
    counts = np.zeros(int(np.prod(shape)), np.int64)
    for begin in range(0, len(events), _COUNTED):
        some = events[begin : begin + _COUNTED]
        frame = frame_of_each(some["t"], steps, binning, span, (begin, len(events)))
        row, column = (some[axis].astype(np.int64) // pool for axis in ("y", "x"))
        place = ((frame * 2 + some["polarity"]) * height + row) * width + column
        counts += np.bincount(place, minlength=len(counts))
    return np.minimum(counts, 255).astype(np.uint8).reshape(shape)


def pooled_size(size: tuple[int, int], pool: int) -> tuple[int, int]:
    """Return rows and columns after pooling ``size`` by squares of ``pool`` pixels a side."""
    return -(-size[0] // pool), -(-size[1] // pool)
