"""Seed all that draws at random on the side of Keras."""

import random
import sys

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random import seed_generator
from keras.src.utils import rng_utils


def seed(number: int) -> None:
    """Do what `keras.utils.set_random_seed` does, but for importing TensorFlow.

    That takes seconds and hundreds of megabytes, whatever the backend.
    """
    if "tensorflow" in sys.modules or keras.backend.backend() != "jax":
        keras.utils.set_random_seed(number)
        return
    global_state.set_global_attribute(rng_utils.GLOBAL_RANDOM_SEED, number)
    global_state.set_global_attribute(seed_generator.GLOBAL_SEED_GENERATOR, None)
    random.seed(number)
    np.random.seed(number)
