"""Whatever is wrong with a file, of each format that is read: one line says so, or it is read; nothing else happens.

``DAMAGED_FILES=2000`` makes so many of each format in place of a few; a count makes the same ones in each run.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import struct
import tarfile
import tempfile
import warnings
import wave
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.plugins.tasks.python2 import python2_pickle

from spikefront.plugins import Registry, load_registry
from spikefront.plugins.data.events import read_40_bit, refuse_outside, to_frames
from spikefront.plugins.data.images import Folder, pixels
from spikefront.plugins.data.series_files import read_series
from spikefront.plugins.data.speech import bands, read_wav
from spikefront.plugins.tasks.cifar10 import Cifar10
from spikefront.plugins.tasks.fashion_mnist import FashionMNIST
from spikefront.plugins.tasks.image_folder import ImageFolder, ImageFolderConfig
from spikefront.plugins.tasks.n_mnist import NMNIST
from spikefront.results.archive import Record, SearchArchive, head_json
from spikefront.results.store import schema
from spikefront.runners.deploy.description import describe
from spikefront.runners.deploy.model import load
from spikefront.runners.deploy.torch_file import write_archive
from spikefront.runners.engine.memory.opening import create_study
from spikefront.runners.engine.memory.resume import about, resumed_settings
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.plan import SearchPlan
from spikefront.runners.engine.proposing.start import front_of
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.judging.network import assemble
from spikefront.searchspace import UsageError, from_flat
from spikefront.searchspace.objectives import quality_objective

COUNT = int(os.environ.get("DAMAGED_FILES", "6"))
MEMORY, SLACK = 4, 24 << 20
"""How many times the size of its data a file may take, and what an allocator keeps beside."""
RECORDINGS = Path(__file__).parent / "data" / "nmnist"
QUALITY = quality_objective(maximize=True, worst=0.0, best=1.0)

Make = Callable[[Path], Path]
Read = Callable[[Path], object]


def zipped(files: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def image(kind: str, number: int = 0) -> bytes:
    array = np.random.default_rng(number).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(array).convert("RGB" if kind != "GIF" else "P").save(file, kind)
    return file.getvalue()


def images_zip(folder: Path) -> Path:
    names = [f"{label}/{number}.png" for label in ("cat", "dog") for number in range(8)]
    (folder / "images.zip").write_bytes(zipped({name: image("PNG", place) for place, name in enumerate(names)}))
    return folder / "images.zip"


def recordings_zip(folder: Path) -> Path:
    files = {str(path.relative_to(RECORDINGS)): path.read_bytes() for path in sorted(RECORDINGS.rglob("*.bin"))}
    (folder / "recordings.zip").write_bytes(zipped(files))
    return folder / "recordings.zip"


def idx(folder: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    for name, array in (("images-idx3", images), ("labels-idx1", np.arange(12, dtype=np.uint8) % 10)):
        head = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape)
        (folder / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return folder / "train-images-idx3-ubyte.gz"


def tar(folder: Path) -> Path:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in Cifar10.train_files:
            labels = [number % 10 for number in range(20)]
            content = python2_pickle({b"data": np.zeros((20, 3072), np.uint8), b"labels": labels})
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (folder / Cifar10.archive.name).write_bytes(gzip.compress(file.getvalue()))
    return folder / Cifar10.archive.name


def recording(folder: Path) -> Path:
    return Path(shutil.copy(next(iter(sorted(RECORDINGS.rglob("*.bin")))), folder / "a.bin"))


def series(folder: Path) -> Path:
    draws, rows = np.random.default_rng(0), []
    for number in range(12):
        channels = draws.normal(size=(3, 5 + number)).tolist()
        rows.append(":".join([*(",".join(map(str, channel)) for channel in channels), "ab"[number % 2]]))
    text = "#About\n@problemName A\n@timeStamps false\n@classLabel true a b\n@data\n" + "\n".join(rows)
    (folder / "A_TRAIN.ts").write_text(text, encoding="utf-8")
    return folder / "A_TRAIN.ts"


def wav(folder: Path) -> Path:
    with wave.open(str(folder / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(0).integers(-99, 99, 20).astype("<i2").tobytes())
    return folder / "a.wav"


def images(folder: Path) -> Path:
    for kind in ("PNG", "JPEG", "TIFF", "PPM", "GIF", "BMP", "WEBP"):
        (folder / f"{kind.lower()}.{'jpg' if kind == 'JPEG' else kind.lower()}").write_bytes(image(kind))
    return folder / "png.png"


def journal(folder: Path) -> Path:
    settings = SearchSettings("digits", name="s", folder=folder, trials=4)
    plan = SearchPlan(settings, registry())
    study = create_study(
        settings, plan.objectives, make_sampler(settings, registry()), about(settings, registry(), plan.space)
    )
    record = StudyRecord(study, plan.objectives)
    for number in range(4):
        trial = record.ask()
        record.chosen(trial, plan.space.suggest(trial))
        metrics = {"quality": number / 4, "energy_nj": 10.0 + number}
        record.tell(trial.number, "COMPLETE" if number % 2 else "PRUNED", "", metrics, 1)
    return folder / "s" / "journal.log"


def export(folder: Path) -> Path:
    candidate = from_flat({"task": "digits", "coding": "direct", "backbone": "mlp", "steps": 2}, registry())
    data = registry().task(candidate).search_data(None, 2)
    network = assemble(candidate, registry(), (1, 8, 8), data.outputs)
    write_archive(folder / "net.pt", describe(candidate, data, registry(), metrics={}).to_json(), network.state_dict())
    return folder / "net.pt"


def archive(folder: Path) -> Path:
    tags = {schema.SEARCH: "one", schema.ROLE: "search"}
    trial = tags | {schema.ROLE: "trial", schema.PARENT: "a" * 32, schema.NUMBER: "0", schema.STATE: "COMPLETE"}
    rows = [("quality", number / 50, 10**12 + number, number) for number in range(50)]
    runs = {
        "search": Record("a" * 32, "one", "FINISHED", 10**12, None, {}, tags, ()),
        "0000": Record("b" * 32, "0", "FINISHED", 10**12, 10**12, {"coding": "sac"}, trial, rows),
    }
    files = {"search.json": head_json("one", [*runs])}
    files |= {f"runs/{key}/run.json": run.to_json() for key, run in runs.items()}
    files["runs/0000/artifacts/trial-00000.pt"] = "x" * 500
    (folder / "one.zip").write_bytes(zipped({name: text.encode() for name, text in files.items()}))
    return folder / "one.zip"


def read_images_zip(path: Path) -> object:
    return ImageFolder(ImageFolderConfig(size=8)).search_data(path, 2)


def read_recordings_zip(path: Path) -> object:
    return NMNIST().search_data(path, 2)


def read_recording(path: Path) -> object:
    events = read_40_bit(path.read_bytes(), str(path))
    refuse_outside(events, (34, 34), str(path))
    return [to_frames(events, (34, 34), steps=3, binning=binning) for binning in ("time", "count")]


def read_image(path: Path) -> object:
    return pixels(Folder(path.parent), path.name, 8, 3)


def read_journal(path: Path) -> object:
    return resumed_settings({"resume": path.parent.name, "folder": path.parent.parent}), front_of(path.parent)


@cache
def registry() -> Registry:
    return load_registry(third_parties=False)


def read_export(path: Path) -> object:
    return load(path, registry=registry())


def read_archive(path: Path) -> object:
    with SearchArchive(path) as found:
        for key in found.keys:
            for each in found.artifacts[key]:
                with tempfile.TemporaryDirectory(dir=os.environ["XDG_CACHE_HOME"]) as folder:
                    found.extract(key, each, Path(folder))
        return [found.record(key) for key in found.keys]


FORMATS: dict[str, tuple[Make, Read]] = {
    "images": (images_zip, read_images_zip),
    "recordings": (recordings_zip, read_recordings_zip),
    "idx": (idx, lambda path: FashionMNIST().search_data(path.parent, 2)),
    "tar": (tar, lambda path: Cifar10().search_data(path.parent, 2)),
    "recording": (recording, read_recording),
    "image": (images, read_image),
    "series": (series, read_series),
    "wav": (wav, lambda path: bands(read_wav(path))),
    "journal": (journal, read_journal),
    "export": (export, read_export),
    "archive": (archive, read_archive),
}
"""Of each format: what makes a file that is whole, and what reads it."""


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """Return a file that one to three faults made of another: cut, changed, sizes swapped, pieces moved or doubled."""
    for _ in range(rng.integers(1, 4)):
        size = max(1, len(whole))
        at, other = (int(place) for place in rng.integers(0, size, 2))
        piece = whole[at : at + int(rng.integers(1, 64))]
        kind = int(rng.integers(0, 8))
        if kind == 0:
            whole = whole[:at]
        elif kind == 1:
            whole = whole[:at] + rng.bytes(len(piece)) + whole[at + len(piece) :]
        elif kind == 2:  # a single bit
            whole = (
                whole[:at] + bytes([(whole[at : at + 1] or b"a")[0] ^ (1 << int(rng.integers(0, 8)))]) + whole[at + 1 :]
            )
        elif kind == 3:  # a size
            value = int(rng.choice([0, 1, 255, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1]))
            form = str(rng.choice(["<I", ">I", "<Q", ">Q"]))
            whole = whole[:at] + struct.pack(form, value) + whole[at + struct.calcsize(form) :]
        elif kind == 4:
            whole = whole[:other] + piece + whole[other:]
        elif kind == 5:
            whole = whole[:at] + whole[at + len(piece) :]
        elif kind == 6:  # a number, as text has it
            number = rng.choice([b"-1", b"NaN", b"1e999", b"9" * 5000, b"null", b"[" * 3000, b'"x"', b"{}", b"true"])
            digits = [place for place in range(size) if whole[place : place + 1].isdigit()] or [0]
            place = int(rng.choice(digits))
            whole = whole[:place] + bytes(number) + whole[place + 1 :]
        else:
            whole = whole[at:] + whole[:at]
    return whole


def resealed(name: str, whole: bytes, rng: np.random.Generator) -> bytes:
    """Return a zip whose members are damaged, renamed, links, huge, or twice there, with right checksums."""
    members = {}
    with zipfile.ZipFile(io.BytesIO(whole)) as source:
        for entry in source.namelist():
            members[entry] = source.read(entry)
    chosen = str(rng.choice(list(members)))
    names = [chosen, f"../{chosen}", f"/tmp/{chosen}", chosen.replace("/", "\\"), chosen + "/", "a/" * 500 + chosen,
             "C:" + chosen, "", "\x1b[31m" + chosen, "x" * 60_000, chosen.upper(), f"{chosen}/a"]  # fmt: skip
    content = members.pop(chosen)
    packing = int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    if name == "export":
        packing = zipfile.ZIP_STORED
    kind = int(rng.integers(0, 4))
    content = bytes(1 << 25) if kind == 0 else damaged(content, rng) if kind < 3 else content
    renamed = zipfile.ZipInfo(str(rng.choice(names)) if kind in (2, 3) else chosen)
    renamed.compress_type = packing
    if rng.integers(0, 6) == 0:
        renamed.external_attr = 0o120777 << 16  # a link
        content = b"/etc/passwd"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as target, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each, kept in members.items():
            target.writestr(each, kept)
        target.writestr(renamed, content)
        if kind == 3:
            target.writestr(chosen, content)
    return file.getvalue()


def mutants(name: str, whole: bytes, count: int) -> Iterator[bytes]:
    rng = np.random.default_rng([*name.encode()])
    for number in range(count):
        if zipfile.is_zipfile(io.BytesIO(whole)) and number % 2:
            yield resealed(name, whole, rng)
        elif whole[:2] == b"\x1f\x8b" and number % 2:
            yield gzip.compress(damaged(gzip.decompress(whole), rng), 1)
        else:
            yield damaged(whole, rng)


def listing(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def read_all(name: str, folder: Path, count: int) -> tuple[int, list[str]]:
    """Read damaged files of a format, and return how many were refused, and what went wrong."""
    make, read = FORMATS[name]
    path = make(folder)
    files = [path] if name != "image" else sorted(folder.iterdir())
    refused, wrong = 0, []
    read(path)
    for file in files:
        whole = file.read_bytes()
        for number, mutant in enumerate(mutants(f"{name}{file.name}", whole, count)):
            file.write_bytes(mutant)
            before = listing(folder)
            try:
                read(file)
            except UsageError as error:
                refused += 1
                line = error.on_command_line()
                if not line.isprintable() or len(line) > 3000:
                    wrong.append(f"{file.name} {number}: {line!r:.300}")
            except Exception as error:
                wrong.append(f"{file.name} {number}: {type(error).__name__}: {error}"[:300])
            if listing(folder) != before:
                wrong.append(f"{file.name} {number}: wrote {listing(folder) ^ before}")
        file.write_bytes(whole)
    return refused, wrong


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_read_or_refused_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "cache"):
        (tmp_path / folder).mkdir()
    refused, wrong = read_all(name, tmp_path / "data", COUNT if name != "image" else max(1, COUNT // 3))
    assert wrong == []
    assert refused > 0
    assert {path.name for path in tmp_path.iterdir()} == {"data", "cache"}
