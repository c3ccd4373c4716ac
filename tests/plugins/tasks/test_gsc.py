"""Google Speech Commands, in a folder written here in its format; the real one can't be had where this was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.plugins.data.test_speech import write_wav

from spikefront.plugins import Task
from spikefront.plugins.data.speech import bands, read_wav
from spikefront.plugins.tasks.gsc import GSC
from spikefront.plugins.testing import TaskContract
from spikefront.searchspace import UsageError

pytestmark = pytest.mark.usefixtures("cache")

WORDS = ("backward", "seven", "zero")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of each word five recordings that train, two that validate and two that test."""
    draws, place = np.random.default_rng(0), tmp_path / "speech_commands_v0.02"
    lists: dict[str, list[str]] = {"validation": [], "testing": []}
    for word in WORDS:
        for number in range(9):
            name = f"{word}/{draws.integers(1 << 32):08x}_nohash_{number % 2}.wav"
            write_wav(place / name, draws.normal(0, 0.1, 16_000 - 500 * number).clip(-1, 1))
            if number > 4:
                lists["validation" if number < 7 else "testing"].append(name)
    for part, names in lists.items():
        (place / f"{part}_list.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    write_wav(place / "_background_noise_" / "pink_noise.wav", np.zeros(100))
    return tmp_path


class TestSmallGSC(TaskContract):
    @pytest.fixture
    def plugin(self) -> type[Task]:
        return GSC

    @pytest.fixture
    def data_dir(self, folder: Path) -> Path:
        return folder


def test_recordings_are_split_by_the_lists_and_are_their_bands(folder: Path) -> None:
    data, test = GSC().search_data(folder, 101), GSC().test_data(folder, 101)
    assert data.classes == WORDS
    assert [len(split) for split in (data.train, data.validation, test)] == [15, 6, 6]
    place = folder / "speech_commands_v0.02"
    for split, part in ((data.validation, "validation"), (test, "testing")):
        expected = {}
        for name in (place / f"{part}_list.txt").read_text(encoding="utf-8").split():
            expected[np.rint(255 * bands(read_wav(place / name))).astype(np.uint8).tobytes()] = name.partition("/")[0]
        found = {
            inputs.numpy().tobytes(): WORDS[int(target)]
            for inputs, target in zip(split.inputs, split.targets, strict=True)
        }
        assert found == expected
    assert torch.equal(GSC().prepare(data.train.inputs), data.train.inputs / 255)


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^task 'gsc': give .+ the folder with validation_list.txt and the "):
        GSC().search_data(None, 101)
    with pytest.raises(
        UsageError, match=r"no validation_list.txt and testing_list.txt there, nor in its folder gsc or"
    ):
        GSC().search_data(tmp_path / "none", 101)
    listed = folder / "speech_commands_v0.02" / "testing_list.txt"
    names = listed.read_text(encoding="utf-8")
    listed.write_text(f"{names}zero/none.wav\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"testing_list.txt: zero/none.wav is not in the folder; unpack the archive"):
        GSC().search_data(folder, 101)
    listed.write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="no recording is left for the test split"):
        GSC().search_data(folder, 101)
