"""What an audit computes with: rules, losses, orders and kinds, each held to PyTorch or Keras."""

import keras
import numpy as np
import pytest
from keras import layers

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from port_audit.causes import losses, optimizers  # noqa: E402
from port_audit.causes.losses import Form  # noqa: E402
from port_audit.causes.optimizers import Rule  # noqa: E402
from port_audit.nets import kinds  # noqa: E402

RANDOM = np.random.default_rng(0)
START = RANDOM.normal(size=7)
GRADIENTS = RANDOM.normal(size=(4, 7))

OF_TORCH = {
    "SGD": (torch.optim.SGD, {"lr": 0.1}),
    "SGD with momentum and L2": (
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.02},
    ),
    "Nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "Adam": (torch.optim.Adam, {"lr": 0.1, "betas": (0.8, 0.99), "eps": 1e-3}),
    "AMSGrad with L2": (torch.optim.Adam, {"lr": 0.1, "amsgrad": True, "weight_decay": 0.02}),
    "AdamW": (torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.3}),
    "RMSprop": (torch.optim.RMSprop, {"lr": 0.1, "alpha": 0.8, "eps": 1e-2}),
    "centered RMSprop": (torch.optim.RMSprop, {"lr": 0.1, "momentum": 0.5, "centered": True}),
    "Adagrad": (torch.optim.Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-2}),
}


@pytest.mark.parametrize("name", OF_TORCH)
def test_a_rule_moves_a_parameter_as_pytorch_does(name):
    cls, options = OF_TORCH[name]
    parameter = nn.Parameter(torch.tensor(START))
    optimizer = cls([parameter], **options)
    rule = optimizers.of_torch(optimizer, parameter)
    for gradient, ours in zip(GRADIENTS, optimizers.run(rule, START, GRADIENTS), strict=True):
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        np.testing.assert_allclose(ours, parameter.detach().numpy(), rtol=1e-12, atol=1e-14)


def test_other_rules_of_pytorch_are_unknown():
    parameter = nn.Parameter(torch.zeros(2))
    for optimizer in (
        torch.optim.SGD([parameter], 0.1, momentum=0.9, dampening=0.5),
        torch.optim.Adagrad([parameter], 0.1, lr_decay=0.1),
        torch.optim.NAdam([parameter], 0.1),
    ):
        assert optimizers.of_torch(optimizer, parameter) is None
    stranger = nn.Parameter(torch.zeros(2))
    assert optimizers.of_torch(torch.optim.SGD([parameter], 0.1), stranger).lr == 0


BEFORE = {"lr": 0.1, "place": "before"}
OF_KERAS = {
    "SGD": (lambda: keras.optimizers.SGD(0.1, 0.9), Rule("sgd", 0.1, momentum=0.9)),
    "Nesterov": (
        lambda: keras.optimizers.SGD(0.1, 0.9, nesterov=True),
        Rule("sgd", 0.1, momentum=0.9, nesterov=True),
    ),
    "Adam": (
        lambda: keras.optimizers.Adam(0.1, 0.8, 0.99, epsilon=1e-3),
        Rule("adam", betas=(0.8, 0.99), epsilon=1e-3, **BEFORE),
    ),
    "AdamW": (
        lambda: keras.optimizers.AdamW(0.1, 0.3, epsilon=1e-3),
        Rule("adam", decoupled=0.3, epsilon=1e-3, **BEFORE),
    ),
    "RMSprop": (
        lambda: keras.optimizers.RMSprop(0.1, 0.8, 0.5, 1e-2, centered=True),
        Rule("rmsprop", rho=0.8, momentum=0.5, centered=True, epsilon=1e-2, **BEFORE),
    ),
    "Adagrad": (
        lambda: keras.optimizers.Adagrad(0.1, 0.2, epsilon=1e-2),
        Rule("adagrad", accumulator=0.2, epsilon=1e-2, **BEFORE),
    ),
}


