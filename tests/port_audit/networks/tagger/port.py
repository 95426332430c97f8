import keras
from keras import layers

WORDS, TAGS, PAD = 50, 6, -100


def uniform(fan_in):
    return keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)


def model():
    words = keras.Input((None,), name="words", dtype="int32")
    mask = keras.Input((None,), name="mask")
    normal = keras.initializers.RandomNormal(stddev=1.0)
    x = layers.Embedding(WORDS, 16, normal)(words)
    x = x * mask[..., None]
    lstm = layers.LSTM(
        12,
        return_sequences=True,
        use_bias=False,
        kernel_initializer=uniform(12),
        recurrent_initializer=uniform(12),
    )
    x = layers.Bidirectional(lstm)(x)
    x = layers.Dropout(0.3)(x)
    outputs = layers.Dense(TAGS, kernel_initializer=uniform(24), bias_initializer=uniform(24))(x)
    made = keras.Model({"words": words, "mask": mask}, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PAD)
    made.compile(keras.optimizers.SGD(0.5), loss)
    return made


batch_size = 32
