"""Memory that damaged files take: at most four times that of the honest data."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.test_damaged_files import (
    FORMATS,
    MEMORY,
    SLACK,
    Read,
    idx,
    image,
    read_archive,
    read_export,
    read_image,
    read_images_zip,
    read_recording,
    read_recordings_zip,
    tar,
    zipped,
)

from spikefront.plugins.tasks.cifar10 import Cifar10
from spikefront.searchspace import UsageError

BOMB = 1 << 26


def bombs(folder: Path) -> Iterator[tuple[str, Read, Path, int]]:
    """Yield files that take much memory if it is let to: what reads each, the file, and the honest size of its data."""
    rng = np.random.default_rng(0)
    events = rng.integers(0, 34, (1 << 24) // 5 * 5, dtype=np.uint8).reshape(-1, 5)
    times = np.arange(len(events)) // 4
    times[::2] += 3
    events[:, 2:] = np.stack([(times >> 16) & 0x7F, (times >> 8) & 0xFF, times & 0xFF], 1)
    (folder / "disordered.bin").write_bytes(events.tobytes())
    yield "disordered recording", read_recording, folder / "disordered.bin", 1 << 24
    zeros = bytes(BOMB)
    for packing in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        (folder / "recordings.zip").write_bytes(zipped({"Train/0/0.bin": zeros, "Train/1/0.bin": zeros}, packing))
        yield "recordings", read_recordings_zip, folder / "recordings.zip", BOMB
        (folder / "archive.zip").write_bytes(zipped({"search.json": zeros, "runs/search/run.json": b""}, packing))
        yield "archive", read_archive, folder / "archive.zip", 1 << 16
        files = {f"{of}/{n}.png": image("PNG", n) for of in "ab" for n in range(9)} | {"a/0.png": zeros}
        (folder / "images.zip").write_bytes(zipped(files, packing))
        yield "images", read_images_zip, folder / "images.zip", 1 << 16
    (folder / "idx").mkdir()
    idx(folder / "idx").write_bytes(gzip.compress(struct.pack(">4I", 0x803, 12, 28, 28) + zeros, 1))
    yield "idx", FORMATS["idx"][1], folder / "idx" / "train-images-idx3-ubyte.gz", 1 << 16
    (folder / "tar").mkdir()
    head = tarfile.TarInfo("long")
    head.type, head.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    content = gzip.compress(head.tobuf(tarfile.GNU_FORMAT) + zeros, 1)
    tar(folder / "tar").write_bytes(content)
    yield "tar", FORMATS["tar"][1], folder / "tar" / Cifar10.archive.name, 1 << 16
    (folder / "image").mkdir()
    large = io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(large, "PNG")
    (folder / "image" / "a.png").write_bytes(large.getvalue())
    yield "image", read_image, folder / "image" / "a.png", 1 << 16
    (folder / "net.pt").write_bytes(zipped({"net/data.pkl": zeros, "net/version": b"3"}))
    yield "export", read_export, folder / "net.pt", 1 << 16


def measure(folder: Path) -> dict[str, tuple[int, int]]:
    """Return how much memory each bomb took beyond all before it, and how much it may take, in bytes."""
    for name, (make, read) in FORMATS.items():  # what is loaded when it is first used
        (folder / f"first-{name}").mkdir()
        read(make(folder / f"first-{name}"))
    found: dict[str, tuple[int, int]] = {}
    for name, read, path, honest in bombs(folder):
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with suppress(UsageError):
            read(path)
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        found[name] = max(found.get(name, (0, 0)), (taken << 10, MEMORY * honest + SLACK))
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is reset by Linux alone")
def test_no_file_takes_more_than_four_times_the_memory_of_its_data(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": root}
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, (taken, allowed) in json.loads(done.stdout.splitlines()[-1]).items():
        assert taken <= allowed, name


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
