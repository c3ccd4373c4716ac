from __future__ import annotations

import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spikefront.plugins import Data, Task
from spikefront.plugins.data.image_layout import read_layout
from spikefront.plugins.data.images import open_source, pixels
from spikefront.plugins.tasks.image_folder import ImageFolder, ImageFolderConfig
from spikefront.plugins.testing import TaskContract
from spikefront.searchspace import UsageError

SMALL = ImageFolderConfig(size=8)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def array_of(name: str, shape: tuple[int, ...] = (8, 8, 3)) -> np.ndarray:
    """Random pixels, other ones for each name."""
    return np.random.default_rng([*name.encode()]).integers(0, 256, shape, dtype=np.uint8)


def write_images(folder: Path, names: Iterable[str], shape: tuple[int, ...] = (8, 8, 3)) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array_of(name, shape)).save(folder / name)
    return folder


def numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}/{number}.png" for number in range(count)]


ONE_LEVEL = [*numbered("cat", 25), *numbered("dog", 50)]


def names_of(data: Data, names: Iterable[str]) -> list[str]:
    """Which images a split is made of, by their pixels."""
    known = {array_of(name).transpose(2, 0, 1).tobytes(): name for name in names}
    return [known[sample.numpy().tobytes()] for sample in data.inputs]


class TestImageFolder(TaskContract):
    @pytest.fixture
    def plugin(self) -> type[Task]:
        return ImageFolder

    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Path:
        return write_images(tmp_path, ONE_LEVEL)


def test_one_level_of_classes_is_split_by_class(tmp_path: Path) -> None:
    write_images(tmp_path, ONE_LEVEL)
    task = ImageFolder(SMALL)
    data = task.search_data(tmp_path, 4)
    splits = [data.train, data.validation, task.test_data(tmp_path, 4)]
    named = [names_of(split, ONE_LEVEL) for split in splits]
    assert [[name[:3] for name in part].count("cat") for part in named] == [16, 4, 5]
    assert [[name[:3] for name in part].count("dog") for part in named] == [32, 8, 10]
    assert sorted(name for part in named for name in part) == sorted(ONE_LEVEL)
    for split, part in zip(splits, named, strict=True):
        assert split.targets.tolist() == [int(name.startswith("dog")) for name in part]
        assert split.targets.tolist() != sorted(split.targets.tolist())  # the first ones are of all classes
    assert data.outputs == 2


THREE = {
    "train": [*numbered("train/a", 20), *numbered("train/b/deeper", 20)],
    "val": numbered("val/a", 3),
    "test": numbered("test/b", 2),
}


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_given_splits_are_kept(tmp_path: Path, name: str) -> None:
    validation = [image.replace("val/", f"{name}/") for image in THREE["val"]]
    write_images(tmp_path, [*THREE["train"], *validation, *THREE["test"]])
    found = read_layout(open_source(tmp_path))
    assert [sorted(n for n, _ in part) for part in (found.train, found.validation, found.test)] == [
        sorted(THREE["train"]),
        validation,
        THREE["test"],
    ]
    assert {label for _, label in found.test} == {1}  # class b, although no a is there
    assert found.classes == ("a", "b")


def test_layout_of_imagenet_tests_on_its_val_and_validates_on_a_tenth_of_train(tmp_path: Path) -> None:
    write_images(tmp_path, [*THREE["train"], *THREE["val"], "test/1.png", "test/2.png"])
    found = read_layout(open_source(tmp_path))
    assert sorted(name for name, _ in found.test) == THREE["val"]
    assert sorted(label for _, label in found.validation) == [0, 0, 1, 1]
    assert sorted(name for name, _ in [*found.train, *found.validation]) == sorted(THREE["train"])


def test_train_and_test_alone_validate_on_a_tenth_of_train(tmp_path: Path) -> None:
    write_images(tmp_path, [*THREE["train"], *THREE["test"]])
    found = read_layout(open_source(tmp_path))
    assert [len(found.train), len(found.validation), len(found.test)] == [36, 4, 2]


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"around/it/{file.relative_to(folder)}")
        archive.writestr("__MACOSX/around/it/cat/._0.png", b"nothing")
    return path


def test_zip_gives_what_the_folder_gives(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ONE_LEVEL)
    path = zipped(folder, tmp_path / "images.zip")
    (tmp_path / "only").mkdir()
    alone = shutil.copy(path, tmp_path / "only")
    task = ImageFolder(SMALL)
    expected = task.search_data(folder, 4)
    for data_dir in (path, tmp_path / "only", Path(alone)):
        data = task.search_data(data_dir, 4)
        assert torch.equal(data.train.inputs, expected.train.inputs)
        assert torch.equal(data.validation.targets, expected.validation.targets)
        assert torch.equal(task.test_data(data_dir, 4).inputs, task.test_data(folder, 4).inputs)


