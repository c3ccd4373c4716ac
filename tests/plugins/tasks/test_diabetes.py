from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from spikefront.plugins.tasks.diabetes import Diabetes
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.training import evaluate


def test_files_are_those_of_scikit_learn() -> None:
    inputs, targets = Diabetes.read()
    known, expected = load_diabetes(return_X_y=True, scaled=False)

    assert np.array_equal(inputs, known)
    assert np.array_equal(targets, expected)


def test_every_patient_is_in_one_split() -> None:
    data, test = Diabetes().search_data(None, 4), Diabetes().test_data(None, 4)

    assert [len(part) for part in (data.train, data.validation, test)] == [284, 70, 88]
    rows = np.concatenate([part.inputs for part in (data.train, data.validation, test)])
    assert np.array_equal(np.unique(rows, axis=0), np.unique(Diabetes.read()[0].astype(np.float32), axis=0))
    assert data.outputs == 1


def test_scaling_is_that_of_scikit_learn_fitted_on_the_training_split() -> None:
    task = Diabetes()
    data = task.search_data(None, 4)
    scaler = MinMaxScaler(clip=True).fit(data.train.inputs)

    for part in (data.train, data.validation, task.test_data(None, 4)):
        np.testing.assert_allclose(task.prepare(part.inputs), scaler.transform(part.inputs), atol=1e-6)
    np.testing.assert_allclose(data.train.targets, StandardScaler().fit_transform(data.train.targets), atol=1e-5)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("coding", "neuron"), [("direct", "lif"), ("rate-conversion", "if")])
def test_r2_is_within_5_points_of_ridge_regression(coding: str, neuron: str) -> None:
    task = Diabetes()
    data, test = task.search_data(None, 8), task.test_data(None, 8)
    ridge = Ridge().fit(task.prepare(data.train.inputs), data.train.targets)
    names = {"task": "diabetes", "coding": coding, "neuron": neuron, "backbone": "mlp", "steps": 8}

    found = judge({**names, "training.epochs": 60, "training.optimizer.adam.lr": 0.002}, data=data)

    assert found.metrics["quality"] > ridge.score(task.prepare(data.validation.inputs), data.validation.targets) - 0.05
    tested = evaluate(found.network, task, test)["quality"]
    assert tested > ridge.score(task.prepare(test.inputs), test.targets) - 0.05
