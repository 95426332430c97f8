"""`compare --port`: exit codes, files, and what is said about files that cannot be used."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
from shared_keras.command_line import cli
from tests.conftest import MARKUP, MNIST

EXAMPLES = Path(__file__).parents[2] / "docs" / "port"
ORIGINAL = """
import torch
from torch import nn

def model():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.ReLU(), nn.Linear(10, 10))

def preprocess(images):
    return torch.tensor(images / 255, dtype=torch.float32)
"""
PORT = """
import keras
from keras import layers

def model():
    def start(fan_in):
        uniform = keras.initializers.RandomUniform(-fan_in**-0.5, fan_in**-0.5)
        return {"kernel_initializer": uniform, "bias_initializer": uniform}
    parts = [layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(10, "relu", **start(784))]
    return keras.Sequential([keras.Input((28, 28)), *parts, layers.Dense(10, **start(10))])
"""


@pytest.fixture
def compare(tmp_path, small_dirs, capsys):
    """Write both files and compare them: exit code, output, errors."""

    def run(original, port):
        for name, text in (("original", original), ("port", port)):
            (tmp_path / f"{name}.py").write_text(text)
        paths = [str(tmp_path / f"{name}.py") for name in ("original", "port")]
        data = ["--data-dir", str(small_dirs["mnist"]), "--out", str(tmp_path / "out")]
        code = cli.main(MNIST, "compare", ["--port", *paths, *data])
        captured = capsys.readouterr()
        assert not MARKUP.search(captured.out)
        return code, captured.out, captured.err

    return run


def test_a_faithful_port(compare, tmp_path):
    code, out, _ = compare(ORIGINAL, PORT)
    assert code == 0 and "no difference, nothing left out" in out
    written = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert written["same"] and len(written["stages"]) == 9 and len(written["path"]) == 2
    assert (tmp_path / "out" / "audit.png").stat().st_size > 5000


def test_a_port_that_differs(compare, tmp_path):
    code, out, _ = compare(ORIGINAL, PORT.replace("1 / 255", "1 / 127.5"))
    assert code == 3 and "1 difference: 1 explained." in out
    assert re.search(r"^1 layers +same +2 layers", out, re.M)
    assert re.search(r"^2 outputs +differs +2 layers", out, re.M)
    written = json.loads((tmp_path / "out" / "audit.json").read_text())
    (finding,) = written["stages"][1]["findings"]
    assert finding["name"] == "input scale" and finding["size"] > finding["tolerance"]
    assert finding["write"] == "preprocess as PyTorch does: multiply by 0.5"


@pytest.mark.long(only=True)
def test_nothing_but_the_report_is_printed(small_dirs, tmp_path):
    """TensorFlow, which Keras imports to seed it, tells nothing of itself."""
    command = [sys.executable, "-W", "ignore", "-m", "mnist_keras.compare", "--port"]
    command += [str(EXAMPLES / "original.py"), str(EXAMPLES / "third.py")]
    command += ["--data-dir", str(small_dirs["mnist"]), "--out", str(tmp_path / "out")]
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stderr == "" and "no difference, nothing left out" in done.stdout


@pytest.mark.parametrize(
    ("original", "port", "expected"),
    [
        ("x = 1", PORT, "original.py: defines no model()"),
        ("def model(:\n    pass", PORT, "original.py, line 1: invalid syntax"),
        ("def model():\n    return undefined", PORT, "original.py, line 2: NameError"),
        (ORIGINAL, "def model():\n    return 3", "expected model() to return a keras.Model"),
        (ORIGINAL, "raise SystemExit('no')", "port.py, line 1: SystemExit: no"),
        (
            ORIGINAL.replace("784", "5"),
            PORT,
            "the original, given a batch of inputs, shape (2, 28, 28): ",
        ),
        (ORIGINAL + "batch_size = 'many'", PORT, "batch_size: expected a whole number"),
        (ORIGINAL + "step_scheduler_per = 'step'", PORT, "expected 'epoch' or 'batch'"),
        (
            ORIGINAL.replace("return torch.tensor", "return nothing"),
            PORT,
            "original.py, line 9: NameError",
        ),
    ],
)
def test_bad_input(compare, original, port, expected):
    code, _, err = compare(original, port)
    assert code == 2 and expected in err and err.count("\n") == 1


def test_missing_file_and_extra_run(tmp_path, capsys):
    assert cli.main(MNIST, "compare", ["--port", str(tmp_path / "a.py"), "b.py"]) == 2
    assert "expected a Python file" in capsys.readouterr().err
    assert cli.main(MNIST, "compare", ["--port", "a.py", "b.py", "--ray-results", "c"]) == 2
    assert "argument --port" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize(("name", "code"), [("first", 3), ("second", 3), ("third", 0)])
def test_the_example_of_the_docs(name, code, small_dirs, tmp_path, capsys):
    files = [str(EXAMPLES / "original.py"), str(EXAMPLES / f"{name}.py")]
    data = ["--data-dir", str(small_dirs["mnist"]), "--out", str(tmp_path / "out")]
    assert cli.main(MNIST, "compare", ["--port", *files, *data]) == code
    page = (EXAMPLES.parent / "pytorch.md").read_text()
    for stage in json.loads((tmp_path / "out" / "audit.json").read_text())["stages"]:
        for finding in stage["findings"]:
            assert f": {finding['name']}\n" in page
