"""Export of a network as an MLflow model: a folder that ``mlflow models serve``, ``mlflow.pyfunc`` and registries take.

The folder holds the network in the format ``torch``, its signature, an input example, and what has to be
installed. MLflow loads it by this module, so that nothing is executed but the code that is installed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spikefront.plugins import SearchData
from spikefront.runners.deploy.model import Model, load
from spikefront.runners.deploy.torch_file import write_archive
from spikefront.searchspace.json_values import is_number

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

FOLDERS: Final = "SPIKEFRONT_PLUGINS_DIR"
"""Environment variable with the folders of plugins that a served network needs, as for the command line."""
_FILE: Final = "network.pt"
_EXAMPLES: Final = 2


class Predictor:
    """A network as MLflow calls it.

    Args:
        model: the network.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def predict(self, inputs: NDArray[Any], params: Mapping[str, Any] | None = None) -> NDArray[Any]:
        """Return what ``Model.predict`` does: classes, values or reconstructions.

        Args:
            inputs: raw inputs ``(N, ...)``, as the task's data come.
            params: there are none.
        """
        answers: NDArray[Any] = self._model.predict(inputs).numpy()
        return answers


def _load_pyfunc(path: str) -> Predictor:
    """Load a network for MLflow, which calls this by its name."""
    folders = [folder for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]
    return Predictor(load(path, plugins_dir=folders))


def export_mlflow(model: Model, path: Path, data: SearchData) -> list[str]:
    """Write an MLflow model, and return remarks for its card.

    Args:
        model: the network.
        path: the folder to make.
        data: the task's data; the first two validation samples are the input example.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import pyfunc
    from mlflow.utils.logging_utils import suppress_logs_in_thread

    example = np.ascontiguousarray(data.validation.inputs[:_EXAMPLES].numpy())
    description = model.description
    about = {"candidate": dict(description.candidate), "metrics": _finite(description.metrics)}
    with TemporaryDirectory() as folder, suppress_logs_in_thread():
        write_archive(Path(folder) / _FILE, description.to_json(), model.network.state_dict())
        pyfunc.save_model(
            path,
            loader_module=__name__,
            data_path=str(Path(folder) / _FILE),
            signature=_signature(model, example),
            input_example=example,
            pip_requirements=[_requirement("spikefront"), _requirement("torch")],
            metadata={"spikefront": about},
        )
    loose = sorted(name for name, found in description.plugins.items() if found.startswith("sha256:"))
    used = [name for name in loose if _is_used(name, description.candidate)]
    return [f"It needs the files of {', '.join(used)}: set `{FOLDERS}` to their folder."] if used else []


def _signature(model: Model, example: NDArray[Any]) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    answers = model.predict(example).numpy()
    specs = (TensorSpec(array.dtype, (-1, *array.shape[1:]), name=None) for array in (example, answers))
    taken, given = (Schema([spec]) for spec in specs)
    return ModelSignature(taken, given)


def _is_used(plugin: str, candidate: Mapping[str, Any]) -> bool:
    kind, _, name = plugin.partition(".")
    return name in (candidate.get(kind), candidate.get(f"training.{kind}"))


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if is_number(value) and np.isfinite(value)}


def _requirement(package: str) -> str:
    try:
        return f"{package}=={version(package).partition('+')[0]}"
    except PackageNotFoundError:
        return package
