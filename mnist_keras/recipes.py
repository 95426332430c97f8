"""Settings published for MNIST, with their scores.

`dense` and `regularized` are MNIST-Keras's; `sprint`, `mlp` and `cnn` are our own.

    python -m mnist_keras.retrain --recipe NAME

    NAME         takes, on two cores    test accuracy to expect
    dense        a few seconds          97.6 %
    regularized  a quarter of a minute  97.5 %
    sprint       a quarter of a minute  99.1 %
    mlp          five minutes           99.0 %
    cnn          five minutes           99.5 %
"""

from shared_keras.systems.cnn import cnn, sprint
from shared_keras.systems.mlp import noisy
from shared_keras.systems.recipe import Recipe, Replay
from shared_keras.systems.spec import Conv, Shift

RECIPES = {
    "dense": Recipe(
        system=Replay(
            "dense",
            {
                "learning_rate": 0.001,
                "num_layers": 3,
                "num_units_0": 120,
                "num_units_1": 15,
                "num_units_2": 75,
                "num_units_3": 15,
                "num_units_4": 30,
                "tuner/epochs": 10,
                "tuner/initial_epoch": 5,
                "tuner/bracket": 2,
                "tuner/round": 2,
                "tuner/trial_id": "0027",
            },
        ),
        epochs=10,
        batch_size=32,
        patience=15,
        published={"val_accuracy": 0.9806, "test_accuracy": 0.9755},
        source="MNIST-Keras, Hyperband on val_accuracy; the model that it saved",
    ),
    "regularized": Recipe(
        system=Replay(
            "regularized",
            {
                "learning_rate": 0.0001,
                "num_layers": 3,
                "l2_0": 0.01,
                "drop_0": 0.25,
                "num_units_0": 120,
                "l2_1": 0.0001,
                "drop_1": 0.2,
                "num_units_1": 105,
                "l2_2": 0.0001,
                "drop_2": 0.2,
                "num_units_2": 120,
                "l2_3": 0.01,
                "drop_3": 0.25,
                "num_units_3": 15,
                "tuner/epochs": 15,
                "tuner/initial_epoch": 8,
                "tuner/bracket": 3,
                "tuner/round": 3,
                "tuner/trial_id": "0015",
                "l2_4": 0.01,
                "drop_4": 0.2,
                "num_units_4": 30,
            },
        ),
        epochs=15,
        batch_size=32,
        published={"val_accuracy": 0.9762, "test_accuracy": 0.9747},
        source="MNIST-Keras, L2 and dropout, retrained for 15 epochs",
    ),
    # Ours, chosen on the validation images of the holdout split; that of `mlp` not on them alone.
    "mlp": Recipe(
        system=noisy((1000, 500, 250, 250), deviation=0.3, epochs=60),
        epochs=60,
        batch_size=256,
        split="holdout",
        source="ours",
    ),
    "sprint": Recipe(
        system=sprint(
            Shift(1),
            Conv(8, kernel=5, stride=2, init="he", bias=False, padded=False),
            (16, 64),
            learning_rate=0.01,
            steps=2 * 48_000 // 64,
        ),
        epochs=2,
        batch_size=64,
        split="holdout",
        source="ours",
    ),
    "cnn": Recipe(
        system=cnn(16, flip=False, dropout=0.3, epochs=20),
        epochs=20,
        batch_size=128,
        split="holdout",
        source="ours",
    ),
}
