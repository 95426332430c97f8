"""What is known to be a mean over samples: for it, batches of any size give the same result.

The lists name all that is known. For everything else, a user's own code among it, the size of a
batch may be part of the result, so it stays what the user said.
"""

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import keras
from keras.src.metrics import accuracy_metrics, regression_metrics
from keras.src.models import Functional  # what `keras.Model(inputs, outputs)` makes

from shared_keras.models import layers, metrics


def _of(module: Any, names: str) -> frozenset:
    return frozenset(getattr(module, name) for name in names.split())


LAYERS = _of(
    keras.layers,
    """
    Activation AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
    AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add AlphaDropout Average
    AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization CenterCrop Concatenate
    Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Cropping1D Cropping2D
    Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dropout ELU Embedding Flatten GRU
    GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    GroupNormalization Identity InputLayer LSTM LayerNormalization LeakyReLU MaxPooling1D
    MaxPooling2D MaxPooling3D Maximum Minimum Multiply Normalization PReLU Permute
    RMSNormalization RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation
    RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D
    SeparableConv2D SimpleRNN Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D Subtract
    UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
    ZeroPadding3D
    """,
) | {layers.BatchNorm, layers.Dropout, layers.MaxPool}
# The first doubles the samples, the second halves them: known only together, in a chain of layers.
MIRRORS = [layers.WithMirrored, layers.MeanOfMirrored]

