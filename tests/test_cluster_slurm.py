"""The Slurm script, Dockerfile and conda environment among the examples name what exists; the script runs a search."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from spikefront.runners.engine.settings import SearchSettings

ROOT: Final = Path(__file__).parents[1]
SLURM: Final = ROOT / "examples/cluster/slurm.sh"
DOCKERFILE: Final = (ROOT / "examples/Dockerfile").read_text(encoding="utf-8")


def test_slurm_script_is_bash_and_its_options_are_those_of_a_search() -> None:
    text = SLURM.read_text(encoding="utf-8")
    flags = re.findall(r"(?<=[ (])--([a-z-]+)(?= \"\$S|=| \"\$host)", text)

    subprocess.run(["bash", "-n", str(SLURM)], check=True, timeout=10)
    assert os.access(SLURM, os.X_OK)
    own = {name.replace("_", "-") for name in SearchSettings.__dataclass_fields__}
    assert {"resume", "name", "address", "folder", "workers"} <= {*flags} & (own | {"resume", "address"})
    lines = re.findall(r"^#SBATCH (--[a-z-]+)", text, flags=re.MULTILINE)
    assert {"--array", "--requeue", "--open-mode"} <= {*lines}


@pytest.mark.slow
def test_slurm_script_searches_with_two_tasks_and_ends_all_that_it_began(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    options = "--task digits --trials 2 --epochs 2 --set backbone=mlp --set coding=direct,latency"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_ARRAY_TASK_COUNT": "2",
        "SLURM_CPUS_PER_TASK": "1",
        "RAY_PORT": "6399",
        "SPIKEFRONT_OPTIONS": options,
    }
    tasks: list[subprocess.Popen[bytes]] = []
    try:
        for number in ("1", "0"):  # a worker may come first
            own = environment | {"SLURM_ARRAY_TASK_ID": number}
            with (tmp_path / f"{number}.log").open("wb") as log:
                tasks.append(
                    subprocess.Popen(
                        ["bash", str(SLURM)], cwd=tmp_path, env=own, stdout=log, stderr=log, process_group=0
                    )
                )
        codes = [task.wait(timeout=240) for task in reversed(tasks)]
    finally:
        for task in tasks:
            if task.poll() is None:
                os.killpg(task.pid, signal.SIGTERM)
    asked = [sys.executable, "-m", "spikefront", "pareto", "77", "--format", "json"]
    front = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert codes[0] == 0, (tmp_path / "0.log").read_text()
    assert json.loads(front.stdout)
    assert (tmp_path / "searches/slurm-77.ended").exists()
    assert not (tmp_path / "searches/slurm-77.address").exists()


def test_dockerfile_copies_what_exists_and_installs_at_the_known_versions() -> None:
    copied = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--from)", line)]
    images = re.findall(r"^FROM python:(3\.\d+)", DOCKERFILE, flags=re.MULTILINE)

    assert [name for names in copied for name in names if not (ROOT / name).exists()] == []
    assert "--constraint /tmp/constraints.txt" in DOCKERFILE
    assert {*images} == {"3.11"}
    assert 'ENTRYPOINT ["spikefront"]' in DOCKERFILE
    ignored = (ROOT / "examples/Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert {".venv", ".git", "searches"} <= {*ignored}


def test_conda_environment_installs_this_checkout_at_the_known_versions() -> None:
    file = ROOT / "examples/environment.yml"
    environment: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    (by_pip,) = [each["pip"] for each in environment["dependencies"] if isinstance(each, dict)]
    paths = [(file.parent / line.split()[1]).resolve() for line in by_pip]

    assert "python=3.11" in environment["dependencies"]
    assert [line.split()[0] for line in by_pip] == ["--constraint", "--editable"]
    assert paths == [ROOT / "constraints.txt", ROOT]