def test_grey_only_where_all_are_grey(tmp_path: Path) -> None:
    write_images(tmp_path, ONE_LEVEL, shape=(9, 9))
    assert ImageFolder(SMALL).search_data(tmp_path, 4).train.inputs.shape == (48, 1, 8, 8)
    Image.fromarray(array_of("colour")).save(tmp_path / "dog" / "49.png")
    task = ImageFolder(SMALL)
    assert task.search_data(tmp_path, 4).train.inputs.shape == (48, 3, 8, 8)
    assert task.test_data(tmp_path, 4).inputs.shape == (15, 3, 8, 8)


def test_a_changed_image_is_read_anew(tmp_path: Path) -> None:
    write_images(tmp_path, ONE_LEVEL)
    before = ImageFolder(SMALL).search_data(tmp_path, 4).train.inputs.clone()
    assert torch.equal(ImageFolder(SMALL).search_data(tmp_path, 4).train.inputs, before)
    for name in ONE_LEVEL:
        Image.new("RGB", (8, 8), "white").save(tmp_path / name)
    assert ImageFolder(SMALL).search_data(tmp_path, 4).train.inputs.min() == 255


def zeros(path: Path, width: int, height: int) -> Path:
    """Write a black PNG of one bit without making it: its rows compress to next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj()
    rows = b"".join(packer.compress(bytes(width // 8 + 1)) for _ in range(min(height, 10_000))) + packer.flush()
    head = struct.pack(">2I5B", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize(
    ("width", "height", "shown"),
    [(10_001, 10_000, "10001x10000"), (13_000, 13_000, "13000x13000"), (60_000, 60_000, "far more than 100,000,000")],
)
def test_image_of_too_many_pixels_is_named_without_more_ado(
    tmp_path: Path, width: int, height: int, shown: str
) -> None:
    name = searched(write_images(tmp_path, ONE_LEVEL))
    zeros(tmp_path / name, width, height)
    refuse(tmp_path, rf"image {name}: {shown} pixels, and an image may have 100,000,000; scale it down, or remove it$")


def test_image_of_a_hundred_megapixels_is_read_without_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = searched(write_images(tmp_path, ONE_LEVEL))
    zeros(tmp_path / name, 10_000, 10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageFolder(SMALL).search_data(tmp_path, 4)
    assert name in capsys.readouterr().err  # it has no contrast


def test_zip_with_backslashes_gives_what_the_folder_gives(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", ONE_LEVEL)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ONE_LEVEL:
            archive.write(folder / name, f"photos/{name}".replace("/", "\\"))
    found = ImageFolder(SMALL).search_data(tmp_path / "a.zip", 4)
    assert torch.equal(found.train.inputs, ImageFolder(SMALL).search_data(folder, 4).train.inputs)


def test_strange_names_in_a_zip_are_passed_over(tmp_path: Path) -> None:
    path = zipped(write_images(tmp_path / "images", ONE_LEVEL), tmp_path / "a.zip")
    before = ImageFolder(SMALL).search_data(path, 4).train.inputs.clone()
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("", "/", "..", "../../a.png", "//"):
            archive.writestr(zipfile.ZipInfo(name), b"")
    assert torch.equal(ImageFolder(SMALL).search_data(path, 4).train.inputs, before)


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zip_with_a_file_that_is_too_large_is_not_read(tmp_path: Path, kind: int) -> None:
    path = zipped(write_images(tmp_path / "images", ONE_LEVEL), tmp_path / "a.zip")
    archive = zipfile.ZipFile(path, "a", kind)
    with archive, archive.open("around/it/dog/99.png", "w", force_zip64=True) as member:
        for _ in range(40):
            member.write(bytes(1 << 20))
    directory = path.read_bytes().rindex(b"around/it/dog/99.png") - 46
    raw = bytearray(path.read_bytes())
    raw[directory + 24 : directory + 28] = struct.pack("<I", 1 << 30)
    path.write_bytes(raw)
    entry = open_source(path)
    with pytest.raises(
        UsageError, match=r"99\.png can't be read \(it has 1,073,741,824 bytes, and may have 536,870,912\)"
    ):
        pixels(entry, "around/it/dog/99.png", 8, 3)


def test_other_formats_under_the_name_of_an_image_are_not_tried(tmp_path: Path) -> None:
    """PostScript, for one, would start a program."""
    name = searched(write_images(tmp_path, ONE_LEVEL))
    Image.new("RGB", (8, 8)).save(tmp_path / name, "EPS")
    refuse(tmp_path, rf"^{tmp_path}: image {name} can't be read \(cannot identify image file\); mend or remove it$")


def refuse(folder: Path, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        ImageFolder(SMALL).search_data(folder, 4)
    assert "\n" not in str(caught.value)


def searched(folder: Path) -> str:
    """Name an image of the training split."""
    return read_layout(open_source(folder)).train[0][0]


@pytest.mark.parametrize("damage", ["cut", "emptied", "text", "overwritten"])
def test_damaged_image_is_named(tmp_path: Path, damage: str) -> None:
    name = searched(write_images(tmp_path, ONE_LEVEL))
    whole = (tmp_path / name).read_bytes()
    overwritten = whole[:60] + bytes(20) + whole[80:]
    damaged = {"cut": whole[:100], "emptied": b"", "text": b"text", "overwritten": overwritten}[damage]
    (tmp_path / name).write_bytes(damaged)
    refuse(tmp_path, rf"^{tmp_path}: image {name} can't be read \(.+\); mend or remove it$")


def test_image_of_one_pixel_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path, ONE_LEVEL)
    name = searched(tmp_path)
    Image.new("RGB", (1, 1)).save(tmp_path / name)
    refuse(tmp_path, rf"image {name}: 1x1 pixels show nothing; each side needs 2; remove it$")


def test_pixels_without_a_known_white_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path, ONE_LEVEL)
    for name in numbered("cat", 25):
        (tmp_path / name).unlink()
        Image.new("F", (8, 8)).save((tmp_path / name).with_suffix(".tif"))
    refuse(tmp_path, r"\.tif: pixels of mode F have no known white; save 8 or 16 bits$")


@pytest.mark.parametrize(
    ("names", "folders", "message"),
    [
        (ONE_LEVEL, ["bird"], r": no image in bird; fill or remove that class$"),
        (
            [*THREE["train"], *numbered("val/c", 2)],
            [],
            r": class 'c' is in the test split but not in training; remove it, or train on it$",
        ),
        (
            [*THREE["train"], *THREE["val"], *numbered("test/c", 2)],
            [],
            r": class 'c' is in the test split but not in training; remove it, or train on it$",
        ),
        (
            [*THREE["train"], *numbered("val/c", 2), *THREE["test"]],
            [],
            r": class 'c' is in the validation split but not in training; remove it, or train on it$",
        ),
        ([], ["empty"], r": no image in empty; fill or remove that class$"),
        ([], [], r": 0 folders of images; classification needs a folder for each of 2 or more classes"),
        (["a.png", "b.png"], [], r": 0 folders of images"),
        (numbered("cat", 9), [], r": 1 folders of images"),
        (
            [*numbered("cat", 3), *numbered("dog", 5)],
            [],
            r": too few images for a validation split; some class needs 6 or more$",
        ),
        (
            [*numbered("train/a", 3), *numbered("train/b", 9), *THREE["test"]],
            [],
            r": too few images for a validation split; some class needs 10 or more$",
        ),
        ([*THREE["train"], *THREE["val"], *numbered("valid/a", 2)], [], r": it has val and valid; keep one of them$"),
    ],
)
def test_layout_that_can_not_be_used_is_said(
    tmp_path: Path, names: list[str], folders: list[str], message: str
) -> None:
    write_images(tmp_path, names)
    for folder in folders:
        (tmp_path / folder).mkdir()
    refuse(tmp_path, message)


def test_missing_or_damaged_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^image-folder: data_dir= must name the folder or zip"):
        ImageFolder().search_data(None, 4)
    refuse(tmp_path / "gone", rf"^data_dir='{tmp_path}/gone': no such folder, nor a zip$")
    path = zipped(write_images(tmp_path / "images", ONE_LEVEL), tmp_path / "a.zip")
    path.write_bytes(path.read_bytes()[:-200])
    refuse(path, rf"^{path}: no zip, or cut short \(.*\); copy it again$")


def test_search_does_not_open_a_test_image(tmp_path: Path) -> None:
    write_images(tmp_path, [*THREE["train"], *THREE["val"], *THREE["test"]])
    for name in THREE["test"]:
        (tmp_path / name).write_bytes(b"damaged")
    assert len(ImageFolder(SMALL).search_data(tmp_path, 4).train) == 40
    with pytest.raises(UsageError, match=r"image test/b/[01]\.png can't be read"):
        ImageFolder(SMALL).test_data(tmp_path, 4)


def test_balanced_accuracy_weighs_classes_alike() -> None:
    targets = torch.tensor([0] * 9 + [1])
    output = torch.tensor([[1.0, 0.0]]).expand(10, -1)  # always the frequent class

    class Untrained:
        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError("its outputs are given")

        def sample(self, count: int) -> torch.Tensor:
            raise AssertionError("it generates nothing")

    assert ImageFolder().measure(Untrained(), output, targets) == {"quality": 0.9, "balanced_accuracy": 0.5}
