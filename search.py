"""The command line: ``python search.py``, ``spikefront`` and ``python -m spikefront`` are the same."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NoReturn, TextIO, cast

_OF_THE_STORE: Final = ("mlflow", "requests", "sqlalchemy")
"""Packages whose errors, where nothing else handles them, come from an MLflow that went away."""
_OF_OUTPUT: Final = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF)


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 usage, 128 and its number for a signal."""
    with _quiet_until_handled():
        _main()


@contextmanager
def _quiet_until_handled() -> Iterator[None]:
    """End this process without a traceback when Ctrl-C comes before a command handles it."""
    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _main() -> None:
    from spikefront.commands.app import load_commands
    from spikefront.runners.engine.interruption import Interrupted, exit_code, interruption
    from spikefront.searchspace.secrets import redact_logs

    _open_streams()
    redact_logs()
    try:
        with interruption(then=signal.SIG_DFL) as signals:
            try:
                load_commands(sys.argv[1:])()
            except SystemExit:
                if signals.raised is not None:  # Typer makes an exit code of it
                    raise signals.raised from None
                raise
    except ValueError as error:
        from spikefront.searchspace.errors import UsageError
        from spikefront.searchspace.secrets import redact

        if isinstance(error, UsageError):
            print(f"spikefront: {redact(error.on_command_line())}", file=sys.stderr)
            sys.exit(2)
        _fail(error)
    except Interrupted as interrupted:  # a search that has begun ends cleanly instead
        print(f"spikefront: {interrupted}", file=sys.stderr)
        if go_on := interrupted.go_on or _same_command():
            print(go_on)
        sys.exit(exit_code(interrupted.number))
    except Exception as error:
        _fail(error)
    finally:
        _flush()


def _same_command() -> str:
    """Return how a search goes on that was to be resumed, and had not got that far; empty for another command."""
    from spikefront.searchspace.secrets import redacted_command

    resumes = any(word.partition("=")[0] == "--resume" for word in sys.argv[2:])
    return f"go on: {redacted_command(['spikefront', *sys.argv[1:]])}" if resumes else ""


def _fail(error: Exception) -> NoReturn:
    """Print an error that nobody foresaw, or that of an MLflow that went away, without passwords, and exit with 1."""
    import traceback

    from spikefront.searchspace.secrets import redact

    if isinstance(error, OSError) and error.errno in _OF_OUTPUT and error.filename is None:
        print(f"spikefront: the output can't be written: {error.strerror}", file=sys.stderr)
    elif type(error).__module__.partition(".")[0] in _OF_THE_STORE:
        reason = " ".join(str(error).split())[:300]
        print(f"spikefront: MLflow failed: {redact(reason)}; give the command again when it answers", file=sys.stderr)
    else:
        sys.stderr.write(redact(traceback.format_exc()))
    sys.exit(1)


def _open_streams() -> None:
    """Open what a caller closed of stdin, stdout and stderr, or the next file would take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 it stays open
    sys.stderr = cast("TextIO", _Stderr(sys.stderr))


class _Stderr:
    """Stderr whose reader may go away, or whose disk be full: what can't be written is dropped, and ends nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _flush() -> None:
    """Flush what is printed; where nobody reads it any more, Python would say so at its end, and exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    if sys.path[0] == os.path.dirname(os.path.realpath(__file__)):
        del sys.path[0]  # python search.py puts its folder first; nothing is imported by the names of the files there
    main()