@pytest.mark.parametrize("name", OF_KERAS)
def test_a_rule_moves_a_parameter_as_keras_does(name):
    make, rule = OF_KERAS[name]
    variable, optimizer = keras.Variable(START.astype("float32")), make()
    for gradient, ours in zip(GRADIENTS, optimizers.run(rule, START, GRADIENTS), strict=True):
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [variable])
        np.testing.assert_allclose(ours, np.array(variable), rtol=2e-4, atol=2e-5)


LOGITS = RANDOM.normal(size=(6, 4)).astype("float32")
LABELS = np.array([0, 1, 2, 3, 1, 1])
WEIGHTS = (1.0, 2.0, 3.0, 4.0)
NUMBERS = (2 * RANDOM.normal(size=(6, 4))).astype("float32")
BINARY = (NUMBERS > 0).astype("float32")
LOSSES = {
    "cross entropy": (nn.CrossEntropyLoss(), LABELS),
    "sum": (nn.CrossEntropyLoss(reduction="sum"), LABELS),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.2), LABELS),
    "weighted": (nn.CrossEntropyLoss(torch.tensor(WEIGHTS)), LABELS),
    "ignoring": (nn.CrossEntropyLoss(ignore_index=1), LABELS),
    "nll": (nn.NLLLoss(torch.tensor(WEIGHTS)), LABELS),
    "binary": (nn.BCEWithLogitsLoss(), BINARY),
    "mse": (nn.MSELoss(reduction="sum"), NUMBERS),
    "mae": (nn.L1Loss(), NUMBERS),
    "huber": (nn.HuberLoss(delta=0.7), NUMBERS),
    "smooth": (nn.SmoothL1Loss(beta=0.7), NUMBERS),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_pytorch_is_computed_as_there(name):
    loss, y = LOSSES[name]
    y = torch.tensor(y)
    expected = float(loss(torch.tensor(LOGITS), y))
    (form,) = losses.of_torch(loss, torch.tensor(LOGITS), y)
    assert float(form(y.numpy(), LOGITS)) == pytest.approx(expected, rel=1e-5)


CE = keras.losses.SparseCategoricalCrossentropy
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
LOSSES_OF_KERAS = {
    "logits": (CE(from_logits=True), LABELS, LOGITS),
    "probabilities": (CE(), LABELS, PROBABILITIES),
    "by name": ("sparse_categorical_crossentropy", LABELS, PROBABILITIES),
    "sum": (CE(from_logits=True, reduction="sum"), LABELS, LOGITS),
    "binary": (keras.losses.BinaryCrossentropy(True, 0.2), BINARY, LOGITS),
    "mse": (keras.losses.MeanSquaredError(), NUMBERS, LOGITS),
    "huber": (keras.losses.Huber(0.7), NUMBERS, LOGITS),
}


@pytest.mark.parametrize("name", LOSSES_OF_KERAS)
def test_a_loss_of_keras_is_computed_as_there(name):
    loss, y, outputs = LOSSES_OF_KERAS[name]
    form = losses.of_keras(loss)
    expected = keras.ops.mean(keras.losses.get(loss)(y, outputs))
    assert float(form(y, outputs)) == pytest.approx(float(expected), rel=1e-5)


def test_forms_name_what_they_differ_in():
    form = losses.of_keras(CE(from_logits=True), {0: 2.0}, 2)
    assert form == Form("cross entropy", weights=(2.0, 1.0), weights_by="batch")
    assert form.differences(Form("cross entropy", smoothing=0.1)) == [
        "smoothing",
        "weights",
        "weights_by",
    ]
    assert losses.of_keras(lambda y, outputs: 0.0) is None


