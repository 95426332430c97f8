"""What the ledger takes for doing nothing does nothing; at another value, training changes.

WAYS=all tries each.
"""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from keras import layers  # noqa: E402
from torch import nn  # noqa: E402

from port_audit.ledger import neutral  # noqa: E402
from tests.port_audit import parts  # noqa: E402
from tests.shares import dealt  # noqa: E402

DENSE, LSTM = layers.Dense, layers.LSTM
# Of a layer: its class, its first argument, a value that does nothing, and another one.
OF_LAYERS = {
    "kernel_regularizer": (DENSE, 6, None, "l2"),
    "kernel_constraint": (DENSE, 6, None, "non_neg"),
    "activity_regularizer": (DENSE, 6, None, "l2"),
    "dtype": (DENSE, 6, "float32", "float16"),
    "rate": (layers.Dropout, None, 0.0, 0.5),
    "noise_shape": (layers.Dropout, 0.5, None, (None, 1)),
    "stddev": (layers.GaussianNoise, None, 0.0, 0.5),
    "dropout": (LSTM, 6, 0.0, 0.5),
    "recurrent_dropout": (LSTM, 6, 0.0, 0.5),
    "renorm": (layers.BatchNormalization, None, False, True),
}
OF_OPTIMIZERS = {
    "weight_decay": 0.1,
    "clipnorm": 1e-3,
    "global_clipnorm": 1e-3,
    "clipvalue": 1e-3,
    "use_ema": True,
    "gradient_accumulation_steps": 2,
}
OF_TORCH = ("maximize", "max_norm", "scale_grad_by_freq")
IDLE_IN_OPTIMIZERS = {"loss_scale_factor": 4.0, "name": "another"}
IDLE_IN_COMPILE = {
    "steps_per_execution": 2,
    "run_eagerly": True,
    "jit_compile": False,
    "weighted_metrics": ["accuracy"],
}
IDLE_IN_PYTORCH = {"foreach": True, "fused": True}


def keras_weights(layer=None, optimizer=None, compiled=None, fitted=None):
    """Return the weights after a short training."""
    keras.utils.set_random_seed(0)
    x, y = parts.rows(0)
    middle = [layer] if layer is not None else []
    if isinstance(layer, LSTM):
        middle = [layers.Reshape((2, 8)), layer]
    model = keras.Sequential([keras.Input((20,)), DENSE(16, "tanh"), *middle, DENSE(4)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, **(optimizer or {})), loss, **(compiled or {}))
    model.fit(x[:64], y[:64], epochs=2, verbose=0, shuffle=False, **(fitted or {}))
    return [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]


def torch_weights(optimizer=None, embedding=None):
    """Return the weights after a short training of PyTorch."""
    torch.manual_seed(0)
    x, y = (torch.tensor(each) for each in parts.words(0))
    words, end = nn.Embedding(30, 8, **(embedding or {})), nn.Linear(8, 4)
    chosen = torch.optim.SGD([*words.parameters(), *end.parameters()], 0.1, **(optimizer or {}))
    for _ in range(3):
        chosen.zero_grad()
        nn.functional.cross_entropy(end(words(x).mean(1)), y).backward()
        chosen.step()
    return [p.detach().numpy().copy() for p in (*words.parameters(), *end.parameters())]


def same(one, other):
    """Whether two trainings end with the same weights."""
    return all(np.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(one, other, strict=True))


def test_each_neutral_value_is_tried():
    tried = {*OF_LAYERS, *OF_OPTIMIZERS, *OF_TORCH, "loss_weights", "class_weight"}
    assert tried == set(neutral.NEUTRAL)
    assert {*IDLE_IN_OPTIMIZERS, *IDLE_IN_COMPILE, *IDLE_IN_PYTORCH} <= neutral.IDLE


@pytest.mark.parametrize("key", dealt(OF_LAYERS, ["kernel_constraint", "noise_shape"]))
def test_another_value_in_a_layer_changes_training(key):
    cls, first, *values = OF_LAYERS[key]
    given = () if first is None else (first,)
    assert [neutral.is_neutral(key, value, {}) for value in values] == [True, False]
    assert not same(*(keras_weights(cls(*given, **{key: value})) for value in values))


@pytest.mark.parametrize("key", dealt(OF_OPTIMIZERS, ["use_ema"]))
def test_another_value_of_an_optimizer_changes_training(key):
    assert not same(keras_weights(), keras_weights(optimizer={key: OF_OPTIMIZERS[key]}))


def test_other_weights_of_losses_and_classes_change_training():
    assert not same(keras_weights(), keras_weights(compiled={"loss_weights": [2.0]}))
    assert not same(keras_weights(), keras_weights(fitted={"class_weight": {0: 3.0}}))


def test_other_values_in_pytorch_change_training():
    assert not same(torch_weights(), torch_weights({"maximize": True}))
    assert not same(torch_weights(), torch_weights(embedding={"max_norm": 0.1}))
    assert not same(torch_weights(), torch_weights(embedding={"scale_grad_by_freq": True}))


@pytest.mark.long(only=True)
def test_what_is_idle_changes_nothing():
    own = keras_weights()
    for key, value in IDLE_IN_OPTIMIZERS.items():
        assert same(own, keras_weights(optimizer={key: value})), key
    for key, value in IDLE_IN_COMPILE.items():
        assert same(own, keras_weights(compiled={key: value})), key
    theirs = torch_weights()
    for key, value in IDLE_IN_PYTORCH.items():
        assert same(theirs, torch_weights({key: value})), key
