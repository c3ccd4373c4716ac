from __future__ import annotations

import threading
import time

import pytest

from spikefront.results.store.writer import Job, Writer


def retry_always(error: Exception, tried: int) -> bool:
    return True


def retry_never(error: Exception, tried: int) -> bool:
    return False


def nothing() -> Job | None:
    return None


def test_jobs_are_done_in_order_in_another_thread() -> None:
    done: list[tuple[int, int]] = []
    writer = Writer(retry_never, nothing, 1.0)
    for number in range(100):
        writer.put(f"job {number}", lambda number=number: done.append((number, threading.get_ident())))  # type: ignore[misc]
    writer.close()
    assert [number for number, _ in done] == list(range(100))
    assert threading.get_ident() not in {thread for _, thread in done}
    assert writer.lost == []


def test_a_failing_job_is_tried_again_before_the_next_is_begun() -> None:
    done: list[str] = []

    def flaky() -> None:
        done.append("try")
        if len(done) < 3:
            raise OSError("away")

    writer = Writer(retry_always, nothing, 10.0)
    writer.put("flaky", flaky)
    writer.put("next", lambda: done.append("next"))
    writer.close()
    assert done == ["try", "try", "try", "next"]
    assert writer.lost == []


def test_a_job_that_is_not_worth_it_is_reported_and_the_next_is_done() -> None:
    done: list[str] = []

    def bad() -> None:
        raise ValueError("two\nlines")

    writer = Writer(retry_never, nothing, 10.0)
    writer.put("bad", bad)
    writer.put("next", lambda: done.append("next"))
    writer.close()
    assert done == ["next"]
    assert writer.lost == ["bad"]
    assert writer.error == "ValueError: two lines"


def test_patience_ends_and_what_is_left_is_reported() -> None:
    def away() -> None:
        raise OSError("away")

    writer = Writer(retry_always, nothing, 0.5)
    for number in range(3):
        writer.put(f"job {number}", away)
    start = time.monotonic()
    writer.close()
    assert 0.5 <= time.monotonic() - start < 3.0
    assert writer.lost == ["job 0", "job 1", "job 2"]


def test_putting_does_not_wait_for_a_job_that_hangs() -> None:
    release = threading.Event()
    writer = Writer(retry_never, nothing, 1.0)
    writer.put("slow", lambda: pytest.fail("not released") if not release.wait(10) else None)
    start = time.monotonic()
    for number in range(1_000):
        writer.put(f"job {number}", lambda: None)
    assert time.monotonic() - start < 0.5
    release.set()
    writer.close()
    assert writer.lost == []


def test_spare_work_comes_when_nothing_waits_and_before_the_end() -> None:
    done: list[str] = []
    spare = [Job("spare 1", lambda: done.append("spare 1")), Job("spare 2", lambda: done.append("spare 2"))]
    gate = threading.Event()
    writer = Writer(retry_never, lambda: spare.pop(0) if spare and gate.is_set() else None, 1.0)
    for number in range(3):
        writer.put("job", lambda number=number: done.append(f"job {number}"))  # type: ignore[misc]
    writer.put("gate", gate.set)
    writer.close()
    assert done == ["job 0", "job 1", "job 2", "spare 1", "spare 2"]


def test_a_job_may_put_further_ones_while_closing() -> None:
    done: list[str] = []
    writer = Writer(retry_never, nothing, 1.0)
    writer.put("first", lambda: writer.put("second", lambda: done.append("second")))
    writer.close()
    assert done == ["second"]
