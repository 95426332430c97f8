"""The same name again: the same search is resumed, another one is refused."""

import functools
import json
import os
import re
import runpy
import subprocess
import sys
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras import devices
from shared_keras.errors import BadInput
from shared_keras.hyperband.resuming import fingerprint
from tests.hyperband.small_search import X, Y, build, make, outcome, search
from tests.shares import dealt


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a finished search."""
    folder = tmp_path_factory.mktemp("done")
    search(make(folder))
    return folder


@pytest.mark.parametrize(
    ("changed", "hypermodel", "options"),
    [
        ("model", functools.partial(build, activation="relu"), {}),
        ("model", functools.partial(build, optimizer="adam"), {}),
        ("y", build, {"y": 1 - Y[:80]}),
        ("x", build, {"x": X[:80] * 2}),
        ("validation_data", build, {"validation_data": (X[70:], Y[70:])}),
        ("batch_size", build, {"batch_size": 16}),
        ("shuffle", build, {"shuffle": False}),
        ("callbacks", build, {"callbacks": [keras.callbacks.EarlyStopping(patience=3)]}),
    ],
)
def test_another_search_under_the_same_name_is_refused(done, changed, hypermodel, options, capsys):
    with pytest.raises(BadInput, match=f"^{changed} was .* and is now"):
        search(make(done, hypermodel), **options, verbose=1)
    assert "is finished" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("first", "second"), dealt([((), ("wide",)), (("wide",), ())], [((), ("wide",))])
)
def test_a_hyperparameter_added_or_removed_makes_another_search(tmp_path, first, second):
    search(make(tmp_path, functools.partial(build, declare=first)))
    with pytest.raises(BadInput, match="^hyperparameter wide was .* and is now"):
        make(tmp_path, functools.partial(build, declare=second))


def test_the_same_search_is_resumed(done):
    """By then, models have other names, and the data are another copy."""
    build(keras_tuner.HyperParameters())
    tuner = make(done)
    before = outcome(tuner)
    assert outcome(search(tuner, x=X[:80].copy())) == before and len(before) == 5


def factory(power):
    """One of two losses that differ in their code alone."""
    if power == 1:

        def loss(y, p):
            return keras.ops.mean(p, axis=-1)

    else:

        def loss(y, p):
            return keras.ops.mean(p**2, axis=-1)

    return loss


def compiled(hp, power):
    model = build(hp)
    model.compile("sgd", factory(power))
    return model


class OwnFit(keras_tuner.HyperModel):
    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs)


class OtherFit(OwnFit):
    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs | {"batch_size": 3})


class Powers:
    """A hypermodel that can be called, counts its calls, and has a state."""

    def __init__(self, power):
        self.power, self.calls = power, 0

    def __call__(self, hp):
        self.calls += 1
        return compiled(hp, self.power)


def space():
    hp = keras_tuner.HyperParameters()
    hp.Int("units", 2, 500)
    return hp


CHANGED = {
    "loss": [{"loss": factory(n)} for n in (1, 2)],
    "metrics": [{"metrics": ["accuracy", factory(n)]} for n in (1, 2)],
    "functions of the model": [{"hypermodel": Powers(n), "objective": "loss"} for n in (1, 2)],
    "hypermodel": [{"hypermodel": OwnFit()}, {"hypermodel": OtherFit()}],
    "tune_new_entries": [{"hyperparameters": space(), "tune_new_entries": n} for n in (1, 0)],
    "allow_new_entries": [{"hyperparameters": space(), "allow_new_entries": n} for n in (1, 0)],
    "try_first": [{"try_first": [{"units": np.int64(n)}]} for n in (7, 8)],
}


@pytest.mark.parametrize("changed", CHANGED)
def test_what_decides_a_search_is_compared(tmp_path, changed):
    first, second = CHANGED[changed]
    for _ in range(2):
        assert len(search(make(tmp_path, **first, max_trials=1)).results()) == 1
    with pytest.raises(BadInput, match=f"^{changed} was .* and is now"):
        search(make(tmp_path, **second, max_trials=1))


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_any_tuner_id_resumes_the_search(tmp_path, monkeypatch, how):
    before = outcome(search(make(tmp_path, max_trials=2)))
    if how == "variable":
        monkeypatch.setenv("KERASTUNER_TUNER_ID", "another")
    tuner = make(tmp_path, max_trials=2, **({"tuner_id": "another"} if how == "argument" else {}))
    assert outcome(tuner) == before and len(before) == 2
    assert outcome(search(tuner)) == before


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
{above}
from shared_keras.hyperband.resuming import function_digest
def build(hp, names={{"b", "a"}}):
    {doc}
    def inner(x):
        return x in {{"p", "q", "r", 3, None}} or [y for y in (1, 2.5, b"z", ...)]
    return inner, lambda: (hp, "e")
print(function_digest.of(build))
"""


