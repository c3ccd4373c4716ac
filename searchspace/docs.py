"""Documentation strings below the fields of a class, which Python keeps only in the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where statements hold others."""


def attribute_docs(declaration: type) -> dict[str, str]:
    """Return the string below each field by name, inherited ones included; empty where there is no source."""
    docs: dict[str, str] = {}
    for base in reversed(declaration.__mro__):
        file = getattr(sys.modules.get(base.__module__), "__file__", None)
        if file is not None and base.__module__ != "builtins":
            docs.update(_docs_of_file(file).get(base.__qualname__, {}))
    return docs


@cache
def _docs_of_file(file: str) -> dict[str, dict[str, str]]:
    """Return the docs of the classes in a file by qualified name; one parse serves them all."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):  # compiled, or gone
        return {}
    return {name: _docs_of(node) for name, node in _classes(tree, "")}


def _classes(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield the classes that are declared in a statement, with qualified names; no expression declares one."""
    for block in _BLOCKS:
        for child in getattr(node, block, ()):
            if isinstance(child, ast.ClassDef):
                yield prefix + child.name, child
                yield from _classes(child, f"{prefix}{child.name}.")
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from _classes(child, f"{prefix}{child.name}.<locals>.")
            else:
                yield from _classes(child, prefix)


def _docs_of(declaration: ast.ClassDef) -> dict[str, str]:
    docs = {}
    for field, text in pairwise(declaration.body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            docs[field.target.id] = " ".join(str(text.value.value).split())
    return docs
