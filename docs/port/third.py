import keras
from keras import layers

from shared_keras.models.layers import BatchNorm
from shared_keras.models.optimizers import Adam


def start(fan_in):
    b = fan_in**-0.5
    uniform = keras.initializers.RandomUniform(-b, b)
    return {"kernel_initializer": uniform, "bias_initializer": uniform}


def model():
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.ZeroPadding2D(1),
            layers.Conv2D(8, 3, strides=2, **start(9)),
            BatchNorm(),
            layers.LeakyReLU(negative_slope=0.01),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(64, activation="relu", **start(8 * 14 * 14)),
            layers.Dense(10, activation="softmax", **start(64)),
        ]
    )
    optimizer = Adam(1e-3, l2=1e-4)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def preprocess(images):
    return images[..., None] / 255.0


batch_size = 64


def callbacks():
    return [keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 * 0.1 ** (epoch // 10))]
