"""Where values are dropped or disturbed, although a constant in their place changes no output."""

import itertools
import os
import random

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from keras import layers as kl  # noqa: E402
from torch import nn  # noqa: E402

from port_audit import KerasSide, TorchSide  # noqa: E402
from port_audit.nets import chance, drawing  # noqa: E402
from port_audit.nets.torch_net import TorchNet  # noqa: E402
from tests.port_audit import plain_pairs  # noqa: E402
from tests.port_audit.parts import CROSS_ENTROPY, compiled, conv, dense, sgd  # noqa: E402
from tests.port_audit.test_audit import audited  # noqa: E402
from tests.shares import dealt  # noqa: E402


class Noise(nn.Module):
    def forward(self, x):
        return x + 0.3 * torch.randn_like(x) if self.training else x


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Own(kl.Layer):
    """What somebody wrote: it is of no known kind."""

    def call(self, x):
        return keras.ops.max(x, axis=(1, 2))


def report_on(theirs, ours, features=256):
    """Audit what stands between a convolution of images and a dense layer, on both sides."""

    def original():
        between = [make() for make in theirs]
        return nn.Sequential(nn.Conv2d(1, 4, 3), *between, nn.Flatten(), nn.Linear(features, 3))

    def port():
        first = [keras.Input((10, 10, 1)), conv(4, 3, 1)]
        between = [make() for make in ours]
        return keras.Sequential([*first, *between, kl.Flatten(), dense(3, features)])

    x = np.random.default_rng(0).normal(size=(64, 10, 10, 1)).astype("float32")
    channels_first = TorchSide(original, preprocess=lambda x: np.moveaxis(x, -1, 1))
    pair = channels_first, KerasSide(port), x, np.zeros(64, "int32")
    return audited(lambda seed: pair, 0)


GENERATOR = np.random.default_rng(0)


class Helper:
    def __call__(self):
        return self.draw()

    def draw(self):
        return GENERATOR.random()


class Drawing(nn.Module):
    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def forward(self, x):
        self.draw()
        return x


@pytest.mark.parametrize(
    "draw",
    [
        GENERATOR.random,
        lambda: GENERATOR.random(),
        np.random.RandomState(0).rand,
        random.Random(0).random,
        np.random.rand,
        random.random,
        Helper(),
    ],
)
def test_what_draws_is_seen_wherever_its_generator_is(draw):
    assert TorchNet(Drawing(draw)).run(torch.zeros(2)).draws
    assert not TorchNet(Drawing(lambda: GENERATOR)).run(torch.zeros(2)).draws


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_dropout_of_an_attention_that_is_a_function_is_named_and_taken_out(rate):
    def attend(x):
        return nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=rate)

    net, x = TorchNet(Function(attend)), torch.randn(2, 4, 4)
    net.train(x)
    assert not net.random(x)
    named = ("torch.scaled_dot_product_attention",) if rate else ()
    assert net.run(x).draws == named


DROP = (lambda: nn.Dropout(0.3), lambda: kl.Dropout(0.3))
NOISE = (Noise, lambda: kl.GaussianNoise(0.3))
POOLS = {
    "max": (lambda: nn.MaxPool2d(2), kl.MaxPooling2D, 64),
    "average": (lambda: nn.AvgPool2d(2), lambda: kl.AveragePooling2D(2), 64),
    "global": (lambda: nn.AdaptiveMaxPool2d(1), lambda: kl.GlobalMaxPooling2D(keepdims=True), 4),
    "more": (lambda: nn.Upsample(scale_factor=2), kl.UpSampling2D, 1024),
}


@pytest.mark.parametrize(("pool", "draw"), dealt(itertools.product(POOLS, "dn"), [("max", "d")]))
@pytest.mark.parametrize("first", ["original", "port"])
def test_the_other_side_of_a_pooling_is_named(pool, draw, first):
    theirs, ours, features = POOLS[pool]
    draw = DROP if draw == "d" else NOISE
    sides = [draw[0], theirs], [draw[1], ours]
    sides[first == "original"].reverse()
    report = report_on(*sides, features)
    (finding,) = report.findings
    assert finding.name == "dropout place" and report.exit_code == 3
    assert finding.write.split()[1] == ("behind" if first == "port" else "before")


@pytest.mark.parametrize("pool", dealt(POOLS, ["average"]))
@pytest.mark.parametrize("before", [True, False])
def test_the_same_side_is_quiet(pool, before):
    theirs, ours, features = POOLS[pool]
    sides = [DROP[0], theirs], [DROP[1], ours]
    assert report_on(*(side if before else side[::-1] for side in sides), features).exit_code == 0


