"""Extension of Griffe: functions that are commands, too, as Python calls them.

Their parameters are annotated with flag and help of the command line. Reference shows the types alone, and the help as
documentation of the arguments, as ``help(spikefront.run)`` does.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import griffe

COMMANDS = "spikefront.commands."


class Options(griffe.Extension):
    """Unwraps ``Annotated``, and takes docstrings from the functions themselves, which have the arguments in them."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Change what was read of a function."""
        for parameter in func.parameters:
            parameter.annotation = plain(parameter.annotation)
        home = func.parent
        if func.docstring is None or home is None or not home.is_module or not home.path.startswith(COMMANDS):
            return
        found = getattr(importlib.import_module(home.path), func.name, None)
        func.docstring.value = inspect.getdoc(found) or func.docstring.value


def plain(annotation: Any) -> Any:
    """Return the type of an annotation."""
    if isinstance(annotation, griffe.ExprSubscript) and annotation.canonical_name == "Annotated":
        inside = annotation.slice
        return inside.elements[0] if isinstance(inside, griffe.ExprTuple) else inside
    return annotation
