"""The cluster files in examples/cluster are what Ray and Kubernetes take."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError  # type: ignore[import-untyped]
from ray.autoscaler._private.util import prepare_config, validate_config

from spikefront.commands.app import load_commands

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "cluster"


def aws() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / "aws.yaml").read_text(encoding="utf-8"))
    return read


def test_the_cluster_launcher_takes_the_aws_file() -> None:
    validate_config(prepare_config(aws()))
    with pytest.raises(ValidationError, match="'head_type' was unexpected"):
        validate_config(prepare_config({**aws(), "head_type": "head"}))


def test_files_that_are_copied_to_the_nodes_are_those_of_this_release() -> None:
    copied = aws()["file_mounts"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    release = re.search(r'^version = "(.+)"$', project, flags=re.MULTILINE)
    assert release is not None
    assert f"dist/spikefront-{release[1]}-py3-none-any.whl" in copied.values()
    assert (ROOT / copied["/tmp/constraints.txt"]).exists()
    installed = next(line for line in aws()["setup_commands"] if "pip install" in line)
    assert all(path in installed for path in copied)


def test_pods_share_the_folder_and_have_room_for_the_data() -> None:
    claim, cluster = yaml.safe_load_all((FOLDER / "kuberay.yaml").read_text(encoding="utf-8"))
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"], "every pod writes"
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        mounted = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert mounted["searches"] == "/shared"
        assert volumes["searches"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert mounted.keys() == volumes.keys()
    assert all("shm" in {v["name"] for v in g["template"]["spec"]["volumes"]} for g in groups[1:])


@pytest.mark.parametrize("name", ["aws.yaml", "kuberay.yaml"])
def test_the_ray_that_is_named_is_the_one_that_is_tested(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert set(re.findall(r"ray\D{0,12}(\d+\.\d+\.\d+)", text)) - {"0.1.0"} == {version("ray")}


@pytest.mark.parametrize("path", [*FOLDER.glob("*.yaml"), ROOT / "docs" / "scaling.md"], ids=lambda path: path.name)
def test_commands_that_are_shown_have_only_flags_that_exist(path: Path) -> None:
    from typer.main import get_command

    run = get_command(load_commands()).commands["run"]  # type: ignore[attr-defined]
    known = {option for parameter in run.params for option in parameter.opts}
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    shown = [line for line in text.splitlines() if "spikefront run " in line]
    assert shown
    for line in shown:
        assert set(re.findall(r"--[a-z-]+", line.partition("spikefront run ")[2])) <= known, line
