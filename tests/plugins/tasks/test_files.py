"""Where tasks say that their data are: in the folder that is given, or where they will be downloaded to."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikefront.plugins import Registry, Task, load_registry
from spikefront.searchspace import UsageError

NMNIST = Path(__file__).parents[2] / "data/nmnist"
REGISTRY: Registry = load_registry(third_parties=False)

LIE = {
    "cifar10": ["cifar10/cifar-10-python.tar.gz"],
    "cifar100": ["cifar-100-python.tar.gz"],
    "shd": ["SHD/shd_train.h5", "SHD/shd_test.h5"],
    "ssc": ["ssc/ssc_train.h5", "ssc/ssc_valid.h5", "ssc/ssc_test.h5"],
    "japanese-vowels": ["JapaneseVowels/JapaneseVowels_TRAIN.ts", "JapaneseVowels/JapaneseVowels_TEST.ts"],
    "fashion-mnist": [
        f"fashion-mnist/{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
    ],
}
"""Files of tasks in a folder of data, in the order in which they are read."""

LOADED = {
    "cifar10": ["cifar-10-python.tar.gz"],
    "n-mnist": ["n-mnist/Train.zip", "n-mnist/Test.zip"],
    "n-mnist-motion": ["n-mnist/Train.zip", "n-mnist/Test.zip"],
}
"""Files that are downloaded into the user's cache."""


def task(name: str) -> Task:
    plugin: type[Task] = REGISTRY.get("task", name)
    return plugin()


@pytest.mark.parametrize("name", LIE)
def test_names_the_files_that_lie_in_a_folder_without_reading_them(name: str, tmp_path: Path) -> None:
    files = [tmp_path / file for file in LIE[name]]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("not read")

    assert set(task(name).files(tmp_path) or ()) == set(files)


@pytest.mark.parametrize("name", [*LIE, "gsc", "n-mnist", "n-caltech101", "image-folder"])
def test_refuses_a_folder_without_them(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        task(name).files(tmp_path)


@pytest.mark.parametrize("name", LOADED)
def test_names_files_of_the_cache_that_are_to_be_downloaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert list(task(name).files(None) or ()) == [tmp_path / "spikefront" / file for file in LOADED[name]]
    assert list(tmp_path.iterdir()) == []


def test_recordings_lie_in_a_folder_for_each_part() -> None:
    assert task("n-mnist").files(NMNIST) == [NMNIST / "Train", NMNIST / "Test"]


def test_images_of_what_is_generated_are_those_of_their_source() -> None:
    assert task("digits-generation").files(None) == task("digits").files(None) == ()
    assert task("fashion-mnist-generation").files(None) == task("fashion-mnist").files(None)
