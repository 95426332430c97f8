"""Bad input: one sentence naming the argument, exit code 2, nothing written."""

import os
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from shared_keras.command_line import cli, flags
from shared_keras.errors import BadInput
from shared_keras.reporting import search_report
from shared_keras.results import folders, saved_models
from tests.conftest import MNIST, TASKS, idx_bytes

IMAGES = "train-images-idx3-ubyte"


def fails(capsys, verb, task, *words):
    """Run a command that must exit with code 2; return its only line on stderr."""
    try:
        code = cli.main(task, verb, [str(word) for word in words])
    except SystemExit as exit:
        code = exit.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert err.count("\n") == 1 and "Traceback" not in err
    assert err.startswith(f"python -m {task.package}.")
    return err


# For what goes through the parser, which both tasks share.
ONE_TASK = pytest.mark.parametrize("task", [MNIST], indirect=True, ids=["mnist"])


@ONE_TASK
@pytest.mark.parametrize(
    ("verb", "words", "expected"),
    [
        ("search", ["--space", "huge"], "argument --space: invalid choice: 'huge' (choose from"),
        (
            "search",
            ["--max-epochs", "0"],
            "--max-epochs: expected a whole number of at least 1, got",
        ),
        ("search", ["--max-epochs", "-3"], "--max-epochs: expected a whole number of at least 1"),
        ("search", ["--max-epochs", "ten"], "got 'ten'"),
        ("search", ["--factor", "1"], "--factor: expected a whole number of at least 2, got '1'"),
        ("search", ["--iterations", "0"], "--iterations"),
        (
            "search",
            ["--optuna-journal", "."],
            "argument --optuna-journal: expected the path of a file, got the folder",
        ),
        ("search", ["--batch-size", "0"], "--batch-size"),
        ("search", ["--batch-size", "1e9"], "--batch-size"),
        (
            "search",
            ["--workers", "all"],
            "--workers: expected auto or a whole number of at least 1",
        ),
        ("search", ["--workers", "0"], "--workers: expected auto or a whole number of at least 1"),
        ("search", ["--timeout", "0"], "--timeout: expected a whole number of at least 1, got '0'"),
        ("search", ["--max-trials", "0"], "--max-trials"),
        ("search", ["--confirm", "0"], "--confirm"),
        ("search", ["--try-first", "cnn"], "--try-first: invalid choice: 'cnn' (choose from"),
        ("search", ["--seed", "-1"], "--seed"),
        ("search", ["--objective", "beauty"], "--objective: invalid choice: 'beauty'"),
        ("search", ["--split", "quarter"], "--split"),
        ("search", ["--name", "../up"], "--name: expected a name of letters"),
        ("search", ["--name", "a/b"], "--name"),
        ("search", ["--name", ""], "--name"),
        ("search", ["--name", ".hidden"], "--name"),
        ("search", ["--name", "two\nlines"], "--name: expected a name of letters"),
        ("search", ["--quick", "--max-epochs", "3"], "--quick: sets the budget"),
        ("search", ["--quick", "--factor", "3"], "cannot be combined with --factor 3"),
        ("search", ["--backend", "theano"], "--backend"),
        ("search", ["--device", "gpu"], "--device: the jax backend finds no GPU"),
        ("search", ["--data-dir", "/nowhere"], "--data-dir: expected a folder"),
        ("search", ["--nonsense"], "unrecognized arguments: --nonsense"),
        ("retrain", [], "one of the arguments --best --trial --recipe is required"),
        ("retrain", ["--best", "--recipe", "x"], "--recipe"),
        ("retrain", ["--best", "--trial", "0001"], "not allowed with argument"),
        ("retrain", ["--recipe", "cake"], "--recipe: invalid choice: 'cake'"),
        ("retrain", ["--trial", "9999"], "--trial: no trial '9999'"),
        ("retrain", ["--best", "--search", "none"], "--search: no search 'none'"),
        ("retrain", ["--best", "--search", "../x"], "--search: expected a name"),
        ("retrain", ["--best", "--epochs", "0"], "--epochs"),
        ("retrain", ["--best", "--runs", "0"], "--runs"),
        ("retrain", ["--best", "--patience", "0"], "--patience"),
        ("retrain", ["--best", "--precision", "float8"], "--precision"),
        ("retrain", ["--best", "--workers", "0"], "--workers: expected auto or a whole number"),
        ("retrain", ["--best", "--gpus-per-worker", "1"], "--gpus-per-worker: needs --cluster ADD"),
        ("compare", ["--workers", "2"], "--workers: only works with --ray-results, got '2'"),
        ("compare", ["--cluster", "local"], "--cluster: only works with --ray-results, got 'lo"),
        (
            "retrain",
            ["--best", "--torch", "--precision", "mixed_bfloat16"],
            "--precision: sets a Keras policy, expected float32 with --torch, got mixed_bfloat16",
        ),
        ("search", ["--space", "batchnorm", "--batch-size", "64"], "searches it itself"),
        (
            "search",
            ["--space", "batchnorm", "--objective", "val_precision"],
            "--objective: val_precision counts probabilities above 0.5, but models of the space",
        ),
        ("evaluate", ["absent"], "argument RUN: no run 'absent'"),
        ("evaluate", ["../.."], "argument RUN: no run"),
        ("evaluate", ["--run", "absent"], "argument RUN: no run 'absent'"),
        ("evaluate", ["one", "--run", "two"], "got 'one' and --run two, expected one of them"),
        ("evaluate", [""], "argument RUN: no run"),
        ("evaluate", ["absent.keras"], "absent.keras: expected a .keras file"),
        ("predict", [], "argument FILE: expected image files or --random N, got neither"),
        ("predict", ["a.png", "--random", "3"], "got both"),
        ("predict", ["--random", "0"], "--random"),
        ("explore", ["--split", "none"], "--split"),
    ],
    ids=lambda value: (
        value.__name__.rpartition(".")[2] if hasattr(value, "main") else str(value)[:40]
    ),
)
def test_arguments(task, capsys, tmp_path, verb, words, expected):
    if "--torch" in words:
        pytest.importorskip("torch")
    if "--device" in words and os.environ.get("CUDA_VISIBLE_DEVICES", "-1") != "-1":
        pytest.skip("this machine may have a GPU")
    results = tmp_path / "results"
    assert expected in fails(capsys, verb, task, *words, "--results-dir", results)
    assert not list(results.rglob("*.json"))


