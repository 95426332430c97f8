"""Refuse to resume a search with other settings, since its results would not be comparable."""

import json
import re
from collections.abc import Mapping
from typing import Any

from shared_keras.errors import BadInput
from shared_keras.hyperband.resuming import fingerprint

FIXED = ("objective", "max_epochs", "min_epochs", "factor", "seed")
RECORDED_LATER = (  # by the first 0.5.0 not yet
    "hypermodel",
    "functions of the model",
    "tune_new_entries",
    "allow_new_entries",
)
ITERATIONS = "hyperband_iterations"  # more of them extend a search


def refuse_others(earlier: Mapping, now: Mapping, folder: str) -> None:
    """Refuse settings that differ from those that a search was started with.

    Args:
        earlier: State of the oracle that the search was started with.
        now: State of the present oracle.
        folder: Folder of the search, for messages.

    Raises:
        BadInput: naming what differs.
    """
    for name in FIXED:
        refuse(name, earlier.get(name), now[name], folder)
    if earlier[ITERATIONS] > now[ITERATIONS]:
        refuse(ITERATIONS, earlier[ITERATIONS], now[ITERATIONS], folder)
    before, present = _by_identity(earlier), _by_identity(now)
    for identity in sorted(before.keys() | present.keys()):
        name = f"hyperparameter {json.loads(identity)[0]}"
        refuse(name, before.get(identity), present.get(identity), folder)


def refuse_others_to_train(earlier: Mapping, now: Mapping, folder: str) -> None:
    """Refuse what is to be trained if it differs from what a search was started with.

    Args:
        earlier: What was recorded: what `fingerprint.of` returned, by name. Earlier versions
            recorded less, or nothing.
        now: The same of the present search.
        folder: Folder of the search, for messages.

    Raises:
        BadInput: naming what differs.
    """
    if not earlier:
        return
    for name in dict.fromkeys([*now, *earlier]):
        if name in earlier or name not in RECORDED_LATER:
            refuse(name, earlier.get(name), now.get(name), folder)


def refuse(name: str, earlier: Any, now: Any, folder: str) -> None:
    """Refuse a value that differs from that with which a search was started.

    Raises:
        BadInput: naming it.
    """
    if not fingerprint.alike(earlier, now):
        raise BadInput(
            f"{name} was {_short(earlier)} when the search in {folder} was started "
            f"and is now {_short(now)}; use the earlier one, or choose another project_name"
        )


def _by_identity(state: Mapping) -> dict[str, Mapping]:
    """Return a search's first hyperparameters; some may differ in their conditions only."""
    space = state.get("known_first", state["hyperparameters"]["space"])  # 0.3.0 had only the latter
    return {json.dumps([hp["config"]["name"], hp["config"]["conditions"]]): hp for hp in space}


def _short(value: Any) -> str:
    """Format a value for a message, with digests cut to their first digits."""
    return re.sub(r"[0-9a-f]{64}", lambda digest: digest[0][:8], str(value))
