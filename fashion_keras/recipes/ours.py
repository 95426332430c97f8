"""A perceptron and two small convolutional networks of our own.

Nobody published them; they show what is in reach.

    python -m fashion_keras.retrain --recipe NAME

    NAME    takes, on two cores    test accuracy to expect
    sprint  a minute               92.2 %
    mlp     six minutes            91.4 %
    cnn     a quarter of an hour   93.3 %
"""

from shared_keras.systems.cnn import cnn, sprint
from shared_keras.systems.mlp import shifted
from shared_keras.systems.recipe import Recipe
from shared_keras.systems.spec import Conv, Flip

# Chosen on the validation images of the holdout split.
RECIPES = {
    "mlp": Recipe(
        system=shifted(epochs=60),
        epochs=60,
        batch_size=128,
        split="holdout",
        source="ours",
    ),
    "sprint": Recipe(
        system=sprint(
            Flip(),
            Conv(16, kernel=4, stride=2, init="he", bias=False),
            (32, 64),
            hidden=128,
            learning_rate=0.01,
            steps=5 * 48_000 // 64,
            mirrored=True,
        ),
        epochs=5,
        batch_size=64,
        split="holdout",
        source="ours",
    ),
    "cnn": Recipe(
        system=cnn(32, flip=True, dropout=0.2, epochs=30),
        epochs=30,
        batch_size=128,
        split="holdout",
        source="ours",
    ),
}