def test_results_folder_that_cannot_be_written(task, capsys, tmp_path, small):
    (tmp_path / "file").touch()
    for verb, words in (
        ("search", ["--quick"]),
        ("retrain", ["--recipe", next(iter(task.recipes))]),
        ("explore", []),
    ):
        err = fails(
            capsys, verb, task, *words, "--data-dir", small, "--results-dir", tmp_path / "file"
        )
        assert "argument --results-dir: expected a writable folder" in err


@ONE_TASK
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda path: path.unlink(), f"; missing: {IMAGES}\n"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "its header says"),
        (lambda path: path.write_bytes(b"PNG" + path.read_bytes()), "the magic number is"),
        (lambda path: path.write_bytes(b""), "the magic number is"),
        (lambda path: path.write_bytes(idx_bytes(np.zeros((9, 32, 32), np.uint8))), "32x32 pixels"),
    ],
    ids=["missing", "truncated", "magic", "empty", "size"],
)
def test_broken_data(task, capsys, tmp_path, small, spoil, expected):
    for path in small.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    spoil(tmp_path / IMAGES)
    err = fails(capsys, "explore", task, "--data-dir", tmp_path, "--results-dir", tmp_path / "r")
    assert IMAGES in err and expected in err


def test_missing_files_are_named_with_the_argument_in_their_order(task, capsys, tmp_path):
    err = fails(capsys, "explore", task, "--data-dir", tmp_path, "--results-dir", tmp_path / "r")
    assert "argument --data-dir: expected four files in" in err
    names = ("train-images", "train-labels", "t10k-images", "t10k-labels")
    missing = err.rpartition("missing: ")[2].split(", ")
    assert [name.partition("-idx")[0].strip() for name in missing] == list(names)


