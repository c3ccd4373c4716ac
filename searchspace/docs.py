"""Documentation strings below the fields of a class, which Python keeps only in the source."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise


def attribute_docs(declaration: type) -> dict[str, str]:
    """Return the string below each field by name, inherited ones included; empty where there is no source."""
    docs: dict[str, str] = {}
    for base in reversed(declaration.__mro__):
        docs.update(_own_attribute_docs(base))
    return docs


def _own_attribute_docs(declaration: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(declaration)))
    except (OSError, TypeError):  # defined at a prompt: there is no source to read
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    docs = {}
    for field, text in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            docs[field.target.id] = " ".join(str(text.value.value).split())
    return docs
