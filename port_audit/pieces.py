"""Layers for which one side has code of its own: which weight stands for which is tried.

A layer of a known kind, such as a Linear, may stand for code that the other side writes itself.
Both are then compared as one piece, like all layers of no known kind.
"""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from port_audit.distances import EPS, distance, largest
from port_audit.nets import blocks, keras_net, kinds, torch_net

MOST = 16  # ways that are tried, of each choice


def match(pair: Any) -> None:
    """Find what stands for what.

    Args:
        pair: The `Pair`. Its `pair_up` is called with the names of the modules and layers of a
            known kind that are compared as pieces. Where no way fits, they are compared with
            nothing.
    """
    pair.pair_up()
    _arrange(pair)
    lost, extra, modules, layers = _without_counterpart(pair)
    own = bool(pair.unknown or pair.without_layer())  # code of a side's own that may be these
    if not (lost or extra) or pair.forced.stopped:
        return
    ways = itertools.product(_choices(lost, modules), _choices(extra, layers))
    best: tuple[float, float] = math.inf, math.inf
    chosen = None
    for way in itertools.islice(ways, MOST):
        pair.pair_up(*way)
        if pair.unknown or pair.without_layer():
            continue
        _arrange(pair)
        apart = _apart(pair)
        if chosen is None or apart < best:
            best, chosen = apart, (way, pair.loose)
        if _agree(pair, best):
            return
    pair.pair_up(*(chosen[0] if chosen else (lost, extra) if own else ()))
    if chosen:
        pair.loose = chosen[1]
        pair.reforce()


def _without_counterpart(pair: Any) -> tuple[list, list, dict, dict]:
    """Return which modules and layers nothing stands for, and all of them with their kinds."""
    modules: dict[str, str] = {}
    lost: dict[str, None] = {}
    used = {match.unit.name for match in pair.forced.matches}
    for unit in pair.trace.units:
        name = unit.name
        if unit.kind in kinds.RECURRENT:  # a layer or a direction of it
            name = re.sub(r"_l\d+(_reverse)?$", "", name)
        modules[name] = unit.kind
        if unit.name not in used:
            lost[name] = None
    called = {id(match.layer) for match in pair.forced.matches}
    layers = {layer.name: kinds.keras_kind(layer) for layer in pair.keras.known}
    extra = [layer.name for layer in pair.keras.known if id(layer) not in called]
    return list(lost), extra, modules, layers


def _choices(names: Sequence[str], all_kinds: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return some names, then others of as many layers of the same kinds."""
    wanted = sorted(all_kinds[name] for name in names)
    likely = [name for name, kind in all_kinds.items() if kind in wanted]
    others = itertools.islice(itertools.combinations(likely, len(names)), MOST)
    fitting = [way for way in others if sorted(all_kinds[name] for name in way) == wanted]
    return list(dict.fromkeys([tuple(names), *fitting]))


def _arrange(pair: Any) -> None:
    """Choose which parameters the weights of pieces stand for, among those that fit.

    All pieces are tried in the same way first, as one side's code usually has one style; then
    each by itself.
    """
    ways = _ways(pair)
    rest = [each for each in pair.loose if each.layer not in ways]
    now = {layer: found[0] for layer, found in ways.items()}
    best = _apart(pair)
    most = max(map(len, ways.values()), default=0)
    alike = [
        {layer: (*found, *found[-1:] * most)[index] for layer, found in ways.items()}
        for index in range(1, most)
    ]
    single = [{layer: way} for layer, found in ways.items() for way in found]
    for changed in (*alike, *single)[: 4 * MOST]:
        if _agree(pair, best):
            return
        kept = pair.loose
        pair.loose = [*rest, *itertools.chain.from_iterable((now | changed).values())]
        pair.reforce()
        apart = _apart(pair)
        if apart < best:
            best, now = apart, now | changed
        else:
            pair.loose = kept
    pair.reforce()


def _ways(pair: Any) -> dict[Any, list[list[blocks.Loose]]]:
    """Return the ways that fit, by layer; those of attention and the like are known."""
    modules = dict(pair.torch.module.named_modules())
    maps = [array for array in torch_net.arrays(pair.torch_inputs) if array.ndim > 2]
    channels = {array.shape[1] for array in maps}
    channels |= {each.shape[0] for each in pair.torch.parameters().values() if each.ndim}
    found = {}
    for layer in dict.fromkeys(each.layer for each in pair.loose):
        if not isinstance(layer, keras_net.WHOLE):
            names = [each.names[0] for each in pair.loose if each.layer is layer]
            ways = blocks.ways(layer, names, modules, sorted(channels))
            found[layer] = list(itertools.islice(ways, MOST))
    return found


def _apart(pair: Any) -> tuple[int, float]:
    """Return how many layers disagree with PyTorch's, and how far the outputs are apart."""
    late = sum(
        not (match.reach <= match.reach_tolerance and match.error <= match.tolerance)
        for match in pair.forced.matches
    )
    theirs, ours = torch_net.arrays(pair.trace.output), pair.forced.outputs
    if len(theirs) != len(ours):
        return late, math.inf
    return late, max(map(distance, theirs, ours), default=0.0)


def _agree(pair: Any, apart: tuple[float, float]) -> bool:
    outputs = torch_net.arrays(pair.trace.output)
    return apart[0] == 0 and apart[1] <= 1024 * EPS * max(map(largest, outputs), default=0.0)
