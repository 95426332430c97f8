"""Faithful pairs of convolutional and recurrent models; options plant a difference."""

import keras
import torch
from keras import layers
from torch import nn

from port_audit import KerasSide, TorchSide
from shared_keras.models.layers import BatchNorm
from tests.port_audit.parts import (
    CROSS_ENTROPY,
    channels_last,
    compiled,
    conv,
    dense,
    images,
    like_torch,
    sequential,
    sgd,
    words,
)


def cnn(
    seed,
    *,
    first=None,
    pool=None,
    flip=False,
    scale=None,
    units=16,
    hidden="relu",
    optimizer=None,
    theirs=None,
    ours=None,
):
    """Return a net with a stride, padding and max pooling."""

    def original():
        return nn.Sequential(
            nn.Conv2d(1, 6, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(54, 16),
            nn.ReLU(),
            nn.Linear(16, 4),
        )

    def port():
        padded = [layers.ZeroPadding2D(1), conv(6, 3, 1, strides=2, activation="relu")]
        return sequential(
            (1, 12, 12),
            [
                *([layers.Rescaling(scale)] if scale else []),
                layers.Permute((3, 2, 1)) if flip else channels_last(),
                *(first() if first else padded),
                pool() if pool else layers.MaxPooling2D(2),
                layers.Flatten(),
                dense(units, 54, hidden),
                dense(4, units),
            ],
            optimizer() if optimizer else None,
        )

    x, y = images(seed)
    theirs = {"loss": CROSS_ENTROPY, "optimizer": sgd, "batch_size": 32} | (theirs or {})
    return TorchSide(original, **theirs), KerasSide(port, **(ours or {})), x, y


def normed_cnn(seed, *, norm=None, pool=None, whole=None, drop=True, trainable=True):
    """Return a net with batch norm, average pooling and dropout of channels."""

    def original():
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AvgPool2d(3, 2, padding=1),
            nn.Dropout2d(0.2),
            nn.Conv2d(8, 8, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 4),
        )

    def average():
        return keras.Sequential([layers.ZeroPadding2D(1), layers.AveragePooling2D(3, 2)])

    def port():
        batch_norm = (norm or BatchNorm)()
        batch_norm.trainable = trainable
        return sequential(
            (3, 12, 12),
            [
                channels_last(),
                conv(8, 3, 3, padding="same", use_bias=False),
                batch_norm,
                layers.ReLU(),
                pool() if pool else average(),
                layers.SpatialDropout2D(0.2) if drop else layers.Dropout(0.2),
                conv(8, 3, 8, activation="relu"),
                (whole or layers.GlobalAveragePooling2D)(),
                dense(4, 8),
            ],
        )

    x, y = images(seed, channels=3)
    return TorchSide(original, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port), x, y


def grouped(seed, *, groups=2, epsilon=1e-5, dilation=2):
    """Return a net with group norm, a dilated and a depthwise convolution."""

    def original():
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, dilation=2),
            nn.GroupNorm(2, 8),
            nn.SiLU(),
            nn.Conv2d(8, 8, 3, groups=8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(288, 4),
        )

    def port():
        return sequential(
            (1, 12, 12),
            [
                channels_last(),
                conv(8, 3, 1, dilation_rate=dilation),
                layers.GroupNormalization(groups, epsilon=epsilon),
                layers.Activation("silu"),
                layers.DepthwiseConv2D(
                    3,
                    depthwise_initializer=like_torch(9)["kernel_initializer"],
                    bias_initializer=like_torch(9)["bias_initializer"],
                    activation="relu",
                ),
                layers.Flatten(),
                dense(4, 288),
            ],
        )

    x, y = images(seed)
    return TorchSide(original, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port), x, y


class _Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.start, self.one = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.two, self.end = nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 4)

    def forward(self, x):
        x = torch.relu(self.start(x))
        x = torch.relu(x + self.two(torch.relu(self.one(x))))
        return self.end(x.mean((2, 3)))


def residual_cnn(seed, *, add=True, inner="relu"):
    """Return a residual block of convolutions, functional."""

    def port():
        inputs = keras.Input((1, 12, 12))
        x = conv(6, 3, 1, padding="same", activation="relu")(channels_last()(inputs))
        z = conv(6, 3, 6, padding="same", activation=inner)(x)
        z = conv(6, 3, 6, padding="same")(z)
        x = layers.ReLU()(layers.Add()([x, z]) if add else z)
        return compiled(keras.Model(inputs, dense(4, 6)(layers.GlobalAveragePooling2D()(x))))

    x, y = images(seed)
    return TorchSide(_Block, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port), x, y


