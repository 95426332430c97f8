"""Workers live in the present: what this process has changed since they were started is true there.

Each test runs jobs on a worker that another run has warmed.
"""

import os
import sys
import types
from concurrent.futures import Future

import cloudpickle
import jax
import keras
import pytest

from shared_keras.processes import job_pool, registered, surroundings
from shared_keras.processes.local_pool import LocalPool


def ask(work, shared=None, pool=None):
    """Return what a function of what jobs share returns in a worker."""
    answers = []
    job_pool.run_all(
        pool or LocalPool(1),
        (work, shared),
        lambda given, job: given[0](given[1]),
        ["a job"],
        lambda job, answer: answers.append(answer),
        lambda: not answers,
    )
    return answers[0]


def pid():
    pool = LocalPool(1)
    with pool.claimed():
        return ask(lambda _: os.getpid(), pool=pool)


@pytest.fixture(params=["__main__", "__mp_main__"])
def own(request, monkeypatch):
    """Make objects of the program itself, which no import brings, and forget them afterwards.

    It has the second name in a child of `multiprocessing`.
    """
    monkeypatch.setattr("keras.src.saving.object_registration.GLOBAL_CUSTOM_NAMES", {})
    before = dict(keras.saving.get_custom_objects())

    name = request.param
    program = sys.modules["__main__"] if name == "__main__" else types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, program)

    def make(value):
        value.__module__, value.__qualname__ = name, value.__name__
        monkeypatch.setattr(program, value.__name__, value, raising=False)
        return value

    yield make
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(before)


@pytest.mark.long(only=True)
def test_environment_folder_and_import_path_are_those_of_now(monkeypatch, tmp_path):
    def look(_):
        return os.environ.get("UNITS"), os.environ.get("MORE"), os.getcwd(), sys.path

    monkeypatch.setenv("UNITS", "4")
    monkeypatch.setenv("MORE", "1")
    assert ask(look) == ("4", "1", os.getcwd(), sys.path)
    monkeypatch.setenv("UNITS", "7")
    monkeypatch.delenv("MORE")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert ask(look) == ("7", None, str(tmp_path), sys.path)


@pytest.mark.long(only=True)
def test_a_module_that_was_written_meanwhile_is_found(monkeypatch, tmp_path):
    pid()
    (tmp_path / "written_meanwhile.py").write_text("def seven(_): return 7")
    monkeypatch.syspath_prepend(tmp_path)
    import written_meanwhile

    assert ask(written_meanwhile.seven) == 7


@pytest.mark.long(only=True)
def test_without_a_current_folder_workers_stay_where_they_are(monkeypatch, tmp_path):
    before = ask(lambda _: os.getcwd())
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert surroundings.read().folder is None
    assert ask(lambda _: os.getcwd()) == before


@pytest.mark.long(only=True)
def test_only_variables_that_are_read_once_need_another_process(monkeypatch):
    before = pid()
    monkeypatch.setenv("UNITS", "9")
    assert pid() == before
    monkeypatch.setenv("JAX_DEFAULT_MATMUL_PRECISION", "highest")
    after = pid()
    assert after != before and pid() == after
    assert ask(lambda _: jax.config.jax_default_matmul_precision) == "highest"


@pytest.mark.long(only=True)
def test_what_workers_set_themselves_is_left_alone(monkeypatch):
    pid()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert ask(lambda _: os.environ["OMP_NUM_THREADS"]) == "1"


def test_registered_objects_of_the_program_are_known_and_stay_themselves(own):
    @keras.saving.register_keras_serializable("mine")
    @own
    def twice(x):
        return 2 * x

    @keras.saving.register_keras_serializable("mine")
    @own
    class Layer(keras.layers.Layer):
        pass

    def look(shared):
        found = map(keras.saving.get_registered_object, ("mine>twice", "mine>Layer", "plain"))
        names = map(keras.saving.get_registered_name, shared)
        return [a is b for a, b in zip(found, shared)], list(names)

    keras.saving.get_custom_objects()["plain"] = plain = own(lambda x: 3 * x)
    same, names = ask(look, (twice, Layer, plain))
    assert same == [True] * 3 and names == ["mine>twice", "mine>Layer", "<lambda>"]


def test_what_is_registered_no_longer_is_forgotten(own):
    def look(_):
        found = keras.saving.get_registered_object("plain")
        return found and found(1)

    objects = keras.saving.get_custom_objects()
    for factor in (2, 3):
        objects["plain"] = own(lambda x, factor=factor: factor * x)
        assert ask(look) == ask(look) == factor
    with keras.saving.custom_object_scope({"plain": own(lambda x: 4 * x)}):
        assert ask(look) == 4
    assert ask(look) == 3
    del objects["plain"]
    assert ask(look) is None


def test_what_modules_register_needs_no_import(monkeypatch, tmp_path):
    (tmp_path / "strangers_layers.py").write_text(
        "import keras\n@keras.saving.register_keras_serializable('theirs')\ndef five(x): return 5"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import strangers_layers

    assert strangers_layers.five(0) == 5
    assert ask(lambda _: keras.saving.get_registered_object("theirs>five")(0)) == 5
    registered.enter({}, {"lost>layer": cloudpickle.dumps(len).replace(b"len", b"lost")})
    assert "lost>layer" not in keras.saving.get_custom_objects()
    del keras.saving.get_custom_objects()["theirs>five"]


def test_what_cannot_be_sent_is_named_and_does_no_harm(own):
    future = Future()  # holds a lock
    keras.saving.get_custom_objects()["stuck"] = own(lambda x: future)
    pool = LocalPool(1)
    said = []
    job_pool.run_all(
        pool,
        None,
        lambda _, job: job,
        ["a job"],
        lambda *_: said.append("done"),
        lambda: "done" not in said,
        say=said.append,
    )
    (note,) = [line for line in said if line != "done"]
    assert note.startswith("Workers do not know 'stuck', which is registered with Keras but cannot")