@pytest.mark.long(only=True)
def test_a_function_in_another_process_is_the_same(tmp_path, monkeypatch, capsys):
    """Whatever the order of its sets, where it stands, and what is said of it."""
    scripts = [tmp_path / "here.py", tmp_path / "there.py"]
    for script, above, doc in zip(scripts, ("", "\n# moved"), ('"""Build."""', '"""Make."""')):
        script.write_text(SCRIPT.format(root=os.getcwd(), above=above, doc=doc))
    monkeypatch.setattr(sys, "path", [*sys.path])  # the script changes it
    runpy.run_path(scripts[0])
    here = capsys.readouterr().out
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"  # orders sets
    environment = os.environ | {"PYTHONHASHSEED": seed}
    command = [sys.executable, str(scripts[1])]
    there = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
    assert here == there and re.fullmatch(r"build \S+:[0-9a-f]{64}\n", here)


def test_a_cell_that_is_run_again_defines_the_same_functions():
    cell = "loss = lambda y, p: (y - p) ** 2\ndef build(hp):\n    return hp.Int('a', 1, 2)"
    first, second, third = {}, {}, {}
    exec(compile(cell, "<ipython-input-1>", "exec"), first)
    exec(compile("# a comment\n" + cell, "<ipython-input-2>", "exec"), second)
    exec(compile(cell.replace("2", "3"), "<ipython-input-3>", "exec"), third)
    for name in ("loss", "build"):
        digests = [fingerprint.of(cells[name]) for cells in (first, second, third)]
        assert digests[0] == digests[1] != digests[2]


def test_a_callback_that_was_used_is_the_same():
    """With its best value and its model; a folder for logs often has the date in its name."""
    used, fresh, other = (keras.callbacks.EarlyStopping("loss", patience=n) for n in (3, 3, 4))
    model = build(keras_tuner.HyperParameters())
    model.fit(X[:80], Y[:80], epochs=3, verbose=0, callbacks=[used])
    assert fingerprint.of(used) == fingerprint.of(fresh) != fingerprint.of(other)
    rates = [keras.callbacks.LearningRateScheduler(lambda i, rate, n=n: rate) for n in (1, 2)]
    assert fingerprint.of(rates[0]) == fingerprint.of(rates[1])
    another = keras.callbacks.LearningRateScheduler(lambda i, rate: rate / 2)
    assert fingerprint.of(another) != fingerprint.of(rates[0])
    boards = [keras.callbacks.TensorBoard(f"logs/{n}", histogram_freq=1) for n in range(2)]
    assert fingerprint.of(boards[0]) == fingerprint.of(boards[1])
    assert fingerprint.of(boards[0]) != fingerprint.of(keras.callbacks.TensorBoard())


A, B = 64 * "a", 64 * "b"
STOP = "keras.EarlyStopping"


@pytest.mark.parametrize(
    ("earlier", "now", "same"),
    [
        (f"build cpython-311:{A}", f"build cpython-312:{B}", True),
        (f"build cpython-311:{A}", f"build cpython-311:{B}", False),
        (f"build cpython-311:{A}", f"make cpython-312:{A}", False),
        (["builtins.function", {}], f"build cpython-311:{A}", True),
        (["functools.partial", {}], ["build", [], {}], True),
        ([["builtins.function", {}], 3], ["build", 3], True),
        ([["builtins.function", {}], 3], ["build", 4], False),
        ([STOP, {"patience": 3, "wait": 7, "log_dir": "1"}], [STOP, {"patience": 3}], True),
        ([STOP, {"patience": 3, "wait": 7}], [STOP, {"patience": 4}], False),
        ([STOP, {"patience": 3}], [STOP, {"patience": 3, "mode": "min"}], True),
        ([STOP, {"patience": 3}], ["keras.Other", {"patience": 3}], False),
        ([STOP, 3], [STOP, {"patience": 3}], False),
        ({"a": 1}, {"a": 1.5}, False),
        ("a b", "a c", False),
    ],
)
def test_what_other_versions_recorded_is_compared_as_far_as_possible(earlier, now, same):
    assert fingerprint.alike(earlier, now) == same


