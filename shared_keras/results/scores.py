"""Scores of predictions: arrays in, plain values out.

SciPy's statistics and scikit-learn take a second to import. They are imported where they are used,
so that a training can begin before: `quick_import.ahead`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from shared_keras import devices
from shared_keras.data.datasets import Images
from shared_keras.results.metrics import Scores
from shared_keras.task import Task
from shared_keras.training.known_means import samples_are_apart
from shared_keras.training.model_kinds import convolves_on_cpu
from shared_keras.training.plan import VALIDATION_BATCH

if TYPE_CHECKING:
    import keras

KERAS_BATCH = 32  # of `Model.predict`
# Of convolutions on JAX and a CPU. With ten times as many images, XLA's memory is too large to be
# kept from batch to batch, and they take up to twice as long.
CONVOLUTION_BATCH = 100


def predict_outputs(model: "keras.Model", x: np.ndarray) -> np.ndarray:
    """Return a Keras model's outputs for raw images, (n, 28, 28): float32 (n, classes)."""
    # Not `predict`: on every backend it imports TensorFlow, which takes seconds.
    size, predict = KERAS_BATCH, model.predict_on_batch
    if samples_are_apart(model):
        size = VALIDATION_BATCH
        if devices.backend() == "jax":
            size = CONVOLUTION_BATCH if convolves_on_cpu(model) else size
            groups = model.trainable_variables, model.non_trainable_variables
            values = [[variable.value for variable in group] for group in groups]
            predict = functools.partial(_program(model), *values)
    return np.concatenate([predict(x[i : i + size]) for i in range(0, len(x), size)])


@functools.lru_cache(maxsize=1)
def _program(model: "keras.Model") -> Callable[..., Any]:
    """Return a program for the outputs of a model on JAX.

    Keras compiles no model that moves or mirrors images in training, because TensorFlow cannot.
    """
    import jax

    def outputs(weights: Any, rest: Any, x: Any) -> Any:
        return model.stateless_call(weights, rest, x, training=False)[0]

    return cast(Callable[..., Any], jax.jit(outputs))


def predict_probabilities(model: "keras.Model", x: np.ndarray) -> np.ndarray:
    """Return the class probabilities of images.

    Args:
        model: A Keras model; if its outputs are logits, they are normalised.
        x: Raw images, (n, 28, 28).

    Returns:
        float64 (n, classes), rows summing to one.
    """
    given = predict_outputs(model, x).astype(np.float64)
    if are_probabilities(given):
        return cast(np.ndarray, given / given.sum(axis=1, keepdims=True))
    from scipy import special

    return cast(np.ndarray, special.softmax(given, axis=1))


def are_probabilities(outputs: np.ndarray) -> bool:
    """Return whether outputs, float (n, classes), are probabilities, not logits."""
    sums = outputs.sum(axis=1)
    return bool((outputs >= 0).all() and np.allclose(sums, 1, atol=0.02))  # bfloat16 rounds so


def score(probabilities: np.ndarray, y: np.ndarray, classes: Sequence[str]) -> Scores:
    """Score predictions.

    Args:
        probabilities: float (n, classes).
        y: True labels, int (n,).
        classes: Their names.
    """
    from sklearn import metrics

    labels = range(len(classes))
    predicted = probabilities.argmax(axis=1)
    correct = int((predicted == y).sum())
    low, high = interval(correct, len(y))
    picked = np.clip(probabilities[np.arange(len(y)), y], 1e-7, 1)
    measured = np.isin(labels, y)
    columns = metrics.precision_recall_fscore_support(y, predicted, labels=labels, zero_division=0)
    return Scores(
        n=len(y),
        accuracy=correct / len(y),
        accuracy_low=low,
        accuracy_high=high,
        loss=float(-np.log(picked).mean()),
        macro={
            key: float(column[measured].mean())
            for key, column in zip(("precision", "recall", "f1"), columns)
        },
        classes=[
            {
                "class": name,
                "precision": float(precision) if known else None,
                "recall": float(recall) if known else None,
                "f1": float(f1) if known else None,
                "support": int(support),
            }
            for name, known, precision, recall, f1, support in zip(classes, measured, *columns)
        ],
        confusion=metrics.confusion_matrix(y, predicted, labels=labels).tolist(),
    )


def interval(right: float, n: float) -> tuple[float, float]:
    """Return the Wilson 95 % interval of a share, here of 0 of 0, too; counts are rounded."""
    from scipy import stats

    if round(n) == 0:
        return 0.0, 1.0
    ends = stats.binomtest(round(right), round(n)).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)


def score_images(task: Task, predict: Callable[[np.ndarray], np.ndarray], images: Images) -> Scores:
    """Score a function that maps raw images, (n, 28, 28), to probabilities. See `score`."""
    return score(predict(images.x), images.y, task.classes)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy of each row in nats, float (n,)."""
    from scipy import stats

    return cast(np.ndarray, stats.entropy(probabilities, axis=1))
