import keras
from keras import layers, ops

WORDS, LENGTH, WIDTH, HEADS = 40, 12, 32, 4


class TorchAdam(keras.optimizers.Adam):
    def update_step(self, gradient, variable, learning_rate):
        step = keras.ops.cast(self.iterations + 1, variable.dtype)
        epsilon = self.epsilon
        self.epsilon = epsilon * keras.ops.sqrt(1 - self.beta_2**step)
        super().update_step(gradient, variable, learning_rate)
        self.epsilon = epsilon


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 1e-3 * ops.minimum(1.0, (ops.cast(step, "float32") + 1) / 10)

    def get_config(self):
        return {}


def dense(units, fan_in, activation=None):
    uniform = keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)
    return layers.Dense(units, activation, kernel_initializer=uniform, bias_initializer=uniform)


def attention(x, mask):
    def heads(z):
        return ops.transpose(ops.reshape(z, (-1, LENGTH, HEADS, WIDTH // HEADS)), (0, 2, 1, 3))

    q, k, v = (heads(dense(WIDTH, WIDTH)(x)) for _ in range(3))
    scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / (WIDTH // HEADS) ** 0.5
    scores = scores + (mask[:, None, None, :] - 1) * 1e9
    z = ops.transpose(ops.matmul(ops.softmax(scores, -1), v), (0, 2, 1, 3))
    return dense(WIDTH, WIDTH)(ops.reshape(z, (-1, LENGTH, WIDTH)))


def norm(x):
    return layers.LayerNormalization(epsilon=1e-5)(x)


def block(x, mask):
    x = norm(x + layers.Dropout(0.1)(attention(x, mask)))
    z = dense(WIDTH, 4 * WIDTH)(dense(4 * WIDTH, WIDTH, "relu")(x))
    return norm(x + layers.Dropout(0.1)(z))


def model():
    words = keras.Input((LENGTH,), name="words", dtype="int32")
    places = keras.Input((LENGTH,), name="places", dtype="int32")
    mask = keras.Input((LENGTH,), name="mask")
    normal = keras.initializers.RandomNormal(stddev=1.0)
    x = layers.Embedding(WORDS, WIDTH, normal)(words)
    x = x + layers.Embedding(LENGTH, WIDTH, normal)(places)
    for _ in range(2):
        x = block(x, mask)
    made = keras.Model({"words": words, "places": places, "mask": mask}, dense(5, WIDTH)(x[:, 0]))
    optimizer = TorchAdam(
        WarmUp(), beta_2=0.98, epsilon=1e-8, weight_decay=0.01, global_clipnorm=1.0
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(optimizer, loss, metrics=["accuracy"])
    return made


batch_size = 32
