"""Networks that an earlier version exported are loaded, and predict what they predicted there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import spikefront
from spikefront.searchspace import UsageError

HERE = Path(__file__).parent

PLUGIN = '''"""Arrays that need no file: what the network in older.pt was trained on."""

import numpy as np

from spikefront.plugins import array_task, hookimpl

INPUTS = np.random.default_rng(0).normal(5, [1, 10, 100], (60, 3))


@hookimpl
def register_tasks(register):
    register(array_task("older", lambda: (INPUTS, INPUTS @ [1.0, 0.0, 0.0])))
'''
"""The file with the task, as it was in the plugin folder."""

PREDICTED = [
    5.917232513427734, 4.811286926269531, 5.038438320159912, 5.284115314483643, 4.2913594245910645, 5.029696941375732,
    4.675966262817383, 3.536517858505249, 5.020803451538086, 5.0771989822387695, 4.784932613372803, 5.670170307159424,
]  # fmt: skip
"""What ``predict`` returned there for the test split."""


@pytest.mark.filterwarnings("ignore:.*other versions of its plugins")
def test_a_network_on_arrays_predicts_as_it_did(tmp_path: Path) -> None:
    (tmp_path / "older.py").write_text(PLUGIN, encoding="utf-8")

    model = spikefront.load(HERE / "older.pt", plugins_dir=tmp_path)

    tested = model._task.test_data(None, 4).inputs
    np.testing.assert_allclose(model.predict(tested)[:, 0], PREDICTED, rtol=1e-6)
    assert model.class_names == ()


def test_without_its_scaling_the_plugin_is_needed() -> None:
    with pytest.raises(UsageError, match=r"task 'older' sha256:[0-9a-f]{12} is missing here"):
        spikefront.load(HERE / "older.pt")
