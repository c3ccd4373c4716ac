"""The command line: ``python search.py``, ``spikefront`` and ``python -m spikefront`` are the same."""

from __future__ import annotations

import os
import signal
import sys
from typing import Final, NoReturn

_OF_THE_STORE: Final = ("mlflow", "requests", "sqlalchemy")
"""Packages whose errors, where nothing else handles them, come from an MLflow that went away."""


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 usage, 128 and its number for a signal."""
    from spikefront.commands.app import load_commands
    from spikefront.runners.engine.interruption import Interrupted, exit_code, interruption
    from spikefront.searchspace.secrets import redact_logs

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
        if interrupted.go_on:
            print(interrupted.go_on)
        sys.exit(exit_code(interrupted.number))
    except Exception as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    """Print an error that nobody foresaw, or that of an MLflow that went away, without passwords, and exit with 1."""
    import traceback

    from spikefront.searchspace.secrets import redact

    if type(error).__module__.partition(".")[0] in _OF_THE_STORE:
        reason = " ".join(str(error).split())[:300]
        print(f"spikefront: MLflow failed: {redact(reason)}; give the command again when it answers", file=sys.stderr)
    else:
        sys.stderr.write(redact(traceback.format_exc()))
    sys.exit(1)


if __name__ == "__main__":
    if sys.path[0] == os.path.dirname(os.path.realpath(__file__)):
        del sys.path[0]  # python search.py puts its folder first; nothing is imported by the names of the files there
    main()
