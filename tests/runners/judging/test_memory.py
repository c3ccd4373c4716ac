"""What a process and its tensors hold, against sizes that arithmetic gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spikefront.runners.judging import memory
from spikefront.runners.judging.memory import MB, LiveBytes, PeakMemory, resident

SIZE = 64 * MB


def touched() -> torch.Tensor:
    return torch.ones(SIZE // 4)


@pytest.fixture(params=["kernel", "sampler"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Measure as on Linux, and as in a container that does not let its processes ask the kernel."""
    if not resident():
        pytest.skip("this system does not say how much memory is used")
    if request.param == "sampler":
        monkeypatch.setattr(memory, "_CLEAR", tmp_path / "no" / "such" / "file")
        monkeypatch.setattr(memory, "_SAMPLED_S", 0.001)
    return str(request.param)


def test_the_peak_is_that_since_the_beginning(source: str) -> None:
    large = torch.cat([touched(), touched()])
    del large
    measured = PeakMemory()
    before = measured.metrics()["peak_memory_mb"]
    held = touched()
    for _ in range(20):
        held += 1
    during = measured.metrics()["peak_memory_mb"]
    assert 0.9 * SIZE / MB < during - before < 1.5 * SIZE / MB
    del held
    assert measured.metrics()["peak_memory_mb"] >= during - 2  # the kernel counts in batches of pages
    assert PeakMemory().metrics()["peak_memory_mb"] < during - 0.5 * SIZE / MB, source


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_live_bytes_are_those_of_tensors_that_exist(device: str) -> None:
    before = torch.ones(1000, device=device, requires_grad=True)
    with LiveBytes([before]) as live:
        assert before.view(10, 100).T.shape == (100, 10)
        assert live.now == 0
        squared = before * before  # 4,000 bytes; what the product needs for its gradient was there before
        exponential = squared.exp()  # and 4,000, which are needed again
        del squared
        assert live.now == 4000
        exponential.sum().backward()
        del exponential
        assert live.now == 4000  # the gradient
        assert 8000 < live.peak <= 20_000


def test_views_share_the_bytes_of_what_they_show() -> None:
    with LiveBytes() as live:
        whole = torch.zeros(100)
        half = whole[:50]
        del whole
        assert live.now == 400
        del half
        assert live.now == 0
