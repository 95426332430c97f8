"""Classes and modules that stand in for KerasTuner's in its own tests.

Most of these tests use `RandomSearch`, `GridSearch` or a `Tuner` with a random oracle as "some
tuner". Their place is taken by a Hyperband with the same arguments. Its first trials are drawn
at random and trained for an epoch each, so that the first `max_trials` are what a random
search would do.
"""

import importlib
import inspect

import keras_tuner
from keras_tuner.src.engine import base_tuner, tuner
from keras_tuner.src.tuners import gridsearch, hyperband, randomsearch

FIRST_RUNG = {"max_epochs": 9, "factor": 3}  # nine trials of one epoch come first


class Module:
    """A module in which some names mean something else.

    Args:
        module: The module.
        name: Name under which it can be imported.
        names: What is different.
    """

    def __init__(self, module, name: str, **names):
        self.module, self.name = module, name
        vars(self).update(names)

    def __getattr__(self, name):
        if name in ("module", "name"):  # not yet there while this is copied
            raise AttributeError(name)
        return getattr(self.module, name)

    def __reduce__(self):
        return importlib.import_module, (self.name,)  # a worker has KerasTuner's own


def modules(replacement: type[keras_tuner.Hyperband]) -> dict[str, Module]:
    """Return, by the name that the tests give it, each module with the class replaced."""
    limited = "max_trials" in inspect.signature(replacement).parameters

    class Searching(replacement):
        """Hyperband with the arguments of `RandomSearch` and `GridSearch`."""

        def __init__(self, hypermodel=None, objective=None, max_trials=None, **kwargs):
            if limited:
                kwargs["max_trials"] = max_trials
            elif hypermodel is None:
                kwargs["hyperparameters"] = _something_to_draw()
            super().__init__(hypermodel, objective, **FIRST_RUNG, **kwargs)
            if not limited:
                self.oracle.max_trials = max_trials

    class RandomSearch(Searching):
        def __init__(self, hypermodel=None, objective=None, max_trials=10, **kwargs):
            super().__init__(hypermodel, objective, max_trials, **kwargs)

    class Tuner(Searching):
        """Hyperband that takes from an oracle what it needs for one of its own."""

        def __init__(self, oracle, hypermodel=None, **kwargs):
            if not isinstance(oracle, keras_tuner.Oracle):
                keras_tuner.Tuner.__init__(self, oracle, hypermodel, **kwargs)  # refuses it
            super().__init__(
                hypermodel, oracle.objective, oracle.max_trials, seed=oracle.seed, **kwargs
            )

    tuners = Module(
        keras_tuner.tuners,
        "keras_tuner.tuners",
        RandomSearch=RandomSearch,
        randomsearch=randomsearch,
    )
    return {
        "keras_tuner": Module(
            keras_tuner, "keras_tuner", RandomSearch=RandomSearch, Tuner=Tuner, tuners=tuners
        ),
        "base_tuner": Module(base_tuner, base_tuner.__name__, BaseTuner=Tuner),
        "tuner_module": Module(tuner, tuner.__name__, Tuner=Tuner),
        "gridsearch": Module(gridsearch, gridsearch.__name__, GridSearch=Searching),
        "hyperband_module": Module(hyperband, hyperband.__name__, Hyperband=replacement),
    }


def _something_to_draw() -> keras_tuner.HyperParameters:
    """Return a hyperparameter; of none, the stock Hyperband would not start a trial."""
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.Float("drawn", 0, 1)
    return hyperparameters
