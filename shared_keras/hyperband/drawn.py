"""Hyperparameters that a training declares late, drawn as if they had been known from the start."""

import keras_tuner
import numpy as np


class DrawnHyperParameters(keras_tuner.HyperParameters):
    """Hyperparameters of a trial whose missing values are drawn when they are asked for.

    KerasTuner gives a hyperparameter that it meets for the first time its default, and
    draws it in later trials; which trial is the first depends on which one was faster. Here
    the value follows from the trial's seed and the name alone.

    Args:
        seed: Seed of the trial.
    """

    def __init__(self, seed: int = 0):
        super().__init__()
        self.seed = seed

    def _retrieve(self, hp):
        if hp.name not in self.values and self.is_active(hp):
            self.values[hp.name] = hp.random_sample(derive_seed(self.seed, *hp.name.encode()))
        return super()._retrieve(hp)


def of(config: dict, seed: int) -> DrawnHyperParameters:
    """Return the hyperparameters of `HyperParameters.get_config()`, with a seed."""
    drawn = DrawnHyperParameters.from_config(config)
    drawn.seed = seed
    return drawn


def derive_seed(*seeds: int) -> int:
    """Return a seed that is unlike those of other arguments, in 0...2**31-1."""
    return int(np.random.SeedSequence(seeds).generate_state(1)[0] >> 1)
