from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spikefront.plugins import Signal
from spikefront.plugins.loose import load_file
from spikefront.plugins.places import place_of, traceback_of


def raised(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # of any type: only its place matters
        call()
    return caught.value


PLUGIN = """
import torch

def adds():
    return torch.zeros(2) + torch.zeros(3)

def deep(depth):
    if depth == 0:
        raise ValueError("deep")
    deep(depth - 1)
"""


def test_error_in_torch_is_that_of_the_plugins_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    assert place_of(raised(load_file(tmp_path / "mine.py").adds)) == "mine.py:5"


def test_error_that_a_plugin_meets_in_our_code_is_that_of_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def calls(ours):\n    return ours(None)\n")
    mine = load_file(tmp_path / "mine.py")
    assert place_of(raised(lambda: mine.calls(Signal.decoded))) == "mine.py:2"


def test_error_in_our_code_alone_has_its_line_unless_plugins_alone_count(tmp_path: Path) -> None:
    error: BaseException | None = None
    try:
        Signal.decoded(None)  # type: ignore[arg-type]
    except AttributeError as caught:
        error = caught.with_traceback(caught.__traceback__.tb_next if caught.__traceback__ else None)
    assert error is not None
    assert place_of(error).startswith("signal.py:")
    assert place_of(error, users=True) == ""


def test_error_of_syntax_is_where_the_parser_stopped(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1\ndef broken(:\n")
    assert place_of(raised(lambda: load_file(tmp_path / "mine.py"))) == "mine.py:2"


def test_error_that_was_never_raised_has_no_place() -> None:
    assert place_of(ValueError("x")) == ""


def test_long_traceback_keeps_its_innermost_part(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    text = traceback_of(raised(lambda: load_file(tmp_path / "mine.py").deep(3)))
    assert text.startswith("Traceback")
    assert text.endswith('raise ValueError("deep")\nValueError: deep\n')
    error = ValueError("x" * 50_000)
    assert len(traceback_of(error)) < 17_000
