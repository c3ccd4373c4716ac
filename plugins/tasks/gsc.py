"""GSC: 35 words of a second each, by thousands of people (Google Speech Commands, version 2), as 101 x 40 mel bands.

Frames of ``plugins.data.speech``: analog values in [0, 1], made once in the node's cache (343 MB of bytes for the
84,843 recordings that train, steps of a third of a decibel). Official: what ``validation_list.txt`` names validates,
what ``testing_list.txt`` names tests, all other recordings train; the lists are by speaker. Background noise is left
out.

Looked for in ``--data-dir`` and its folders ``gsc``, ``speech_commands_v0.02`` and ``SpeechCommands``, as folders
``<word>/*.wav`` beside the lists. **Not run on the real data**: they can't be had where this was written; the tests
write such files.

Source: Warden, "Speech commands: a dataset for limited-vocabulary speech recognition", arXiv:1804.03209. Licence
CC BY 4.0.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from spikefront.plugins import Data, SearchData, Task, hookimpl
from spikefront.plugins.data.cache import cached, mapped, new_array
from spikefront.plugins.data.recordings import folder_fingerprint
from spikefront.plugins.data.speech import BANDS, FRAMES, bands, read_wav
from spikefront.searchspace import UsageError, Value

FOLDERS: Final = ("gsc", "speech_commands_v0.02", "SpeechCommands")
LISTS: Final = {"validation": "validation_list.txt", "test": "testing_list.txt"}
_FORMAT: Final = 1
_SEED: Final = 0


def find(data_dir: Path | None) -> Path:
    """Return the folder that has the lists.

    Raises:
        UsageError: when there is none.
    """
    source = "unpack the published speech_commands_v0.02.tar.gz"
    if data_dir is None:
        raise UsageError(f"task 'gsc': give --data-dir the folder with {LISTS['validation']} and the words; {source}")
    for folder in (data_dir, *(data_dir / name for name in FOLDERS)):
        if all(os.path.isfile(folder / name) for name in LISTS.values()):
            return folder
    lists = " and ".join(LISTS.values())
    raise UsageError(f"--data-dir {data_dir}: no {lists} there, nor in its folder {' or '.join(FOLDERS)}; {source}")


def parts(folder: Path) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return the recordings of each split, ``word/name.wav``, sorted, and the words.

    Raises:
        UsageError: when a list names a recording that is not there, or there are less than two words.
    """
    found = sorted(f"{path.parent.name}/{path.name}" for path in folder.glob("[!_.]*/*.wav"))
    words = tuple(sorted({name.partition("/")[0] for name in found}))
    if len(words) < 2:
        raise UsageError(f"{folder}: no recordings <word>/<name>.wav of two words or more")
    known = set(found)
    splits: dict[str, list[str]] = {}
    for split, name in LISTS.items():
        try:
            named = set((folder / name).read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{folder / name}: not readable ({error})") from error
        if missing := sorted(named - known):
            raise UsageError(f"{folder / name}: {missing[0]} is not in the folder; unpack the archive again")
        splits[split] = sorted(named)
    held_out = {*splits["validation"], *splits["test"]}
    splits["train"] = [name for name in found if name not in held_out]
    for split, names in splits.items():
        if not names:
            raise UsageError(f"{folder}: no recording is left for the {split} split")
    return splits, words


class GSC(Task):
    """Spoken words as 101 frames of 40 mel bands (Google Speech Commands, version 2); classification."""

    name = "gsc"
    inputs = "sequences"
    layout = "sequences"
    length = FRAMES
    mapped = True
    held_out = "what the official validation_list.txt names, of speakers that do not train"

    def files(self, data_dir: Path | None) -> Sequence[Path]:
        return (find(data_dir),)

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        folder = self._cached(find(data_dir), ("train", "validation"))
        classes = tuple(json.loads((folder / "classes.json").read_text(encoding="utf-8")))
        return SearchData(_read(folder, "train"), _read(folder, "validation"), len(classes), classes)

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return _read(self._cached(find(data_dir), ("test",)), "test")

    def prepare(self, batch: Tensor) -> Tensor:
        return batch.float() / 255

    def _cached(self, folder: Path, splits: Sequence[str]) -> Path:
        def make(to: Path) -> None:
            names, words = parts(folder)
            for split in splits:
                _write(folder, names[split], words, to, split)
            (to / "classes.json").write_text(json.dumps(words), encoding="utf-8")

        key: dict[str, Value] = {"format": _FORMAT, "source": folder_fingerprint(folder), "parts": ",".join(splits)}
        return cached(f"{self.name}-bands", key, make)


def _write(folder: Path, names: Sequence[str], words: tuple[str, ...], to: Path, split: str) -> None:
    """Write the bands of a split, as bytes, and its targets, in an order of which any part has all words."""
    order = np.random.default_rng(_SEED).permutation(len(names))
    array = new_array(to / f"{split}-inputs.npy", (len(names), FRAMES, BANDS), "u1")
    targets = np.empty(len(names), np.int64)
    for place, number in enumerate(order.tolist()):
        array[place] = np.rint(255 * bands(read_wav(folder / names[number])))
        targets[place] = words.index(names[number].partition("/")[0])
    array.flush()
    np.save(to / f"{split}-targets.npy", targets)


def _read(folder: Path, split: str) -> Data:
    return Data(mapped(folder / f"{split}-inputs.npy"), torch.from_numpy(np.load(folder / f"{split}-targets.npy")))


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(GSC)
