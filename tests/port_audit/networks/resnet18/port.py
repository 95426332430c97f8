import keras
from keras import layers

WIDTH = 64


class UnbiasedBatchNorm(keras.layers.BatchNormalization):
    def call(self, x, training=None, mask=None):
        old = self.moving_variance + 0.0
        outputs = super().call(x, training=training, mask=mask)
        if training and self.trainable:
            n = keras.ops.cast(keras.ops.size(x), old.dtype) / x.shape[self.axis]
            new = self.moving_variance + 0.0
            self.moving_variance.assign(new + (new - self.momentum * old) / (n - 1))
        return outputs


def start(fan_in):
    return keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)


def conv(x, filters, kernel, stride=1):
    fan_in = x.shape[-1] * kernel**2
    if kernel == 3:
        x = layers.ZeroPadding2D(1)(x)
    options = {"use_bias": False, "kernel_initializer": start(fan_in)}
    return layers.Conv2D(filters, kernel, stride, **options)(x)


def norm(x):
    return UnbiasedBatchNorm(momentum=0.9, epsilon=1e-5)(x)


def block(x, filters, stride):
    z = layers.ReLU()(norm(conv(x, filters, 3, stride)))
    z = norm(conv(z, filters, 3))
    if stride != 1 or x.shape[-1] != filters:
        x = norm(conv(x, filters, 1, stride))
    return layers.ReLU()(layers.Add()([z, x]))


def model():
    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(norm(conv(inputs, WIDTH, 3)))
    for stage in range(4):
        for index in range(2):
            x = block(x, WIDTH * 2**stage, 2 if stage and not index else 1)
    x = layers.GlobalAveragePooling2D()(x)
    fan_in = x.shape[-1]
    outputs = layers.Dense(10, kernel_initializer=start(fan_in), bias_initializer=start(fan_in))(x)
    made = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.SGD(0.05), loss, metrics=["accuracy"])
    return made


def preprocess(images):
    return images.transpose(0, 2, 3, 1)


batch_size = 32


def rate(epoch):
    return 0.05 * 0.1 ** min(epoch, 2)


def callbacks():
    return [keras.callbacks.LearningRateScheduler(rate)]
