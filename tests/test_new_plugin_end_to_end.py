"""From ``spikefront new-plugin`` to a search with the new plugin, in an environment of its own, by the clock."""

from __future__ import annotations

import shlex
import site
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from spikefront.plugins import KINDS
from spikefront.plugins.scaffold import Package

MOST_S: Final = 180.0

SCRIPT: Final = """
set -euo pipefail
{python} -m spikefront new-plugin {kind} {name}
{python} -m venv --without-pip fresh
echo "import site; list(map(site.addsitedir, {packages!r}))" > here.pth
mv here.pth fresh/lib/python*/site-packages/
export PATH="$PWD/fresh/bin:$PATH"
cd spikefront-{name}
python -m pip install --quiet --no-index --no-build-isolation --editable . --group test
python -m pytest --quiet
cd ..
python -m spikefront plugins --kind {kind} --format csv
python -m spikefront {search} --trials 2 --epochs 2 --set backbone={backbone} --workers 1
python -m spikefront pareto --format csv
"""
"""The packages of this environment are those of the new one, which has no other and asks no registry for any."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_is_installed_tested_and_searched_within_three_minutes(kind: str, tmp_path: Path) -> None:
    package = Package(KINDS[kind], f"brand-new-{kind}")
    script = SCRIPT.format(
        kind=kind,
        name=package.name,
        python=shlex.quote(sys.executable),
        packages=site.getsitepackages(),
        search=package.search.removeprefix("spikefront "),
        backbone=package.name if kind == "backbone" else "mlp",
    )
    start = time.monotonic()

    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=MOST_S)

    seconds = time.monotonic() - start
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"\n{kind},{package.name}," in done.stdout
    assert "passed" in done.stdout
    assert "2 judged, 0 failed" in done.stdout
    assert seconds < MOST_S
    print(f"{kind}: {seconds:.0f} s")
