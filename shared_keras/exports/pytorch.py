"""A state dict, and the few lines of plain PyTorch that load it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from shared_keras.errors import BadInput
from shared_keras.exports import steps
from shared_keras.exports.formats import FORMATS
from shared_keras.exports.steps import Step
from shared_keras.pytorch import weights

CODE, STATE = FORMATS["torch"].file, "weights.pt"
MODULES = {
    "relu": "ReLU()",
    "mish": "Mish()",
    "elu": "ELU()",
    "gelu": "GELU()",
    "silu": "SiLU()",
    "tanh": "Tanh()",
    "sigmoid": "Sigmoid()",
    "softmax": "Softmax(1)",
}
HEAD = '''"""{title} It needs PyTorch only.

Images, float (n, 28, 28), 0...255, become probabilities, (n, {n}).
"""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn


class Scale(nn.Module):
    """Multiplies and adds."""

    def __init__(self, factor, offset):
        super().__init__()
        self.factor, self.offset = factor, offset

    def forward(self, x):
        return self.factor * x + self.offset

{mirrored}
def network():
    """Return the trained network, in evaluation mode."""
    parts = OrderedDict()
'''
MIRRORED = '''
class WithMirrored(nn.Module):
    """Adds the mirror images of a batch to it."""

    def forward(self, x):
        return torch.cat([x, x.flip(-1)])


class MeanOfMirrored(nn.Module):
    """Takes the mean over each image and its mirror image."""

    def forward(self, x):
        return x.reshape(2, -1, *x.shape[1:]).mean(0)

'''
TAIL = f"""    model = nn.Sequential(parts)
    state = torch.load(Path(__file__).with_name("{STATE}"), weights_only=True)
    model.load_state_dict(state)
    return model.eval()
"""


def write(model: keras.Model, folder: Path, title: str) -> None:
    """Write the weights, and a module that loads them."""
    import torch

    found = steps.of(model, "torch")
    for step in found:
        if step["kind"] == "norm" and not step["whole"]:
            raise BadInput(
                "argument --to: 'torch' takes batch normalization with scale and center, as "
                "PyTorch has both; onnx, litert and saved-model take this model"
            )
    torch.save(weights.state_dict(model), folder / STATE)
    mirrored = MIRRORED * any(step["kind"] == "mirrored" for step in found)
    head = HEAD.format(title=title, n=model.output_shape[-1], mirrored=mirrored)
    (folder / CODE).write_text(head + "".join(_lines(found)) + TAIL, encoding="utf-8")


def answers(folder: Path, x: np.ndarray) -> np.ndarray:
    """Return what the written network answers."""
    import torch

    namespace: dict[str, Any] = {"__name__": "network", "__file__": str(folder / CODE)}
    exec(compile((folder / CODE).read_text(encoding="utf-8"), CODE, "exec"), namespace)
    network = namespace["network"]()
    with torch.no_grad():
        batches = torch.from_numpy(x.astype(np.float32)).split(500)
        return np.concatenate([network(batch).numpy() for batch in batches])


def _lines(found: Sequence[Step]) -> list[str]:
    counts: Counter[str] = Counter()
    lines = []
    for step in found:
        for name, module in _modules(step):
            counts[name] += 1
            lines.append(f'    parts["{name}_{counts[name]}"] = {module}\n')
    return lines


def _modules(step: Step) -> list[tuple[str, str]]:
    """Return a name and the source of each module that a step needs."""
    kind = step["kind"]
    match kind:
        case "scale":
            return [("scale", f"Scale({step['factor']!r}, {step['offset']!r})")]
        case "channel":
            return [("channel", "nn.Unflatten(1, (1, 28))")]
        case "flatten":
            return [("flatten", "nn.Flatten()")]
        case "mirrored":
            return [("mirrored", "WithMirrored()")]
        case "mean":
            return [("mean", "MeanOfMirrored()")]
        case "dense":
            size, units = step["kernel"].shape
            return [("dense", f"nn.Linear({size}, {units}, bias={step['biased']})")]
        case "conv":
            size, _, channels, filters = step["kernel"].shape
            top, left, bottom, right = step["pads"]
            even = top == left == bottom == right
            pad = [] if even else [("pad", f"nn.ZeroPad2d(({left}, {right}, {top}, {bottom}))")]
            settings = f"{channels}, {filters}, {size}, {step['stride']}, {top if even else 0}"
            return [*pad, ("conv", f"nn.Conv2d({settings}, bias={step['biased']})")]
        case "pool":
            return [("pool", f"nn.MaxPool2d({step['size']}, {step['stride']})")]
        case "norm":
            layer = "BatchNorm2d" if step["maps"] else "BatchNorm1d"
            return [("norm", f"nn.{layer}({len(step['factor'])}, eps={step['epsilon']!r})")]
    name = step["name"]
    slope = step.get("slope")
    return [(name, f"nn.LeakyReLU({slope!r})" if slope is not None else f"nn.{MODULES[name]}")]
