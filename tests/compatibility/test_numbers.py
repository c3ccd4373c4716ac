"""A candidate gives the numbers that it gave in an earlier search, to the last digit, judged outside of any search."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import torch

import spikefront

KNOWN: Final = json.loads(Path(__file__).with_name("numbers.json").read_text(encoding="utf-8"))
PROCESSOR: Final = torch.backends.cpu.get_cpu_capability()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread, as a search's worker does: sums are in the same order then."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.skipif(
    (torch.__version__.partition("+")[0], PROCESSOR) != (KNOWN["torch"], KNOWN["processor"]),
    reason=f"numbers are those of torch {KNOWN['torch']} with {KNOWN['processor']}; others round otherwise",
)
@pytest.mark.parametrize("trial", KNOWN["trials"], ids=lambda trial: trial["candidate"]["coding"])
@pytest.mark.usefixtures("one_thread")
def test_no_number_of_a_candidate_changes(trial: dict[str, Any]) -> None:
    metrics = spikefront.judge(trial["candidate"]).metrics
    assert {name: metrics.get(name) for name in trial["metrics"]} == trial["metrics"]
