"""Pixels of images in folders: sizes, bits, colours and transparency."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.plugins.tasks.test_image_folder import (  # noqa: F401 cache is that of every test
    ONE_LEVEL,
    SMALL,
    array_of,
    cache,
    numbered,
    searched,
    write_images,
)

from spikefront.plugins.data.images import is_grey, open_source, pixels
from spikefront.plugins.tasks.image_folder import ImageFolder


def pixels_of(folder: Path, image: Image.Image, size: int, channels: int = 3, name: str = "a.png", **how: Any) -> Any:
    image.save(folder / name, **how)
    return pixels(open_source(folder), name, size, channels).tolist()


def test_image_of_the_size_is_kept_as_it_is(tmp_path: Path) -> None:
    array = array_of("a", (8, 8, 3))
    assert pixels_of(tmp_path, Image.fromarray(array), 8) == array.transpose(2, 0, 1).tolist()


def test_sides_of_a_wide_image_are_cut_off(tmp_path: Path) -> None:
    array = np.zeros((8, 12, 3), np.uint8)
    array[:, 2:10] = 200
    assert pixels_of(tmp_path, Image.fromarray(array), 8) == np.full((3, 8, 8), 200).tolist()
    large = Image.fromarray(array.repeat(4, 0).repeat(4, 1))
    inner = np.array(pixels_of(tmp_path, large, 8))[:, :, 1:-1]  # scaling mixes some of the sides into the edge
    assert inner.tolist() == np.full((3, 8, 6), 200).tolist()


def test_image_is_turned_upright(tmp_path: Path) -> None:
    array = array_of("a", (8, 8, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture must be turned clockwise
    turned = pixels_of(tmp_path, Image.fromarray(array), 8, exif=exif)
    assert turned == np.rot90(array, -1).transpose(2, 0, 1).tolist()


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    array = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024 + 511
    expected = (np.arange(64).reshape(1, 8, 8) * 4 + 1).tolist()
    assert pixels_of(tmp_path, Image.fromarray(array), 8, channels=1) == expected


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
@pytest.mark.parametrize(("channels", "value"), [(1, 255), (3, 255)])
def test_white_is_white_in_every_mode(tmp_path: Path, mode: str, channels: int, value: int) -> None:
    image = Image.new("RGB", (16, 16), "white").convert(mode)
    name = "a.tif" if mode == "CMYK" else "a.png"
    assert pixels_of(tmp_path, image, 8, channels, name) == np.full((channels, 8, 8), value).tolist()


def test_six_images_of_a_class_suffice(tmp_path: Path) -> None:
    data = ImageFolder(SMALL).search_data(write_images(tmp_path, [*numbered("cat", 3), *numbered("dog", 6)]), 4)
    assert (len(data.train), len(data.validation)) == (3 + 4, 1)


def pgm(maximum: int, values: np.ndarray) -> bytes:
    """Write a raw PGM: two bytes a pixel, the higher one first, above 255."""
    height, width = values.shape
    return f"P5 {width} {height} {maximum}\n".encode() + values.astype(">u2").tobytes()


@pytest.mark.parametrize("maximum", [65535, 4095])
def test_pgm_of_more_than_eight_bits_is_read(tmp_path: Path, maximum: int) -> None:
    values = np.arange(64).reshape(8, 8) * (maximum // 63)
    (tmp_path / "a.pgm").write_bytes(pgm(maximum, values))
    found = pixels(open_source(tmp_path), "a.pgm", 8, 1)
    assert is_grey(open_source(tmp_path), "a.pgm")
    assert np.array_equal(found[0], np.round(values / maximum * 65535).astype(int) >> 8)
    assert found.max() == 255


def tiff(bits: int, data: bytes, photometric: int = 1, order: str = "<") -> bytes:
    """Write a TIFF of 8x8 grey pixels in one strip."""
    tags = [
        (256, 8),
        (257, 8),
        (258, bits),
        (259, 1),
        (262, photometric),
        (273, 8),
        (277, 1),
        (278, 8),
        (279, len(data)),
    ]
    entries = b"".join(struct.pack(f"{order}HHI", tag, 4, 1) + struct.pack(f"{order}I", value) for tag, value in tags)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_sixteen_bits_is_read(tmp_path: Path, order: str) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024 + 511
    (tmp_path / "a.tif").write_bytes(tiff(16, values.astype(f"{order}u2").tobytes(), order=order))
    assert np.array_equal(pixels(open_source(tmp_path), "a.tif", 8, 1)[0], np.arange(64).reshape(8, 8) * 4 + 1)


def test_tiff_of_twelve_bits_is_read(tmp_path: Path) -> None:
    values = np.arange(64) * 64 + 32
    packed = b"".join((int(a) << 12 | int(b)).to_bytes(3, "big") for a, b in values.reshape(-1, 2))
    (tmp_path / "a.tif").write_bytes(tiff(12, packed))
    assert np.array_equal(pixels(open_source(tmp_path), "a.tif", 8, 1)[0], (np.arange(64) * 4 + 2).reshape(8, 8))


def test_tiff_whose_white_is_zero_is_turned(tmp_path: Path) -> None:
    values = np.arange(64, dtype="<u2").reshape(8, 8) * 1024
    (tmp_path / "a.tif").write_bytes(tiff(16, values.tobytes(), photometric=0))
    assert np.array_equal(pixels(open_source(tmp_path), "a.tif", 8, 1)[0], 255 - np.arange(64).reshape(8, 8) * 4)


def drawn(mode: str) -> Image.Image:
    """A black square on transparent black ground, as drawing programs save it."""
    alpha = np.zeros((8, 8), np.uint8)
    alpha[2:6, 2:6] = 255
    grey = Image.merge("LA", (Image.new("L", (8, 8)), Image.fromarray(alpha)))
    return grey.convert(mode)


DRAWN = np.full((8, 8), 255)
DRAWN[2:6, 2:6] = 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_shows_white(tmp_path: Path, mode: str, channels: int) -> None:
    assert pixels_of(tmp_path, drawn(mode), 8, channels) == [DRAWN.tolist()] * channels
    half = Image.merge("LA", (Image.new("L", (8, 8)), Image.new("L", (8, 8), 51))).convert(mode)
    assert pixels_of(tmp_path, half, 8, channels) == np.full((channels, 8, 8), 204).tolist()  # a fifth of black


@pytest.mark.parametrize(("mode", "clear"), [("L", 7), ("RGB", (7, 7, 7)), ("P", 0), ("I;16", 7)])
@pytest.mark.parametrize("channels", [1, 3])
def test_colour_that_is_transparent_shows_white(tmp_path: Path, mode: str, clear: Any, channels: int) -> None:
    ground = np.where(DRAWN == 255, 0 if mode == "P" else 7, 1 if mode == "P" else 0)
    if mode == "RGB":
        image = Image.fromarray(np.stack([ground] * 3, -1).astype(np.uint8))
    elif mode == "P":
        image = Image.fromarray(ground.astype(np.uint8), "L").convert("P")
        image.putdata(ground.astype(np.uint8).flatten().tolist())
        image.putpalette([9, 9, 9, 0, 0, 0])
    else:
        image = Image.fromarray(ground.astype(np.uint16 if mode == "I;16" else np.uint8))
    assert pixels_of(tmp_path, image, 8, channels, transparency=clear) == [DRAWN.tolist()] * channels


def test_scaling_keeps_colours_under_transparency_out(tmp_path: Path) -> None:
    image = drawn("RGBA").resize((64, 64), Image.Resampling.NEAREST)
    found = np.array(pixels_of(tmp_path, image, 8))
    assert found.min() == 0
    assert (found[:, [0, 7]] == 255).all()


def test_images_without_contrast_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path, ONE_LEVEL)
    name = searched(tmp_path)
    Image.new("RGB", (8, 8), "red").save(tmp_path / name)
    ImageFolder(SMALL).search_data(tmp_path, 4)
    said = f"image-folder: {tmp_path}: 1 of 60 images have no contrast, all pixels of each are alike, such as {name}\n"
    assert capsys.readouterr().err == said
    for other in ONE_LEVEL:
        Image.new("RGBA", (8, 8), (255, 255, 255, 0)).save(tmp_path / other)
    ImageFolder(SMALL).search_data(tmp_path, 4)
    assert "all 60 images have no contrast" in capsys.readouterr().err


def test_sixteen_bits_of_which_few_are_used_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ONE_LEVEL:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(array_of(name, (8, 8)).astype(np.uint16) * 16).save(tmp_path / name)  # 12 bits
    ImageFolder(SMALL).search_data(tmp_path, 4)
    said = "no pixel of 60 images is brighter than 15 of 255; files of 16 bits must use all of them\n"
    assert capsys.readouterr().err.endswith(said)