def test_a_search_of_an_earlier_version_is_resumed(tmp_path):
    """It recorded no functions."""
    tuner = search(make(tmp_path, max_trials=1))
    for name in ("hypermodel", "functions of the model", "tune_new_entries", "allow_new_entries"):
        del tuner.oracle.begun_with[name]
    tuner.save()
    assert len(search(make(tmp_path, max_trials=2)).results()) == 2


def drawing(hp):
    model = build(hp)
    model.add(keras.layers.Dropout(0.1, seed=np.random.randint(2**30)))
    model.compile("sgd", "mse")
    return model


def test_a_search_whose_build_draws_is_resumed(tmp_path):
    """The user's own random draws are not affected."""
    for seed in range(2):
        np.random.seed(seed)
        tuner = make(tmp_path, drawing, "loss", max_epochs=1)
        assert np.random.randint(1000) == np.random.RandomState(seed).randint(1000)
        search(tuner, y=np.ones((80, 2)), validation_data=None)
    assert len(tuner.oracle.trials) == 1


def test_a_relative_directory_stays_where_it_was(tmp_path, monkeypatch):
    """The workers were started by an earlier search, elsewhere."""
    search(make(tmp_path / "first", max_epochs=1))
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    tuner = make("results", max_epochs=1)
    monkeypatch.chdir(tmp_path)
    search(tuner)
    assert len(tuner.get_best_models()) == 1
    assert (tmp_path / "a/results/p/trial_0000/history.csv").exists()


class Tensor:
    """Like PyTorch's: an array only once it is detached and on the CPU."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        return SimpleNamespace(cpu=lambda: X)


def test_a_child_of_multiprocessing_runs_the_same_program():
    class Noting(keras.callbacks.Callback):
        pass

    found = []
    for Noting.__module__ in ("__main__", "__mp_main__", "elsewhere"):
        found.append((fingerprint.of(Noting), fingerprint.of(Noting())))
    assert found[0] == found[1] and found[2] != found[0]


def test_a_tensor_with_a_gradient_has_a_fingerprint():
    assert fingerprint.of(Tensor()) == fingerprint.of(X)


@pytest.mark.long(only=True)
def test_a_search_that_is_resumed_on_another_kind_of_processor_says_so(
    tmp_path, monkeypatch, capsys
):
    """XLA can be told to use fewer instructions than the processor has."""
    search(make(tmp_path, max_trials=1))
    oracle = tmp_path / "p" / "oracle.json"
    kind = json.loads(oracle.read_text())["processor"]
    assert kind == devices.processor_kind()
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_max_isa=AVX"
    monkeypatch.setenv("XLA_FLAGS", flags)
    capsys.readouterr()
    search(make(tmp_path, max_trials=2), verbose=1)
    said = capsys.readouterr().out.splitlines()
    found = [line for line in said if "another kind" in line]
    assert found == [said[1]] and f"({kind}; this is {kind}, at most AVX)" in said[1]
    assert json.loads(oracle.read_text())["processor"] == kind  # that it began on
    search(make(tmp_path, max_trials=2), verbose=1)  # nothing is left to train
    assert "another kind" not in capsys.readouterr().out


@pytest.mark.long(only=True)
def test_a_search_of_an_earlier_version_is_resumed_in_silence(tmp_path, monkeypatch, capsys):
    search(make(tmp_path, max_trials=1))
    oracle = tmp_path / "p" / "oracle.json"
    state = json.loads(oracle.read_text())
    del state["processor"]
    oracle.write_text(json.dumps(state))
    search(make(tmp_path), verbose=1)
    assert "another kind" not in capsys.readouterr().out
    assert json.loads(oracle.read_text())["processor"] is None
