"""A small problem and a small model for it, for the tests of training."""

import keras
import numpy as np

from shared_keras import training

N, FEATURES, CLASSES = 150, 12, 4
BATCH = 32  # four whole batches and one of 22


def problem():
    """Return inputs uint8 (N, FEATURES) and labels int32 (N,) that depend on them."""
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (N, FEATURES), dtype=np.uint8)
    y = (x[:, 0].astype(np.int32) * CLASSES) // 256
    return x, y


def build(optimizer=None, *, l2=0.0, norm=False, dropout=0.0, seed=1):
    """Build and compile a small classifier."""
    training.seed_layers(seed)
    penalty = keras.regularizers.L2(l2) if l2 else None
    layers = [keras.Input((FEATURES,)), keras.layers.Rescaling(1 / 255)]
    # The gradient of a bias before BatchNormalization is rounding error, which Adam magnifies.
    layers += [keras.layers.Dense(16, kernel_regularizer=penalty, use_bias=not norm)]
    layers += [keras.layers.BatchNormalization()] * norm
    layers += [keras.layers.Activation("relu")]
    layers += [keras.layers.Dropout(dropout)] * bool(dropout)
    layers += [keras.layers.Dense(CLASSES, activation="softmax")]
    model = keras.Sequential(layers)
    model.compile(
        optimizer or keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
