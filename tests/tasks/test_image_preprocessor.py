"""Images to tensors: their sizes, and the options and images that are refused."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.image_transforms import get_resize_output_image_size, get_size_with_aspect_ratio
from transformers.image_utils import get_image_size_for_max_height_width

from inferox.core import ManifestError, RequestError
from inferox.tasks.image_preprocessor import ImagePreprocessor, resized_shape

from .test_images import picture


@given(height=st.integers(1, 300), width=st.integers(1, 300), edge=st.integers(1, 90), limit=st.integers(1, 120))
def test_sizes_equal_those_of_transformers(height: int, width: int, edge: int, limit: int) -> None:
    image = np.empty((3, height, width), dtype=np.uint8)

    assert resized_shape(height, width, {"shortest_edge": edge}) == get_resize_output_image_size(
        image, size=edge, default_to_square=False, input_data_format="channels_first"
    )
    both = {"shortest_edge": edge, "longest_edge": limit}
    assert resized_shape(height, width, both) == get_size_with_aspect_ratio((height, width), edge, limit)
    most = {"max_height": edge, "max_width": limit}
    assert resized_shape(height, width, most) == get_image_size_for_max_height_width((height, width), edge, limit)


def test_a_narrow_image_that_would_grow_too_large_is_refused() -> None:
    options = {"size": {"shortest_edge": 224}, "resample": 2}

    with pytest.raises(RequestError, match="pixels: 10000 by 1 is resized to 2240000 by 224; at most 16777216"):
        ImagePreprocessor(options)(np.zeros((10_000, 1, 3), dtype=np.uint8), "it")


def test_an_image_that_is_too_large_half_way_is_refused() -> None:
    options = {"size": {"height": 8, "width": 4096}, "resample": 2}

    with pytest.raises(RequestError, match="pixels: 65535 by 1 is resized to 8 by 4096; at most 67108864"):
        ImagePreprocessor(options)(np.zeros((65_535, 1, 3), dtype=np.uint8), "it")


def test_a_tensor_that_would_grow_too_large_is_refused() -> None:
    with pytest.raises(RequestError, match="it becomes 4097 by 4096, but at most 16777216 pixels are computed"):
        ImagePreprocessor({"resample": 2})(np.zeros((4097, 4096, 3), dtype=np.uint8), "it")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other units")
def test_an_image_of_the_most_pixels_takes_no_more_than_two_of_its_copies_in_memory() -> None:
    program = """
import io, resource
from PIL import Image
from inferox.tasks.image_preprocessor import ImagePreprocessor
from inferox.tasks.images import read_image

exif, file = Image.Exif(), io.BytesIO()
exif[0x0112] = 6
Image.new("RGBA", (8192, 8192)).save(file, "PNG", compress_level=1, exif=exif)
prepare = ImagePreprocessor({"size": {"height": 224, "width": 224}, "resample": 3, "rescale_factor": 1 / 255})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
prepare(read_image(file.getvalue(), "it"), "it")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(  # noqa: S603 - this Python, and a program that stands here
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )

    # Two images of four bytes per pixel, and something for Python's own objects.
    assert int(done.stdout) < 640 * 1024


@pytest.mark.parametrize(
    ("size", "shape"),
    [({"max_height": 10, "max_width": 10}, (100, 1)), ({"shortest_edge": 1, "longest_edge": 9}, (100, 1))],
)
def test_an_image_that_would_vanish_is_refused(size: dict[str, int], shape: tuple[int, int]) -> None:
    with pytest.raises(RequestError, match="it is too long and narrow: 100 by 1 leaves no pixel"):
        ImagePreprocessor({"size": size, "resample": 2})(picture(*shape), "it")


def test_an_image_that_is_larger_than_its_padding_is_refused() -> None:
    with pytest.raises(RequestError, match="it is 5 by 6, but the model pads it to 6 by 5"):
        ImagePreprocessor({"pad_size": {"height": 6, "width": 5}, "resample": 2})(picture(5, 6), "it")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resample": None}, "the task's options need 'resample' of the type int"),
        ({"resample": 9}, "'resample' must be one of Pillow's numbers"),
        ({"size": {"height": 3}}, "'size' must give height and width or shortest_edge"),
        ({"size": {"height": 3, "width": -1}}, "'size' must give"),
        ({"size": {"shortest_edge": 2.5}}, "'size' must give"),
        (
            {"crop_size": {"height": 3, "width": 10**6}},
            "'crop_size' must give height and width in pixels, at most 8192",
        ),
        ({"std": [1, 0, 1]}, "'std' must be numbers above 0"),
        ({"crop_size": {"shortest_edge": 2}}, "'crop_size' must give height and width in pixels"),
        ({"mean": [1, 2]}, "'mean' must be three finite numbers"),
        ({"std": ["a", 1, 2]}, "'std' must be three finite numbers"),
        ({"std": [10**400, 1, 2]}, "'std' must be three finite numbers"),
        ({"mean": [math.nan, 1, 2], "std": [1, 1, 1]}, "'mean' must be three finite numbers"),
        ({"mean": [math.inf, 1, 2], "std": [1, 1, 1]}, "'mean' must be three finite numbers"),
        ({"mean": [True, 1, 2], "std": [1, 1, 1]}, "'mean' must be three finite numbers"),
        ({"mean": [1e39, 1, 2], "std": [1, 1, 1]}, "'mean' must be three finite numbers"),
        ({"mean": [1, 1, 2]}, "'mean' and 'std' must be given together"),
        ({"mean": [1, 1, 2], "std": [1e-50, 1, 1]}, "'std' must be numbers above 0"),
        ({"mean": [1, 1, 2], "std": [1e-45, 1, 1]}, "give values beyond fp32"),
        ({"std_again": [0, 1, 1]}, "'std_again' must be numbers above 0"),
        ({"rescale_factor": 10**400}, "'rescale_factor' must be a 64-bit integer"),
        ({"rescale_factor": math.nan}, "'rescale_factor' must be a finite number"),
        ({"rescale_factor": 1e300}, "give values beyond fp32"),
        ({"rescale_offset": -math.inf}, "'rescale_offset' must be a finite number"),
        ({"channels": "GBR"}, "'channels' must be RGB or BGR"),
        ({"size": {"height": 8000, "width": 8000}}, "at most 8192 and 16777216 together"),
        ({"size": {"longest_edge": 40}}, "'size' must give"),
        ({"size": {"height": 10**400, "width": 1}}, "'size' must give"),
        ({"rescale_factor": "1/255"}, "'rescale_factor' must be of the type float"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        ImagePreprocessor({"resample": 2, **options})
