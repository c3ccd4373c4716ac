"""TensorBoard's files, read back by TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins.loggers.tensorboard import FOLDER, TensorBoard
from spikefront.plugins.testing import LoggerContract
from spikefront.plugins.testing.loggers import ended_before, measured, tell

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="extra tensorboard is not installed"
)
CONTRACT = LoggerContract()


def read(folder: Path, run: str) -> Any:
    assert (folder / FOLDER / run).is_dir()
    found = event_accumulator.EventAccumulator(str(folder / FOLDER / run))
    found.Reload()
    return found


def runs(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / FOLDER).iterdir())


def values(run: Any, tag: str) -> list[tuple[int, Any]]:
    return [(event.step, pytest.approx(event.value)) for event in run.Scalars(tag)]


def hyperparameters(run: Any) -> dict[str, Any]:
    from tensorboard.plugins.hparams import plugin_data_pb2

    content = run.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in found.items()}


def test_each_trial_is_a_run_with_epochs_and_hyperparameters(tmp_path: Path) -> None:
    candidate = CONTRACT.candidate()
    tell(TensorBoard(), CONTRACT.search(tmp_path), candidate)

    assert runs(tmp_path) == ["0000-direct", "0001-direct", "0002-direct", "0003-direct", "search"]
    whole = read(tmp_path, "0000-direct")
    assert values(whole, "quality") == [(1, 0.4), (2, 0.8), (2, 0.8)]
    assert values(whole, "energy_nj") == [(1, 41.0), (2, 81.0), (2, 81.0)]
    assert "grad" not in whole.Tags()["scalars"]  # NaN has no place in a curve
    assert hyperparameters(whole) == {"state": "COMPLETE", **candidate.flat()}
    failed = read(tmp_path, "0002-direct")
    assert hyperparameters(failed)["state"] == "FAIL"
    assert b"ZeroDivisionError" in failed.Tensors("traceback/text_summary")[0].tensor_proto.string_val[0]


def test_the_search_is_a_run_with_the_hypervolume_by_judged_trials(tmp_path: Path) -> None:
    logger = TensorBoard()
    tell(logger, CONTRACT.search(tmp_path), CONTRACT.candidate())

    course = read(tmp_path, "search")
    assert logger.front.hypervolume > 0
    assert values(course, "hypervolume") == [(1, logger.front.hypervolume)]


def test_a_resumed_search_adds_the_trials_that_a_killed_driver_could_not(tmp_path: Path) -> None:
    candidate = CONTRACT.candidate()
    tell(TensorBoard(), CONTRACT.search(tmp_path), candidate, end=False)
    whole = next((tmp_path / FOLDER / "0000-direct").glob("*.whole"))
    resumed = CONTRACT.search(tmp_path, earlier=ended_before(candidate))
    logger = TensorBoard()
    tell(logger, resumed, candidate, first=5, retry_of=3)

    assert runs(tmp_path) == [*(f"{number:04d}-direct" for number in range(9)), "search"]
    assert list(whole.parent.glob("*.whole")) == [whole]  # of a trial that is whole nothing is written again
    assert hyperparameters(read(tmp_path, "0003-direct"))["state"] == "FAIL"
    assert values(read(tmp_path, "0004-direct"), "quality") == [(2, measured(0.7)["quality"])]
    course = {event.step: event.value for event in read(tmp_path, "search").Scalars("hypervolume")}
    assert sorted(course) == [1, 2, 3]
    assert course == pytest.approx(dict(enumerate(logger.front.curve, 1)))
