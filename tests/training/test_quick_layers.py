"""Layers that compute with the batch innermost: every model trains as with Keras's own."""

import contextlib
import re

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared_keras import devices, training
from shared_keras.models import layers as ours
from tests.shares import dealt

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax" or bool(devices.gpus()), reason="for JAX on a CPU"
)
if keras.backend.backend() == "jax":
    import jax

    from shared_keras.models import convolutions
    from shared_keras.training import jax_epoch, quick_layers

L = keras.layers
CLASSES, BATCH = 3, 16
RNG = np.random.default_rng(0)
X = RNG.integers(0, 255, (36, 8, 8), dtype=np.uint8)  # the last batch is short: four images
X[:, :4] = 0  # as in real images, so that maxima are equal
X[:, :, :4] = 0
Y = RNG.integers(0, CLASSES, 36)


class Squared(L.Layer):
    """A stranger's."""

    def call(self, x):
        return x * keras.ops.flip(x, 1)


def conv(filters=4, size=3, **options):
    return L.Conv2D(filters, size, **{"padding": "same"} | options)


MODELS = {
    "lab4": lambda: [
        *(conv(activation=ours.relu), conv(), L.Activation(ours.relu), ours.MaxPool(2)),
        *(conv(activation="tanh"), L.MaxPooling2D(), L.Flatten()),
    ],
    "normed": lambda: [
        *(conv(size=4, strides=2, use_bias=False), ours.BatchNorm(), L.ReLU(), ours.Dropout(0.2)),
        *(conv(), L.BatchNormalization(), L.LeakyReLU(0.1), L.Dropout(0.3)),
        *(L.AveragePooling2D(2), L.GlobalAveragePooling2D()),
    ],
    "softmax over channels": lambda: [
        *(conv(activation="softmax"), conv(), L.Activation("softmax"), L.Flatten())
    ],
    "dropout 0, noise_shape": lambda: [
        *(conv(), ours.Dropout(0.0), conv(), ours.Dropout(0.3, noise_shape=(None, 1, 1, 4))),
        L.Flatten(),
    ],
    "other pooling": lambda: [
        *(conv(), L.MaxPooling2D(3, strides=2), conv(), L.MaxPooling2D(2, padding="same")),
        L.Flatten(),
    ],
    "block": lambda: [keras.Sequential([conv(), L.BatchNormalization()]), conv(), L.Flatten()],
    "frozen": lambda: [conv(), frozen(L.BatchNormalization()), conv(), L.Flatten()],
    "dilated": lambda: [conv(), conv(dilation_rate=2), conv(), L.Flatten()],
    "groups": lambda: [conv(), conv(groups=2), conv(), L.Flatten()],
    "other convolution": lambda: [conv(), L.DepthwiseConv2D(3), conv(), L.Flatten()],
    "unknown layer": lambda: [conv(), Squared(), conv(), L.Flatten()],
    "bfloat16": lambda: [conv(dtype="mixed_bfloat16"), conv(), L.Flatten()],
}
SLOW = {"dilated", "groups", "other convolution", "bfloat16", "unknown layer"}


def frozen(layer):
    layer.trainable = False
    return layer


def made(layers):
    training.seed_layers(1)
    start = [keras.Input((8, 8)), L.Rescaling(1 / 255), L.Reshape((8, 8, 1))]
    model = keras.Sequential([*start, *layers(), L.Dense(CLASSES)])
    return compiled(model)


def compiled(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05), loss, metrics=["accuracy"])
    return model


def trained(make):
    model = make()
    options = {"batch_size": BATCH, "epochs": 2, "validation_data": (X[:20], Y[:20])}
    history = training.fit(model, X, Y, **options).history
    return history, model.get_weights()


