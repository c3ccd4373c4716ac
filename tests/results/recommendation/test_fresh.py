"""Which samples were right, as text in a tag."""

from __future__ import annotations

import numpy as np
import pytest

from spikefront.results.recommendation.fresh import packed, unpacked


@pytest.mark.parametrize("samples", [1, 7, 8, 9, 360])
def test_which_samples_were_right_is_read_as_it_was_written(samples: int) -> None:
    right = np.random.default_rng(samples).random(samples) < 0.9
    assert unpacked(packed(right.tolist())).tolist() == right.tolist()


def test_a_tenth_of_ten_thousand_samples_that_is_wrong_fits_into_a_tag() -> None:
    assert len(packed((np.random.default_rng(0).random(10_000) < 0.9).tolist())) < 2000


@pytest.mark.parametrize("text", ["", "8", "8 !!!!", "9 eJz7DwABAQEA", "x eJz7DwABAQEA", "8 eJz7"])
def test_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="samples"):
        unpacked(text)
