import keras
from keras import layers

WIDTH = 1.0
STAGES = [
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


class UnbiasedBatchNorm(keras.layers.BatchNormalization):
    def call(self, x, training=None, mask=None):
        old = self.moving_variance + 0.0
        outputs = super().call(x, training=training, mask=mask)
        if training and self.trainable:
            n = keras.ops.cast(keras.ops.size(x), old.dtype) / x.shape[self.axis]
            new = self.moving_variance + 0.0
            self.moving_variance.assign(new + (new - self.momentum * old) / (n - 1))
        return outputs


class TorchRMSprop(keras.optimizers.RMSprop):
    def update_step(self, gradient, variable, learning_rate):
        i = self._get_variable_index(variable)
        square = self._velocities[i]
        self.assign(square, self.rho * square + (1 - self.rho) * gradient**2)
        spread = square + 0.0
        move = gradient / (keras.ops.sqrt(spread) + self.epsilon)
        self.assign_sub(variable, learning_rate * move)


def start(fan_in):
    return keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)


def scaled(channels):
    return max(4, int(channels * WIDTH))


def normed(x, act=True):
    x = UnbiasedBatchNorm(momentum=0.9, epsilon=1e-5)(x)
    return layers.ReLU(max_value=6)(x) if act else x


def conv(x, out, kernel=1, act=True):
    fan_in = x.shape[-1] * kernel**2
    options = {"padding": "same", "use_bias": False, "kernel_initializer": start(fan_in)}
    return normed(layers.Conv2D(out, kernel, **options)(x), act)


def depthwise(x, stride):
    x = layers.ZeroPadding2D(1)(x)
    options = {"use_bias": False, "depthwise_initializer": start(9)}
    return normed(layers.DepthwiseConv2D(3, stride, **options)(x))


def inverted(x, out, stride, expansion):
    z = conv(x, x.shape[-1] * expansion) if expansion != 1 else x
    z = conv(depthwise(z, stride), out, act=False)
    return layers.Add()([x, z]) if stride == 1 and x.shape[-1] == out else z


def model():
    inputs = keras.Input((32, 32, 3))
    x = conv(inputs, scaled(32), 3)
    for expansion, channels, count, stride in STAGES:
        for index in range(count):
            x = inverted(x, scaled(channels), 1 if index else stride, expansion)
    x = layers.GlobalAveragePooling2D()(conv(x, scaled(1280)))
    x = layers.Dropout(0.2)(x)
    fan_in = x.shape[-1]
    outputs = layers.Dense(10, kernel_initializer=start(fan_in), bias_initializer=start(fan_in))(x)
    made = keras.Model(inputs, outputs)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    made.compile(TorchRMSprop(1e-3, rho=0.9, epsilon=1e-8), loss, metrics=["accuracy"])
    return made


def preprocess(images):
    return images.transpose(0, 2, 3, 1)


batch_size = 32
