"""Data that can't be learnt from, and parts that do not suit a task: one line each, and exit code 2."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spikefront.plugins import Registry, load_registry
from spikefront.runners.judging.judge import judge
from spikefront.searchspace import UsageError

NMNIST = Path(__file__).parents[1] / "data/nmnist"

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(third_parties=False)


def recordings(folder: Path) -> Path:
    """Copy the recordings of the tests; return one that trains."""
    shutil.copytree(NMNIST, folder)
    return folder / "Train" / "3" / "00575.bin"


def photos(folder: Path) -> Path:
    """Write two classes of twenty images; return one of them."""
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            grey = np.full((9, 12), 10 * number, np.uint8)
            Image.fromarray(grey).save(folder / name / f"{number:02}.png")
    return folder / "cat" / "00.png"


# Parts that do not suit a task, before Ray starts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--task n-mnst", r"^unknown task 'n-mnst'\. Did you mean 'n-mnist'\? Known: "),
        (
            "--task digits --set backbone=fsvae",
            r"^task 'digits' needs a backbone that makes values, and 'fsvae' makes images; backbones that do: convnet,",
        ),
        (
            "--task digits-generation --set backbone=mlp",
            r"^task 'digits-generation' needs a backbone that makes images, and 'mlp' .*; backbones that do: fsvae$",
        ),
        (
            "--task n-mnist --set coding=latency",
            r"^coding 'latency' takes static input, but task 'n-mnist' gives events; .*: delta, direct, sac,.* tcja$",
        ),
        (
            "--task diabetes --set backbone=convnet",
            r"^backbone 'convnet' takes images, but task 'diabetes' gives features; backbones that take them: mlp$",
        ),
        (
            "--task n-mnist --set task.n-mnist.binning=speed",
            r"^unknown value of --set task\.n-mnist\.binning=speed: .*'speed'\. Known: count, time\.$",
        ),
    ],
)
def test_parts_that_do_not_suit_the_task_are_refused(command: Command, arguments: str, message: str) -> None:
    assert re.search(message, command("run", *arguments.split()).problem())
    assert not list(Path().iterdir())


def test_search_on_damaged_data_leaves_one_line_and_no_folder(command: Command) -> None:
    damaged = recordings(Path("data"))
    damaged.write_bytes(damaged.read_bytes()[:-2])

    said = command("run", "--task", "n-mnist", "--data-dir", "data", "--workers", "1", "--set", "coding=direct")

    assert re.fullmatch(
        r"data/Train/3/00575\.bin: cut short: \d+ bytes are no whole .*; fetch it again", said.problem()
    )
    assert not Path("searches").exists()


# What a search reads: the same call, without Ray's start for each


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("n-mnist", r"no recordings Train/<digit>/<number>\.bin there, nor in its folder n-mnist or N-MNIST"),
        ("n-mnist-motion", r"no recordings Train/<digit>/<number>\.bin there"),
        ("n-caltech101", r"no recordings Caltech101/<class>/<name>\.bin there"),
        ("image-folder", "no such folder, nor a zip$"),
        ("cifar10", r"no cifar-10-python\.tar\.gz there, nor in its folder cifar10$"),
        ("cifar100", r"no cifar-100-python\.tar\.gz there"),
        ("fashion-mnist", r"no train-images-idx3-ubyte\.gz there"),
        ("fashion-mnist-generation", r"no train-images-idx3-ubyte\.gz there"),
    ],
)
def test_data_that_are_not_there_are_named_with_where_they_were_looked_for(
    registry: Registry, task: str, message: str
) -> None:
    refused(registry, task, "nowhere", rf"^data_dir='nowhere': {message}")


def test_images_without_a_folder_need_one(registry: Registry) -> None:
    refused(registry, "image-folder", None, "^image-folder: data_dir= must name the folder or zip")


def refused(registry: Registry, task: str, folder: str | Path | None, message: str) -> None:
    """Check that the data of a search are refused with this line."""
    with pytest.raises(UsageError, match=message) as problem:
        registry.get("task", task)().search_data(None if folder is None else Path(folder), 2)
    assert "\n" not in str(problem.value)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-2])


def _emptied(file: Path) -> None:
    file.write_bytes(b"")


def _of_another_sensor(file: Path) -> None:
    file.write_bytes(bytes([200, 100, 0, 0, 1]) * 9)


def _empty_class(file: Path) -> None:
    (file.parents[1] / "5").mkdir()


def _one_class(file: Path) -> None:
    for name in "08":
        shutil.rmtree(file.parents[1] / name)


def _one_each(file: Path) -> None:
    for path in file.parents[1].glob("*/*"):
        if path.name not in ("00211.bin", "00541.bin", "00419.bin"):
            path.unlink()


def _one_pixel(file: Path) -> None:
    Image.new("RGB", (1, 1)).save(file)


def _text(file: Path) -> None:
    file.write_text("no image")


def _untrained(file: Path) -> None:
    for part, names in (("train", ("cat", "dog")), ("val", ("cat", "dog")), ("test", ("cat", "dog", "eel"))):
        for name in names:
            shutil.copytree(file.parent, file.parents[1] / part / name)
    for name in ("cat", "dog"):
        shutil.rmtree(file.parents[1] / name)


@pytest.mark.parametrize(
    ("task", "damage", "message"),
    [
        (
            "n-mnist",
            _cut,
            r"3/00575\.bin: cut short: \d+ bytes are no whole number of events of 5 bytes; fetch it again$",
        ),
        ("n-mnist", _emptied, r"3/00575\.bin: no event in it; fetch it again, or remove it$"),
        (
            "n-mnist",
            _of_another_sensor,
            r"event 0 lies at column 200, row 100, outside the sensor of 34x34 pixels; fetch",
        ),
        ("n-mnist", _empty_class, r"/Train: class 5 of Train is empty; remove it, or fetch its recordings$"),
        (
            "n-mnist",
            _one_class,
            r"^task 'n-mnist': all recordings are of class 3; classification needs 2 or more classes",
        ),
        ("n-mnist", _one_each, r"^task 'n-mnist': no class has two recordings, of which one could validate; add some$"),
        ("n-mnist-motion", _cut, r"3/00575\.bin: cut short: "),
        ("image-folder", _empty_class, r"^bad: no image in 5; fill or remove that class$"),
        ("image-folder", _one_pixel, r"image cat/00\.png: 1x1 pixels show nothing; each side needs 2; remove it$"),
        ("image-folder", _text, r"image cat/00\.png can't be read \(cannot identify .*\); mend or remove it$"),
        (
            "image-folder",
            _untrained,
            r"class 'eel' is in the test split but not in training; remove it, or train on it$",
        ),
    ],
)
def test_damage_is_named_with_the_file_and_what_to_do(
    registry: Registry, task: str, damage: Callable[[Path], None], message: str
) -> None:
    folder = Path("bad") if task == "image-folder" else Path("bad/data")
    file = photos(folder) if task == "image-folder" else recordings(folder)
    damage(file)

    refused(registry, task, folder, message)


def test_a_class_that_was_not_trained_is_refused_where_it_is_tested(registry: Registry) -> None:
    recordings(Path("data"))
    shutil.copytree("data/Test/3", "data/Test/5")

    with pytest.raises(UsageError, match=r"^data/Test: class 5 is tested but has no training recording; remove it, or"):
        registry.get("task", "n-mnist")().test_data(Path("data"), 2)


@pytest.mark.parametrize(("task", "make"), [("n-mnist", recordings), ("image-folder", photos)])
@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_zip_that_is_damaged_is_named(registry: Registry, task: str, make: Callable[[Path], Path], damage: str) -> None:
    make(Path("data"))
    shutil.rmtree("data/Test", ignore_errors=True)  # which a search does not read
    file = Path(shutil.make_archive("data", "zip", "data"))
    whole = file.read_bytes()
    part = whole[: len(whole) // 2] if damage == "cut" else whole[:600] + bytes(300) + whole[900:]
    file.write_bytes(part)

    refused(registry, task, file, rf"data\.zip: .*{'cut short' if damage == 'cut' else 'damaged|mend or remove it$'}")


# What a task can't be trained with


@pytest.mark.parametrize(
    ("flat", "message"),
    [
        (
            {"task": "diabetes", "training.flip": True},
            r"^training\.flip=True: it varies images .*'diabetes' gives \(10,\)$",
        ),
        ({"task": "n-mnist", "training.mix": "mixup"}, r"^training\.mix=mixup: blended events .*; take cutmix$"),
        (
            {"task": "digits-generation", "backbone": "fsvae", "training.flip": True},
            r"^training\.flip=True: task 'digits-generation' generates images, whose targets would not follow$",
        ),
    ],
)
def test_variation_that_does_not_suit_the_task_is_refused(
    registry: Registry, flat: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as problem:
        judge({"coding": "direct", "backbone": "mlp", **flat}, registry=registry, data_dir=NMNIST)
    assert "\n" not in str(problem.value)


def test_arrays_that_are_gone_are_named(tmp_path: Path, command: Command) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.py").write_text(
        "import numpy as np\nfrom spikefront.plugins import array_task, hookimpl\n\n\n@hookimpl\n"
        "def register_tasks(register):\n"
        "    register(array_task('mine', lambda: (np.load('/nowhere/x.npy'), np.load('/nowhere/y.npy'))))\n"
    )

    said = command("run", "--task", "mine", "--plugins-dir", "mine")

    assert said.problem() == (
        "task 'mine' can't read its arrays (/nowhere/x.npy: No such file or directory); mend the path in its file"
    )
