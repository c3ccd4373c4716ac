from __future__ import annotations

from pathlib import Path

from spikefront.runners.engine.placing.files import beside, checkpoint_file, keep_weights_of, weights_file
from spikefront.searchspace import Trial


def test_what_lies_beside_weights_goes_with_them(tmp_path: Path) -> None:
    for number in (1, 2, 12):
        weights = weights_file(tmp_path, number)
        weights.touch()
        beside(weights, "layers.json").touch()
        beside(weights, "samples.png").touch()
        for cut in (1, 2):
            beside(weights, "layers.json", cut).touch()
    running = checkpoint_file(tmp_path, 3)
    running.parent.mkdir()
    running.touch()
    keep_weights_of(tmp_path, [Trial(2), Trial(12, cut=2), Trial(7)])
    assert {path.name for path in tmp_path.iterdir()} == {
        "trial-00002.layers.json",
        "trial-00002.pt",
        "trial-00002.samples.png",
        "trial-00012.layers.json",
        "trial-00012.pt",
        "trial-00012.samples.png",
        "trial-00012@2.layers.json",
    }
    assert running.exists()