def signal(seed, *, padding=True, strides=2):
    """Return one-dimensional convolutions over rows."""

    def original():
        return nn.Sequential(
            nn.Conv1d(12, 8, 5, stride=2, padding=2),
            nn.ELU(),
            nn.MaxPool1d(2),
            nn.Flatten(),
            nn.Linear(24, 4),
        )

    def port():
        pads = [layers.ZeroPadding1D(2)] if padding else []
        mode = "valid" if padding else "same"
        return sequential(
            (12, 12),
            [
                layers.Permute((2, 1)),
                *pads,
                layers.Conv1D(8, 5, strides, mode, **like_torch(60)),
                layers.ELU(),
                layers.MaxPooling1D(2),
                layers.Flatten(),
                dense(4, 24),
            ],
        )

    x, y = images(seed)
    return TorchSide(original, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port), x[:, 0], y


def decoder(seed, *, padding="valid", crop=True, reshape=True, loss="mse"):
    """Return an autoencoder with a transposed convolution."""

    def original():
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(144, 36),
            nn.ReLU(),
            nn.Unflatten(1, (4, 3, 3)),
            nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(3, 1, 2, stride=2),
            nn.Sigmoid(),
        )

    def port():
        unfold = [layers.Reshape((4, 3, 3)), layers.Permute((2, 3, 1))]
        transposed = [
            layers.Conv2DTranspose(3, 4, 2, padding, **like_torch(3 * 16)),
            *([layers.Cropping2D(1)] if crop else []),
        ]
        return sequential(
            (1, 12, 12),
            [
                layers.Flatten(),
                dense(36, 144, "relu"),
                *(unfold if reshape else [layers.Reshape((3, 3, 4))]),
                *transposed,
                layers.ReLU(),
                layers.Conv2DTranspose(1, 2, 2, activation="sigmoid", **like_torch(4)),
                layers.Reshape((1, 12, 12)),
            ],
            None,
            loss,
            metrics=(),
        )

    x, _ = images(seed)
    y = 1 / (1 + abs(x))
    return TorchSide(original, nn.MSELoss(), sgd, batch_size=32), KerasSide(port), x, y


def bag(seed, *, start="normal", mask=False, train=True, theirs_padding=None):
    """Return embeddings that are averaged."""

    class Original(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(30, 8, padding_idx=theirs_padding)
            self.end = nn.Linear(8, 4)

        def forward(self, x):
            return self.end(self.words(x).mean(1))

    def port():
        initializer = keras.initializers.RandomNormal(stddev=1.0) if start == "normal" else start
        embedding = layers.Embedding(30, 8, initializer, mask_zero=mask)
        embedding.trainable = train
        return sequential(
            (7,), [embedding, layers.GlobalAveragePooling1D(), dense(4, 8)], dtype="int32"
        )

    x, y = words(seed)
    return TorchSide(Original, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port), x, y


class _Recurrent(nn.Module):
    def __init__(self, kind, bias=True):
        super().__init__()
        self.words = nn.Embedding(30, 8)
        self.rnn = kind(8, 6, batch_first=True, bias=bias)
        self.end = nn.Linear(6, 4)

    def forward(self, x):
        return self.end(self.rnn(self.words(x))[0][:, -1])


def _recurrent_port(layer, mask=False):
    normal = keras.initializers.RandomNormal(stddev=1.0)
    embedding = layers.Embedding(30, 8, normal, mask_zero=mask)
    return sequential((7,), [embedding, layer, dense(4, 6)], dtype="int32")


def _six(bias=True):
    uniform = like_torch(6, bias)
    return uniform | {"recurrent_initializer": like_torch(6)["kernel_initializer"]}


def lstm(seed, *, mask=False, recurrent="sigmoid", backwards=False, bias=False):
    """Return an LSTM without biases, of which PyTorch has two."""

    def port():
        layer = layers.LSTM(
            6,
            recurrent_activation=recurrent,
            use_bias=bias,
            go_backwards=backwards,
            **_six(False),
        )
        return _recurrent_port(layer, mask)

    x, y = words(seed)
    original = lambda: _Recurrent(nn.LSTM, bias)  # noqa: E731
    return TorchSide(original, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port), x, y


def gru(seed, *, reset_after=True, start=None):
    """Return a GRU with both of its biases."""

    def port():
        return _recurrent_port(layers.GRU(6, reset_after=reset_after, **(start or _six())))

    x, y = words(seed)
    original = lambda: _Recurrent(nn.GRU)  # noqa: E731
    return TorchSide(original, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port), x, y


def volume(seed, *, kernel=3):
    """Return three-dimensional convolutions."""

    def original():
        return nn.Sequential(
            nn.Conv3d(1, 4, 3), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(32, 4)
        )

    def port():
        return sequential(
            (1, 6, 6, 6),
            [
                layers.Permute((2, 3, 4, 1)),
                layers.Conv3D(4, kernel, activation="relu", **like_torch(kernel**3)),
                layers.MaxPooling3D(2, padding="valid" if kernel == 3 else "same"),
                layers.Flatten(),
                dense(4, 32),
            ],
        )

    x, y = images(seed, side=18)
    return (
        TorchSide(original, CROSS_ENTROPY, sgd, batch_size=32),
        KerasSide(port),
        x.reshape(len(x), -1)[:, :216].reshape(-1, 1, 6, 6, 6),
        y,
    )
