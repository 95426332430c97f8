"""The objective of a search: what it improves, and in which direction."""

from typing import Any

import keras_tuner
from keras_tuner.engine.metrics_tracking import infer_metric_direction

from shared_keras.errors import BadInput

# Keras metrics that are better when larger, but that KerasTuner would minimize.
MISJUDGED = {
    "BinaryIoU",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "IoU",
    "MeanIoU",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "PrecisionAtRecall",
    "R2Score",
    "RecallAtPrecision",
}
_MISJUDGED = {name.lower() for name in MISJUDGED}


def check(objective: keras_tuner.Objective) -> None:
    """Refuse names of metrics whose direction the stock class does not know, or gets wrong.

    Args:
        objective: What `keras_tuner.Hyperband` takes: a name, a `keras_tuner.Objective`, a
            list of these, or None.

    Raises:
        BadInput: naming the metric.
    """
    if isinstance(objective, list):
        for each in objective:
            check(each)
    if not isinstance(objective, str):
        return
    plain = objective.removeprefix("val_").removeprefix("weighted_").replace("_", "").lower()
    if plain in _MISJUDGED or infer_metric_direction(objective) is None:
        raise BadInput(
            f"objective: Could not infer optimization direction for '{objective}'; "
            f"expected keras_tuner.Objective('{objective}', 'max') or (..., 'min')"
        )


def state(objective: keras_tuner.Objective) -> list[Any]:
    """Return an objective's name and direction as JSON; for several, those of each."""
    if hasattr(objective, "objectives"):
        return [state(each) for each in objective.objectives]
    return [objective.name, objective.direction]
