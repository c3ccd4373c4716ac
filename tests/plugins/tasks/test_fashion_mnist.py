from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spikefront.plugins import Task
from spikefront.plugins.tasks.fashion_mnist import FashionMNIST, find, read_idx
from spikefront.plugins.testing import TaskContract
from spikefront.searchspace import UsageError

IMAGES = "train-images-idx3-ubyte.gz"


def idx(array: np.ndarray) -> bytes:
    """The IDX format: two zero bytes, type 8 for bytes, the number of axes, each axis in big endian, the bytes."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_task(folder: Path, *, train: int = 12, test: int = 4, labels: int = 12) -> Path:
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    files = {
        "train-images-idx3-ubyte.gz": generator.integers(0, 256, (train, 28, 28)),
        "train-labels-idx1-ubyte.gz": np.arange(labels) % 10,
        "t10k-images-idx3-ubyte.gz": generator.integers(0, 256, (test, 28, 28)),
        "t10k-labels-idx1-ubyte.gz": np.arange(test) % 10,
    }
    for name, array in files.items():
        (folder / name).write_bytes(gzip.compress(idx(array)))
    return folder


class TestSmallFashionMNIST(TaskContract):
    @pytest.fixture
    def plugin(self) -> type[Task]:
        return FashionMNIST

    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Path:
        return write_task(tmp_path)


def test_array_is_read_as_it_was_written(tmp_path: Path) -> None:
    array = np.arange(24).reshape(2, 3, 4)
    for name, content in (("a.gz", gzip.compress(idx(array))), ("a", idx(array))):
        (tmp_path / name).write_bytes(content)
        assert torch.equal(read_idx(tmp_path / name), torch.from_numpy(array).to(torch.uint8))


GOOD = idx(np.zeros((2, 3)))
PACKED = gzip.compress(idx(np.arange(2000).reshape(2, 1000)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", GOOD[:-1], r"a: cut short or too long: 17 bytes for an array of shape \(2, 3\)$"),
        ("a", GOOD + b"\0", r"a: cut short or too long: 19 bytes for an array of shape \(2, 3\)$"),
        ("a", GOOD[:6], r"a: cut short or too long: 6 bytes for an array of shape \(\)$"),
        ("a", b"\x00\x00\x0d" + GOOD[3:], r"a: no IDX file of bytes \(it must start with 00 00 08\)$"),  # floats
        ("a", b"", r"a: no IDX file of bytes"),
        ("a.gz", GOOD, r"a\.gz: not readable as gzip \(Not a gzipped file"),
        ("a.gz", PACKED[: len(PACKED) // 2], r"a\.gz: not readable as gzip \("),
        ("a.gz", PACKED[:30] + bytes(60) + PACKED[90:], r"a\.gz: not readable as gzip \("),
        ("a.gz", b"", r"a\.gz: "),
    ],
    ids=["cut", "too long", "header cut", "wrong type", "empty", "not gzip", "gzip cut", "gzip damaged", "gzip empty"],
)
def test_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_idx(tmp_path / name)


def claiming(*sizes: int) -> bytes:
    return bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            claiming(1 << 16, 1 << 16, 1 << 16, 1 << 16),
            r": it claims an array of 4 axes and 18446744073709551616 bytes;",
        ),
        (claiming(2**31, 2**31, 4) + bytes(9), r": it claims an array of 3 axes and 18446744073709551616 bytes;"),
        (claiming(*[0] * 200), r": it claims an array of 200 axes and 0 bytes; fetch it again$"),
        (claiming(1 << 30) + bytes(9), r": cut short or too long: 17 bytes for an array of shape \(1073741824,\)$"),
        (claiming(3) + bytes(4), r": cut short or too long: 12 bytes for an array of shape \(3,\)$"),
    ],
)
def test_sizes_that_are_not_the_files_are_refused(
    tmp_path: Path, pack: Callable[[bytes], bytes], content: bytes, message: str
) -> None:
    path = tmp_path / ("a" if pack is bytes else "a.gz")
    path.write_bytes(pack(content))
    with pytest.raises(UsageError, match=message):
        read_idx(path)


def test_content_beyond_the_array_is_not_unpacked(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        file.write(claiming(3))
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(UsageError, match="cut short or too long: 12 bytes"):
        read_idx(tmp_path / "a.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (IMAGES, np.zeros((12, 784)), r"idx3-ubyte\.gz: an array of shape \(12, 784\), and must have 3 axes; fetch it"),
        (IMAGES, np.zeros((12, 0, 28)), r"idx3-ubyte\.gz: an array of shape \(12, 0, 28\), and must have 3 axes"),
        (IMAGES.replace("images-idx3", "labels-idx1"), np.zeros((12, 1)), r"gz: an array of shape \(12, 1\), and must"),
    ],
)
def test_array_of_another_shape_is_refused(tmp_path: Path, name: str, array: np.ndarray, message: str) -> None:
    (write_task(tmp_path) / name).write_bytes(gzip.compress(idx(array)))
    with pytest.raises(UsageError, match=message):
        FashionMNIST().search_data(tmp_path, 4)


def test_too_few_images_for_a_validation_split_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^Fashion-MNIST train: 5 images; 6 or more give a validation split$"):
        FashionMNIST().search_data(write_task(tmp_path, train=5, labels=5), 4)


def test_last_sixth_of_the_training_images_validates(tmp_path: Path) -> None:
    folder = write_task(tmp_path, train=12)
    images = read_idx(folder / IMAGES).unsqueeze(1)
    data = FashionMNIST().search_data(folder, 4)
    assert torch.equal(data.train.inputs, images[:10])
    assert torch.equal(data.validation.inputs, images[10:])
    assert data.validation.targets.tolist() == [0, 1]
    assert data.outputs == 10
    assert len(FashionMNIST().test_data(folder, 4)) == 4


def test_files_may_lie_unpacked_and_in_a_folder_of_their_own(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "fashion-mnist")
    assert find(IMAGES, tmp_path) == folder / IMAGES
    unpacked = folder / IMAGES.removesuffix(".gz")
    unpacked.write_bytes(gzip.decompress((folder / IMAGES).read_bytes()))
    (folder / IMAGES).unlink()
    assert find(IMAGES, tmp_path) == unpacked


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match=rf"^data_dir='{tmp_path}': no train-images-idx3-ubyte\.gz there, nor in its folder fashion-mnist$",
    ):
        FashionMNIST().search_data(tmp_path, 4)


def test_images_without_their_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^Fashion-MNIST train: 12 images but 11 labels$"):
        FashionMNIST().search_data(write_task(tmp_path, labels=11), 4)


def test_white_is_1() -> None:
    assert FashionMNIST().prepare(torch.tensor([[0, 51, 255]], dtype=torch.uint8)).tolist() == [
        [0, pytest.approx(0.2), 1]
    ]
