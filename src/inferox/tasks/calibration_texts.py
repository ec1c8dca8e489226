"""Texts for calibrating a quantiser: natural sentences on many subjects, alone and as paragraphs."""

from __future__ import annotations

import random

_SENTENCES = (
    "The meeting has been moved to Thursday at ten.",
    "How do I reset my password if I no longer have access to my email?",
    "Heavy rain is expected along the coast tonight.",
    "She bought three kilos of apples and a loaf of rye bread.",
    "The committee rejected the proposal by seven votes to five.",
    "My order arrived damaged and I would like a refund.",
    "Photosynthesis turns carbon dioxide and water into sugar with the help of light.",
    "Is there a direct train from Vienna to Zurich in the morning?",
    "The patient reported mild headaches and a temperature of 38.4 degrees.",
    "Add the flour slowly and stir until the dough no longer sticks to the bowl.",
    "Shares of the chipmaker fell 6% after it cut its forecast for the year.",
    "The bridge was built in 1894 and renovated twice since.",
    "def area(radius): return 3.14159 * radius ** 2",
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "Please sign the attached contract and send it back by Friday.",
    "Great sound, but the battery barely lasts a day. Two stars.",
    "The defendant appealed against the ruling of the lower court.",
    "Which planet has the most moons?",
    "He scored twice in the last ten minutes and was carried off the field by the crowd.",
    "A small fox crossed the frozen river and disappeared among the pines.",
    "Install the driver, restart the computer, and plug the scanner in again.",
    "Interest is calculated daily and credited to the account each month.",
    "The novel follows four generations of a family of lighthouse keepers.",
    "SELECT name, SUM(price) FROM orders GROUP BY name ORDER BY 2 DESC;",
    "Turn left at the church; the museum is opposite the fountain.",
    "I can't believe how quickly the children have grown!",
    "The enzyme loses its activity above sixty degrees Celsius.",
    "Wholesale electricity prices were negative for eleven hours on Sunday.",
    "Could you recommend a quiet hotel near the harbour for two nights?",
    "The law comes into force on the first of January.",
    "Der Zug nach Hamburg hat heute etwa zwanzig Minuten Verspätung.",
    "La bibliothèque ferme à dix-huit heures le samedi.",
    "El precio incluye el desayuno y el acceso a la piscina.",
    "今日は午後から雨が降るでしょう。",
    "Завтра мы поедем за город, если не будет дождя.",
    "Results: n=412, p<0.01, 95% CI [0.31, 0.58].",
    "Contact: sales@example.org, +1 555 0100, https://example.org/offers?id=42",
    "no",
    "Thanks :)",
    "Vaccination is recommended for adults over sixty and for people with chronic illness.",
    "The orchestra tuned while the last guests looked for their seats.",
    "Two trucks collided on the motorway, closing it in both directions for hours.",
    "The telescope will observe the atmospheres of planets around other stars.",
    "Our return policy allows exchanges within thirty days with the original receipt.",
    "It was the best cup of coffee I have ever had on a train.",
    "A recession becomes likely when long rates stay below short rates for months.",
    "The painter mixed her blues from lapis lazuli, which was dearer than gold.",
    "Unit tests pass locally but fail in the pipeline with a timeout.",
    "Wash at 30 degrees, do not tumble dry, iron on the reverse side.",
    "The glacier has retreated by almost two kilometres since 1950.",
)

_PARAGRAPHS = 150


def calibration_texts() -> list[str]:
    """Makes texts of typical lengths: most of a sentence or two, some of a page.

    Returns:
        The texts; the same at every call.
    """
    draw = random.Random(0)  # noqa: S311 - varied, not secret
    lengths = [min(1 + int(draw.expovariate(0.4)), len(_SENTENCES)) for _ in range(_PARAGRAPHS)]
    return [*_SENTENCES, *(" ".join(draw.sample(_SENTENCES, length)) for length in lengths)]


def calibration_pairs() -> list[tuple[str, str]]:
    """Makes pairs of a sentence and a longer text; see ``calibration_texts``."""
    texts = calibration_texts()
    return [(_SENTENCES[index % len(_SENTENCES)], text) for index, text in enumerate(texts)]
