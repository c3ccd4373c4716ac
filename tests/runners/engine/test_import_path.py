"""Where the processes of a search import from: never from the driver's current folder, unless the user names it."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest
import ray

from spikefront.runners.engine.import_path import import_path
from spikefront.runners.engine.placing.session import RaySession
from spikefront.runners.engine.settings import SearchSettings


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Three folders, of which the driver's current one and that of its script come first in its ``sys.path``."""
    found = {name: tmp_path / name for name in ("current", "script", "library")}
    for folder in found.values():
        folder.mkdir()
    monkeypatch.chdir(found["current"])
    monkeypatch.setattr(sys, "path", ["", *map(str, found.values()), *sys.path])
    main = types.ModuleType("__main__")
    main.__file__ = str(found["script"] / "mine.py")
    monkeypatch.setitem(sys.modules, "__main__", main)
    return {name: str(folder) for name, folder in found.items()}


@pytest.mark.parametrize(
    ("python_path", "kept"),
    [
        (None, {"library"}),
        ("", {"library"}),
        (f"{os.pathsep}/else", {"library"}),
        ("{current}", {"current", "library"}),
        ("{script}", {"script", "library"}),
        (".", {"current", "library"}),
    ],
)
def test_only_what_python_put_first_by_itself_is_left_out(
    python_path: str | None, kept: set[str], folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sys.path[4:]
    if python_path is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", python_path.format(**folders))
    found = import_path()
    assert {name for name, folder in folders.items() if folder in found} == kept
    assert found[-len(before) :] == before


def test_a_module_that_python_runs_is_no_script(folders: dict[str, str]) -> None:
    """``python -m ipykernel_launcher`` is in site-packages, which has to stay."""
    sys.modules["__main__"].__spec__ = types.SimpleNamespace(name="mine")  # type: ignore[assignment]
    assert folders["script"] in import_path()


@pytest.mark.slow
def test_workers_import_what_pythonpath_names_and_nothing_of_the_current_folder(
    shadowed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "of_the_user.py").write_text("value = 7")
    (shadowed / "only_here.py").touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(library)]))

    def look() -> tuple[int, list[str], str]:
        import importlib.util

        import of_the_user  # type: ignore[import-not-found]
        import torch

        found = importlib.util.find_spec("only_here")
        return of_the_user.value, [] if found is None else [str(found.origin)], torch.__version__

    with RaySession(SearchSettings("digits", name="s", folder=tmp_path, workers=1)) as session:
        session.wait()
        value, shadows, version = ray.get(ray.remote(look).remote())
    assert (value, shadows) == (7, [])
    assert version
    assert os.environ["PYTHONPATH"] == os.pathsep.join(["", str(library)])
