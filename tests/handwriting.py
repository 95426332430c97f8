"""Handwriting from elsewhere: scikit-learn's 1,797 digits, drawn in ink on paper."""

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SEED = 20


def write(folder: Path, n: int | None = None) -> list[tuple[Path, int]]:
    """Write the digits as PNG files, by default all, and return the files with their labels.

    Order, size, place, colours, light and noise are random; the seed alone decides. These
    files only measure: nothing may be tuned on them.
    """
    digits = load_digits()
    files = []
    for i in np.random.default_rng(SEED).permutation(len(digits.target))[:n]:
        path = folder / f"digit-{i:04}.png"
        draw(digits.images[i] / 16, np.random.default_rng([SEED, i])).save(path)
        files.append((path, int(digits.target[i])))
    return files


def draw(levels: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Draw levels of ink, float (8, 8) in 0...1, as a photo of a sheet of paper."""
    height, width = np.exp(rng.uniform(np.log(64), np.log(400), 2)).astype(int)
    side = int(min(height, width) * rng.uniform(0.3, 0.9))
    cells = Image.fromarray(np.pad(levels, 1).astype(np.float32))  # a margin for smooth edges
    strokes = np.clip(cells.resize((side, side), Image.Resampling.BICUBIC), 0, 1)
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    ink = np.zeros((height, width, 1))
    ink[top : top + side, left : left + side, 0] = strokes
    paper_colour, ink_colour = _colours(rng)
    picture = paper_colour + ink * (ink_colour - paper_colour)
    picture *= _light(height, width, rng)
    picture += rng.normal(0, rng.uniform(0, 10), picture.shape)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _colours(rng) -> tuple[np.ndarray, np.ndarray]:
    """Return the colours of paper and ink: a pen, chalk, or two colours of any lightness."""
    kind = rng.integers(3)
    if kind == 2:
        while True:
            hues = rng.uniform(size=2)
            colours = [
                255 * np.array(colorsys.hsv_to_rgb(hue, *rng.uniform(0.4, 1, 2))) for hue in hues
            ]
            # Red on green is about 190 apart, black on white 440.
            if np.linalg.norm(colours[0] - colours[1]) > 160:
                return colours[0], colours[1]
    light, dark = rng.uniform(170, 255, 3), rng.uniform(0, 90, 3)
    return (light, dark) if kind == 0 else (dark, light)


def _light(height, width, rng) -> np.ndarray:
    """Return how much light falls where, (height, width, 1): uneven, mostly with a shadow."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    along = (x - x.mean()) * np.cos(angle) + (y - y.mean()) * np.sin(angle)
    light = 1 - rng.uniform(0, 0.2) * (along - along.min())
    if rng.uniform() < 0.7:
        angle = rng.uniform(0, 2 * np.pi)
        along = (x - x.mean()) * np.cos(angle) + (y - y.mean()) * np.sin(angle)
        edge, softness = rng.uniform(-0.3, 0.3), rng.uniform(0.005, 0.1)
        depth = rng.uniform(0.15, 0.45)
        light = light * (1 - depth / (1 + np.exp(np.clip((along - edge) / softness, -50, 50))))
    return light[..., None]
