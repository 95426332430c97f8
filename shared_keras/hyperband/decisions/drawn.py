"""The hyperparameters of a trial while it trains: what it asks for is drawn, and recorded."""

from collections.abc import Mapping
from typing import Any

import keras_tuner
import numpy as np

from shared_keras.hyperband import table


class Values(dict[str, Any]):
    """Values by name that remember which of them were read by name.

    What reads all at once, such as a log of them, does not ask for any. Copies remember together.
    """

    def __init__(self, values: Mapping[str, Any]):
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def copy(self) -> "Values":
        copied = Values(self)
        copied.read = self.read
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> "Values":
        return self.copy()


class DrawnHyperParameters(keras_tuner.HyperParameters):
    """Hyperparameters of a trial whose missing values are drawn when they are first needed.

    When KerasTuner meets a new hyperparameter, it takes the default in that trial and draws
    a value in later ones. Which trial comes first depends on timing. Here the value follows
    from the trial's seed and the hyperparameter's name alone.

    Attributes:
        seed: Seed of the trial.
        draws: Whether hyperparameters that are declared late are drawn, or keep their default.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seed, self.draws = 0, True

    def _retrieve(self, hp: keras_tuner.HyperParameters) -> Any:
        drawn = self.draws or hp.name in self._hps
        if drawn and hp.name not in self.values and self.is_active(hp):
            known = [
                each for each in self._hps.get(hp.name, ()) if each.conditions == hp.conditions
            ]
            seed = derive_seed(self.seed, *hp.name.encode())
            self.values[hp.name] = (known or [hp])[0].random_sample(seed)  # its own range counts
        return super()._retrieve(hp)

    def copy(self) -> Any:
        copied = super().copy()
        copied.values = self.values.copy()  # what is read there is asked for, too
        return copied

    def given(self) -> keras_tuner.HyperParameters:
        """Return them with only those values that the training has asked for so far.

        Others may be known: those that a condition excludes, or that the code passes over.
        """
        read: Any = getattr(self.values, "read", self.values)  # all, if the user has replaced them
        plain = keras_tuner.HyperParameters()
        plain.merge(self.space)
        plain.values = {
            name: value
            for name, value in self.values.items()
            if name in read or name.startswith(table.PREFIX)
        }
        return plain


def of(
    config: Mapping[str, Any], seed: int, draws: bool = True, resumes: bool = False
) -> DrawnHyperParameters:
    """Restore hyperparameters from `HyperParameters.get_config()`.

    Args:
        config: The config.
        seed: Seed of the trial.
        draws: Whether hyperparameters that are declared late are drawn, or keep their default.
        resumes: Whether the trial resumes another, which was given all values of the config.
    """
    drawn: DrawnHyperParameters = DrawnHyperParameters.from_config(config)
    drawn.seed, drawn.draws, drawn.values = seed, draws, Values(drawn.values)
    if resumes:
        drawn.values.read.update(config["values"])
    return drawn


def derive_seed(*seeds: int) -> int:
    """Return a seed in 0...2**31-1 that is unrelated to those of other arguments.

    NumPy takes no negative numbers; as 64 bits without a sign, they are others.
    """
    words = [seed if seed >= 0 else seed % 2**64 for seed in seeds]
    return int(np.random.SeedSequence(words).generate_state(1)[0] >> 1)
