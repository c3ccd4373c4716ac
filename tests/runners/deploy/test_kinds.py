"""Networks of each kind of task in use: frames of events, values in their unit, images made and images of files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_diabetes
from sklearn.metrics import r2_score

from spikefront.plugins import Registry, SearchData
from spikefront.plugins.data.events import read_40_bit, to_frames
from spikefront.plugins.data.images import Folder, pixels
from spikefront.plugins.data.samples import checked
from spikefront.runners.deploy.export import export_model
from spikefront.runners.deploy.model import Model, load
from spikefront.runners.judging.judge import Judgement
from spikefront.searchspace import UsageError

ROOT = Path(__file__).parents[3]
NMNIST = ROOT / "tests/data/nmnist"

Found = tuple[Judgement, Model, SearchData]


# Events


def test_frames_made_of_a_recording_are_classified_as_those_of_the_task(found: Callable[..., Found]) -> None:
    judged, model, data = found("events")
    classes = {
        f.numpy().tobytes(): int(c) for f, c in zip(data.train.inputs, model.predict(data.train.inputs), strict=True)
    }
    recordings = [read_40_bit(path.read_bytes(), path.name) for path in NMNIST.glob("Train/*/*.bin")]
    frames = [to_frames(events, (34, 34), steps=3, binning="count") for events in recordings]
    known = [made for made in frames if made.tobytes() in classes]

    found_again = model.predict(np.stack(known))

    assert len(known) == len(data.train)
    assert found_again.tolist() == [classes[made.tobytes()] for made in known]
    hits = model.predict(data.validation.inputs) == data.validation.targets
    assert float(hits.double().mean()) == judged.metrics["quality"]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (
            torch.zeros(2, 8, 2, 34, 34, dtype=torch.uint8),
            r"has \(N, 3, 2, 34, 34\), .*; this network takes T = 3 frames$",
        ),
        (torch.zeros(3, 2, 34, 34, dtype=torch.uint8), "one input needs a leading axis of 1$"),
        (torch.zeros(1, 3, 2, 34, 34), "dtype float32: task 'n-mnist' has uint8$"),
        (torch.full((1, 3, 2, 34, 34), -1), "dtype int64: task 'n-mnist' has uint8$"),
        (NMNIST / "Test", "inputs are a PosixPath; give a tensor or a NumPy array of numbers"),
        (np.array(["a", "b"]), r"inputs are a ndarray of <U1; give a tensor"),
    ],
)
def test_what_is_no_frames_is_refused(found: Callable[..., Found], frames: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        found("events")[1].predict(frames)


# Values


def test_values_are_in_the_unit_of_the_data_and_as_good_as_was_measured(
    found: Callable[..., Found], tmp_path: Path, registry: Registry
) -> None:
    judged, model, data = found("values")
    task = registry.get("task", "diabetes")
    inputs, progression = load_diabetes(return_X_y=True, scaled=False)
    validation = checked(task.read(), "diabetes").split()[1]
    export_model(model, tmp_path / "net.pt", "torch", registry=registry, data=data)

    values = load(tmp_path / "net.pt", registry=registry).predict(inputs[validation])

    assert values.shape == (70, 1)
    assert r2_score(progression[validation], values) == pytest.approx(judged.metrics["quality"], abs=1e-6)


# Generation


def test_predict_reconstructs_images_with_the_error_that_was_measured(found: Callable[..., Found]) -> None:
    judged, model, data = found("generation")
    images = data.validation.inputs

    made = model.predict(images)

    assert made.shape == images.shape
    np.testing.assert_allclose(made.flatten(1).numpy(), 1 / (1 + np.exp(-model.logits(images).numpy())), rtol=1e-5)
    error = float((made - images / 16).square().mean())
    assert error == pytest.approx(judged.metrics["reconstruction_mse"], rel=1e-4)


def test_samples_are_images_that_the_seed_decides(found: Callable[..., Found]) -> None:
    _, model, _ = found("generation")
    before = torch.get_rng_state()

    images, again, others = model.sample(1500), model.sample(1500), model.sample(1500, seed=1)

    assert images.shape == (1500, 1, 8, 8)
    assert ((images >= 0) & (images <= 1)).all()
    assert torch.equal(images, again)
    assert not torch.equal(images, others)
    assert images.std(0).mean() > 0  # more than one pass was needed, and none repeats another
    assert not torch.equal(images[:100], images[1365:1465])
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_are_refused_where_there_are_none(found: Callable[..., Found]) -> None:
    with pytest.raises(UsageError, match=r"^task 'diabetes' does not generate images; use predict\(inputs\)$"):
        found("values")[1].sample(2)
    with pytest.raises(UsageError, match=r"^sample\(0\): the number of images must be at least 1$"):
        found("generation")[1].sample(0)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ("nir", "backbone 'fsvae' draws the spikes of its latent at random, and NIR has no draws$"),
        ("onnx", r"backbone 'fsvae' as it is configured: it draws random numbers .*; use format='torch'$"),
    ],
)
def test_networks_that_draw_have_no_graph(
    found: Callable[..., Found], registry: Registry, tmp_path: Path, form: str, reason: str
) -> None:
    pytest.importorskip("onnxruntime" if form == "onnx" else "nir")
    _, model, data = found("generation")

    with pytest.raises(UsageError, match=reason):
        export_model(model, tmp_path / "net", form, registry=registry, data=data)

    assert list(tmp_path.iterdir()) == []


# Images from files


def test_image_files_of_any_size_are_classified_as_the_task_reads_them(
    found: Callable[..., Found], photos: Path
) -> None:
    _, model, data = found("photos")
    channels, size, _ = model.description.input_shape
    read = {image.numpy().tobytes(): index for index, image in enumerate(data.train.inputs)}
    files = {str(path.relative_to(photos)): path for path in sorted(photos.glob("*/*.png"))}
    made = [pixels(Folder(photos), name, size, channels) for name in files]
    places = [(read[image.tobytes()], image) for image in made if image.tobytes() in read]
    assert len(places) == len(data.train)

    classes = [int(model.predict(image[None])) for _, image in places]

    assert classes == model.predict(data.train.inputs)[[place for place, _ in places]].tolist()


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image.new("RGB", (12, 12)), "inputs are a Image; give a tensor or a NumPy array"),
        (np.zeros((1, 12, 12, 3), np.uint8), r"channels come first: numpy\.moveaxis\(inputs, -1, 1\)$"),
        (np.zeros((1, 3, 40, 40), np.uint8), r"shape \(1, 3, 40, 40\): task 'image-folder' has \(N, 3, 12, 12\)"),
    ],
    ids=["Pillow", "channels last", "another size"],
)
def test_images_that_were_not_read_as_the_task_does_are_refused(
    found: Callable[..., Found], image: Any, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        found("photos")[1].predict(image)


@pytest.mark.filterwarnings("error")
def test_arrays_that_torch_can_not_take_as_they_are_are_taken(found: Callable[..., Found]) -> None:
    _, model, data = found("photos")
    images = data.validation.inputs.numpy()
    locked = images.copy()
    locked.flags.writeable = False

    expected = model.predict(images)

    assert torch.equal(model.predict(locked), expected)
    assert torch.equal(model.predict(images[::-1]), expected.flip(0))


# Documentation


@pytest.mark.parametrize(("kind", "number"), [("events", 1), ("photos", 2)])
def test_examples_in_the_documentation_predict(
    found: Callable[..., Found],
    photos: Path,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    number: int,
) -> None:
    _, model, data = found(kind)
    export_model(model, tmp_path / "net.pt", "torch", registry=registry, data=data)
    block = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "DATA").symlink_to(NMNIST)
    (tmp_path / "photos/cat").mkdir(parents=True)
    Image.open(photos / "cat/01.png").save(tmp_path / "photos/cat/01.jpg")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}

    exec(block[number], scope)

    assert scope["classes"].shape == (1,)
    assert 0 <= int(scope["classes"]) < data.outputs
