"""KerasTuner's further guides, retyped like those of `test_guides`."""

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from tests.hyperband.drop_in.test_guides import SMALL, build_model, kt, split  # noqa: F401
