from __future__ import annotations

import optuna
import pytest

from spikefront.searchspace import Candidate, Space, UnknownName, UsageError, from_flat, parse_set
from spikefront.searchspace.space import SearchCatalogue

AUGMENTATION = {"training.flip", "training.crop", "training.cutout", "training.mix"}


def space(shelf: SearchCatalogue, *texts: str) -> Space:
    return Space(shelf, "images", [parse_set(text) for text in texts])


def suggested(space: Space, trials: int = 40) -> list[tuple[Candidate, set[str]]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = []
    for _ in range(trials):
        trial = study.ask()
        found.append((space.suggest(trial), set(trial.params)))
    return found


def test_nothing_is_varied_nor_searched_by_default(shelf: SearchCatalogue) -> None:
    for candidate, asked in suggested(space(shelf)):
        flat = candidate.flat()
        assert {name: flat[name] for name in AUGMENTATION} == {
            "training.flip": False,
            "training.crop": 0,
            "training.cutout": 0,
            "training.mix": "none",
        }
        assert not {"training.mix_probability", "training.mix_alpha"} & flat.keys()
        assert not any(name in asked for name in AUGMENTATION)


def test_what_is_opened_is_set_or_searched(shelf: SearchCatalogue) -> None:
    opened = space(shelf, "training.flip=true", "training.crop=0..4", "training.mix=none,cutmix")
    found = suggested(opened)
    assert all(candidate.training.schedule.flip for candidate, _ in found)
    assert {candidate.training.schedule.crop for candidate, _ in found} == set(range(5))
    assert {candidate.training.schedule.mix for candidate, _ in found} == {"none", "cutmix"}
    assert all({"training.crop", "training.mix"} <= asked and "training.flip" not in asked for _, asked in found)


def test_share_of_a_mixture_exists_only_beside_a_mixture(shelf: SearchCatalogue) -> None:
    for candidate, asked in suggested(space(shelf, "training.mix=none,mixup", "training.mix_alpha=0.1..1.0")):
        mixes = candidate.training.schedule.mix != "none"
        assert ("training.mix_alpha" in candidate.flat()) == ("training.mix_alpha" in asked) == mixes
        assert candidate.flat().get("training.mix_probability") == (0.5 if mixes else None)
        assert from_flat(candidate.flat(), shelf) == candidate


def test_rows_say_when_it_exists(shelf: SearchCatalogue) -> None:
    active = {row.name: row.active for row in space(shelf).rows()}
    assert active["training.mix"] == "always"
    assert active["training.mix_alpha"] == "training.mix=mixup|cutmix"


def test_candidate_of_before_augmentation_is_read_as_one_without(shelf: SearchCatalogue) -> None:
    candidate = space(shelf).default()
    before = {name: value for name, value in candidate.flat().items() if name not in AUGMENTATION}
    assert from_flat(before, shelf) == candidate


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("training.crop=-1", UsageError, r"training\.crop: -1 is outside 0\.\.256"),
        ("training.flip=maybe", UnknownName, r"maybe"),
        ("training.mix=cutmx", UnknownName, r"Did you mean 'cutmix'"),
    ],
)
def test_what_there_is_not_is_refused(shelf: SearchCatalogue, text: str, error: type[UsageError], message: str) -> None:
    with pytest.raises(error, match=message):
        space(shelf, text)
