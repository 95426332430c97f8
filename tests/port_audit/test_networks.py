"""Whole networks, written from their papers: each faithful port is quiet, each fault is found.

The always-running form is narrow; WAYS=all has them all, and ResNet-18 as wide as it is.
"""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import port_audit  # noqa: E402
from port_audit import data_file  # noqa: E402
from tests.shares import dealt  # noqa: E402

HERE = Path(__file__).parent / "networks"
N = 72
# What is written otherwise in the port, and the causes of which one has to be named.
FAULTS = {
    "resnet18": {
        "epsilon": ("epsilon=1e-5", "epsilon=1e-3", {"epsilon"}),
        "padding": (
            "    if kernel == 3:\n        x = layers.ZeroPadding2D(1)(x)\n    options = {",
            '    options = {"padding": "same", ',
            {"padding"},
        ),
        "schedule": ("min(epoch, 2)", "min(max(epoch - 1, 0), 2)", {"schedule shifted"}),
    },
    "mobilenet_v2": {
        "relu": ("layers.ReLU(max_value=6)", "layers.ReLU()", {"activation"}),
        "residual": (
            "return layers.Add()([x, z]) if stride == 1 and x.shape[-1] == out else z",
            "return z",
            {"residual"},
        ),
        "rho": ("rho=0.9,", "rho=0.99,", {"rho"}),
    },
    "encoder": {
        "scale of the scores": (
            "/ (WIDTH // HEADS) ** 0.5\n    scores = scores +",
            "/ WIDTH ** 0.5\n    scores = scores +",
            {"unexplained", "scale"},
        ),
        "beta": ("beta_2=0.98", "beta_2=0.999", {"betas"}),
        "clipping per variable": ("global_clipnorm", "clipnorm", {"clipping"}),
    },
    "tagger": {
        "pads count": (", ignore_class=PAD", "", {"ignored class", "unexplained"}),
        "gate": (
            "use_bias=False,",
            'use_bias=False, recurrent_activation="hard_sigmoid",',
            {"recurrent activation"},
        ),
        "embedding": ("stddev=1.0", "stddev=0.5", {"initial values"}),
    },
}
NARROW = {
    "resnet18": {"WIDTH = 64": "WIDTH = 4"},
    "mobilenet_v2": {"WIDTH = 1.0": "WIDTH = 0.125"},
}


def images(random):
    """Return images of three channels, and classes."""
    return {
        "x": random.normal(size=(N, 3, 32, 32)).astype("float32"),
        "y": random.integers(0, 10, N),
    }


def sentences(random):
    """Return words, a mask, and the place of each word."""
    lengths = random.integers(4, 13, N)
    mask = (np.arange(12) < lengths[:, None]).astype("float32")
    words = random.integers(1, 40, (N, 12)) * mask.astype(int)
    return words, mask


def encoder_data(random):
    """Return several inputs, integers and a mask, and classes."""
    words, mask = sentences(random)
    places = np.tile(np.arange(12), (N, 1))
    return {"x_words": words, "x_places": places, "x_mask": mask, "y": random.integers(0, 5, N)}


def tagger_data(random):
    """Return words and a mask, and a tag for each word that is there."""
    words, mask = sentences(random)
    tags = np.where(mask > 0, random.integers(0, 6, (N, 12)), -100)
    return {"x_words": words, "x_mask": mask, "y": tags}


DATA = {
    "resnet18": images,
    "mobilenet_v2": images,
    "encoder": encoder_data,
    "tagger": tagger_data,
}


@pytest.fixture
def report(tmp_path):
    """Audit a network with a change in its port, by files and `--data`."""

    def run(name, old="", new="", narrow=True):
        for side in ("original", "port"):
            text = (HERE / name / f"{side}.py").read_text()
            for wide, thin in (NARROW.get(name, {}) if narrow else {}).items():
                assert wide in text
                text = text.replace(wide, thin)
            if side == "port":
                assert old in text
                text = text.replace(old, new) if old else text
            (tmp_path / f"{side}.py").write_text(text)
        data = tmp_path / "data.npz"
        np.savez(data, **DATA[name](np.random.default_rng(0)))
        return port_audit.compare_files(
            tmp_path / "original.py", tmp_path / "port.py", data_file.read_npz(data)
        )

    return run


def check_faithful(found):
    """Check that a report is quiet, and that the witness has seen all of it."""
    assert not found.findings, found.findings
    assert found.stages[-1].name == "witness" and found.stages[-1].ran, found.stages[-1]


@pytest.mark.long(only=True)
@pytest.mark.parametrize("name", dealt(DATA, ["tagger"]))
def test_a_faithful_port_of_a_network_is_quiet(name, report):
    check_faithful(report(name))


@pytest.mark.long(only=True)
@pytest.mark.parametrize(
    ("name", "fault"),
    dealt([(n, f) for n, faults in FAULTS.items() for f in faults], [("tagger", "gate")]),
)
def test_a_fault_in_a_network_is_found(name, fault, report):
    old, new, right = FAULTS[name][fault]
    found = report(name, old, new)
    assert right & set(found.causes), found.findings


@pytest.mark.long
def test_resnet18_as_wide_as_it_is(report):
    check_faithful(report("resnet18", narrow=False))
