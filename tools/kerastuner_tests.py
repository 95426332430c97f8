"""Run KerasTuner's own tests with its Hyperband replaced by ours.

    git clone --branch v1.4.7 https://github.com/keras-team/keras-tuner FOLDER
    python -m tools.kerastuner_tests FOLDER [--stock] [arguments of pytest]

The tests are those of the tuner in `hyperband_test.py`, and those of `tuner_test.py` and
`base_tuner_test.py` that hold for any tuner; `EXCLUDED` has the others, each with its reason.
They are read from FOLDER and run against the installed KerasTuner. `--stock` leaves its own
Hyperband in place: what fails then says nothing about ours.
"""

import importlib
import os
import sys
import tempfile
import types
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")  # as everywhere here, and before Keras is imported

import cloudpickle
import keras_tuner
import pytest

from shared_keras.command_line.parser import of_module
from shared_keras.hyperband import Hyperband
from tools import stand_ins

FILES = ("engine/base_tuner_test.py", "engine/tuner_test.py", "tuners/hyperband_test.py")
# Names under which KerasTuner's tests know what has moved to `keras_tuner.src` in 1.4.8.
MOVED = (
    "backend",
    "config",
    "distribute",
    "distribute.oracle_client",
    "engine.base_tuner",
    "engine.tuner",
    "engine.tuner_utils",
    "test_utils",
    "test_utils.mock_distribute",
    "tuners.gridsearch",
    "tuners.hyperband",
    "tuners.randomsearch",
    "utils",
)
OF_THE_ORACLE = "tests an oracle; Hyperband brings its own"
PRIVATE = "watches a private method of the stock class"
OF_A_GRID = "counts the points of a grid; Hyperband draws at random"
EXCLUDED = {
    "test_hyperband_oracle_bracket_configs": OF_THE_ORACLE,
    "test_hyperband_oracle_one_sweep_single_thread": OF_THE_ORACLE,
    "test_hyperband_oracle_one_sweep_parallel": OF_THE_ORACLE,
    "test_factor_less_than_2_error": OF_THE_ORACLE,
    "test_exhausted_values_during_init_bracket": OF_THE_ORACLE,
    "test_metric_direction_inferred_from_objective": OF_THE_ORACLE,
    "test_update_trial": OF_THE_ORACLE,
    "test_oracle_idle": OF_THE_ORACLE,
    "test_retry_common_errors": OF_A_GRID,
    "test_failed_trial_error_no_retry": OF_A_GRID,
    "test_callbacks_in_fit_kwargs": PRIVATE,
    "test_build_and_fit_model": PRIVATE,
    "test_build_and_fit_model_in_tuner": PRIVATE,
    "test_correct_display_trial_number": PRIVATE,
    "test_callbacks_run_each_execution": "counts in this process; trials train in others",
    "test_callback_cannot_be_deep_copied": "refused in other words",
    "test_get_best_hyperparameters": "its trials have no epochs; those of Hyperband have",
    "test_convert_hyperparams_to_hparams": "tests a function that no tuner of ours changes",
    "test_chief_should_wait_for_clients": "a chief and workers on other machines are refused",
}


class Replacement:
    """A plugin of pytest: skips what is excluded, and replaces the class in the tests' modules.

    Args:
        hyperband: The class that takes the place of every tuner.
    """

    def __init__(self, hyperband: type[keras_tuner.Hyperband]):
        self.modules = stand_ins.modules(hyperband)

    def pytest_collection_modifyitems(self, items):
        for item in items:
            if reason := EXCLUDED.get(item.originalname):
                item.add_marker(pytest.mark.skip(reason=reason))
        for module in {item.module for item in items}:
            cloudpickle.register_pickle_by_value(module)  # workers cannot import it

    @pytest.fixture(autouse=True)
    def replace(self, request, monkeypatch):
        for name, module in self.modules.items():
            if hasattr(request.module, name):
                monkeypatch.setattr(request.module, name, module)
        for function in vars(request.module).values():
            if keras_tuner.Tuner in (getattr(function, "__defaults__", None) or ()):
                monkeypatch.setattr(function, "__defaults__", (self.modules["keras_tuner"].Tuner,))


def main() -> int:
    """Run the tests, and return the exit code of pytest."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("folder", type=Path, help="a checkout of KerasTuner")
    parser.add_argument("--stock", action="store_true", help="leave KerasTuner's own class")
    args, of_pytest = parser.parse_known_args()
    package = args.folder.absolute() / "keras_tuner"
    old = not (package / "src").exists()
    package = package if old else package / "src"
    sources = [package / name for name in (*FILES, "conftest.py")]
    if missing := [path for path in sources if not path.exists()]:
        parser.error(f"expected a checkout of KerasTuner in {args.folder}, found no {missing[0]}")
    _provide_old_names("keras_tuner" if old else "keras_tuner.src")
    with tempfile.TemporaryDirectory() as folder:
        for source in sources:
            (Path(folder) / source.name).symlink_to(source)
        os.chdir(folder)
        hyperband = keras_tuner.Hyperband if args.stock else Hyperband
        options = ["-ra", "-p", "no:cacheprovider", "-p", "no:warnings", "--tb=short"]
        return pytest.main([*options, *of_pytest, folder], plugins=[Replacement(hyperband)])


def _provide_old_names(package: str) -> None:
    """Make the installed KerasTuner's modules known under the names in `MOVED`."""
    for name in MOVED:
        parent, _, last = f"{package}.{name}".rpartition(".")
        try:
            module = importlib.import_module(f"keras_tuner.src.{name}")
        except ImportError:  # not installed; only excluded tests need it
            module = types.ModuleType(f"{package}.{name}")
        sys.modules[f"{package}.{name}"] = module
        setattr(sys.modules[parent], last, module)


if __name__ == "__main__":
    sys.exit(main())
