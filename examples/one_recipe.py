"""One recipe from top to bottom, in plain Keras: images, model, fit, score.

    python examples/one_recipe.py

It is `accuracy` of Fashion-MNIST, the winner of Fashion-Keras's search. What
`python -m fashion_keras.retrain --recipe accuracy` trains is the same, in less time.
"""

import argparse
import gzip
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras reads it when it is imported

import keras
import numpy as np
from sklearn.model_selection import train_test_split

EMBEDDED = Path(__file__).parents[1] / "fashion_keras" / "data"
parser = argparse.ArgumentParser(description="Train one recipe of Fashion-MNIST in plain Keras.")
parser.add_argument("--data-dir", type=Path, default=EMBEDDED, help="four gzipped IDX files")
parser.add_argument("--epochs", type=int, default=20)
args = parser.parse_args()


def read(name, header, shape):
    raw = gzip.decompress((args.data_dir / f"{name}.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


# Images are uint8 (n, 28, 28), labels uint8 (n,). As published, the test images are cut in two.
x = read("train-images-idx3-ubyte", 16, (-1, 28, 28))
y = read("train-labels-idx1-ubyte", 8, -1)
images = read("t10k-images-idx3-ubyte", 16, (-1, 28, 28))
labels = read("t10k-labels-idx1-ubyte", 8, -1)
val_x, test_x, val_y, test_y = train_test_split(
    images, labels, test_size=0.4, random_state=42, stratify=labels
)

# The model takes raw pixels; its first layer scales them.
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((28, 28)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(504, activation="relu"),
        keras.layers.Dense(288, activation="relu"),
        keras.layers.Dense(408, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
adam = keras.optimizers.Adam(1e-4)
model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])

# At the end, the weights of the epoch with the best validation accuracy are restored.
best = keras.callbacks.EarlyStopping("val_accuracy", patience=15, restore_best_weights=True)
options = {"batch_size": 32, "epochs": args.epochs, "verbose": 2}
history = model.fit(x, y, validation_data=(val_x, val_y), callbacks=[best], **options)

# The score is of images that decided nothing.
loss, accuracy = model.evaluate(test_x, test_y, verbose=0)
print(f"validation accuracy {max(history.history['val_accuracy']):.4f}, published 0.8958")
print(f"test accuracy {accuracy:.4f}, published 0.8990")
