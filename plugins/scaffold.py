"""Packages of one plugin, as ``spikefront new-plugin`` writes them: made from a template of the plugin's kind.

A template is a plugin file that works, ``plugins/templates/KIND.py``, in which the plugin is called ``my-KIND``, and
what is named after it ``MyKind``, ``my_kind`` and ``MY_KIND``. A new kind needs such a file, and nothing here.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Final

from spikefront.plugins.kinds import PluginKind

TEMPLATES: Final = Path(__file__).parent / "templates"
"""Folder of the templates."""
_AROUND: Final = TEMPLATES / "package"
"""What stands around the plugin; its tests are written as for ``my-coding``."""


@dataclass(frozen=True)
class Package:
    """A package of one plugin, which is yet to be written.

    Attributes:
        kind: kind of the plugin.
        name: name of the plugin: words of small letters and digits, joined by ``-``.
    """

    kind: PluginKind
    name: str

    @property
    def distribution(self) -> str:
        """Name of the package, and of its folder."""
        return f"spikefront-{self.name}"

    @property
    def module(self) -> str:
        """Module of the plugin."""
        return _snake(self.distribution)

    @property
    def search(self) -> str:
        """Command that searches with the plugin."""
        task = "" if self.kind.family == "task" else "--task digits "
        return f"spikefront run {task}{self.kind.asked(self.name)}"

    @property
    def files(self) -> dict[str, str]:
        """Content of each file, by its path in the folder of the package."""
        return {
            f"{self.module}.py": _replaced(self._template, self._identifiers),
            f"tests/test_{_snake(self.name)}.py": self._tests(),
            "pyproject.toml": self._filled("project.toml"),
            "README.md": self._filled("README.md"),
            ".github/workflows/test.yml": (_AROUND / "test.yml").read_text(encoding="utf-8"),
        }

    @cached_property
    def _template(self) -> str:
        return (TEMPLATES / f"{self.kind.name}.py").read_text(encoding="utf-8")

    @cached_property
    def _identifiers(self) -> dict[str, str]:
        """Names in the code by those in the template: none is that of anything else there, or of Python."""
        own, short = _forms(f"my-{self.kind.name}"), _forms(self.name)
        words = set(_names(ast.parse(self._template)))
        mine = {word for word in words if word.startswith(own)}
        renamed = {_replaced(word, dict(zip(own, short, strict=True))) for word in mine}
        hides = renamed & {*keyword.kwlist, *dir(builtins), *(words - mine)}
        new = _forms(f"{self.name}-{self.kind.name}") if hides else short
        return {f"my-{self.kind.name}": self.name, **dict(zip(own, new, strict=True))}

    def _tests(self) -> str:
        """Return the contract tests of the plugin."""
        camel, *_ = _forms(self.name)
        (registered,) = re.findall(r"^    register\((\w+)\)$", self._template, re.MULTILINE)
        renamed = {
            "spikefront.plugins.templates.coding": self.module,
            "TestMyCoding": f"Test{camel}",
            "MyCoding": _replaced(registered, self._identifiers),
            "CodingContract": f"{self.kind.contract.__name__}Contract",
            "my-coding": self.name,
            "every coding": f"every {self.kind}",
        }
        return _replaced((_AROUND / "contract.py").read_text(encoding="utf-8"), renamed)

    def _filled(self, file: str) -> str:
        """Return a file in which ``$name``, ``$kind`` and the like stand for those of the plugin."""
        words = {
            "name": self.name,
            "kind": self.kind.name,
            "title": str(self.kind),
            "distribution": self.distribution,
            "module": self.module,
            "test": f"test_{_snake(self.name)}",
            "search": self.search,
        }
        return Template((_AROUND / file).read_text(encoding="utf-8")).substitute(words)


def _names(tree: ast.AST) -> Iterator[str]:
    """Yield what a module names: variables, arguments, functions, classes, and what it imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name


def _snake(name: str) -> str:
    return name.replace("-", "_")


def _forms(name: str) -> tuple[str, str, str]:
    """Return a name as a class, a function and a constant have it."""
    camel = "".join(word[:1].upper() + word[1:] for word in name.split("-"))
    return camel, _snake(name), _snake(name).upper()


def _replaced(text: str, new: Mapping[str, str]) -> str:
    """Return text with each of some words replaced, the longest first, where a name begins with it."""
    pattern = "|".join(map(re.escape, sorted(new, key=len, reverse=True)))
    return re.sub(rf"\b(?:{pattern})", lambda found: new[found[0]], text)
