"""What scaling a folder of images, and training on it, takes of the memory: no more than one batch, however many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MIB = 2**20
SIZE, CLASSES, EACH = 224, 4, 500

SCRIPT = """
import sys, threading, torch
from pathlib import Path
from spikefront.plugins.tasks.image_folder import ImageFolder, ImageFolderConfig

def own_memory():  # what is neither a file's nor shared
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024

def watch():
    while not ended.wait(0.01):
        seen.append(own_memory())

seen, ended = [], threading.Event()
torch.zeros(1)
ImageFolder.prepare(ImageFolder(), torch.zeros(1, 3, 8, 8))
before = own_memory()
thread = threading.Thread(target=watch)
thread.start()
data = ImageFolder(ImageFolderConfig(size=int(sys.argv[2]))).search_data(Path(sys.argv[1]), 1)
total = 0
for index in torch.randperm(len(data.train)).split(32):
    total += int(data.train.inputs[index].numpy().sum())
ended.set()
thread.join()
print(max(seen) - before, data.train.inputs.nbytes, data.validation.inputs.nbytes, total)
"""


@pytest.mark.slow
def test_scaling_and_reading_take_a_bounded_memory(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for label in range(CLASSES):
        (tmp_path / "images" / str(label)).mkdir(parents=True)
        for number in range(EACH):
            image = Image.fromarray(generator.integers(0, 256, (24, 24, 3), dtype=np.uint8))
            image.save(tmp_path / "images" / str(label) / f"{number}.png")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "images"), str(SIZE)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    taken, train, validation, total = map(int, done.stdout.split())
    print(f"{train + validation} bytes of pixels took {taken} bytes of memory")
    assert train + validation == CLASSES * EACH * 8 // 10 * 3 * SIZE * SIZE  # without the test split
    assert train + validation > 200 * MIB
    assert total > 100 * train  # noise has a mean of 127.5: the pixels are there, and were read
    assert taken < 40 * MIB
