"""Lines that the audit advises to write: a port with them is the same as the original."""

import io

import keras
import pytest
from rich.console import Console

torch = pytest.importorskip("torch")
from keras import layers  # noqa: E402

from port_audit import Finding, Stage, table  # noqa: E402
from port_audit.causes import advice  # noqa: E402
from tests.port_audit import plain_pairs as plain  # noqa: E402
from tests.port_audit.test_audit import audited  # noqa: E402
from tests.shares import dealt  # noqa: E402

PLAIN_BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}


def classes(report):
    """Run the lines of all findings, in their order, and return what they define."""
    defined = {"keras": keras}
    for finding in report.findings:
        lines = finding.write.splitlines()
        assert lines[0].startswith("this "), finding
        exec("\n".join(lines[1:]), defined)
    return {name: made for name, made in defined.items() if isinstance(made, type)}


@pytest.mark.long(only=True)
@pytest.mark.every_backend
def test_batch_norm_with_an_unbiased_variance():
    report = audited(plain.normed, 0, norm=lambda: layers.BatchNormalization(**PLAIN_BATCH_NORM))
    (made,) = classes(report).values()
    report = audited(plain.normed, 0, norm=lambda: made(**PLAIN_BATCH_NORM))
    assert report.same, report.findings


OPTIMIZERS = {
    "Adam": (
        lambda parameters: torch.optim.Adam(parameters, 1e-2),
        lambda: keras.optimizers.Adam(1e-2, epsilon=1e-8),
        lambda made: made["TorchAdam"](1e-2, epsilon=1e-8),
    ),
    "Adam with L2": (
        lambda parameters: torch.optim.Adam(parameters, 1e-2, weight_decay=1e-2),
        lambda: keras.optimizers.Adam(1e-2, epsilon=1e-8, weight_decay=1e-2),
        lambda made: made["AdamWithL2"](1e-2, epsilon=1e-8),
    ),
    "AMSGrad": (
        lambda parameters: torch.optim.Adam(parameters, 1e-2, amsgrad=True),
        lambda: keras.optimizers.Adam(1e-2, epsilon=1e-8, amsgrad=True),
        lambda made: made["TorchAdam"](1e-2, epsilon=1e-8, amsgrad=True),
    ),
    "SGD with L2": (
        lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=1e-2),
        lambda: keras.optimizers.SGD(0.1, 0.9, weight_decay=1e-2),
        lambda made: made["SGDWithL2"](0.1, 0.9),
    ),
    "RMSprop": (
        lambda parameters: torch.optim.RMSprop(parameters, 1e-3),
        lambda: keras.optimizers.RMSprop(1e-3, 0.99, epsilon=1e-8),
        lambda made: made["TorchRMSprop"](1e-3, 0.99, epsilon=1e-8),
    ),
    "centered RMSprop with momentum and L2": (
        lambda parameters: torch.optim.RMSprop(
            parameters, 1e-3, momentum=0.9, centered=True, weight_decay=1e-2
        ),
        lambda: keras.optimizers.RMSprop(1e-3, 0.99, 0.9, 1e-8, centered=True),
        lambda made: made["RMSpropWithL2"](1e-3, 0.99, 0.9, 1e-8, centered=True),
    ),
    "Adagrad": (
        lambda parameters: torch.optim.Adagrad(parameters, 1e-2),
        lambda: keras.optimizers.Adagrad(1e-2, 0.0, epsilon=1e-10),
        lambda made: made["TorchAdagrad"](1e-2, 0.0, epsilon=1e-10),
    ),
}


@pytest.mark.long(only=True)
@pytest.mark.every_backend
@pytest.mark.parametrize("name", dealt(OPTIMIZERS, ["Adam with L2"]))
def test_optimizers(name):
    theirs, ours, advised = OPTIMIZERS[name]
    theirs = {"theirs": {"optimizer": theirs}}
    made = classes(audited(plain.mlp, 0, optimizer=ours, **theirs))
    report = audited(plain.mlp, 0, optimizer=lambda: advised(made), **theirs)
    assert report.same, report.findings


@pytest.mark.long(only=True)
def test_an_optimizer_that_knows_l2_gets_it_as_an_argument():
    class Known(keras.optimizers.SGD):
        l2 = 0.0

        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient + self.l2 * variable, variable, learning_rate)

    theirs = {"optimizer": lambda parameters: torch.optim.SGD(parameters, 0.1, weight_decay=0.25)}
    report = audited(plain.mlp, 0, optimizer=lambda: Known(0.1), theirs=theirs)
    (finding,) = report.findings
    assert finding.write == "l2=0.25, without weight_decay and regularizers"


@pytest.mark.long(only=True)
@pytest.mark.parametrize(
    ("floor", "alpha"), [pytest.param(0.0, 0.0, marks=pytest.mark.long), (0.01, 0.1)]
)
def test_a_cosine_that_rises_again(floor, alpha):
    def cosine(optimizer):
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10, floor)

    theirs = {"scheduler": cosine, "step_scheduler_per": "batch"}
    decay = keras.optimizers.schedules.CosineDecay(0.1, 10, alpha)
    planted = {"optimizer": lambda: keras.optimizers.SGD(decay), "theirs": theirs}
    (made,) = classes(audited(plain.mlp, 0, **planted)).values()
    mended = planted | {"optimizer": lambda: keras.optimizers.SGD(made(0.1, 10, alpha))}
    report = audited(plain.mlp, 0, **mended)
    assert report.same, report.findings


@pytest.mark.long(only=True)
@pytest.mark.parametrize(
    "options", dealt([{}, {"eps": 1e-6, "factor": 0.1, "patience": 0}], [{}]), ids=str
)
def test_a_plateau_callback_that_judges_as_pytorch_does(options):
    given = {"factor": 0.5, "patience": 3, "eps": 0} | options

    def scheduler(optimizer):
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **given)

    def port(kind):
        own = {"factor": given["factor"], "patience": given["patience"] + 1, "min_delta": 1e-4}
        theirs = {"scheduler": scheduler, "monitor": "val_loss"}
        return {"theirs": theirs, "ours": {"callbacks": lambda: [kind(**own)]}}

    report = audited(plain.mlp, 0, **port(keras.callbacks.ReduceLROnPlateau))
    assert set(report.causes) == {"threshold mode", *(["eps"] if options else [])}
    made = classes(report)["TorchPlateau"]
    report = audited(plain.mlp, 0, **port(made))
    assert report.same, (report.findings, report.not_compared)


def test_lines_are_printed_as_they_are_in_a_narrow_terminal():
    lines = advice.batch_norm().splitlines()
    finding = Finding("norm", "running variance", "it is biased", "\n".join(lines))
    file = io.StringIO()
    table.show([Stage("training mode", "", findings=(finding,))], Console(file=file, width=40))
    printed = file.getvalue().splitlines()
    start = printed.index(f"   Write: {lines[0]}") + 1
    assert printed[start : start + len(lines) - 1] == [f"      {line}" for line in lines[1:]]
