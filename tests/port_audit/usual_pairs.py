"""More faithful pairs, in the usual styles of both communities."""

import keras
import torch
from keras import layers
from torch import nn
from torch.nn import functional as F

from port_audit import KerasSide, TorchSide
from shared_keras.models.optimizers import CosineAnnealing
from tests.port_audit.parts import (
    CROSS_ENTROPY,
    channels_last,
    compiled,
    conv,
    dense,
    images,
    like_torch,
    rows,
    sequential,
    sgd,
    words,
)


def _keras_start(module):
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    return module


def softmax_end(seed):
    """Return a port with softmax and a loss by its name; PyTorch starts as Keras does."""

    def original():
        return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4)).apply(_keras_start)

    def port():
        parts = [layers.Dense(16, activation="relu"), layers.Dense(4, activation="softmax")]
        return sequential((20,), parts, "sgd", "sparse_categorical_crossentropy")

    def slow(parameters):
        return torch.optim.SGD(parameters, lr=0.01)

    x, y = rows(seed)
    return TorchSide(original, CROSS_ENTROPY, slow), KerasSide(port), x, y


def smoothed(seed):
    """Return label smoothing, for labels in PyTorch and one-hot in Keras."""

    def original():
        return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))

    def port():
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
        return sequential((20,), [dense(16, 20, "relu"), dense(4, 16)], None, loss)

    x, y = rows(seed)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    return TorchSide(original, loss, sgd, batch_size=32), KerasSide(port), x, y


def _cosine(optimizer):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=25)


def cosine(seed):
    """Return a cosine schedule per batch, clipping by the whole norm, and He's initial values."""

    def start(module):
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)

    def original():
        return nn.Sequential(nn.Linear(20, 32), nn.SiLU(), nn.Linear(32, 4)).apply(start)

    def port():
        he = keras.initializers.VarianceScaling(2, "fan_in", "untruncated_normal")
        both = [
            layers.Dense(units, activation, kernel_initializer=he)
            for units, activation in ((32, "silu"), (4, None))
        ]
        return sequential(
            (20,), both, keras.optimizers.SGD(CosineAnnealing(0.1, 25), global_clipnorm=1.0)
        )

    x, y = rows(seed)
    theirs = TorchSide(
        original,
        CROSS_ENTROPY,
        sgd,
        _cosine,
        batch_size=32,
        step_scheduler_per="batch",
        clip=lambda parameters: nn.utils.clip_grad_norm_(parameters, 1.0),
    )
    return theirs, KerasSide(port), x, y


def step_schedule(seed):
    """Return a schedule per epoch as a callback, a frozen layer, and an evaluation."""

    def original():
        module = nn.Sequential(nn.Linear(20, 16), nn.Tanh(), nn.Linear(16, 4))
        module[0].requires_grad_(False)
        return module

    def port():
        first = dense(16, 20, "tanh")
        first.trainable = False
        return sequential((20,), [first, dense(4, 16)])

    def evaluate(model, batches):
        model.eval()
        right = sum((model(x).argmax(1) == y).sum().item() for x, y in batches)
        return 100 * right / sum(len(y) for _, y in batches)

    def callbacks():
        return [keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 * 0.5 ** (epoch // 4))]

    def optimizer(parameters):
        return torch.optim.SGD([p for p in parameters if p.requires_grad], lr=0.1)

    def scheduler(optimizer):
        return torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)

    x, y = rows(seed)
    theirs = TorchSide(original, CROSS_ENTROPY, optimizer, scheduler, evaluate=evaluate)
    return theirs, KerasSide(port, callbacks=callbacks), x, y


class _Stacked(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.lstm = nn.LSTM(8, 6, num_layers=2, bias=False, batch_first=True)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        _, (hidden, _) = self.lstm(self.embedding(x))
        return self.head(hidden[-1])


def stacked(seed):
    """Return two layers of LSTM, which are one module in PyTorch."""

    def port():
        def lstm(**options):  # each has initializers of its own, which draw other values
            uniform = [like_torch(6)["kernel_initializer"] for _ in range(2)]
            options |= dict(zip(("kernel_initializer", "recurrent_initializer"), uniform))
            return layers.LSTM(6, use_bias=False, **options)

        normal = keras.initializers.RandomNormal(stddev=1.0)
        return sequential(
            (7,),
            [
                layers.Embedding(30, 8, normal),
                lstm(return_sequences=True),
                lstm(),
                dense(4, 6),
            ],
            dtype="int32",
        )

    x, y = words(seed)
    return TorchSide(_Stacked, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port), x, y


class _Functions(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(100, 16), nn.LeakyReLU(0.2), nn.Linear(16, 4))

    def forward(self, x):
        x = F.max_pool2d(self.features(x), 2)
        return F.log_softmax(self.head(x.flatten(1)), dim=1)


def nested(seed):
    """Return nested models; PyTorch ends with log-softmax and NLL, Keras with logits."""

    def port():
        features = keras.Sequential(
            [keras.Input((12, 12, 1)), conv(4, 3, 1, activation="relu"), layers.MaxPooling2D()]
        )
        inputs = keras.Input((1, 12, 12))
        x = layers.Flatten()(features(channels_last()(inputs)))
        x = layers.LeakyReLU(negative_slope=0.2)(dense(16, 100)(x))
        return compiled(keras.Model(inputs, dense(4, 16)(x)))

    x, y = images(seed)
    return TorchSide(_Functions, F.nll_loss, sgd, batch_size=32), KerasSide(port), x, y


def scaled(seed):
    """Return raw images, scaled by a transform in PyTorch and by the first layer in Keras."""

    def original():
        return nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 4))

    def port():
        return sequential(
            (12, 12),
            [
                layers.Rescaling(1 / (255 * 0.3081), -0.1307 / 0.3081),
                layers.Flatten(),
                dense(16, 144, "relu"),
                dense(4, 16),
            ],
        )

    def preprocess(images):
        return (images / 255 - 0.1307) / 0.3081

    x, y = images(seed)
    raw = (abs(x[:, 0]) * 80).clip(0, 255).astype("uint8")
    return TorchSide(original, CROSS_ENTROPY, sgd, preprocess=preprocess), KerasSide(port), raw, y
