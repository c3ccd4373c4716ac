"""Names for the content of data, by all of their bytes."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spikefront.plugins.data import cache, digest
from spikefront.plugins.data.cache import file_of, mapped
from spikefront.plugins.data.digest import digest_of, file_digest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "inputs.npy"
    np.save(path, np.arange(120, dtype=np.uint8).reshape(30, 4))
    return path


def test_equal_tensors_have_one_name_and_a_changed_element_another() -> None:
    values = torch.arange(10_000, dtype=torch.float32).reshape(100, 100)
    name = digest_of(values)
    assert digest_of(values.clone()) == digest_of(values.clone()[:, torch.arange(100)]) == name
    for place in (0, 7_777, 9_999):
        other = values.clone()
        other.view(-1)[place] += 1
        assert digest_of(other) != name
    assert digest_of(values.T) != name
    assert digest_of(values.reshape(50, 200)) != name
    assert digest_of(values.double()) != name
    assert digest_of(torch.tensor(3)) != digest_of(torch.tensor(4))
    assert digest_of(torch.zeros(0, 3)) != digest_of(torch.zeros(0, 4))


def test_data_larger_than_a_piece_are_hashed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.arange(1000, dtype=torch.int64)
    name = digest_of(values)
    monkeypatch.setattr(digest, "_PIECE", 48)  # six elements
    assert digest_of(values.clone()) == name


def test_a_tensor_is_hashed_once_until_it_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []
    update = digest._update

    def counted(whole: object, tensor: Tensor) -> None:
        hashed.append(len(tensor))
        update(whole, tensor)  # type: ignore[arg-type]

    monkeypatch.setattr(digest, "_update", counted)
    labels = torch.arange(50)
    name = digest_of(labels)
    assert digest_of(labels) == name
    assert hashed == [50]
    labels[3] = 7
    assert digest_of(labels) != name
    assert hashed == [50, 50]
    number = id(labels)
    assert number in digest._known
    del labels
    gc.collect()
    assert number not in digest._known  # whatever else an earlier test left to be collected


def test_a_mapped_tensor_is_known_by_its_file_for_as_long_as_it_lives(file: Path) -> None:
    tensor = mapped(file)
    part = tensor[3:9]
    assert file_of(tensor) == file_of(part) == file
    assert file_of(tensor.clone()) is None
    place = tensor.data_ptr()
    del tensor
    gc.collect()
    assert file_of(part) == file
    del part
    gc.collect()
    assert place not in cache._mapped


def test_a_mapped_file_is_read_once_on_a_node(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, part = digest_of(mapped(file)), digest_of(mapped(file)[:7])
    assert name != part != digest_of(mapped(file)[1:8])
    monkeypatch.setattr(digest, "_computed", lambda path: pytest.fail("it was hashed again"))
    assert digest_of(mapped(file)) == name  # as another process would
    assert digest_of(mapped(file)[:7]) == part


def test_a_mapped_file_that_has_changed_is_hashed_anew(file: Path) -> None:
    name = digest_of(mapped(file))
    values = np.load(file)
    values[29, 3] += 1
    np.save(file, values)
    os.utime(file, ns=(1, 1))
    assert digest_of(mapped(file)) != name
    file.with_name("inputs.npy.sha256").write_text("damaged")
    values[29, 3] -= 1
    np.save(file, values)
    assert digest_of(mapped(file)) == name


def test_what_is_written_to_a_mapped_tensor_counts(file: Path) -> None:
    tensor = mapped(file)
    name = digest_of(tensor)
    tensor[5, 0] = 99
    assert digest_of(tensor) not in (name, digest_of(mapped(file)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_cache_that_cannot_be_written_to_is_hashed_all_the_same(file: Path) -> None:
    writable = file_digest(file)
    file.with_name("inputs.npy.sha256").unlink()
    file.parent.chmod(0o500)
    try:
        assert file_digest(file) == writable
    finally:
        file.parent.chmod(0o700)
