"""`python -m port_audit`: what it takes, what it prints and writes, and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from port_audit.__main__ import main  # noqa: E402

ORIGINAL = """
import numpy as np
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.end = nn.Embedding(9, 4), nn.Linear(6, 3)

    def forward(self, words, numbers):
        return self.end(torch.cat([self.words(words).mean(1), numbers], 1))

model = Two
loss = nn.CrossEntropyLoss()

def optimizer(parameters):
    return torch.optim.SGD(parameters, 0.1)
"""
SCRIPTED = """
unscripted = model
def model():
    return torch.jit.script(unscripted())
"""
DATA = """
def data():
    random = np.random.default_rng(0)
    x = {"words": random.integers(0, 9, (90, 5)), "numbers": random.normal(size=(90, 2))}
    return {**x, "numbers": x["numbers"].astype("float32")}, random.integers(0, 3, 90)
"""
PORT = """
import keras
from keras import layers, initializers

def model():
    words, numbers = keras.Input((5,), name="words"), keras.Input((2,), name="numbers")
    uniform = initializers.RandomUniform(-6**-0.5, 6**-0.5)
    start = {"kernel_initializer": uniform, "bias_initializer": uniform}
    normal = initializers.RandomNormal(stddev=1.0)
    x = layers.Embedding(9, 4, embeddings_initializer=normal)(words)
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(x), numbers])
    made = keras.Model({"words": words, "numbers": numbers}, layers.Dense(3, **start)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return made
"""


@pytest.fixture
def audit(tmp_path, capsys, monkeypatch):
    """Write both files and audit them: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(original, port, *words):
        (tmp_path / "original.py").write_text(original)
        (tmp_path / "port.py").write_text(port)
        code = main(["original.py", "port.py", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.long(only=True)
def test_a_faithful_port_with_data_of_the_original(audit, tmp_path):
    code, out, err = audit(ORIGINAL + DATA, PORT, "--out", "out")
    assert code == 0, out + err
    assert "Verdict: no difference, nothing left out" in out
    assert "wrote out: audit.json, audit.png" in out
    written = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert written["files"] == ["original.py", "port.py"] and written["same"]
    assert (tmp_path / "out" / "audit.png").stat().st_size > 5000


def test_a_port_that_differs_with_a_file_of_named_inputs(audit, tmp_path):
    random = np.random.default_rng(0)
    numbers = random.normal(size=(90, 2)).astype("float32")
    words = random.integers(0, 9, (90, 5))
    np.savez("data.npz", x_words=words, x_numbers=numbers, y=random.integers(0, 3, 90))
    code, out, err = audit(ORIGINAL, PORT.replace("SGD(0.1)", "SGD(0.2)"), "--data", "data.npz")
    assert code == 3, out + err
    assert "1. optimizer: learning rate" in out and "1 difference: 1 explained." in out
    assert {path.name for path in tmp_path.iterdir()} == {"original.py", "port.py", "data.npz"}


OWN_STEP = """
class Own(keras.Model):
    def train_step(self, *given):
        return super().train_step(*given)
"""


def test_what_could_not_be_compared_is_named_and_has_an_exit_code_of_its_own(audit, tmp_path):
    port = PORT.replace("def model", f"{OWN_STEP}\ndef model", 1).replace("keras.Model(", "Own(")
    assert "Own(" in port
    port = port.replace("class Own(Own)", "class Own(keras.Model)")
    alone = ORIGINAL.replace("def optimizer(", "def unused(")  # so the two cannot train together
    assert alone != ORIGINAL
    code, out, err = audit(alone + DATA, port, "--out", "out")
    assert code == 4, out + err
    assert "port: model.train_step = own, of Own" in out
    written = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert written["verdict"] == "incomplete" and not written["same"]
    left = [entry["path"] for entry in written["ledger"] if entry["settled"] is None]
    assert "model.train_step" in left and written["outside"]
    said = f"no difference in what was compared, {len(left)} settings not compared (exit code 4)"
    assert said in " ".join(out.split())


@pytest.mark.parametrize(
    ("original", "port", "words", "expected"),
    [
        (ORIGINAL, PORT, [], "original.py: defines no data()"),
        (ORIGINAL + "def data():\n    return 3", PORT, [], "expected data() to return inputs and"),
        (ORIGINAL + "def data():\n    oops", PORT, [], "line 20: NameError"),
        (ORIGINAL + DATA, "x = 1", [], "port.py: defines no model()"),
        (ORIGINAL + DATA + SCRIPTED, PORT, [], "got a scripted or traced one"),
        (ORIGINAL + DATA, PORT, ["--data", "port.py"], "port.py: expected a .npz file"),
        (ORIGINAL + DATA, PORT, ["--out", "."], "--out: expected a new or empty folder, got '.'"),
        (ORIGINAL + DATA, PORT, ["--out", "port.py"], "--out: expected a new or empty folder"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(audit, original, port, words, expected):
    code, out, err = audit(original, port, *words)
    assert code == 2 and expected in err and err.count("\n") == 1 and not out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["no.py", "no.py"], "argument ORIGINAL: expected a file, got 'no.py'"),
        ([__file__, __file__, "--data", "no.npz"], "argument --data: expected a file"),
        ([__file__], "PORT"),
        ([__file__, __file__, "--dat", "x"], "--dat"),
    ],
)
def test_arguments(words, expected, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    err = capsys.readouterr().err
    assert expected in err and err.count("\n") == 1


@pytest.mark.long(only=True)
@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [(["--help"], 0, "usage: python -m port_audit"), ([__file__, __file__], 2, "needs 'torch'")],
)
def test_without_pytorch(words, code, expected):
    """Help is there at once; an audit says in one line what is missing."""
    program = f"""
import sys

class NotThere:
    def find_spec(self, name, *others):
        if name == "torch":
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, NotThere())
from port_audit.__main__ import main
sys.exit(main({words}))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code and expected in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long(only=True)
def test_no_library_tells_of_itself(tmp_path):
    """As TensorFlow does when Keras imports it, which it does on every backend."""
    (tmp_path / "original.py").write_text(ORIGINAL + DATA)
    (tmp_path / "port.py").write_text(PORT)
    command = [sys.executable, "-m", "port_audit", "original.py", "port.py"]
    env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_failure_that_is_no_bad_input(audit, monkeypatch):
    def fails(*args):
        raise RuntimeError("the machine\nis out of memory")

    monkeypatch.setattr("port_audit.audit.compare", fails)
    code, _, err = audit(ORIGINAL + DATA, PORT)
    assert (code, err.count("\n")) == (1, 1)
    assert err.endswith("error: RuntimeError: the machine is out of memory\n")