@pytest.mark.parametrize(("words", "code"), [((), 2), (("--help",), 0)])
def test_the_package_alone_lists_its_commands(task, capsys, monkeypatch, words, code):
    monkeypatch.setattr(sys, "argv", ["-m", *words])
    assert cli.package(task) == code
    out, err = capsys.readouterr()
    lines = (err if code else out).splitlines()
    assert (out if code else err) == ""
    assert [line.split()[0] for line in lines[1:]] == list(flags.PARSERS)
    assert max(map(len, lines)) < 80


def test_the_package_runs_a_command(task, tmp_path):
    def run(*words):
        command = [sys.executable, "-m", task.package, *words]
        return subprocess.run(command, capture_output=True, text=True)

    listed = run("runs", "--results-dir", str(tmp_path))
    assert (listed.returncode, listed.stderr) == (0, "") and "nothing in" in listed.stdout
    wrong = run("search", "--quick", "--factor", "3")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(f"python -m {task.package}.search: error: argument --quick")
    unknown = run("train", "--epochs", "3")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith(f"python -m {task.package}: error: expected one of the comm")
    assert unknown.stderr.endswith("export, got 'train'\n") and unknown.stderr.count("\n") == 1


def test_too_many_classes(task, capsys, tmp_path, small):
    for path in small.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    name = "t10k-labels-idx1-ubyte"
    raw = bytearray((tmp_path / name).read_bytes())
    raw[-1] = 25
    (tmp_path / name).write_bytes(raw)
    err = fails(capsys, "explore", task, "--data-dir", tmp_path, "--results-dir", tmp_path / "r")
    assert f"{name}: holds the label 25, expected 0...9" in err


def save(path, *layers, shape=(28, 28)):
    keras.Sequential([keras.Input(shape), keras.layers.Flatten(), *layers]).save(path)


def foreign_class(path):
    """A model whose config names a class from the `os` module."""
    save(path, keras.layers.Dense(10))
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = members["config.json"].decode()
    assert '"class_name": "Dense"' in config
    config = config.replace(
        '"module": "keras.layers", "class_name": "Dense"', '"module": "os", "class_name": "system"'
    )
    with zipfile.ZipFile(path, "w") as file:
        for name, raw in members.items():
            file.writestr(name, config if name == "config.json" else raw)


@pytest.mark.long(only=True)
@ONE_TASK
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: path.write_bytes(b"nonsense"), "refused, it is not a Keras model"),
        (lambda path: save(path, keras.layers.Lambda(lambda x: x[:, :10])), "refused"),
        (foreign_class, "refused"),
        (lambda path: save(path, keras.layers.Dense(7)), "this model has 7 classes, but "),
        (lambda path: save(path, keras.layers.Dense(10), shape=(32, 32)), "(None, 32, 32)"),
    ],
    ids=["nonsense", "lambda", "foreign", "classes", "size"],
)
def test_models_that_are_refused(task, capsys, tmp_path, make, expected):
    path = tmp_path / "given.keras"
    make(path)
    err = fails(capsys, "evaluate", task, path, "--results-dir", tmp_path)
    assert "given.keras" in err and expected in err


def test_a_folder_of_somebody_elses_search_is_left_alone(task, capsys, tmp_path, small):
    folder = tmp_path / task.name / "searches" / "theirs"
    folder.mkdir(parents=True)
    (folder / "oracle.json").write_text("{}")
    words = ["--name", "theirs", "--quick", "--data-dir", small, "--results-dir", tmp_path]
    assert "that this command did not create" in fails(capsys, "search", task, *words)
    assert (folder / "oracle.json").read_text() == "{}"


@pytest.mark.parametrize("verb", flags.PARSERS)
@pytest.mark.parametrize("package", [task.package for task in TASKS])
def test_help_imports_nothing_heavy(package, verb):
    """Help must appear in a fraction of a second."""
    code = (
        f"import sys; from {package} import {verb}\n"
        f"try: {verb}.cli.main({verb}.TASK, '{verb}', ['--help'])\n"
        "except SystemExit as exit: assert exit.code == 0\n"
        "heavy = {'keras', 'jax', 'tensorflow', 'torch', 'sklearn', 'matplotlib', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"usage: python -m {package}.{verb}") and not result.stderr


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("retrain", ["--recipe", "all", "--torch"]),
        ("compare", ["--ray-results", "somewhere"]),
    ],
)
def test_without_pytorch(task, capsys, tmp_path, monkeypatch, verb, words):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    flag = words[-1] if verb == "retrain" else words[0]
    err = fails(capsys, verb, task, *words, "--results-dir", tmp_path)
    assert f"argument {flag}: needs PyTorch, which is not installed; `pip install" in err
    assert not list(tmp_path.iterdir())


