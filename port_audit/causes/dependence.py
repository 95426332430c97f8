"""Initial values that depend on each other: the distribution of single values does not show it."""

import itertools
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from port_audit.findings import Finding
from port_audit.forced import Match
from port_audit.nets import kinds
from port_audit.pair import Pair

ORTHOGONAL, FREE = 1e-4, 1e-2  # cosines between columns: rounding alone, and any that are drawn


class Kernel(NamedTuple):
    """The initial values of a kernel on both sides, in Keras's layout."""

    name: str
    ours: np.ndarray
    theirs: np.ndarray


def compare(pair: Pair, matches: Collection[Match]) -> Iterator[Finding]:
    """Compare kernels whose values have the same distribution.

    Args:
        pair: Both sides, as they were made.
        matches: The layers of these kernels.
    """
    kernels = list(_kernels(pair, matches))
    for name, ours, theirs in kernels:
        mine, others = _cosine(ours), _cosine(theirs)
        if min(mine, others) < ORTHOGONAL and max(mine, others) > FREE:
            own, right = ("orthogonal", "not") if mine < others else ("not orthogonal", "they are")
            write = "another initializer than Orthogonal" if mine < others else "Orthogonal()"
            cause = f"the columns are {own}; in PyTorch {right}"
            yield Finding(name, "initial values", cause, write)
    for one, other in itertools.combinations(kernels, 2):
        if _same(one.ours, other.ours) and not _same(one.theirs, other.theirs):
            yield Finding(
                f"{one.name}, {other.name}",
                "initial values",
                "both start with the same values: an initializer of Keras draws the same for each "
                "weight that it is given to",
                "an initializer of its own for each weight",
            )


def _kernels(pair: Pair, matches: Collection[Match]) -> Iterator[Kernel]:
    variables, values = pair.keras.model.variables, pair.torch.values()
    made = {id(variable): value for variable, value in zip(variables, pair.keras.made)}
    for match in matches:
        arrays = kinds.carried(match.layer, match.unit.weights(values), match.order)
        for role in ("kernel", "recurrent_kernel"):
            ours = made.get(id(kinds.variables(match.layer).get(role)))
            theirs = arrays.get(role)
            if ours is not None and theirs is not None and ours.shape == theirs.shape:
                yield Kernel(f"{match.layer.name}/{role}", ours, theirs)


def _cosine(kernel: np.ndarray) -> float:
    """Return the largest cosine between two columns of a kernel, or two rows if it is wide."""
    matrix = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    matrix = matrix.T if matrix.shape[0] < matrix.shape[1] else matrix
    lengths = np.linalg.norm(matrix, axis=0)
    if min(matrix.shape) < 2 or not lengths.all():
        return 1.0
    gram = (matrix / lengths).T @ (matrix / lengths)
    return float(np.abs(gram - np.eye(len(gram))).max())


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.ptp(one) > 0 and np.array_equal(one, other)
