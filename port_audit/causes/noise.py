"""Guesses at what sets normal noise apart: a layer too many or too few, another spread.

In a marked run, each draw is a constant, so that how far the sides are apart is nearly linear in
the spread; two measurements say which it would have to be.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from keras import layers

from port_audit.changes import Change, ahead_of, applied, setting
from port_audit.forced import Match
from port_audit.nets.drawing import NOISE_MARK
from port_audit.nets.keras_net import noise_scale


@dataclass(frozen=True)
class Gap:
    """What is drawn between two layers with weights.

    Attributes:
        match: The match behind, or None at the outputs.
        draws: How often PyTorch draws.
        layers: Layers of Keras that draw.
    """

    match: Match | None
    draws: int
    layers: Sequence[layers.Layer]


def changes(
    gaps: Sequence[Gap], others: Sequence[Change], divergence: Callable[[], float]
) -> Iterator[list[Change]]:
    """Return alternatives that would undo what sets noise apart; first that nothing does.

    Args:
        gaps: What is drawn, gap by gap.
        others: Changes that are made at the same time.
        divergence: Measures how far the sides are apart.
    """
    yield []
    for gap in gaps:
        for layer in gap.layers[gap.draws :]:
            yield [_scaled(layer, 0.0, "extra noise", "PyTorch draws none there")]
        for layer in gap.layers[: gap.draws]:
            for spread in _spreads(layer, others, divergence):
                text = f"PyTorch's spread is {spread:.4g}"
                yield [_scaled(layer, spread, "noise", text)]
        if gap.draws > len(gap.layers) and gap.match is not None:
            yield from _missing(gap.match, others, divergence)


def _scaled(layer: layers.Layer, spread: float, name: str, theirs: str) -> Change:
    own = type(layer).__name__
    if not spread:
        write = f"leave {layer.name} out"
    elif isinstance(layer, layers.GaussianNoise):
        write = f"{own}({spread:.4g})"
    else:
        write = f"{own}({spread**2 / (1 + spread**2):.4g})"
    return Change(
        layer.name,
        name,
        f"{own} draws with a spread of {noise_scale(layer):.4g}; {theirs}",
        write,
        setting(layer, audited_scale=spread),
    )


def _spreads(
    layer: layers.Layer, others: Sequence[Change], divergence: Callable[[], float]
) -> Iterator[float]:
    """Return which spreads would explain how far the sides are apart with its own and with none."""
    own = noise_scale(layer)
    at_own = _at(setting(layer, audited_scale=own), others, divergence)
    at_none = _at(setting(layer, audited_scale=0.0), others, divergence)
    for total in (at_none + at_own, at_none - at_own):
        if total > 0:
            yield float(f"{own * at_none / total:.4g}")


def _missing(
    match: Match, others: Sequence[Change], divergence: Callable[[], float]
) -> Iterator[list[Change]]:
    def adding(spread: float) -> Callable[[], AbstractContextManager]:
        return ahead_of(match.layer, lambda x: x + spread * NOISE_MARK)

    at_none, at_one = (_at(adding(s), others, divergence) for s in (0.0, 1.0))
    for total in (at_none + at_one, at_none - at_one):
        if total > 0:
            spread = float(f"{at_none / total:.4g}")
            yield [
                Change(
                    f"before {match.layer.name}",
                    "missing noise",
                    f"PyTorch adds noise with a spread of {spread:g} here, the port does not",
                    f"GaussianNoise({spread:g}) before {match.layer.name}",
                    adding(spread),
                )
            ]


def _at(
    apply: Callable[[], AbstractContextManager],
    others: Sequence[Change],
    divergence: Callable[[], float],
) -> float:
    with applied(others), apply():
        return divergence()
