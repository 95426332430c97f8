"""What is validated in batches of 1,000 gives the same in batches of any size; all else is not."""

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from keras.src.losses.losses import LossFunctionWrapper  # what `compile` makes of a function

from shared_keras import training
from shared_keras.models import layers as ours
from shared_keras.models import metrics as our_metrics
from shared_keras.models.build import keras_model
from shared_keras.results.scores import predict_outputs
from shared_keras.training import known_means
from tests.conftest import TASKS
from tests.shares import dealt
from tests.small_model import CLASSES, FEATURES, build, problem

X, Y = problem()
F = (X / 255).astype(np.float32)
LOSS = "sparse_categorical_crossentropy"
ON_EVERY = pytest.mark.every_backend
RANDOM = np.random.default_rng(0)
N = 14  # two batches of 7
GIVEN = {1: (6, 4), 2: (8, 8, 2), 3: (4, 4, 4, 2)}  # the shape of a sample, by its dimensions
LAYER_ARGUMENTS = {
    "Dense": {"units": 3},
    "Permute": {"dims": (2, 1)},
    "Reshape": {"target_shape": (2, 12)},
    "RepeatVector": {"n": 2},
    "Rescaling": {"scale": 0.5, "offset": 1},
    "Embedding": {"input_dim": 9, "output_dim": 3},
    "Normalization": {"mean": 0.5, "variance": 2.0},
    "GroupNormalization": {"groups": 2},
    "Activation": {"activation": "relu"},
    "Cropping1D": {"cropping": 1},
    **{name: {"rate": 0.5} for name in ("AlphaDropout", "Dropout", "GaussianDropout")},
    **{f"SpatialDropout{n}D": {"rate": 0.5} for n in (1, 2, 3)},
    **{name: {"units": 3} for name in ("GRU", "LSTM", "SimpleRNN")},
    **{name: {"height": 4, "width": 4} for name in ("CenterCrop", "RandomCrop", "Resizing")},
    "GaussianNoise": {"stddev": 1.0},
    **{f"Random{name}": {"factor": 0.5} for name in ("Brightness", "Contrast", "Rotation")},
    "RandomTranslation": {"height_factor": 0.5, "width_factor": 0.5},
    "RandomZoom": {"height_factor": 0.5},
    "MaxPool": {"pool_size": 2},
}
MERGING = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
METRIC_ARGUMENTS = {
    "IoU": {"num_classes": CLASSES, "target_class_ids": [0, 2], "sparse_y_pred": False},
    "MeanIoU": {"num_classes": CLASSES, "sparse_y_pred": False},
    "BinaryIoU": {"target_class_ids": [0, 1]},
    "OneHotIoU": {"num_classes": CLASSES, "target_class_ids": [0, 2]},
    "OneHotMeanIoU": {"num_classes": CLASSES},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "MacroPrecision": {"n_classes": CLASSES},
}
OF_LABELS = (
    keras.metrics.IoU,
    keras.metrics.MeanIoU,
    our_metrics.MacroPrecision,
    our_metrics.Precision,
)
WITHOUT_WEIGHTS = (keras.metrics.BinaryIoU,)  # of one-hot labels


def by_name(parts) -> list:
    return sorted(parts, key=lambda part: (part.__name__, part.__module__))


def made(*layers, loss=LOSS, metrics=None, kind=keras.Sequential, last="softmax", **options):
    model = kind([keras.Input((FEATURES,)), *layers, keras.layers.Dense(CLASSES, last)])
    model.compile("adam", loss, metrics=metrics, **options)
    return model


def functional(of, shape=(FEATURES,), **compiled):
    """Return a compiled model with the outputs that a function makes of its inputs."""
    given = keras.Input(shape)
    model = keras.Model(given, of(given))
    model.compile("adam", **{"loss": LOSS} | compiled)
    return model


