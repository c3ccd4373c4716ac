"""MLflow's registry of models: a network of a search as a version of a model, with an alias."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from spikefront.results.store.connection import Store
from spikefront.searchspace.errors import UsageError

CHAMPION: Final = "champion"
"""Alias of the version that ``spikefront recommend --register`` has registered last."""
MODEL_FOLDER: Final = "model"
"""Artifact of a trial: its network as an MLflow model."""
_LONGEST: Final = 256


def check_model_name(name: str) -> None:
    """Raise ``UsageError`` for what can't be the name of a registered model."""
    if not name.strip() or set(name) & set("/:.%\"'") or not name.isprintable() or len(name) > _LONGEST:
        raise UsageError(f"--register {name!r} must be a name without any of / : . % and quotes: it names a model")


def register_model(store: Store, run_id: str, model: Path, name: str, about: str) -> str:
    """Add an MLflow model to the run of its trial, register it, and give it the alias ``champion``.

    Args:
        store: where the run is; its registry is MLflow's own of this address.
        run_id: run of the trial.
        model: folder of the model.
        name: name of the registered model; made where there is none.
        about: description of the version.

    Returns:
        Number of the version, from 1.

    Raises:
        MlflowException: as MLflow raises it, such as for a store without a registry.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = store.client.tracking_uri
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.log_artifacts(run_id, str(model), MODEL_FOLDER)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL_FOLDER}"
    version = client.create_model_version(name, source, run_id, description=about)
    client.set_registered_model_alias(name, CHAMPION, version.version)
    return str(version.version)
