"""Milliseconds from a hand's move to the bars, on the committed pages, in Chromium.

    python -m benchmarks.drawing

`network` is a prediction alone, for each of the 100 test images of a page. `drawn` is all that
MNIST's page does for each frame while digits are drawn on it by mouse events: from the ink to 28 by
28 pixels, to probabilities, to bars. Each is done once before, to warm up. The median, and what
nine in ten do not exceed, go to benchmarks/results/drawing.json.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared_keras.command_line.parser import of_module

PAGES = Path(__file__).parents[1] / "docs" / "pages"
NETWORK = """() => data.labels.map((_, i) => {
  const image = pictures.slice(i * SIDE * SIDE, (i + 1) * SIDE * SIDE);
  const start = performance.now();
  networks[0].answer(image);
  return performance.now() - start;
})"""
WATCH = """() => {
  window.took = [];
  let start = 0;
  const [image, shown] = [paper.image.bind(paper), show];
  paper.image = () => { start = performance.now(); return image(); };
  show = (...given) => {
    shown(...given);
    if (start) took.push(performance.now() - start);
    start = 0;
  };
}"""


def main() -> None:
    """Measure both pages, and print the milliseconds."""
    of_module(__file__, __doc__).parse_args()
    os.environ |= {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    from benchmarks import receipts

    figures = measure()
    for name, found in figures.items():
        print(f"{name}: {found['median']:.1f} ms, nine in ten {found['most']:.1f} ms")
    receipts.write("drawing", {"milliseconds": figures})


def measure() -> dict:
    """Return the milliseconds of each case."""
    from tests.browser import chromium, opened
    from tests.strokes import STROKES, drawn

    found = {}
    with chromium() as browser:
        for task in ("fashion", "mnist"):
            with opened(browser, PAGES / f"{task}.html") as tab:
                tab.evaluate(NETWORK)
                found[f"{task}, network"] = _summary(tab.evaluate(NETWORK))
        with opened(browser, PAGES / "mnist.html") as tab:
            for repeat in range(3):
                if repeat == 1:
                    tab.evaluate(WATCH)
                for strokes in STROKES.values():
                    drawn(tab, strokes, steps=4)
                    tab.locator("#clear").click()
            found["mnist, drawn"] = _summary(tab.evaluate("() => took"))
    return found


def _summary(milliseconds: Sequence[float]) -> dict:
    return {
        "n": len(milliseconds),
        "median": float(np.median(milliseconds)),
        "most": float(np.quantile(milliseconds, 0.9)),
    }


if __name__ == "__main__":
    main()
