"""The steps of Fashion-PyTorch, each with its published scores.

Steps 1 to 5 validate on half of the test images, the later ones on a fifth of the training
images. No step stops early; the last epoch is the one that counts. From step 3 on the loop runs
over `range(EPOCHS + 1)`, so there are 41 and 81 epochs. ASHA ended the tuned ones after 50.

    python -m fashion_keras.retrain --recipe NAME

    NAME             takes, on two cores    test accuracy to expect
    pytorch-1        a quarter of a minute  88.9 %
    pytorch-2        a quarter of a minute  85.5 %
    pytorch-3        half a minute          85.8 %
    pytorch-4        two minutes            87.6 %
    pytorch-5        two minutes            87.3 %
    pytorch-6        two minutes            86.9 %
    pytorch-7        ten minutes            88.4 %
    pytorch-tuned-1  two minutes            89.9 %
    pytorch-tuned-2  two minutes            90.1 %
"""

from typing import Any, Literal

from fashion_keras.dataset import PIXELS
from shared_keras.systems.mlp import normalized
from shared_keras.systems.recipe import Recipe, Replay
from shared_keras.systems.spec import (
    Activation,
    BatchNorm,
    Cosine,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Optimizer,
    System,
)

WIDTHS = (120, 72, 48)
L2 = 1e-2
BATCHES = "accuracies are means over batches"


def _plain(
    activation: str, dropout: float, init: Literal["torch", "he"] = "torch", norm: bool = False
) -> tuple:
    """120-72-48 with dropout after the first layer."""
    layers: list[Layer] = [Flatten()]
    for i, width in enumerate(WIDTHS):
        layers += [Dense(width, init), *[BatchNorm()] * norm, Activation(activation)]
        layers += [Dropout(dropout)] * (dropout > 0 and i == 0)
    return (*layers, Dense(10, init))


def _step(number: int, layers: tuple, optimizer: Optimizer, **settings: Any) -> Recipe:
    """Return a step with the settings of the first steps, unless others are given."""
    usual: dict[str, Any] = {"epochs": 40, "batch_size": 128, "split": "half"}
    source = f"Fashion-PyTorch, step {number}"
    return Recipe(system=System(layers, optimizer, **PIXELS), source=source, **usual | settings)


RMSPROP = Optimizer("rmsprop", 1e-4, momentum=0.9)
ADAM = Optimizer("adam", 1e-4, l2=L2)
ONE_MORE = {"epochs": 41}

RECIPES = {
    "pytorch-1": _step(
        1, _plain("relu", 0), RMSPROP, published={"loss": 0.0854, "val_loss": 0.5969}
    ),
    "pytorch-2": _step(
        2,
        _plain("relu", 0),
        Optimizer("rmsprop", 1e-4, momentum=0.9, l2=L2),
        published={"loss": 0.3817, "val_loss": 0.4297},
    ),
    "pytorch-3": _step(
        3, _plain("mish", 0.3), ADAM, **ONE_MORE, published={"loss": 0.3832, "val_loss": 0.4062}
    ),
    "pytorch-4": _step(
        4,
        _plain("mish", 0.3, norm=True),
        ADAM,
        **ONE_MORE,
        published={"loss": 0.3459, "val_loss": 0.3768},
    ),
    "pytorch-5": _step(
        5,
        _plain("mish", 0.3, init="he", norm=True),
        ADAM,
        **ONE_MORE,
        published={"loss": 0.3487, "val_loss": 0.3858, "val_accuracy": 0.8704},
        note=BATCHES,
    ),
    "pytorch-6": _step(
        6,
        _plain("mish", 0.3, init="he", norm=True),
        ADAM,
        **ONE_MORE,
        split="holdout",
        published={"loss": 0.35, "val_loss": 0.35, "val_accuracy": 0.8888, "test_accuracy": 0.8762},
        note=BATCHES,
    ),
    # T_max is half an epoch, in batches: 48,000 / 256 // 2.
    "pytorch-7": Recipe(
        system=normalized(
            (250, 150, 100),
            (0.2, 0.2, 0.5),
            Optimizer("adam", 1e-4, l2=1e-5, schedule=Cosine(93, per="batch")),
            **PIXELS,
        ),
        epochs=81,
        batch_size=256,
        split="holdout",
        published={"loss": 0.27, "val_loss": 0.29, "val_accuracy": 0.8953, "test_accuracy": 0.8852},
        source="Fashion-PyTorch, step 7",
        note=BATCHES,
    ),
    "pytorch-tuned-1": Recipe(
        system=Replay(
            "batchnorm",
            {
                "base_lr": 0.001,
                "batch_size": 512,
                "l1_size": 256,
                "l1_drop": 0.3,
                "l2_size": 512,
                "l2_drop": 0.1,
                "l3_size": 512,
                "l3_drop": 0.3,
                "l2_rate": 0.0001,
                "t_max": 10,
            },
        ),
        epochs=50,
        batch_size=512,
        split="holdout",
        published={"val_accuracy": 0.9105},
        source="Fashion-PyTorch, first session with Ray Tune",
        note=f"80 epochs were configured, ASHA ended it after 50; {BATCHES}",
    ),
    "pytorch-tuned-2": Recipe(
        system=Replay(
            "batchnorm",
            {
                "base_lr": 0.0010715919273875342,
                "batch_size": 1024,
                "l1_size": 342,
                "l1_drop": 0.320648833668769,
                "l2_size": 580,
                "l2_drop": 0.06977326476490549,
                "l3_size": 491,
                "l3_drop": 0.2546751849701374,
                "l2_rate": 9.28191006797375e-05,
                "t_max": 10,
            },
        ),
        epochs=50,
        batch_size=1024,
        split="holdout",
        published={"val_accuracy": 0.9110},
        source="Fashion-PyTorch, second session with Ray Tune",
        note=f"80 epochs were configured, ASHA ended it after 50; {BATCHES}",
    ),
}