def test_a_search_that_is_refused_leaves_no_folder(task, small_dirs, tmp_path, capsys):
    """A class with a single image cannot be split; nor does an older leftover look damaged."""
    data = tmp_path / "lonely"
    shutil.copytree(small_dirs[task.name], data)
    path = data / "train-labels-idx1-ubyte"
    labels = path.read_bytes()
    path.write_bytes(labels[:8] + bytes(len(labels) - 9) + b"\1")
    results = tmp_path / "results"
    words = ["--quick", "--data-dir", data, "--results-dir", results]
    assert "cannot be split by class" in fails(capsys, "search", task, *words)
    assert not [path for path in results.rglob("*") if path.is_file()]
    assert cli.main(task, "runs", ["--results-dir", str(results)]) == 0
    assert "nothing in" in capsys.readouterr().out
    (results / task.name / "searches" / "left").mkdir(parents=True)
    assert cli.main(task, "runs", ["--results-dir", str(results)]) == 0
    out = capsys.readouterr().out
    assert "it holds no search" in out and "cannot be read" not in out


def test_what_is_refused_while_a_search_begins_leaves_no_folder_either(tmp_path):
    for name, before in (("new", False), ("old", True)):
        folder = tmp_path / name
        if before:
            folder.mkdir()
        with pytest.raises(BadInput), folders.gone_if_refused(folder):
            (folder / "settings.json").write_text("{}")
            raise BadInput("no")
        assert folder.exists() == before


@pytest.mark.long(only=True)
def test_what_is_refused_once_a_trial_has_begun_keeps_the_folder(small_dirs, tmp_path, monkeypatch):
    def refuse(*_):
        raise BadInput("no")

    monkeypatch.setattr(search_report, "winner", refuse)  # when all trials have ended
    places = ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(tmp_path)]
    assert cli.main(MNIST, "search", ["--quick", "--max-trials", "1", *places]) == 2
    (folder,) = (tmp_path / "mnist" / "searches").iterdir()
    assert len(list(folder.glob("trial_*/trial.json"))) == 1


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
OTHER_LETTERS = """
import sys
from mnist_keras.task import TASK
from shared_keras.command_line import cli

data, model, results = sys.argv[1:]
places = ["--data-dir", data, "--results-dir", results]
sys.argv[1:] = [model, *places]
assert cli.main(TASK, "evaluate") == 0
sys.argv[1:] = ["--random", "2", "--run", model, *places]
assert cli.main(TASK, "predict") == 0
assert cli.main(TASK, "evaluate", ["\\xfc.keras"]) == 2
"""


@pytest.mark.long(only=True)
def test_where_the_locale_knows_ascii_only(small_dirs, tmp_path):
    """Folders, models and images may still be called "ü", and pictures show it."""
    place = tmp_path / "für"
    shutil.copytree(small_dirs["mnist"], place / "Größe")
    classes = [f"Nº {i}" for i in range(10)]
    (place / "Größe" / "classes.txt").write_text("\n".join(classes), encoding="utf-8")
    shutil.copy(saved_models.committed(MNIST), place / "ü.keras")
    words = [place / "Größe", place / "ü.keras", place / "results"]
    done = subprocess.run(
        [sys.executable, "-c", OTHER_LETTERS, *words], capture_output=True, env=os.environ | ASCII
    )
    assert done.returncode == 0, done.stderr
    assert os.fsencode(place / "ü.keras") in done.stdout and b"N? 3" in done.stdout
    assert done.stderr.splitlines()[-1].endswith(
        b"?.keras: the encoding of this locale, ascii, cannot name this file; expected a locale "
        b"with UTF-8, or PYTHONUTF8=1"
    )
    (evaluation,) = place.glob("results/mnist/evaluations/*-ü")
    assert (evaluation / "confusion.png").exists()
