"""The networks of Lab 4, with the scores it reports.

It trains with SGD in batches of 64 on all training images, scales the pixels to
-1...1, and evaluates on the test images after each epoch; it has no validation set.

    python -m fashion_keras.retrain --recipe NAME

    NAME               takes, on two cores    test accuracy to expect
    lab4-ffv0-0.01     a few seconds          81.0 %
    lab4-ffv0-0.1      a few seconds          85.6 %
    lab4-ffv1-32-0.05  a few seconds          87.0 %
    lab4-ffv1-32-0.1   a few seconds          87.1 %
    lab4-ffv1-32-0.5   a few seconds          35.0 %
    lab4-ffv2-32-0.05  a few seconds          87.1 %
    lab4-ffv2-32-0.1   a few seconds          86.9 %
    lab4-ffv2-32-0.5   a few seconds          20.0 %
    lab4-ffv2-64-0.05  a few seconds          87.8 %
    lab4-ffv2-64-0.1   a few seconds          88.3 %
    lab4-ffv2-64-0.5   a few seconds          21.9 %
    lab4-ffv3          a quarter of a minute  87.2 %
    lab4-cnn           three minutes          88.9 %
"""

from typing import Any

from shared_keras.systems.recipe import Recipe
from shared_keras.systems.spec import (
    Activation,
    Conv,
    Dense,
    Dropout,
    Flatten,
    MaxPool,
    Optimizer,
    System,
)

RATES = (0.05, 0.1, 0.5)
GRID = {  # rows of the 3x3 grid; each trains with each of RATES
    "ffv1-32": (Flatten(), Dense(32), Activation("relu"), Dense(10)),
    "ffv2-32": (
        Flatten(),
        *(Dense(32), Activation("relu")) * 2,
        Dense(10),
    ),
    "ffv2-64": (
        Flatten(),
        *(Dense(64), Activation("relu")) * 2,
        Dense(10),
    ),
}
FFV0 = (Flatten(), Dense(32), Activation("sigmoid"), Dense(10))
FFV3 = (
    Flatten(),
    Dense(64),
    Dropout(0.25),
    Activation("relu"),
    Dropout(0.25),
    Dense(64),
    Activation("relu"),
    Dense(10),
)
CNN = (
    *(Conv(10), Activation("relu"), Conv(10), Activation("relu"), MaxPool()) * 2,
    Flatten(),
    Dense(10),
)
# Precision, recall and F1 of each class, as printed for FFv3.
FFV3_CLASSES = {
    "T-shirt/top": (0.83, 0.77, 0.80),
    "Trouser": (0.99, 0.97, 0.98),
    "Pullover": (0.77, 0.83, 0.80),
    "Dress": (0.79, 0.93, 0.86),
    "Coat": (0.79, 0.82, 0.80),
    "Sandal": (0.94, 0.97, 0.95),
    "Shirt": (0.75, 0.59, 0.66),
    "Sneaker": (0.94, 0.94, 0.94),
    "Bag": (0.96, 0.97, 0.97),
    "Ankle boot": (0.96, 0.96, 0.96),
}


def _recipe(layers: tuple, rate: float, epochs: int, **published: Any) -> Recipe:
    return Recipe(
        system=System(layers, Optimizer("sgd", rate), mean=0.5, std=0.5),
        epochs=epochs,
        batch_size=64,
        split="test",
        source="Lab 4",
        **published,
    )


RECIPES = {
    "lab4-ffv0-0.01": _recipe(
        FFV0, 0.01, 10, published={"test_accuracy": 0.80}, note="'just over 80 %'"
    ),
    "lab4-ffv0-0.1": _recipe(FFV0, 0.1, 10, published={"test_accuracy": 0.85}, note="'85 %'"),
    **{
        f"lab4-{name}-{rate}": _recipe(
            *(layers, rate, 20),
            note="unstable" if rate == 0.5 else "similar to ffv0",
            fails=rate == 0.5,
        )
        for name, layers in GRID.items()
        for rate in RATES
    },
    "lab4-ffv3": _recipe(
        FFV3,
        0.1,
        60,
        published={"test_accuracy": 0.87},
        classes=FFV3_CLASSES,
        note="'above 87 %'",
    ),
    "lab4-cnn": _recipe(CNN, 0.1, 10, published={"test_accuracy": 0.89}, note="'almost 89 %'"),
}
GRID_RECIPES = tuple(tuple(f"lab4-{name}-{rate}" for rate in RATES) for name in GRID)
