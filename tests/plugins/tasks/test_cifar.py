from __future__ import annotations

import gzip
import http.server
import io
import pickle
import tarfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.plugins.tasks.python2 import python2_pickle

from spikefront.plugins import Task
from spikefront.plugins.data.archives import read_pickle
from spikefront.plugins.data.cifar import Cifar, last_of_each_class
from spikefront.plugins.tasks.cifar10 import Cifar10
from spikefront.plugins.tasks.cifar100 import Cifar100
from spikefront.plugins.testing import TaskContract
from spikefront.searchspace import UsageError

TASKS = [Cifar10, Cifar100]


def batch(label: bytes, images: int, first: int, classes: int = 2) -> dict[bytes, Any]:
    generator = np.random.default_rng(first)
    labels = [number % classes for number in range(images)]
    pixels = generator.integers(0, 256, (images, 3072), dtype=np.uint8)
    return {b"data": pixels, label: labels, b"filenames": [b"a.png"] * images, b"batch_label": b"training batch"}


def packed(files: dict[str, bytes]) -> bytes:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(tar.getvalue())


def contents(task: type[Cifar], images: int = 20) -> dict[str, dict[bytes, Any]]:
    names = [*task.train_files, task.test_file]
    return {name: batch(task.label, images, number) for number, name in enumerate(names)}


def write_archive(task: type[Cifar], folder: Path, **changed: Any) -> Path:
    files = {name: python2_pickle(value) for name, value in contents(task).items()} | changed
    path = folder / task.archive.name
    path.write_bytes(packed({name: content for name, content in files.items() if content is not None}))
    return path


class TestSmallCifar(TaskContract):
    @pytest.fixture(params=TASKS, ids=lambda task: task.name)
    def plugin(self, request: pytest.FixtureRequest) -> type[Task]:
        plugin: type[Task] = request.param
        return plugin

    @pytest.fixture
    def data_dir(self, plugin: type[Cifar], tmp_path: Path) -> Path:
        write_archive(plugin, tmp_path)
        return tmp_path


@pytest.mark.parametrize("task", TASKS)
def test_images_are_red_green_and_blue_planes_in_the_order_of_the_files(task: type[Cifar], tmp_path: Path) -> None:
    write_archive(task, tmp_path)
    data = task().search_data(tmp_path, 4)
    pixels = np.concatenate([value[b"data"] for name, value in contents(task).items() if name in task.train_files])
    count = 20 * len(task.train_files)
    assert len(data.train) == count * 9 // 10
    for y, x, plane in ((0, 0, 0), (1, 2, 1), (31, 31, 2)):
        assert data.train.inputs[0, plane, y, x] == pixels[0, 1024 * plane + 32 * y + x]
    last = count // 10  # the labels alternate between two classes
    assert torch.equal(data.validation.inputs, torch.from_numpy(pixels[-last:]).reshape(-1, 3, 32, 32))
    assert data.outputs == 2
    tested = task().test_data(tmp_path, 4).inputs
    assert torch.equal(tested.flatten(1), torch.from_numpy(contents(task)[task.test_file][b"data"]))


def test_archive_may_lie_in_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    path = write_archive(Cifar10, tmp_path / "cifar10")
    assert Cifar10.archive.find(tmp_path, "cifar10") == path


def test_a_rare_class_gives_a_tenth_of_its_samples_too() -> None:
    targets = torch.tensor([0] * 50 + [1] * 10 + [0] * 50)
    assert last_of_each_class(targets, 10).nonzero().flatten().tolist() == [59, *range(100, 110)]


def test_missing_archive_is_named(tmp_path: Path) -> None:
    message = rf"^data_dir='{tmp_path}': no cifar-100-python\.tar\.gz there, nor in its folder cifar100$"
    with pytest.raises(UsageError, match=message):
        Cifar100().search_data(tmp_path, 4)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def overwritten(content: bytes) -> bytes:
    return content[:5000] + bytes(50) + content[5050:]


def other_checksum(content: bytes) -> bytes:
    return content[:-8] + bytes(4) + content[-4:]