ACTIVATIONS = _of(
    keras.activations,
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear
    log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign
    sparse_plus sparse_sigmoid sparsemax squareplus tanh tanh_shrink
    """,
) | {layers.mish, layers.relu}

# Without those that Keras does not compute sample by sample for every shape of the targets: it may
# compare each target (n,) with each output (n, 1), or label (n, 1) with each output (n, classes).
LOSSES = _of(
    keras.losses,
    """
    BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy
    CategoricalHinge CosineSimilarity Hinge Huber KLDivergence LogCosh MeanAbsoluteError
    MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
    SparseCategoricalCrossentropy SquaredHinge
    binary_crossentropy binary_focal_crossentropy categorical_crossentropy
    categorical_focal_crossentropy categorical_hinge cosine_similarity hinge huber kl_divergence
    log_cosh mean_absolute_error mean_absolute_percentage_error mean_squared_error
    mean_squared_logarithmic_error poisson sparse_categorical_crossentropy squared_hinge
    """,
)

# Without those for which the same holds; of the losses above, some are among them as metrics.
MEAN_METRICS = _of(
    keras.metrics,
    """
    AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalCrossentropy
    ConcordanceCorrelation CosineSimilarity F1Score FBetaScore FalseNegatives FalsePositives IoU
    LogCoshError MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanSquaredError
    MeanSquaredLogarithmicError PearsonCorrelation Precision PrecisionAtRecall R2Score Recall
    RecallAtPrecision RootMeanSquaredError SensitivityAtSpecificity SparseCategoricalAccuracy
    SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy SpecificityAtSensitivity
    TopKCategoricalAccuracy TrueNegatives TruePositives
    binary_accuracy binary_crossentropy binary_focal_crossentropy categorical_crossentropy
    categorical_focal_crossentropy concordance_correlation huber log_cosh mean_absolute_error
    mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error
    pearson_correlation sparse_categorical_accuracy sparse_categorical_crossentropy
    sparse_top_k_categorical_accuracy top_k_categorical_accuracy
    """,
) | {metrics.Precision, metrics.MacroPrecision}

# What some of these call, and Keras does not export.
INNER = {accuracy_metrics.accuracy, regression_metrics.cosine_similarity}
CHOSEN_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")  # Keras chooses what fits the shapes
REPLACEABLE = (
    *("call", "convolution_op", "transform_images"),  # of a layer
    *("compute_loss", "compute_metrics", "test_step"),  # of a model
    *("result", "update_state"),  # of a metric
)
PRECISE = ("float32", "float64")  # in 16 bits, a sum of many is rounded to a few digits
COUNTS = ("int32", "int64")  # of the IoU metrics


def any_batch_will_do(model: keras.Model) -> bool:
    """Return whether `evaluate` is known to return the same for any batch size.

    Args:
        model: A compiled model.
    """
    compiled = model._compile_metrics
    given = () if compiled is None else (compiled._user_metrics, compiled._user_weighted_metrics)
    losses, measures = (
        [part for part in keras.tree.flatten(parts) if part is not None]
        for parts in (model.loss, given)
    )
    return (
        keras.config.floatx() in PRECISE
        and samples_are_apart(model)
        # TensorFlow counts a short batch like a full one in the loss of each output.
        and (not model.built or len(model.outputs) == 1)
        and all(_is_mean(loss, LOSSES, keras.losses.get) for loss in losses)
        and all(_is_mean(metric, MEAN_METRICS, keras.metrics.get) for metric in measures)
    )


def samples_are_apart(model: keras.Model) -> bool:
    """Return whether a model is known to compute the output of a sample from that sample alone."""
    if type(model) is Functional:
        parts = model.operations
    elif type(model) is keras.Sequential:
        parts = _unmirrored(model.layers)
    else:
        return False
    return (
        _as_made(model)
        and not model.activity_regularizer
        # Of an array (n,), the last axis is that of the samples.
        and (not model.built or all(len(given.shape) > 1 for given in model.inputs))
        and all(_is_given_tensors_only(part) and _is_apart(part) for part in parts)
    )


def _unmirrored(parts: list[Any]) -> list[Any]:
    """Return the layers of a chain without the pair that takes means of mirrored images."""
    pair = [part for part in parts if type(part) in MIRRORS]
    known = [type(part) for part in pair] == MIRRORS and all(map(_as_made, pair))
    return [part for part in parts if part not in pair] if known else parts


def _is_apart(part: Any) -> bool:
    """Return whether a layer keeps samples apart; operations such as `ops.mean` may not."""
    if isinstance(part, keras.Model):
        return samples_are_apart(part)
    return (
        type(part) in LAYERS
        and _as_made(part)
        and not part.activity_regularizer  # a sum over the batch
        and not part.quantization_mode
        and not getattr(part, "stateful", False)
        and not getattr(part, "mask_zero", False)  # a loss is a mean over what is not masked
        and getattr(part, "target_shape", None) != ()
        and all(axis == -1 or axis > 0 for axis in _axes(getattr(part, "axis", None)))
        and all(map(_is_known_activation, _activations(part)))
    )


def _axes(axis: Any) -> list[int]:
    return [each for each in keras.tree.flatten(axis) if each is not None]


def _activations(layer: keras.layers.Layer) -> Iterator[Any]:
    for name in ("activation", "recurrent_activation"):
        if (activation := getattr(layer, name, None)) is not None:
            yield activation


def _is_known_activation(activation: Any) -> bool:
    if isinstance(activation, keras.layers.Layer):
        return _is_apart(activation)
    return isinstance(activation, FunctionType) and activation in ACTIVATIONS


def _is_given_tensors_only(part: Any) -> bool:
    """Return whether a part of a model is called without a mask and other options.

    `training` does not count: `evaluate` and `predict` set it to False everywhere.
    """
    return all(
        all(isinstance(value, keras.KerasTensor) for value in keras.tree.flatten(call.args))
        and all(value is None for name, value in call.kwargs.items() if name != "training")
        for call in (node.arguments for node in part._inbound_nodes)
    )


def _is_mean(part: Any, known: frozenset, named: Callable) -> bool:
    """Return whether a loss or a metric is known, and used as a mean over samples.

    Args:
        part: A name, a class, an instance or a function.
        known: Classes and functions.
        named: Returns what a name stands for.
    """
    if isinstance(part, str):
        if part.lower() in CHOSEN_BY_SHAPE:
            return True
        try:
            part = named(part)
        except ValueError:  # Keras will say that there is none of this name
            return False
    kind = part if isinstance(part, (type, FunctionType)) else type(part)
    options = getattr(part, "_fn_kwargs", {})
    return (
        kind in known
        and _as_made(part)
        and _calls_known_function(part, known)
        and _is_precise(part)
        and getattr(part, "reduction", "mean") in ("mean", "sum_over_batch_size")
        and options.get("axis", -1) == -1
        and options.get("ignore_class") is None
    )


def _calls_known_function(part: Any, known: frozenset) -> bool:
    """Return whether the function that a loss (`fn`) or a metric (`_fn`) calls is known, too."""
    called = [vars(part)[name] for name in ("fn", "_fn") if name in vars(part)]
    return isinstance(part, (type, FunctionType)) or all(fn in known | INNER for fn in called)


def _is_precise(part: Any) -> bool:
    if isinstance(part, (type, FunctionType)):
        return True
    return part.dtype in PRECISE or (isinstance(part, keras.metrics.IoU) and part.dtype in COUNTS)


def _as_made(part: Any) -> bool:
    """Return whether no method of this one object was replaced."""
    return isinstance(part, (type, FunctionType)) or not any(map(vars(part).get, REPLACEABLE))