SAME = {
    "ReLU": ([DROP[0], nn.ReLU], [kl.ReLU, DROP[1]]),
    "flat": ([DROP[0]], [kl.Flatten, DROP[1]]),
    "maps": (
        [lambda: nn.Dropout2d(0.3), lambda: nn.MaxPool2d(2)],
        [kl.MaxPooling2D, lambda: kl.SpatialDropout2D(0.3)],
        64,
    ),
}


@pytest.mark.parametrize("name", dealt(SAME, ["ReLU"]))
def test_a_side_that_makes_no_difference_is_quiet(name):
    assert report_on(*SAME[name]).exit_code == 0


KEEPS = lambda: nn.MaxPool2d(3, 1, 1), lambda: kl.MaxPooling2D(3, 1, "same")
UNKNOWN = {
    "cropped": (
        [DROP[0], lambda: Function(lambda x: x[:, :, 1:-1, 1:-1])],
        [lambda: kl.Cropping2D(1), DROP[1]],
        144,
    ),
    "own pooling": ([DROP[0], lambda: nn.AdaptiveMaxPool2d(1)], [Own, DROP[1]], 4),
    "a pooling that keeps the size": ([DROP[0], KEEPS[0]], [KEEPS[1], DROP[1]]),
}


@pytest.mark.parametrize("name", dealt(UNKNOWN, ["cropped"]))
def test_what_is_not_known_to_be_the_same_is_named(name):
    report = report_on(*UNKNOWN[name])
    (left,) = map(str, report.not_compared)
    assert report.exit_code == 4 and ("port: draws.dropout" in left or ".place = on which" in left)


@pytest.mark.long
def test_a_pooling_that_keeps_the_size_on_the_same_side_is_quiet():
    assert report_on([DROP[0], KEEPS[0]], [DROP[1], KEEPS[1]]).exit_code == 0


@pytest.mark.every_backend
@pytest.mark.long(only=True)
def test_the_witness_runs_where_a_graph_does_not_know_the_number_of_samples():
    report = audited(plain_pairs.normed, 0)
    assert report.exit_code == 0 and report.stages[-1].ran, report.stages[-1]


class Always(kl.Dropout):
    """Dropout that is on in inference, too, as for an ensemble of many predictions."""

    def call(self, inputs, training=None):
        return super().call(inputs, training=True)


class Derived(kl.Dropout):
    def call(self, inputs, training=None):
        return super().call(inputs, training=training)


ALWAYS = (lambda: Function(lambda x: nn.functional.dropout(x, 0.3)), lambda: Always(0.3))
NOISE_ALWAYS = (lambda: Function(lambda x: x + 0.3 * torch.randn_like(x)), NOISE[1])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    dealt(
        [(ALWAYS, DROP), (DROP, ALWAYS), (NOISE_ALWAYS, NOISE)],
        [(ALWAYS, DROP)],
    ),
    ids=["original", "port", "noise"],
)
def test_what_draws_in_inference_on_one_side_only_is_named(theirs, ours):
    report = report_on([theirs[0]], [ours[1]])
    (finding,) = report.findings
    assert finding.name == "in inference" and report.exit_code == 3


class ByItself(kl.Dropout):
    """It asks no function of Keras."""

    def call(self, inputs, training=None):
        kept = keras.random.uniform(inputs.shape, seed=self.seed_generator) > self.rate
        return keras.ops.where(kept, inputs / (1 - self.rate), 0.0) if training else inputs


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        pytest.param(ALWAYS[0], ALWAYS[1], marks=pytest.mark.long),
        pytest.param(DROP[0], lambda: Derived(0.3), marks=pytest.mark.long),
        (DROP[0], lambda: ByItself(0.3)),
    ],
)
def test_what_is_derived_from_dropout_is_seen_to_draw_alike(theirs, ours):
    assert report_on([theirs], [ours]).exit_code == 0


def test_training_in_the_call_of_a_functional_model_has_no_effect_in_predict():
    """Which is why no audit advises it."""
    start = keras.Input((8,))
    model = keras.Model(start, kl.Dropout(0.5)(start, training=True))
    ones = np.ones((4, 8), "float32")
    np.testing.assert_array_equal(model.predict(ones, verbose=0), ones)


