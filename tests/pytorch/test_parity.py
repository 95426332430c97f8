"""The port and its PyTorch twin train alike: same weights, same batches, no dropout."""

import dataclasses

import keras
import numpy as np
import pytest

from shared_keras import training
from shared_keras.data import splits
from shared_keras.models.build import keras_model, schedule_callbacks
from shared_keras.systems.spec import (
    Activation,
    BatchNorm,
    Conv,
    Cosine,
    Dense,
    Dropout,
    Flatten,
    Flip,
    MaxPool,
    Noise,
    Optimizer,
    Shift,
    System,
)
from tests.conftest import FASHION, MNIST

torch = pytest.importorskip("torch")
from shared_keras.pytorch import twin, weights  # noqa: E402

BATCH, STEPS, EPOCHS = 32, 100, 4  # 25 steps an epoch, so that per-epoch cosine schedules move
PLAIN = (Flatten(), Dense(24), Activation("relu"), Dense(16), Activation("relu"), Dense(10))
# No bias before a BatchNorm: its gradient is mere rounding error, which Adam magnifies.
NORMED = (
    Flatten(),
    Dense(24, "he", bias=False),
    BatchNorm(),
    Activation("mish"),
    Dense(16, "he", bias=False),
    BatchNorm(),
    Activation("mish"),
    Dense(10, "he"),
)
KERAS = (
    Flatten(),
    Dense(24, "keras", l2=1e-2),
    Activation("relu"),
    Dense(16, "keras", l2=1e-4),
    Activation("relu"),
    Dense(10, "keras"),
    Activation("softmax"),
)
CNN = (
    Conv(4),
    Activation("relu"),
    MaxPool(),
    Conv(6, kernel=4, stride=2),
    Activation("relu"),
    MaxPool(),
    Flatten(),
    Dense(10),
)
QUICK_CNN = (  # on JAX and a CPU, all its convolutions are ours; some edges are left over
    Conv(4),
    Activation("relu"),
    MaxPool(3),
    Conv(6),
    Activation("relu"),
    MaxPool(),
    Flatten(),
    Dense(10),
)
NORMED_CNN = (
    Conv(4, kernel=4, stride=2, init="he", bias=False),
    BatchNorm(),
    Activation("relu"),
    MaxPool(),
    Flatten(),
    Dense(16, "he"),  # no BatchNorm: the edges of the images are constant; see `system`
    Activation("relu"),
    Dense(10, "he"),
)
STRIDED_CNN = (  # all convolutions are ours, there, too
    *NORMED_CNN[:3],
    Conv(6, init="he"),
    Activation("relu"),
    MaxPool(),
    Flatten(),
    Dense(10, "he"),
)
INNER_CNN = (  # no padding; a last row and column of the images is read by no kernel
    Conv(4, kernel=5, stride=2, init="he", bias=False, padded=False),
    Activation("relu"),
    Conv(6, init="he", padded=False),
    Activation("relu"),
    MaxPool(),
    Flatten(),
    Dense(10, "he"),
)
SIGMOID = (Flatten(), Dense(16), Activation("sigmoid"), Dense(10))
OTHERS = ("leaky_relu", "elu", "gelu", "silu")  # JAX computes tanh of float64 to 1e-7 only
ACTIVATED = (*(part for name in OTHERS for part in (Dense(16), Activation(name))), Dense(10))
SYSTEMS = {
    "rmsprop": (PLAIN, Optimizer("rmsprop", 1e-4, momentum=0.9)),
    "rmsprop, l2": (PLAIN, Optimizer("rmsprop", 1e-4, momentum=0.9, l2=1e-2)),
    "adam, cosine per epoch": (PLAIN, Optimizer("adam", 1e-3, schedule=Cosine(3))),
    "adam, l2": (NORMED, Optimizer("adam", 1e-3, l2=1e-2)),
    "adam, l2, cosine per batch": (
        NORMED,
        Optimizer("adam", 1e-3, l2=1e-2, schedule=Cosine(12, per="batch")),
    ),
    "adam, l2, cosine per epoch": (NORMED, Optimizer("adam", 1e-3, l2=1e-4, schedule=Cosine(3))),
    "keras adam, kernel l2": (KERAS, Optimizer("keras adam", 1e-3)),
    "sgd": (SIGMOID, Optimizer("sgd", 0.1)),
    "adam, other activations": ((Flatten(), *ACTIVATED), Optimizer("adam", 1e-3)),
    "sgd, cnn": (CNN, Optimizer("sgd", 0.1)),
    "sgd, cnn of 3x3": (QUICK_CNN, Optimizer("sgd", 0.1)),
    "sgd, cnn without padding": (INNER_CNN, Optimizer("sgd", 0.1)),
    "adam, cosine per epoch, cnn": (NORMED_CNN, Optimizer("adam", 1e-3, schedule=Cosine(3))),
    "adam, cosine per batch, cnn": (
        STRIDED_CNN,
        Optimizer("adam", 1e-3, schedule=Cosine(12, per="batch")),
    ),
}

EVERYWHERE = ("adam, l2, cosine per batch", "sgd, cnn")


