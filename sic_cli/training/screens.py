"""Rendered crops of screens and documents: text, boxes and smooth ramps, which photographs lack.

Without them a decoder has never seen a letter, and melts text. Everything is drawn from a random
generator with the font that comes with Pillow, so there is nothing to load and nothing to licence.
"""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

LETTERS = "eeeeeetttaaaooinnsshrrddlucmwfygpbvk"
MARKS = "0123456789.,:;()-+/=%&@#'?!"


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of Pillow in pixels of height."""
    return ImageFont.load_default(size)


def word(rng: random.Random) -> str:
    """Letters in about their English shares, now and then capitals, numbers and marks."""
    if rng.random() < 0.15:
        return "".join(rng.choice(MARKS) for _ in range(rng.randint(1, 6)))
    text = "".join(rng.choice(LETTERS) for _ in range(rng.randint(1, 9)))
    return text.upper() if rng.random() < 0.05 else text.title() if rng.random() < 0.2 else text


def colour(rng: random.Random, dark: bool | None = None) -> Colour:
    """Any colour; a greyish dark or light one if that is asked for."""
    if dark is None:
        return rng.randrange(256), rng.randrange(256), rng.randrange(256)
    level = rng.randrange(0, 60) if dark else rng.randrange(225, 256)
    r, g, b = (max(0, min(255, level + rng.randint(-8, 8))) for _ in range(3))
    return r, g, b


def screen(rng: random.Random, size: int) -> NDArray[np.uint8]:
    """uint8 (size, size, 3): a piece of a window, a page, a chart or a ramp."""
    dark = rng.random() < 0.35
    image = Image.new("RGB", (size, size), colour(rng, dark))
    if rng.random() < 0.3:
        image = ramp(rng, size)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(0, 5)):
        x, y = rng.randint(-40, size), rng.randint(-40, size)
        box = (x, y, x + rng.randint(2, size // 2), y + rng.randint(2, size // 3))
        fill = colour(rng, dark) if rng.random() < 0.5 else colour(rng)
        draw.rounded_rectangle(box, rng.choice((0, 0, 4, 9)), fill, rng.choice((None, fill)))
    for _ in range(rng.randint(1, 4)):
        paragraph(rng, draw, size, colour(rng, not dark) if rng.random() < 0.7 else colour(rng))
    for _ in range(rng.randint(0, 4)):
        ends = [(rng.randrange(size), rng.randrange(size)) for _ in range(rng.randint(2, 6))]
        if rng.random() < 0.5:
            ends = [ends[0], (ends[1][0], ends[0][1])]
        draw.line(ends, colour(rng), rng.randint(1, 3))
    return np.asarray(image)


def paragraph(rng: random.Random, draw: ImageDraw.ImageDraw, size: int, fill: Colour) -> None:
    """Lines of text of one size, from anywhere to somewhere below."""
    height = rng.choice((9, 10, 11, 12, 13, 14, 16, 18, 22, 28, 40))
    left, top = rng.randint(-20, size // 2), rng.randint(-10, size - 10)
    for line in range(rng.randint(1, 9)):
        words = " ".join(word(rng) for _ in range(rng.randint(1, 9)))
        draw.text((left, top + line * height * 1.4), words, fill, font(height))


def ramp(rng: random.Random, size: int) -> Image.Image:
    """A smooth change from one colour to another, in any direction."""
    across, down = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    slant = rng.random()
    part = (slant * across + (1 - slant) * down)[..., None]
    first, last = (np.array(colour(rng)) for _ in range(2))
    last = first + (last - first) * rng.choice((0.1, 0.3, 1.0))
    return Image.fromarray((first + (last - first) * part).round().clip(0, 255).astype(np.uint8))