class Beside(nn.Module):
    """Two layers beside each other, the second of which counts in training only."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x):
        return self.first(x) + 0.3 * self.second(x) if self.training else self.first(x)


class KerasBeside(keras.Model):
    def __init__(self, counts):
        super().__init__()
        self.first, self.second, self.counts = dense(3, 8), dense(3, 8), counts

    def call(self, x, training=False):
        first, second = self.first(x), self.second(x)
        return first + 0.3 * second if training and self.counts else first


@pytest.mark.parametrize("counts", [True, pytest.param(False, marks=pytest.mark.long)])
def test_what_a_model_does_in_training_only(counts):
    """A faithful port was accused, because PyTorch's gradients were taken in eval mode."""
    x = np.random.default_rng(0).normal(size=(100, 8)).astype("float32")
    original = TorchSide(Beside, loss=CROSS_ENTROPY, optimizer=sgd, batch_size=32)
    pair = original, KerasSide(lambda: compiled(KerasBeside(counts))), x, np.arange(100) % 3
    report = audited(lambda seed: pair, 0)
    assert [finding.name for finding in report.findings] == ["unexplained"] * (not counts)


@pytest.mark.long
def test_a_slope_that_is_random_in_training_is_no_leaky_one():
    leaky = KerasSide(
        lambda: keras.Sequential([keras.Input((8,)), dense(8, 8), kl.LeakyReLU(11 / 48)])
    )
    x = np.random.default_rng(0).normal(size=(100, 8)).astype("float32")
    random = TorchSide(lambda: nn.Sequential(nn.Linear(8, 8), nn.RReLU()))
    report = audited(lambda seed: (random, leaky, x, np.arange(100) % 3), 0)
    assert report.exit_code == 4 and not report.findings


class Jitter(nn.Module):
    def forward(self, x):
        return x * (1 + 0.1 * torch.rand_like(x)) if self.training else x


class InTraining(nn.Module):
    """Something else in training, which is not chance."""

    def forward(self, x):
        return torch.tanh(x) if self.training else x


class KerasJitter(kl.Layer):
    def __init__(self):
        super().__init__()
        self.generator = keras.random.SeedGenerator(0)

    def call(self, x, training=False):
        drawn = keras.random.uniform(keras.ops.shape(x), seed=self.generator)
        return x * (1 + 0.1 * drawn) if training else x


class KerasInTraining(kl.Layer):
    def call(self, x, training=False):
        return keras.ops.tanh(x) if training else x


@pytest.mark.parametrize("order", [1, -1])
def test_only_what_draws_is_left_out(order):
    """A port that lacked the other was accused of nothing, and a faithful one was accused."""
    x = np.random.default_rng(0).normal(size=(100, 8)).astype("float32")

    def original():
        return nn.Sequential(nn.Linear(8, 8), *[Jitter(), InTraining()][::order], nn.Linear(8, 3))

    def report(*own):
        def port():
            between = [make() for make in own[::order]]
            return compiled(
                keras.Sequential([keras.Input((8,)), dense(8, 8), *between, dense(3, 8)])
            )

        sides = TorchSide(original, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port)
        return audited(lambda seed: (*sides, x, np.arange(100) % 3), 0)

    faithful = report(KerasJitter, KerasInTraining)
    assert not faithful.findings
    quiet = [entry.path for entry in faithful.not_compared if entry.side == "original"]
    assert quiet == [f"modules.{1 if order == 1 else 2}.training"]
    assert [f.where for f in report(KerasJitter).findings] == ["training mode"]


class Drawn(nn.Module):
    """It draws in training, by what is given."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def forward(self, x):
        return x * (1 + self.draw(x)) if self.training else x


@pytest.mark.parametrize(
    ("draw", "seen"),
    [
        (lambda x: torch.empty_like(x).cauchy_(), True),
        (lambda x: torch.distributions.Gamma(1.0, 1.0).sample(x.shape), True),
        (lambda x: torch.tensor(list(os.urandom(x.numel()))).view_as(x) / 1000, False),
    ],
)
def test_what_draws_by_a_function_of_no_list(draw, seen):
    """If only the outputs tell, all that may draw are left out."""
    module, x = nn.Sequential(Drawn(draw), InTraining()), torch.ones(4, 3)
    net = TorchNet(module)
    net.train(x)
    expected = ["0"] if seen else ["0", "1"]
    assert net.quiet == expected and not net.random(x)
    assert list(chance.quiet(module, x)) == expected


def test_chance_between_the_modules_leaves_them_as_they_are():
    class Between(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = InTraining()

        def forward(self, x):
            return self.part(x) + torch.rand_like(x)

    net = TorchNet(Between())
    net.train(torch.ones(4, 3))
    assert not net.quiet and net.drawing


def test_who_draws_is_told_of_each_module_by_itself():
    names = ("rand", "own", "counts", "noise")
    parts = [Jitter(), Drawing(GENERATOR.random), InTraining(), Noise()]
    module = nn.Sequential(nn.Flatten(), *parts)
    module.train()

    def found():
        return [names[int(name) - 1] for name in drawing.that_draw(module, torch.randn(2, 4))]

    assert found() == ["rand", "own"]
    module.eval()
    assert found() == ["own"]