def same_as_stock(make, monkeypatch):
    """Train a model quickly and in Keras's way, and compare."""
    quickly = trained(make)
    monkeypatch.setattr(jax_epoch, "quick_layers", lambda model: contextlib.nullcontext())
    monkeypatch.setattr(jax_epoch, "convolves_slowly", lambda *_: True)
    expected = trained(make)
    for name, values in expected[0].items():
        np.testing.assert_allclose(quickly[0][name], values, rtol=1e-4, err_msg=name)
    for a, b in zip(quickly[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


USUAL = ["lab4", "softmax over channels", "groups"]


@pytest.mark.parametrize("name", dealt(MODELS, USUAL))
def test_it_trains_as_with_keras(name, monkeypatch):
    model = made(MODELS[name])
    assert quick_layers.convolves_slowly(model, BATCH) == (name in SLOW)
    assert quick_layers.convolves_slowly(model, 2)
    same_as_stock(lambda: made(MODELS[name]), monkeypatch)


class Residual(keras.Model):
    """A stranger's model: its layers are called by its own code, one of them twice."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.out = conv(), conv(), L.Dense(CLASSES)

    def call(self, x):
        x = self.first(keras.ops.cast(x, "float32")[..., None] / 255)
        x = x + self.again(self.again(x))
        return self.out(keras.ops.mean(x, (1, 2)))


def test_a_strangers_own_calls(monkeypatch):
    def make():
        training.seed_layers(1)
        return compiled(Residual())

    same_as_stock(make, monkeypatch)


def test_bytes_are_cast_as_by_keras(monkeypatch):
    def make():
        training.seed_layers(1)
        given = keras.Input((8, 8, 1), dtype="uint8")
        return compiled(keras.Sequential([given, conv(), L.Flatten(), L.Dense(CLASSES)]))

    monkeypatch.setattr(f"{__name__}.X", X[..., None] // 128)
    assert not quick_layers.convolves_slowly(make(), BATCH)
    same_as_stock(make, monkeypatch)


TRANSLATIONS = {  # factors, options, and whether the quick form is taken
    "a pixel": ((0.1, 0.1), {}, True),
    "beyond the image": ((1.0, (-1.0, 0.3)), {}, True),
    "not at all": ((0.0, 0.0), {}, True),
    "filled": ((0.3, 0.3), {"fill_mode": "constant", "fill_value": 0.5}, False),
    "wrapped": ((0.3, 0.3), {"fill_mode": "wrap"}, False),
    "between pixels": ((0.3, 0.3), {"interpolation": "bilinear"}, False),
}


@pytest.mark.parametrize("shape", [(7, 5, 3), (6, 9, 1)])
@pytest.mark.parametrize("wide", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("name", TRANSLATIONS)
def test_images_are_moved_as_by_keras(name, wide, shape, monkeypatch):
    """Bit by bit, with the same random numbers; bytes become floats as in Keras's layer."""
    factors, options, quick = TRANSLATIONS[name]
    options = {"fill_mode": "nearest", "interpolation": "nearest"} | options
    with float64() if wide else contextlib.nullcontext():
        images = RNG.integers(0, 255, (40, *shape), dtype=np.uint8)
        layer = L.RandomTranslation(*factors, seed=3, **options)
        model = keras.Sequential([keras.Input(shape, dtype="uint8"), layer, conv(), L.Flatten()])
        rest = [variable.value for variable in model.non_trainable_variables]

        def moved(x):
            return layer.stateless_call([], rest, x, training=True)

        expected, after = jax.jit(moved)(images)
        seen = []
        affine = layer.backend.image.affine_transform
        monkeypatch.setattr(
            layer.backend.image,
            "affine_transform",
            lambda *args, **given: (seen.append(1), affine(*args, **given))[1],
        )
        with quick_layers.quick_layers(model):
            got, then = jax.jit(lambda x: moved(x))(images)
    assert bool(seen) != quick
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(then, after)
    assert name == "not at all" or not np.array_equal(got, images)


@pytest.mark.parametrize("format", ["channels_first", "channels_last"])
def test_channels_first_stay_with_keras(format):
    model = keras.Sequential([keras.Input((8, 8, 8)), conv(data_format=format), L.Flatten()])
    assert quick_layers.convolves_slowly(model, BATCH) == (format == "channels_first")


def test_what_a_stranger_replaced_is_called(monkeypatch):
    """A layer whose `call` or `convolution_op` was replaced, or of a class of its own."""
    seen = []

    class Own(L.Conv2D):
        def convolution_op(self, inputs, kernel):
            seen.append("subclass")
            return super().convolution_op(inputs, kernel)

    replaced = conv()

    def op(inputs, kernel):
        seen.append("instance")
        return L.Conv2D.convolution_op(replaced, inputs, kernel)

    replaced.convolution_op = op
    model = made(lambda: [Own(4, 3), replaced, L.Flatten()])
    seen.clear()
    training.fit(model, X, Y, batch_size=BATCH)
    assert {"subclass", "instance"} == set(seen)


def test_what_a_stranger_replaced_of_a_translation_is_called():
    seen = []
    moved = L.RandomTranslation(0.2, 0.2, fill_mode="nearest", interpolation="nearest")

    def own(images, transformation=None, training=True):
        seen.append(training)
        return L.RandomTranslation.transform_images(moved, images, transformation, training)

    moved.transform_images = own
    training.fit(made(lambda: [moved, conv(), L.Flatten()]), X, Y, batch_size=BATCH)
    assert any(seen)


def test_nothing_stays_on_the_model(monkeypatch):
    model = made(MODELS["normed"])
    before = [set(vars(layer)) for layer in model.layers]
    axes = [getattr(layer, "axis", None) for layer in model.layers]
    used = []
    convolve = convolutions.convolve
    monkeypatch.setattr(
        convolutions, "convolve", lambda *args: (used.append(1), convolve(*args))[1]
    )
    training.fit(model, X, Y, batch_size=BATCH)
    assert used
    assert [set(vars(layer)) for layer in model.layers] == before
    assert [getattr(layer, "axis", None) for layer in model.layers] == axes


def test_nothing_stays_after_an_error():
    class Fails(L.Layer):
        def call(self, x):
            raise RuntimeError("no")

        def compute_output_shape(self, shape):
            return shape

    training.seed_layers(1)
    model = compiled(keras.Sequential([conv(), Fails(), L.Flatten(), L.Dense(CLASSES)]))
    with pytest.raises(RuntimeError, match="no"):
        training.fit(model, X[..., None], Y, batch_size=BATCH)
    assert not any("call" in vars(layer) for layer in model.layers)


def test_the_layout_is_kept():
    """From the first convolution to the last pooling, only the images are transposed."""
    model = made(MODELS["lab4"])
    weights = [variable.value for variable in model.trainable_variables]
    rest = [variable.value for variable in model.non_trainable_variables]

    def forward(x):
        with quick_layers.quick_layers(model):
            return model.stateless_call(weights, rest, x, training=True)[0]

    text = str(jax.make_jaxpr(forward)(X[:BATCH]))
    assert "conv_general_dilated" not in text
    assert "f32[16,8,8,4]" in text  # the view of the first result, which nobody reads
    compiled = jax.jit(forward).lower(X[:BATCH]).compile().as_text()
    assert "f32[16,8,8,4]" not in compiled


def relu():
    return L.Activation(ours.relu)


def softmax():
    return L.Activation("softmax")


def highest():
    return ours.MaxPool(2)


PARTS = [
    *(relu, relu, highest, highest),  # it was they that XLA computed wrongly
    lambda: conv(3),
    lambda: conv(3, padding="valid"),
    lambda: L.Activation("relu"),
    lambda: L.LeakyReLU(0.1),
    lambda: L.Activation("sigmoid"),
    softmax,
    lambda: L.PReLU(shared_axes=[1, 2]),
    lambda: L.MaxPooling2D((1, 3)),
    lambda: L.MaxPooling2D(2, strides=1),
    lambda: L.AveragePooling2D(2),
    lambda: ours.BatchNorm(),  # Keras's computes in float32, even under float64
    lambda: ours.Dropout(0.3),
    lambda: L.Dropout(0.3),
]
FIRST = [
    (size, stride, how) for size, stride in ((3, 1), (4, 2), (5, 2)) for how in ("same", "valid")
]
SIDES = st.integers(6, 13)
NETWORKS = given(st.tuples(SIDES, SIDES), st.sampled_from(FIRST), st.lists(st.sampled_from(PARTS)))


@settings(max_examples=2)
@NETWORKS
@example((6, 6), (3, 1, "same"), [relu, highest])
@example((8, 11), (3, 1, "same"), [softmax])  # one operand given twice by one name: no fault
def test_layers_in_any_order(sides, first, parts):
    check(sides, first, parts)


@pytest.mark.long(only=True)
@settings(max_examples=15)
@NETWORKS
def test_layers_in_any_order_many_times(sides, first, parts):
    check(sides, first, parts)


def check(sides, first, parts):
    """The loss, all gradients and moving averages in float64, and what XLA makes of the step.

    The images have edges of zeros, so that maxima are equal; the pooling leaves edges over.
    """
    with float64():
        training.seed_layers(1)
        size, strides, padding = first
        start = conv(3, size=size, strides=strides, padding=padding, bias_initializer="ones")
        model = keras.Sequential([keras.Input((*sides, 1)), start])
        for part in parts:
            if min(model.output_shape[1:3]) >= 3:
                model.add(part())
        model.add(L.Flatten())
        model.add(L.Dense(CLASSES))
        compiled(model)
        x = RNG.integers(0, 3, (BATCH, *sides, 1)) / 2
        x[:, : sides[0] // 2] = 0
        assert not quick_layers.convolves_slowly(model, BATCH)
        quickly, stock = (gradients(model, x, quick) for quick in (True, False))
    largest = max(abs(np.asarray(values)).max() for values in stock)
    for a, b in zip(quickly, stock, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12 * largest)


def gradients(model, x, quick):
    def loss(weights, rest):
        with quick_layers.quick_layers(model) if quick else contextlib.nullcontext():
            y, rest = model.stateless_call(weights, rest, x, training=True)
        return model.loss(Y[:BATCH], y), rest

    variables = [
        [variable.value for variable in group]
        for group in (model.trainable_variables, model.non_trainable_variables)
    ]
    program = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(*variables).compile()
    assert not named_twice(program.as_text())
    return jax.tree.leaves(program(*variables))


def named_twice(program):
    """Return the kernels of a program that may write over what they still read elsewhere.

    XLA writes a kernel's result over an operand of the same shape that it reads place by place. It
    does not see that another operand is another name for the same memory.
    """
    memory, shapes, found = {}, {}, []
    instruction = re.compile(r"(%\S+) = (.+?) ([\w-]+)\(([^)]*)\)")
    for name, shape, kind, operands in instruction.findall(program):
        names = re.findall(r"%[\w.-]+", operands)
        read = [memory.get(each, each) for each in names]
        shapes[name] = shape
        if kind == "bitcast":
            memory[name] = read[0]
        elif kind == "fusion":
            for each, place in zip(names, read):
                # An operand that is given twice by one name is no such case: XLA sees that.
                others = {n for n, p in zip(names, read) if p == place} - {each}
                if others and shapes.get(each, " ") in shape:
                    found.append(name)
    return found


@contextlib.contextmanager
def float64():
    keras.config.set_dtype_policy("float64")
    keras.config.set_floatx("float64")
    try:
        with jax.enable_x64(True):
            yield
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_floatx("float32")
