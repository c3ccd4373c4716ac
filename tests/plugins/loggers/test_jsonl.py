"""Events as JSON lines: what is written, read by Python's own reader of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins.loggers.jsonl import FILE, JsonLines, JsonLinesConfig
from spikefront.plugins.testing import LoggerContract
from spikefront.plugins.testing.loggers import ended_before, measured, tell

CONTRACT = LoggerContract()


def lines(folder: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in (folder / FILE).read_text().splitlines()]


def test_each_event_is_a_line(tmp_path: Path) -> None:
    candidate = CONTRACT.candidate()
    tell(JsonLines(), CONTRACT.search(tmp_path), candidate)

    found = lines(tmp_path)
    begun, *_, last = found
    assert [line["event"] for line in found] == [
        "search_started", *["trial_started"] * 4, *["epoch"] * 3, "trial_ended", "trial_ended", "epoch", "trial_ended",
        "trial_ended", "search_ended",
    ]  # fmt: skip
    assert (begun["search"], begun["task"], begun["resumed"], last["reason"]) == (
        "mine-1",
        "digits",
        False,
        "time is up",
    )
    assert [axis["metric"] for axis in begun["objectives"]] == ["quality", "energy_nj"]
    assert all(line["candidate"] == candidate.flat() for line in found if line["event"] == "trial_started")
    ends = {line["trial"]: line for line in found if line["event"] == "trial_ended"}
    assert [ends[number]["state"] for number in range(4)] == ["COMPLETE", "PRUNED", "FAIL", "PRUNED"]
    assert ends[0]["metrics"] == {**measured(0.8), "grad": None}  # NaN is not JSON
    assert ends[0]["points"] == {"1": measured(0.3), "2": measured(0.5)}
    assert "ZeroDivisionError" in ends[2]["traceback"]
    assert sorted(found, key=lambda line: line["at"]) == found


def test_lines_of_epochs_can_be_left_out(tmp_path: Path) -> None:
    tell(JsonLines(JsonLinesConfig(epochs=False)), CONTRACT.search(tmp_path), CONTRACT.candidate())
    assert "epoch" not in {line["event"] for line in lines(tmp_path)}


def test_a_resumed_search_goes_on_in_the_file_and_adds_what_a_killed_driver_could_not(tmp_path: Path) -> None:
    candidate = CONTRACT.candidate()
    tell(JsonLines(), CONTRACT.search(tmp_path), candidate, end=False)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"event": "trial_en')  # killed while it wrote
    resumed = CONTRACT.search(tmp_path, earlier=ended_before(candidate))
    tell(JsonLines(), resumed, candidate, first=5, retry_of=3)

    text = (tmp_path / FILE).read_text().splitlines()
    cut = [line for line in text if line.startswith('{"event": "trial_en') and not line.endswith("}")]
    assert cut == ['{"event": "trial_en']
    found = [json.loads(line) for line in text if line not in cut]
    started = [line["resumed"] for line in found if line["event"] == "search_started"]
    assert started == [False, True]
    ends = [line["trial"] for line in found if line["event"] == "trial_ended"]
    assert sorted(ends) == list(range(9))  # 3 and 4 were added, none is there twice
    assert [line["retry_of"] for line in found if line["event"] == "trial_started"] == [None] * 4 + [3] + [None] * 3


def test_a_file_that_cannot_be_written_raises(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(IsADirectoryError):
        JsonLines().search_started(CONTRACT.search(tmp_path))
