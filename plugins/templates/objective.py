"""An objective: synaptic operations per parameter of a sample, that is how often each weight is used.

Write here what yours measures, in which unit, and why its best and worst values are what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spikefront.plugins import Objective, hookimpl


def my_objective(metrics: Mapping[str, float]) -> float:
    """Return the synaptic operations per parameter.

    Args:
        metrics: what is measured of a network after an epoch, by name; see docs/mlflow.md for the names.

    Example:
        >>> my_objective({"sops": 1000.0, "parameters": 500.0})
        2.0
    """
    return metrics["sops"] / metrics["parameters"]


MY_OBJECTIVE = Objective(
    "my_objective_value",
    maximize=False,
    worst=1e4,
    best=1e-2,
    log=True,
    name="my-objective",
    title="synaptic operations per parameter",
    measure=my_objective,
)


@hookimpl
def register_objectives(register: Callable[[Objective], None]) -> None:
    register(MY_OBJECTIVE)