def train_both(described, x, y):
    """Train the twin and the port from the same weights; return both sets of weights."""
    torch.manual_seed(3)
    network = twin.module(described)
    model = keras_model(described)
    weights.load(model, network.state_dict())
    moved = twin.make_optimizer(described, network)
    schedule = twin.make_scheduler(described, moved)
    inputs, labels = twin.normalized(described, x), torch.tensor(y, dtype=torch.long)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for _ in range(EPOCHS):
        batches = zip(inputs.split(BATCH), labels.split(BATCH))
        twin.train_epoch(described, network, moved, schedule, batches)
    training.fit(
        model,
        x,
        y,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=False,
        callbacks=schedule_callbacks(described),
    )
    theirs = network.state_dict()
    assert any((before[key] - theirs[key]).abs().max() > 1e-3 for key in theirs)
    return weights.state_dict(model, like=theirs), theirs


def assert_equal(ours, theirs, tolerance):
    for key, expected in theirs.items():
        if key.endswith("num_batches_tracked"):
            continue
        scale = float(expected.abs().max())
        difference = float((ours[key] - expected).abs().max())
        assert difference <= tolerance * scale, f"{key}: {difference / scale:.1e}"


def system(name):
    """Return a system in which pixels that are always zero stay zero.

    If shifted, they would be constants, and before a BatchNorm the gradient of a constant
    is mere rounding error, which Adam magnifies.
    """
    return System(*SYSTEMS[name])


@pytest.fixture(scope="module")
def batches(full):
    return {
        name: (train.x[: BATCH * STEPS // EPOCHS], train.y[: BATCH * STEPS // EPOCHS])
        for name, (train, _) in full.items()
    }


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.every_backend if name in EVERYWHERE else pytest.mark.long
        )
        for name in SYSTEMS
    ],
)
def test_a_hundred_steps(batches, name):
    """In float32, to 1e-4 of the largest parameter of each tensor; float64 below holds all."""
    ours, theirs = train_both(system(name), *batches["fashion"])
    assert_equal(ours, theirs, 1e-4)


@pytest.fixture
def float64():
    """Everything in float64, in both frameworks."""
    if keras.backend.backend() != "jax":
        pytest.skip("JAX here; the other backends have test_a_hundred_steps")
    import jax

    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    torch.set_default_dtype(torch.float64)
    with jax.enable_x64(True):
        yield
    torch.set_default_dtype(torch.float32)
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")


@pytest.mark.long(only=True)
@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_left_is_rounding(float64, batches, name):
    """In float64, to 1e-9."""
    described = system(name)
    ours, theirs = train_both(described, *batches["mnist"])
    assert next(iter(ours.values())).dtype == torch.float64
    assert_equal(ours, theirs, 1e-9)


def test_a_wrong_optimizer_would_be_noticed(batches):
    """The comparison can tell Keras's Adam from PyTorch's."""
    described = system("adam, l2")
    without = dataclasses.replace(described, optimizer=Optimizer("adam", 1e-3, l2=1e-2 * 0.99))
    _, theirs = train_both(described, *batches["fashion"])
    ours, _ = train_both(without, *batches["fashion"])
    with pytest.raises(AssertionError):
        assert_equal(ours, theirs, 1e-4)


def test_every_form_that_the_recipes_use_is_held_to_the_twin():
    """Every optimizer, schedule and layer of the recipes is trained above."""

    def forms(described):
        o = described.optimizer
        kinds = {(type(part), getattr(part, "name", None)) for part in described.layers}
        schedule = o.schedule.per if o.schedule else None
        kernel = any(getattr(part, "l2", 0) for part in described.layers)
        return kinds, (o.name, bool(o.momentum), bool(o.l2), schedule, kernel)

    tested = [forms(system(name)) for name in SYSTEMS]
    random = {(kind, None) for kind in (Dropout, Flip, Noise, Shift)}  # do not affect the rest
    layers = set().union(*(kinds for kinds, _ in tested)) | random
    optimizers = {optimizer for _, optimizer in tested}
    # Keras's Adam has one form, with or without kernel penalties.
    optimizers |= {("keras adam", False, False, None, False)}
    for task in (FASHION, MNIST):
        for name, recipe in task.recipes.items():
            kinds, optimizer = forms(task.system(recipe.system))
            assert kinds <= layers, name
            assert optimizer in optimizers, name


def test_real_images_and_split_are_the_originals(full):
    """Fashion-PyTorch's `train_test_split` of tensors gives our holdout split, image by image."""
    from sklearn.model_selection import train_test_split

    train, test = full["fashion"]
    x = torch.tensor(train.x[:, :2])
    y = torch.tensor(train.y)
    cut = train_test_split(x, y, test_size=0.2, random_state=42, stratify=y)
    split = splits.split(FASHION, train, test, "holdout")
    for images, theirs, labels in ((split.train, 0, 2), (split.validation, 1, 3)):
        np.testing.assert_array_equal(images.x[:, :2], cut[theirs])
        np.testing.assert_array_equal(images.y, cut[labels])
