"""Two precisions for class labels: the one that misled a search, and one that works."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("shared_keras")
class Precision(keras.metrics.Precision):
    """Fraction of the outputs above 0.5 that are right, over all outputs together.

    It computes for integer labels what Keras's `"precision"` computes for one-hot labels, as
    in Fashion-Keras. It is zero if no output exceeds 0.5. A model that answers only once, but
    rightly, scores 1.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add labels, int (n,) or (n, 1), and probabilities, float (n, classes)."""
        labels = ops.one_hot(ops.reshape(y_true, (-1,)), y_pred.shape[-1])
        return super().update_state(labels, y_pred, sample_weight)


@keras.saving.register_keras_serializable("shared_keras")
class MacroPrecision(keras.metrics.Metric):
    """Mean over the classes of the fraction of a class's predictions that are right.

    The prediction is the likeliest class, so every image gets one. A class that occurs
    but is never predicted counts as zero. One that neither occurs nor is predicted does
    not count, as in scikit-learn.
    """

    def __init__(self, n_classes: int = 10, name: str = "macro_precision", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.n_classes = n_classes
        self.hits = self.add_variable((n_classes,), "zeros", name="hits")
        self.predicted = self.add_variable((n_classes,), "zeros", name="predicted")
        self.true = self.add_variable((n_classes,), "zeros", name="true")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add labels, int (n,) or (n, 1), and probabilities, float (n, classes)."""
        predicted = ops.one_hot(ops.argmax(y_pred, axis=-1), self.n_classes)
        labels = ops.one_hot(ops.reshape(y_true, (-1,)), self.n_classes)
        self.predicted.assign_add(ops.sum(predicted, axis=0))
        self.true.assign_add(ops.sum(labels, axis=0))
        self.hits.assign_add(ops.sum(predicted * labels, axis=0))

    def result(self) -> Any:
        """Return the precision, a float32 scalar."""
        known = ops.sum(ops.minimum(self.predicted + self.true, 1))
        return ops.sum(self.hits / ops.maximum(self.predicted, 1)) / ops.maximum(known, 1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal metric."""
        return super().get_config() | {"n_classes": self.n_classes}


def precisions(n_classes: int) -> list:
    """Return metrics to compile a model with: accuracy and both precisions."""
    return ["accuracy", Precision(name="precision"), MacroPrecision(n_classes)]