@pytest.mark.parametrize("damage", [cut, overwritten, other_checksum, lambda _: b"", lambda _: b"<html>"])
def test_damaged_archive_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = write_archive(Cifar10, tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match=r"^[^\n]*cifar-10-python\.tar\.gz: (damaged or cut short \(|no cifar-10-b)"):
        Cifar10().search_data(tmp_path, 4)


class Malicious:
    def __reduce__(self) -> Any:
        return print, ("executed",)


GOOD = batch(b"labels", 20, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"python\.tar\.gz: no cifar-10-batches-py/test_batch in it; fetch the published one$"),
        (b"nonsense", r"test_batch: no readable pickle \("),
        (pickle.dumps(Malicious(), protocol=2), r"test_batch: it asks for [a-z_]+\.print, .*; not read$"),
        (python2_pickle([1]), r"test_batch: no dictionary with data and labels$"),
        (python2_pickle({b"data": GOOD[b"data"]}), r"test_batch: no dictionary with data and labels$"),
        (python2_pickle(GOOD | {b"data": GOOD[b"data"][:, :9]}), r"its data are no bytes of shape \(N, 3072\)$"),
        (python2_pickle(GOOD | {b"data": GOOD[b"data"] / 2}), r"its data are no bytes of shape \(N, 3072\)$"),
        (python2_pickle(GOOD | {b"labels": [b"cat"] * 20}), r"its labels are no list of numbers from 0 to 99$"),
        (python2_pickle(GOOD | {b"labels": [10**30] * 20}), r"its labels are no list of numbers from 0 to 99$"),
        (python2_pickle({b"data": GOOD[b"data"][:0], b"labels": []}), r"test_batch: 0 images but 0 labels$"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", r"test_batch: no readable pickle \(ValueError\)$"),  # object number 2^31
        (
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(J\xff\xff\xff\x7ftU\x01btR.",
            r"test_batch: no readable pickle \(ValueError\)$",  # an array of 2^31 bytes
        ),
        (b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.", r"test_batch: no readable pickle \(TypeError\)$"),
        (python2_pickle(GOOD | {b"labels": [0] * 19}), r"test_batch: 20 images but 19 labels$"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_archive(Cifar10, tmp_path, **{Cifar10.test_file: content})
    with pytest.raises(UsageError, match=message) as caught:
        Cifar10().test_data(tmp_path, 4)
    assert "\n" not in str(caught.value)
    assert "executed" not in capsys.readouterr().out


def test_pickle_of_this_numpy_is_read_too() -> None:
    # Python 3 would write bytes through a codec, which the archives do not need
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    content = pickle.dumps({"data": array}, protocol=3)
    assert np.array_equal(read_pickle(content, "a")["data"], array)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE])
@pytest.mark.parametrize("size", [1 << 30, 1 << 40])
def test_members_that_claim_too_much_are_not_read(tmp_path: Path, kind: bytes, size: int) -> None:
    member = tarfile.TarInfo(Cifar10.test_file)
    member.size, member.type = size, kind
    path = tmp_path / Cifar10.archive.name
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        for _ in range(16):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(UsageError, match=r"cifar-10-python\.tar\.gz: ") as caught:
        Cifar10().test_data(tmp_path, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert peak < 40 << 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path / "served"))

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    (tmp_path / "served").mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


def test_download_is_held_to_its_checksum(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "served" / "a.tar.gz").write_bytes(b"abc")
    md5_of_abc = "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, A.5
    published = replace(Cifar10.archive, name="a.tar.gz", url=server + "a.tar.gz", md5=md5_of_abc)
    assert published.find(None, "cifar10").read_bytes() == b"abc"
    with pytest.raises(UsageError, match=rf"^CIFAR-10: what {server}a\.tar\.gz gives is not the published b\.tar\.gz"):
        replace(published, name="b.tar.gz", md5="0" * 32).find(None, "cifar10")
    with pytest.raises(UsageError, match=r"^CIFAR-10: gone\.tar\.gz can't be downloaded \(HTTPError\); give data_dir="):
        replace(published, name="gone.tar.gz", url=server + "gone").find(None, "cifar10")
