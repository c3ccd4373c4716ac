"""Ray's token of this user, without which nobody else may use the processes of a search on this machine."""

from __future__ import annotations

import logging
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_DISABLED: Final = (
    "RAY_AUTH_MODE=disabled: whoever can reach Ray's ports, as other users of this machine can, is able to run code in "
    "your name while the search runs; unset it"
)


def warn_if_disabled() -> None:
    """Log a warning when the user's environment turns Ray's authentication off."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        _log.warning(_DISABLED)


def prepare_token() -> None:
    """Write ``~/.ray/auth_token`` where it is missing, as Ray would, and take the rights of others on it away.

    Ray itself leaves it readable for every user of the machine, and of a cluster that shares the home. A token that the
    user names by ``RAY_AUTH_TOKEN`` or ``RAY_AUTH_TOKEN_PATH`` is used as it is. Where the file can't be written or
    made private, this search gets a token of its own, by its environment.
    """
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    try:
        _prepare_file(Path.home() / ".ray" / "auth_token")
    except (OSError, RuntimeError):  # the latter where no home is known
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _prepare_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_private(path.parent)
    if not path.exists():
        part = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
            with suppress(FileExistsError):  # of a search that starts at the same time: then that is the token
                os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
    _make_private(path)


def _make_private(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        path.chmod(mode & ~_OTHERS)
