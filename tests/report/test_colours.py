"""The report's colours: distinguishable with every kind of colour blindness, and visible on their background."""

from __future__ import annotations

import itertools
import math
import re
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import pytest

SIGHT = {
    "ordinary": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""The part of linear RGB that each kind of sight perceives: Machado, Oliveira and Fernandes, 2009, at full severity."""

TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])

LEAST_DISTANCE = {"ordinary": 35.0, "protanopia": 20.0, "deuteranopia": 20.0, "tritanopia": 20.0}
"""In CIELAB, where 2.3 is just noticeable with both colours side by side. Two colours that people with ordinary sight
would call by one name, such as two pinks, are some 32 apart."""

LEAST_CONTRAST = 3.0
"""The contrast that WCAG requires for graphics."""


def themes() -> dict[str, dict[str, str]]:
    """Returns the custom properties of the light and of the dark page."""
    style = files("inferox.report").joinpath("style.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    return {name: dict(re.findall(r"--(\w+): (#\w+)", text)) for name, text in (("light", light), ("dark", dark))}


def linear(colour: str) -> npt.NDArray[np.float64]:
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour: str, sight: str) -> npt.NDArray[np.float64]:
    seen = np.clip(np.array(SIGHT[sight]) @ linear(colour), 0, 1)
    share = TO_XYZ @ seen / WHITE
    x, y, z = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    dark, light = sorted(float((TO_XYZ @ linear(colour))[1]) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_the_colours_of_artifacts_can_be_told_apart(theme: str, sight: str) -> None:
    colours = [themes()[theme][f"c{index}"] for index in range(8)]
    for one, other in itertools.combinations(colours, 2):
        assert math.dist(lab(one, sight), lab(other, sight)) >= LEAST_DISTANCE[sight], (one, other)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_colours_are_seen_on_their_ground(theme: str) -> None:
    colours = themes()[theme]
    for name in (f"c{index}" for index in range(8)):
        assert contrast(colours[name], colours["ground"]) >= LEAST_CONTRAST, name
    for text in ("ink", "quiet", "bad", "good"):
        assert contrast(colours[text], colours["ground"]) >= 4.5, text


def test_the_simulation_makes_red_and_green_alike() -> None:
    red, green = "#c04040", "#5a7020"
    assert math.dist(lab(red, "ordinary"), lab(green, "ordinary")) > 60
    assert math.dist(lab(red, "deuteranopia"), lab(green, "deuteranopia")) < LEAST_DISTANCE["deuteranopia"]
