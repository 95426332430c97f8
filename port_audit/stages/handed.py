"""What a stage hands to those behind it. Each returns it; nothing is set in passing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from port_audit.changes import Change


@dataclass(frozen=True)
class Agreement:
    """What is known of the outputs, from the stage that compares them.

    Attributes:
        settled: Whether they agree once all causes found are undone.
        ends: Changes by which the port ends as the original does, where one side has a softmax or
            sigmoid that the other lacks. They are not undone, because that may be right: the
            loss says.
    """

    settled: bool
    ends: tuple[Change, ...] = ()


@dataclass(frozen=True)
class LossInUse:
    """PyTorch's loss, computed in Keras, from the stage that compares losses.

    Attributes:
        data: Turns targets into the arrays that `value` takes.
        value: Takes outputs of the port and these arrays, returns a scalar.
        ends: Changes within which the port puts out what `value` takes.
    """

    data: Callable[[np.ndarray], tuple]
    value: Callable[..., Any]
    ends: tuple[Change, ...] = ()
