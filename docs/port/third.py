import keras
from keras import layers


class UnbiasedBatchNorm(keras.layers.BatchNormalization):
    def call(self, x, training=None, mask=None):
        old = self.moving_variance + 0.0
        outputs = super().call(x, training=training, mask=mask)
        if training and self.trainable:
            n = keras.ops.cast(keras.ops.size(x), old.dtype) / x.shape[self.axis]
            new = self.moving_variance + 0.0
            self.moving_variance.assign(new + (new - self.momentum * old) / (n - 1))
        return outputs


class TorchAdam(keras.optimizers.Adam):
    def update_step(self, gradient, variable, learning_rate):
        step = keras.ops.cast(self.iterations + 1, variable.dtype)
        epsilon = self.epsilon
        self.epsilon = epsilon * keras.ops.sqrt(1 - self.beta_2**step)
        super().update_step(gradient, variable, learning_rate)
        self.epsilon = epsilon


class AdamWithL2(TorchAdam):
    l2 = 0.0001

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient + self.l2 * variable, variable, learning_rate)


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
            UnbiasedBatchNorm(momentum=0.9, epsilon=1e-5),
            layers.LeakyReLU(negative_slope=0.01),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(64, activation="relu", **start(8 * 14 * 14)),
            layers.Dense(10, activation="softmax", **start(64)),
        ]
    )
    optimizer = AdamWithL2(1e-3, epsilon=1e-8)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def preprocess(images):
    return images[..., None] / 255.0


batch_size = 64


def callbacks():
    return [keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 * 0.1 ** (epoch // 10))]