def check_apart(function, x, size) -> None:
    """Check that outputs do not depend on the other samples, nor on how many there are."""
    half = x[: N // 2]
    expected = keras.ops.convert_to_numpy(function(x))[: N // 2]
    given = np.concatenate([half, half])[:size]
    found = keras.ops.convert_to_numpy(function(given))[: N // 2]
    np.testing.assert_allclose(found, expected[: len(found)], rtol=1e-4, atol=1e-5)


SIZES = pytest.mark.parametrize("size", dealt([N, N // 2, 1], [N]))


def given_to(kind, dense: bool = False) -> np.ndarray:
    """Return inputs for a layer of this kind."""
    name = kind.__name__
    if name == "Embedding":
        return RANDOM.integers(0, 9, (N, 5))
    if name == "RepeatVector":
        return RANDOM.normal(size=(N, 4)).astype(np.float32)
    images = ("Crop", "Resizing", "Random", "MaxPool")
    rank = next((int(n) for n in "123" if f"{n}D" in name), 2 if name.endswith(images) else 1)
    rank = 2 if name.startswith("Random") else rank
    return RANDOM.normal(size=(N, *GIVEN[rank])).astype(np.float32)


def arguments_of(kind) -> dict:
    name = kind.__name__
    if name in LAYER_ARGUMENTS:
        return LAYER_ARGUMENTS[name]
    if "Conv" in name:
        return {"kernel_size": 2} | ({} if "Depthwise" in name else {"filters": 3})
    if name.startswith(("AveragePooling", "MaxPooling")):
        return {"pool_size": 2}
    return {"output_size": 2} if name.startswith("Adaptive") else {}


# A listed layer, activation, loss or metric gives the same for two batches and for all at once.


@SIZES
@pytest.mark.parametrize("kind", by_name(known_means.LAYERS - {keras.layers.InputLayer}))
def test_a_listed_layer_keeps_samples_apart(kind, size):
    x = given_to(kind)
    layer = kind(**arguments_of(kind))

    def call(batch):
        merged = [batch, batch[:, ::-1]] if kind.__name__ in MERGING else batch
        return layer(merged, training=False) if layer._call_has_training_arg else layer(merged)

    call(x)  # builds it
    positive = [RANDOM.uniform(0.5, 1.5, weight.shape) for weight in layer.weights]
    for weight, value in zip(layer.weights, positive):
        if "int" not in weight.dtype:  # a seed
            weight.assign(value)
    check_apart(call, x, size)
    assert known_means.samples_are_apart(keras.Sequential([layer]))


@SIZES
@pytest.mark.parametrize("function", by_name(known_means.ACTIVATIONS))
def test_a_listed_activation_keeps_samples_apart(function, size):
    x = RANDOM.normal(size=(N, 6)).astype(np.float32) * 3
    check_apart(function, x, size)
    assert known_means.samples_are_apart(keras.Sequential([keras.layers.Dense(4, function)]))


LABELS = RANDOM.integers(0, CLASSES, N)
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[LABELS]
PROBABILITIES = RANDOM.dirichlet(np.ones(CLASSES), N).astype(np.float32)
WEIGHTS = RANDOM.uniform(0, 2, N).astype(np.float32)
BINARY = (LABELS % 2).astype(np.float32)
# Targets and outputs. Keras makes the shapes of some alike and broadcasts others to (n, n).
PAIRS = {
    "one-hot": (ONE_HOT, PROBABILITIES),
    "labels": (LABELS, PROBABILITIES),
    "column of labels": (LABELS[:, None], PROBABILITIES),
    "numbers": (BINARY, PROBABILITIES[:, :1]),
    "column of numbers": (BINARY[:, None], PROBABILITIES[:, :1]),
}


def are_labels(part) -> bool:
    return "sparse" in part.__name__.lower() or part in OF_LABELS


def fits(part, pair: str) -> bool:
    """Return whether a loss or a metric is meant for targets and outputs of these shapes."""
    if "numbers" in pair:
        return not (are_labels(part) or "IoU" in part.__name__)
    return ("labels" in pair) == are_labels(part)


def unlike(parts, every: bool) -> list:
    """Return parts, all or without the classes that only call a function among them."""
    found = []
    for part in by_name(parts):
        made = vars(metric_of(part)) if isinstance(part, type) else {}
        if every or not {made.get("fn"), made.get("_fn")} & parts:
            found.append(part)
    return found


EVERY = pytest.mark.parametrize("every", dealt([False, True], [False]), ids=["unlike", "every"])


def metric_of(part, name=None) -> keras.metrics.Metric:
    if not isinstance(part, type):
        return keras.metrics.MeanMetricWrapper(part, name=name)
    return part(name=name, **METRIC_ARGUMENTS.get(part.__name__, {}))


def compiled(**options):
    return functional(keras.layers.Identity(), (CLASSES,), **options)


def measured(metric, data, size) -> np.ndarray | None:
    """Return what a metric makes of batches of a size, or None if it refuses them."""
    metric.reset_state()
    try:
        for start in range(0, N, size):
            metric.update_state(*(values[start : start + size] for values in data))
    except Exception:  # each backend has its own
        return None
    return keras.ops.convert_to_numpy(metric.result())


def mean_loss(loss, data, size) -> float | None:
    """Return the mean of the losses of batches of a size, or None if it refuses them."""
    total = 0
    try:
        for start in range(0, N, size):
            batch = [values[start : start + size] for values in data]
            total += float(loss(*batch)) * len(batch[0]) / N
    except Exception:
        return None
    return total


@EVERY
@pytest.mark.parametrize("pair", dealt(PAIRS, ["one-hot", "labels"]))
def test_a_listed_loss_is_a_mean(pair, every):
    for part in unlike(known_means.LOSSES, every):
        loss = part() if isinstance(part, type) else LossFunctionWrapper(part)
        data = (*PAIRS[pair], WEIGHTS)
        parted, whole = (mean_loss(loss, data, size) for size in (N // 2, N))
        assert (whole is None) == (parted is None), part
        assert whole is not None or not fits(part, pair), part
        if whole is not None:
            assert parted == pytest.approx(whole, rel=1e-5), part


@pytest.mark.long(only=True)
@EVERY
@pytest.mark.parametrize("pair", dealt(PAIRS, ["one-hot", "labels"]))
def test_a_listed_metric_is_a_mean(pair, every):
    for part in unlike(known_means.MEAN_METRICS, every):
        metric = metric_of(part)
        data = PAIRS[pair] if part in WITHOUT_WEIGHTS else (*PAIRS[pair], WEIGHTS)
        parted, whole = (measured(metric, data, size) for size in (N // 2, N))
        assert (whole is None) == (parted is None), part
        assert whole is not None or pair == "numbers" or not fits(part, pair), part
        if whole is not None:
            np.testing.assert_allclose(parted, whole, rtol=1e-4, atol=1e-6, err_msg=str(part))


def test_what_is_listed_is_known():
    for part in known_means.LOSSES:
        assert known_means.any_batch_will_do(compiled(loss=part)), part
        if isinstance(part, type):
            assert known_means.any_batch_will_do(compiled(loss=part())), part
    metrics = [
        metric_of(part) if isinstance(part, type) else part for part in known_means.MEAN_METRICS
    ]
    assert known_means.any_batch_will_do(compiled(metrics=metrics))


def evaluated(targets, **options) -> list[dict[str, float]]:
    """Return what `evaluate` returns for probabilities, in two batches and all at once."""
    model = compiled(run_eagerly=True, **options)
    options = {"sample_weight": WEIGHTS, "verbose": 0, "return_dict": True}
    sizes = (N // 2, N)
    return [model.evaluate(PROBABILITIES, targets, batch_size=size, **options) for size in sizes]


@pytest.mark.long
@pytest.mark.parametrize("part", by_name(known_means.LOSSES))
def test_evaluate_of_a_listed_loss(part):
    loss = part() if isinstance(part, type) else part
    parted, whole = evaluated(LABELS if are_labels(part) else ONE_HOT, loss=loss)
    assert parted["loss"] == pytest.approx(whole["loss"], rel=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_evaluate_of_listed_metrics(labels, weighted):
    parts = [part for part in by_name(known_means.MEAN_METRICS) if are_labels(part) == labels]
    parts = [part for part in parts if not (weighted and part in WITHOUT_WEIGHTS)]
    metrics = [
        metric_of(part, f"{part.__name__}_{i}") if isinstance(part, type) else part
        for i, part in enumerate(parts)
    ]
    given = {"weighted_metrics" if weighted else "metrics": metrics}
    y, loss = (LABELS, LOSS) if labels else (ONE_HOT, "mse")
    parted, whole = evaluated(y, loss=loss, **given)
    assert len(whole) == len(parts) + 1
    for name, value in whole.items():
        np.testing.assert_allclose(parted[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


# All else is validated as `Model.fit` does.


class Doubled(keras.layers.Layer):
    def call(self, x):
        self.add_loss(keras.ops.sum(x))
        return 2 * x


class Sub(keras.Sequential):
    pass


def highest(y, y_pred):
    return keras.ops.max(y_pred)


def over_batch(z):
    return keras.ops.softmax(z, axis=0)


def with_states():
    layers = [keras.layers.Reshape((3, 4)), keras.layers.LSTM(4, stateful=True)]
    model = keras.Sequential([keras.Input(batch_shape=(20, FEATURES)), *layers])
    model.compile("adam", LOSS)
    return model


def two_outputs(given):
    return [keras.layers.Dense(CLASSES, "softmax")(given) for _ in range(2)]


def less_its_mean(given):
    z = keras.layers.Dense(CLASSES)(given)
    return keras.layers.Softmax()(z - keras.ops.mean(z, axis=0))


def masked(given):
    steps = keras.layers.Reshape((FEATURES, 1))(given)
    z = keras.layers.LSTM(3, return_sequences=True)(steps, mask=given > 0.4)
    return keras.layers.Dense(1)(z)


def replaced():
    layer = keras.layers.Dense(CLASSES)
    layer.call = lambda x: over_batch(x[:, :CLASSES])
    return made(layer)


def with_own(name, layer):
    """Return a model with a layer for images, one method of which was replaced by its like."""
    setattr(layer, name, getattr(layer, name))
    return made(keras.layers.Reshape((3, 4, 1)), layer, keras.layers.Flatten())


def sparse(**options):
    return keras.losses.SparseCategoricalCrossentropy(**options)


def one_hot(loss, **options):
    return lambda: made(loss=loss, **options)


def with_function(part, name):
    setattr(part, name, lambda y, y_pred, **options: keras.ops.max(y_pred))
    return part


WRAPPED = keras.metrics.MeanMetricWrapper
NOT_ANY = {
    "own layer": lambda: made(Doubled()),
    "own layer within": lambda: made(keras.Sequential([Doubled()])),
    "own model": lambda: made(kind=Sub),
    "own loss": lambda: made(loss=highest),
    "own metric": lambda: made(metrics=["accuracy", highest]),
    "own weighed metric": lambda: made(weighted_metrics=[highest]),
    "own metric, wrapped": lambda: made(metrics=[WRAPPED(highest, name="highest")]),
    "own activation": lambda: made(keras.layers.Dense(4, over_batch)),
    "own activation within": lambda: made(
        keras.layers.Dense(4, keras.layers.Activation(over_batch))
    ),
    "own recurrence": lambda: made(
        keras.layers.Reshape((3, 4)), keras.layers.GRU(4, recurrent_activation=over_batch)
    ),
    "replaced": replaced,
    "replaced convolution": lambda: with_own("convolution_op", keras.layers.Conv2D(2, 2)),
    "replaced translation": lambda: with_own(
        "transform_images", keras.layers.RandomTranslation(0.1, 0.1)
    ),
    # Of a softmax, these two are means.
    "dice": one_hot("dice", last="sigmoid"),
    "tversky": one_hot(keras.losses.Tversky(), last="sigmoid"),
    "circle": one_hot(keras.losses.Circle()),
    "replaced function of a loss": lambda: made(loss=with_function(sparse(), "fn")),
    "replaced function of a metric": lambda: made(
        metrics=[with_function(keras.metrics.MeanSquaredError(), "_fn")]
    ),
    "targets (n,) with outputs (n, 1)": lambda: functional(
        keras.layers.Dense(1), loss="hinge", metrics=["hinge", "squared_hinge"]
    ),
    "labels with each output": one_hot(keras.losses.CategoricalGeneralizedCrossEntropy()),
    "rounded loss": lambda: made(loss=sparse(dtype="bfloat16")),
    "rounded metric": one_hot("mse", metrics=[keras.metrics.MeanSquaredError(dtype="float16")]),
    "sums": lambda: made(loss=sparse(reduction="sum")),
    "weights": lambda: made(loss=sparse(reduction="mean_with_sample_weight")),
    "ignores": lambda: made(loss=sparse(ignore_class=0)),
    "over other axes": one_hot(keras.losses.CosineSimilarity(axis=0)),
    "metric over other axes": one_hot(
        "mse", metrics=[keras.metrics.CategoricalCrossentropy(axis=0, name="ce")]
    ),
    "penalty": lambda: made(keras.layers.Dense(3, activity_regularizer="l2")),
    "states": with_states,
    "outputs": lambda: functional(two_outputs),
    "operation": lambda: functional(less_its_mean),
    "lambda": lambda: made(keras.layers.Lambda(lambda x: x - keras.ops.mean(x, axis=0))),
    "softmax": lambda: made(keras.layers.Softmax(axis=0)),
    "softmax by rank": lambda: made(keras.layers.Softmax(axis=-2)),
    "mask": lambda: functional(masked, loss="mse"),
    "masking": lambda: made(
        keras.layers.Reshape((3, 4)), keras.layers.Masking(), keras.layers.LSTM(4)
    ),
    "mask of zeros": lambda: made(
        keras.layers.Embedding(256, 4, mask_zero=True), keras.layers.LSTM(4)
    ),
    "numbers": lambda: functional(keras.layers.Rescaling(0.5), (), loss="mse"),
    "one number a sample": lambda: functional(
        lambda x: keras.layers.Reshape(())(keras.layers.Dense(1)(x)), loss="mse", metrics=["mae"]
    ),
}
COMPARED = [
    pytest.param("dice", marks=ON_EVERY),
    pytest.param("operation", marks=ON_EVERY),
    "targets (n,) with outputs (n, 1)",
    *(
        pytest.param(kind, marks=pytest.mark.long)
        for kind in (
            "own layer",
            "own loss",
            "own metric, wrapped",
            "own activation",
            "tversky",
            "circle",
            "replaced function of a loss",
            "labels with each output",
            "rounded loss",
            "rounded metric",
            "sums",
            "penalty",
            "lambda",
            "softmax",
            "mask",
            "one number a sample",
        )
    ),
]


@pytest.mark.parametrize("kind", NOT_ANY)
def test_models_whose_results_may_depend_on_the_size_of_a_batch(kind):
    assert not known_means.any_batch_will_do(NOT_ANY[kind]())


def test_numbers_of_16_bits_are_no_means():
    floatx = keras.config.floatx()
    keras.config.set_floatx("bfloat16")
    try:
        assert not known_means.any_batch_will_do(build())
    finally:
        keras.config.set_floatx(floatx)


def histories(make, y, seed=1, **options) -> list[dict]:
    """Return the histories of `training.fit` and `Model.fit`, of models that start alike."""
    options = {"shuffle": False, "batch_size": 20, "validation_data": (F[:70], y[:70])} | options
    found = []
    for fit in (training.fit, lambda model, *data, **kw: model.fit(*data, verbose=0, **kw)):
        training.seed_layers(seed)
        found.append(fit(make(), F, y, **options).history)
    return found


def same(ours, theirs) -> None:
    assert list(ours) == list(theirs) and "val_loss" in ours
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", COMPARED)
def test_their_validation_is_keras_own(kind):
    y = Y[:, None] if kind == "labels with each output" else Y
    if kind in ("dice", "tversky", "rounded metric"):
        y = np.eye(CLASSES, dtype=np.float32)[Y]
    elif kind == "mask":
        y = F[:, :, None]
    elif kind in ("one number a sample", "targets (n,) with outputs (n, 1)"):
        y = F[:, 0]
    same(*histories(NOT_ANY[kind], y))


ANY_LAYERS = {
    "norm": keras.layers.BatchNormalization,
    "layer norm": keras.layers.LayerNormalization,
    "swish": lambda: keras.layers.Dense(4, "swish"),
    "lambda": lambda: keras.layers.Lambda(lambda x: x / keras.ops.max(x, axis=0)),
    "own": lambda: keras.layers.Dense(4, over_batch),
}
ANY_LOSSES = ["mse", "categorical_crossentropy", "kl_divergence", "dice", "tversky", highest]
ANY_METRICS = ["mae", "accuracy", "auc", "f1_score", "r2_score", highest]


@pytest.mark.long
@hypothesis.settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
)
@hypothesis.given(
    st.sampled_from(sorted(ANY_LAYERS)),
    st.sampled_from(ANY_LOSSES),
    st.lists(st.sampled_from(ANY_METRICS), unique=True, max_size=3),
    st.integers(21, 70),  # more than a batch
)
def test_validation_is_what_keras_says(layer, loss, metrics, size):
    def make():
        return made(ANY_LAYERS[layer](), loss=loss, metrics=list(metrics), last="sigmoid")

    y = np.eye(CLASSES, dtype=np.float32)[Y]
    same(*histories(make, y, validation_data=(F[:size], y[:size])))


# What is ours is known, so that it stays fast.


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_all_recipes_and_their_metrics_are_known(task):
    for name, recipe in task.recipes.items():
        model = keras_model(task.system(recipe.system), our_metrics.precisions(10))
        assert known_means.any_batch_will_do(model), name


def test_usual_models_are_known():
    assert known_means.any_batch_will_do(build(norm=True, dropout=0.2, l2=1e-3))
    scores = [keras.metrics.F1Score(average=None), "mae", keras.metrics.mean_squared_error, None]
    assert known_means.any_batch_will_do(made(keras.layers.ReLU(), metrics=scores[:3]))
    assert known_means.any_batch_will_do(made(keras.layers.Dense(4, ours.relu), loss="ce"))
    unbuilt = keras.Sequential([keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
    unbuilt.compile("adam", keras.losses.MeanSquaredError)
    assert known_means.any_batch_will_do(unbuilt)

    def residual(given):
        inner = keras.Sequential([keras.layers.Dense(FEATURES, keras.layers.LeakyReLU())])
        return keras.layers.Add()([given, inner(given), keras.layers.Dropout(0.5)(given)])

    assert known_means.any_batch_will_do(functional(residual, loss="mse", metrics=["mae"]))


def test_training_on_request_is_not_for_evaluation():
    def make():
        return functional(lambda x: keras.layers.BatchNormalization()(x, training=True), loss="mse")

    assert known_means.any_batch_will_do(make())
    same(*histories(make, F))


def test_predictions_depend_on_no_batch_but_that_of_keras():
    known, other = build(), made(keras.layers.Softmax(axis=0))
    for model in (known, other):
        np.testing.assert_allclose(
            predict_outputs(model, F), model.predict(F, verbose=0), rtol=1e-4, atol=1e-6
        )
