"""Your own data: two arrays make a task. Here 13 measurements of 178 wines, whose three growers are the classes."""

from __future__ import annotations

from collections.abc import Callable

from spikefront.plugins import Task, array_task, hookimpl


def read() -> tuple[object, object]:
    """Chemical analysis of wines from three growers (scikit-learn); classification."""
    from sklearn.datasets import load_wine  # here, as every command loads this file

    wines = load_wine()
    return wines.data, wines.target


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(array_task("wine", read))
