"""Hyperparameters that a training declares late, drawn as if they had been known from the start."""

import keras_tuner
import numpy as np


class DrawnHyperParameters(keras_tuner.HyperParameters):
    """Hyperparameters of a trial whose missing values are drawn when they are first needed.

    When KerasTuner meets a new hyperparameter, it takes the default in that trial and draws
    a value in later ones. Which trial comes first depends on timing. Here the value follows
    from the trial's seed and the hyperparameter's name alone.

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


def of(config: dict, seed: int, draws: bool = True) -> keras_tuner.HyperParameters:
    """Restore hyperparameters from `HyperParameters.get_config()`.

    Args:
        config: The config.
        seed: Seed of the trial.
        draws: Whether hyperparameters that are declared late are drawn, or keep their default.
    """
    if not draws:
        return keras_tuner.HyperParameters.from_config(config)
    drawn = DrawnHyperParameters.from_config(config)
    drawn.seed = seed
    return drawn


def derive_seed(*seeds: int) -> int:
    """Return a seed in 0...2**31-1 that is unrelated to those of other arguments."""
    return int(np.random.SeedSequence(seeds).generate_state(1)[0] >> 1)
