"""JapaneseVowels and BasicMotions, in files written here in their format; the real ones can't be had here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spikefront.plugins import Task
from spikefront.plugins.data.series_files import Array, SeriesTask, read_series
from spikefront.plugins.tasks.basic_motions import BasicMotions
from spikefront.plugins.tasks.japanese_vowels import JapaneseVowels
from spikefront.plugins.testing import TaskContract
from spikefront.searchspace import UsageError

HEAD = "#Comment\n@problemName {}\n@timeStamps false\n@missing false\n@univariate false\n@classLabel true {}\n@data\n"


def write_series(path: Path, series: list[Array], labels: list[str], classes: list[str]) -> None:
    lines = [
        ":".join([*(",".join(map(str, channel)) for channel in one.T.tolist()), label])
        for one, label in zip(series, labels, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD.format(path.stem, " ".join(classes)) + "\n".join(lines) + "\n", encoding="utf-8")


def drawn(
    count: int, classes: list[str], lengths: tuple[int, int], channels: int, seed: int
) -> tuple[list[Array], list[str]]:
    draws = np.random.default_rng(seed)
    sizes = [int(draws.integers(lengths[0], lengths[1] + 1)) for _ in range(count)]
    return [draws.normal(2, 3, (size, channels)).round(6) for size in sizes], [
        classes[number % len(classes)] for number in range(count)
    ]


SPEAKERS = [str(number) for number in range(1, 10)]
MOTIONS = ["Standing", "Running", "Walking", "Badminton"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the sizes of the published ones."""
    place = tmp_path_factory.mktemp("series")
    for seed, (part, vowels) in enumerate((("TRAIN", 270), ("TEST", 370))):
        path = place / "JapaneseVowels" / f"JapaneseVowels_{part}.ts"
        write_series(path, *drawn(vowels, SPEAKERS, (7, 29), 12, seed), SPEAKERS)
        write_series(place / f"BasicMotions_{part}.ts", *drawn(40, MOTIONS, (100, 100), 6, seed), MOTIONS)
    return place


class TestSmallSeries(TaskContract):
    @pytest.fixture(params=[JapaneseVowels, BasicMotions], ids=lambda plugin: plugin.name)
    def plugin(self, request: pytest.FixtureRequest) -> type[Task]:
        plugin: type[Task] = request.param
        return plugin

    @pytest.fixture
    def data_dir(self, folder: Path) -> Path:
        return folder


def test_series_are_read_as_they_were_written(folder: Path) -> None:
    series, labels = drawn(270, SPEAKERS, (7, 29), 12, 0)
    found = read_series(folder / "JapaneseVowels" / "JapaneseVowels_TRAIN.ts")
    assert found.classes == tuple(SPEAKERS)
    assert [SPEAKERS[label] for label in found.labels] == labels
    for one, other in zip(found.values, series, strict=True):
        assert np.array_equal(one, other)


def test_behind_its_end_a_series_is_0(folder: Path) -> None:
    test, raw = JapaneseVowels().test_data(folder, 29), drawn(370, SPEAKERS, (7, 29), 12, 1)[0]
    assert min(map(len, raw)) == 7
    for inputs, series in zip(test.inputs, raw, strict=True):
        assert not inputs[len(series) :].any()
        assert inputs[: len(series)].any(1).all()


def test_one_in_three_of_each_class_validates_and_ranges_are_those_of_training(folder: Path) -> None:
    data, test = JapaneseVowels().search_data(folder, 29), JapaneseVowels().test_data(folder, 29)
    assert np.bincount(data.validation.targets.numpy()).tolist() == [10] * 9
    assert np.bincount(data.train.targets.numpy()).tolist() == [20] * 9
    assert (data.classes, len(test)) == (tuple(SPEAKERS), 370)
    assert data.train.inputs.amin((0, 1)).tolist() == [0] * 12
    assert data.train.inputs.amax((0, 1)).tolist() == [1] * 12

    # the scale, undone by two points of one channel, is that of the test split too
    raw = torch.from_numpy(read_series(folder / "JapaneseVowels" / "JapaneseVowels_TEST.ts").padded(29)).float()
    inside = (test.inputs > 0) & (test.inputs < 1)
    for channel in range(12):
        given, scaled = (part[..., channel][inside[..., channel]] for part in (raw, test.inputs))
        slope = (scaled[given.argmax()] - scaled[given.argmin()]) / (given.max() - given.min())
        torch.testing.assert_close((given - given.min()) * slope, scaled - scaled[given.argmin()], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("@data\n1,2:a", "no @classLabel true with two classes"),
        ("@classLabel true a b", "no line @data"),
        ("@timeStamps true\n@classLabel true a b\n@data\n(0,1):a", "its points have times of their own"),
        ("@classLabel true a b\n@data\n", "no series behind @data"),
        ("@classLabel true a b\n@data\n1,2:c", "line 3: class 'c', which @classLabel does not name"),
        ("@classLabel true a b\n@data\n1,2:3,4:a\n1,2:b", "line 4: 1 channels, and 2 in the first series"),
        ("@classLabel true a b\n@data\n1,2:3:a", "line 3: channels of 1 and 2 points"),
        ("@classLabel true a b\n@data\na", "line 3: no ':' before its class"),
        ("@classLabel true a b\n@data\n1,x:a", "line 3: could not convert string to float: 'x'"),
        ("@classLabel true a b\n@data\n1,?,3:a", "line 3: a point is missing"),
        ("@classLabel true a b\n@data\n?,?:a", "line 3: a point is missing"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "x.ts"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=problem) as refused:
        read_series(path)
    assert "\n" not in str(refused.value)


def test_missing_points_at_the_end_are_padding(tmp_path: Path) -> None:
    (tmp_path / "x.ts").write_text("@classLabel true a b\n@data\n1,2,?:3,4,NaN:a\n", encoding="utf-8")
    assert read_series(tmp_path / "x.ts").values[0].tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("task", [JapaneseVowels, BasicMotions])
def test_what_is_missing_is_named(tmp_path: Path, task: type[SeriesTask]) -> None:
    file = f"{task.problem}_TRAIN.ts"
    with pytest.raises(UsageError, match=rf"^task '{task.name}': give .+ the folder with {file}, the published"):
        task().search_data(None, task.length)
    with pytest.raises(UsageError, match=f"no {file} there, nor in its folder {task.problem}; take the published one"):
        task().search_data(tmp_path, task.length)


def test_files_of_another_data_set_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "BasicMotions_TEST.ts", *drawn(8, MOTIONS, (9, 9), 6, 0), MOTIONS)
    write_series(tmp_path / "BasicMotions_TRAIN.ts", *drawn(8, MOTIONS[:2], (9, 9), 6, 0), MOTIONS[:2])
    with pytest.raises(UsageError, match=r"BasicMotions_TEST.ts has classes Standing, .+; take both from one archive"):
        BasicMotions().test_data(tmp_path, 100)
    write_series(tmp_path / "BasicMotions_TRAIN.ts", *drawn(8, MOTIONS, (101, 101), 6, 0), MOTIONS)
    with pytest.raises(UsageError, match="a series of 101 points; those of BasicMotions have up to 100"):
        BasicMotions().search_data(tmp_path, 100)
