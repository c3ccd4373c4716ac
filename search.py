"""The command line: ``python search.py``, ``spikefront`` and ``python -m spikefront`` are the same."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 usage."""
    from spikefront.commands.app import load_commands

    try:
        load_commands(sys.argv[1:])()
    except ValueError as error:
        from spikefront.searchspace.errors import UsageError
        from spikefront.searchspace.secrets import redact

        if isinstance(error, UsageError):
            print(f"spikefront: {redact(error.on_command_line())}", file=sys.stderr)
            sys.exit(2)
        _print_traceback()
    except KeyboardInterrupt:  # before the first trial; a search that runs takes Ctrl-C itself
        print("spikefront: interrupted", file=sys.stderr)
        sys.exit(1)
    except Exception:
        _print_traceback()


def _print_traceback() -> None:
    """Print the error that nobody foresaw, whose text may quote an address with its password, and exit with 1."""
    import traceback

    from spikefront.searchspace.secrets import redact

    sys.stderr.write(redact(traceback.format_exc()))
    sys.exit(1)


if __name__ == "__main__":
    if sys.path[0] == os.path.dirname(os.path.realpath(__file__)):
        del sys.path[0]  # python search.py puts its folder first; nothing is imported by the names of the files there
    main()