# Modules, layers that mean the same, and the shape of their inputs in PyTorch.
LAST = {"data_format": "channels_last"}
MADE = {
    "linear": (lambda: nn.Linear(5, 3), lambda: layers.Dense(3), (4, 5)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3), lambda: layers.Conv1D(6, 3, **LAST), (2, 4, 7)),
    "conv2d": (
        lambda: nn.Conv2d(4, 4, 3, groups=4),
        lambda: layers.DepthwiseConv2D(3, **LAST),
        (2, 4, 7, 6),
    ),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2), lambda: layers.Conv3D(3, 2, **LAST), (2, 2, 4, 5, 3)),
    "transposed conv2d": (
        lambda: nn.ConvTranspose2d(4, 3, 2, 2),
        lambda: layers.Conv2DTranspose(3, 2, 2, **LAST),
        (2, 4, 3, 5),
    ),
    "batch norm": (
        lambda: nn.BatchNorm2d(4),
        lambda: layers.BatchNormalization(epsilon=1e-5),
        (2, 4, 3, 5),
    ),
    "layer norm": (
        lambda: nn.LayerNorm(5),
        lambda: layers.LayerNormalization(epsilon=1e-5),
        (4, 5),
    ),
    "group norm": (
        lambda: nn.GroupNorm(2, 4),
        lambda: layers.GroupNormalization(2, epsilon=1e-5),
        (2, 4, 3, 5),
    ),
    "embedding": (lambda: nn.Embedding(9, 5), lambda: layers.Embedding(9, 5), None),
    "lstm": (
        lambda: nn.LSTM(5, 3, batch_first=True),
        lambda: layers.LSTM(3, return_sequences=True),
        (2, 4, 5),
    ),
    "gru": (
        lambda: nn.GRU(5, 3, batch_first=True),
        lambda: layers.GRU(3, return_sequences=True),
        (2, 4, 5),
    ),
    "prelu": (
        lambda: nn.PReLU(4),
        lambda: layers.PReLU(shared_axes=[1, 2]),
        (2, 4, 3, 5),
    ),
}
WITH_CHANNELS = ("conv", "batch", "group", "prelu")


def lively(module):
    """Give a module weights and statistics that are nowhere 0 or 1."""
    with torch.no_grad():
        for values in (*module.parameters(), *module.buffers()):
            if values.is_floating_point():
                values.copy_(torch.tensor(RANDOM.uniform(0.2, 0.8, tuple(values.shape))))
    return module.eval()


@pytest.mark.parametrize("kind", MADE)
def test_the_weights_of_a_kind_are_carried_so_that_the_outputs_are_the_same(kind):
    make, layer, shape = MADE[kind]
    module, layer = lively(make()), layer()
    assert kinds.torch_kind(module) == kinds.keras_kind(layer) == kind
    x = RANDOM.normal(size=shape).astype("float32") if shape else RANDOM.integers(0, 9, (2, 4))
    has_channels = any(word in kind for word in WITH_CHANNELS)
    order = kinds.channels_last(x.ndim) if has_channels else kinds.SAME
    with torch.no_grad():
        theirs = module(torch.tensor(x))
    theirs = order((theirs[0] if isinstance(theirs, tuple) else theirs).numpy())
    layer.build(order(x).shape)
    weights = {
        name.removesuffix("_l0"): value.numpy()
        for name, value in module.state_dict().items()
        if value.is_floating_point()
    }
    roles = kinds.carried(layer, weights, order)
    variables = kinds.variables(layer)
    assert roles.keys() == variables.keys()
    for role, variable in variables.items():
        variable.assign(roles[role])
    np.testing.assert_allclose(np.array(layer(order(x))), theirs, rtol=1e-4, atol=1e-5)


def test_an_order_is_that_of_keras():
    x = RANDOM.normal(size=(2, 3, 4, 5)).astype("float32")
    moved = kinds.channels_last(4)(x)
    assert np.array_equal(moved, keras.ops.moveaxis(x, 1, -1))
    places = np.arange(60).reshape(3, 4, 5).transpose(1, 2, 0).ravel()
    features = kinds.Order("features", features=places)
    flat = torch.flatten(torch.tensor(x), 1).numpy()
    assert np.array_equal(features(flat), layers.Flatten()(moved))
    padded = kinds.Order("channels last", (0, 2, 3, 1), pads=((1, 0), (2, 3)))(x)
    around = layers.ZeroPadding2D(((1, 0), (2, 3)), data_format="channels_last")
    assert np.array_equal(padded, around(moved))
