"""What each side does at its very end: a softmax, a sigmoid, or nothing."""

from collections.abc import Callable

from keras import activations as keras_activations

from port_audit.causes import gaps
from port_audit.nets import activations
from port_audit.pair import Pair

PROBABILITIES = ("softmax", "sigmoid", "log_softmax")


def both(pair: Pair) -> tuple[Callable, Callable]:
    """Return what each side does at its very end: softmax, sigmoid, ..., or nothing."""
    events = [event for event in pair.trace.after if event.activates]
    theirs = activations.identity
    if events and events[-1].name in PROBABILITIES:
        theirs = activations.function(events[-1])
    ours = gaps.own_activations(gaps.last(pair))
    last = ours[-1][1] if ours else activations.identity
    known = [getattr(keras_activations, name) for name in PROBABILITIES]
    found = next((f for f in known if activations.same(last, f)), activations.identity)
    return theirs, found
