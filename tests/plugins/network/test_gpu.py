from __future__ import annotations

import pytest
import torch

from spikefront.plugins.network import gpu
from spikefront.plugins.network.recurrence import native

pytest.importorskip("triton", reason="it is published for Linux only")


def test_a_gpu_on_which_kernels_fail_runs_the_torch_form_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    # a CPU is one, unless Triton interprets
    assert gpu._kernels.__wrapped__(torch.device("meta")) is None
    assert "neurons run without kernels for this GPU" in caplog.text


def test_kernels_can_be_forbidden(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("SPIKEFRONT_NATIVE", "0")
    assert gpu._kernels.__wrapped__(torch.device("cpu")) is None
    assert not caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_currents_on_a_gpu_are_taken_by_the_kernels() -> None:
    current = torch.ones(2, 1, 3, device="cuda")
    assert native(current, 2) is not None
    assert native(current.bfloat16(), 2, torch.tensor(0.5, device="cuda")) is not None
    assert native(current.double(), 2) is None
    assert native(current, 3) is None
