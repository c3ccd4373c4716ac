from __future__ import annotations

import numpy as np
import torch

from spikefront.plugins.tasks.mnist1d import MNIST1D, MNIST1DConfig, generated

SHUFFLE = (
    "19 22 4 32 17 18 28 31 11 24 23 7 25 35 34 6 3 13 12 26 1 27 20 10 36 9 37 29 8 30 5 38 16 15 33 39 14 21 0 2"
)


def test_the_data_are_those_of_the_publication() -> None:
    """Numbers of the released code (numpy 2.4, scipy 1.17), to print precision."""
    data = generated()
    assert data.x.shape == (5000, 40)
    np.testing.assert_allclose(data.x[0, :5], [-0.332006, -0.471910, -0.778697, -1.009741, -0.882353], atol=5e-7)
    assert data.y[:10].tolist() == [2, 6, 4, 5, 6, 6, 6, 0, 3, 1]
    assert np.bincount(data.y[4000:]).tolist() == [102, 104, 89, 106, 106, 98, 99, 96, 98, 102]
    assert abs(data.x[:4000].mean() - -0.000323672) < 5e-10
    assert abs(data.x.min() - -5.4794) < 5e-5
    assert abs(data.x.max() - 4.5335) < 5e-5
    assert abs(np.abs(data.x[:4000]).sum() - 118_338.295) < 5e-4
    assert data.order.tolist() == list(map(int, SHUFFLE.split()))


def test_the_shuffled_twin_has_the_points_of_each_sequence_in_another_order() -> None:
    plain, shuffled = (MNIST1D(MNIST1DConfig(shuffled=one)).test_data(None, 40).inputs for one in (False, True))
    order = torch.tensor(generated().order)
    assert torch.equal(shuffled, plain[:, order])


def test_the_last_800_training_sequences_validate() -> None:
    data = MNIST1D().search_data(None, 40)
    assert (len(data.train), len(data.validation), data.outputs) == (3200, 800, 10)
    assert torch.equal(data.validation.targets, torch.from_numpy(generated().y[3200:4000]))


def test_inputs_are_scaled_by_the_training_split() -> None:
    task = MNIST1D()
    scaled = task.prepare(task.search_data(None, 40).train.inputs)
    assert (float(scaled.min()), float(scaled.max())) == (0.0, 1.0)
