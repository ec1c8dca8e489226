"""Comparing prepared images with those that a package keeps: a tenth of a step of 255 shows at every size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from inferox.tasks import compare_row, thin_tokens

SCALES = [1.0, 255.0, 1 / 255, 2.0**-16]
"""The largest pixel: of images scaled to 1, of unscaled ones, and of some that are scaled more than once."""


def make_pixels(height: int, width: int, largest: float) -> npt.NDArray[np.float32]:
    values = np.random.default_rng(0).integers(0, 256, (3, height, width)).astype(np.float32)
    values[:, 0, 0] = 255
    pixels: npt.NDArray[np.float32] = (values / 255 * largest).astype(np.float32)
    return pixels


@pytest.mark.parametrize("largest", SCALES)
@pytest.mark.parametrize("edge", [1, 16, 384, 1024])
def test_a_kept_pixel_may_differ_by_no_more_than_rounding(edge: int, largest: float) -> None:
    kept = thin_tokens({"pixel_values": make_pixels(edge, edge, largest)})
    # A tenth of the step from one of the 256 values of a channel to the next, far more than rounding.
    different = {**kept, "pixel_values": kept["pixel_values"] + np.float32(largest / 255 / 10)}
    rounded = {**kept, "pixel_values": kept["pixel_values"] * np.float32(1 + 2.0**-23)}

    assert compare_row(kept, rounded) is None
    found = compare_row(kept, different)
    assert found is not None
    assert found.stage.startswith("pixels at")


@pytest.mark.parametrize("largest", SCALES)
def test_all_pixels_may_differ_by_no_more_than_rounding(largest: float) -> None:
    pixels = make_pixels(40, 60, largest)
    different = pixels.copy()
    different[2, 39, 59] += largest / 255 / 10

    assert compare_row({"pixel_values": pixels}, {"pixel_values": pixels}) is None
    found = compare_row({"pixel_values": pixels}, {"pixel_values": different})
    assert found is not None
    assert found.stage == "pixels at [2, 39, 59]"


@pytest.mark.parametrize("shape", [(60, 40), (40, 61), (20, 120)])
def test_the_shape_of_a_kept_image_is_compared_exactly(shape: tuple[int, int]) -> None:
    kept = thin_tokens({"pixel_values": np.zeros((3, 40, 60), np.float32)})
    other = thin_tokens({"pixel_values": np.zeros((3, *shape), np.float32)})

    assert kept["pixel_shape"].tolist() == [3, 40, 60]
    found = compare_row(kept, other)
    assert found is not None
    assert found.stage.startswith("pixels (shape)")
    assert "3 40 60" in found.expected


def test_an_image_that_was_kept_without_its_shape_does_not_pass() -> None:
    kept = thin_tokens({"pixel_values": make_pixels(16, 16, 1.0)})
    found = compare_row({"pixel_values": kept["pixel_values"]}, kept)
    assert found is not None
    assert found.stage == "pixels (shape)"
