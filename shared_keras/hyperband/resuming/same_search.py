"""Whether a search is the one that was started under its name; another one is refused.

Nothing else answers that. There are three records, each compared when the present value is known:
the settings of the command `search` (settings.json), what an oracle decides by (oracle.json), and
what is trained (`begun_with` in oracle.json).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from shared_keras.errors import BadInput
from shared_keras.hyperband.resuming import fingerprint

DECIDES = ("objective", "max_epochs", "min_epochs", "factor", "seed", "hyperband_iterations")
GROWS = ("iterations", "hyperband_iterations")  # more of them extend a search
DECIDES_NOTHING = ("title", "planned")
RECORDED_LATER = (  # by the first 0.5.0 not yet
    "hypermodel",
    "functions of the model",
    "tune_new_entries",
    "allow_new_entries",
)


def refuse_other_settings(earlier: Mapping, now: Mapping, name: str) -> None:
    """Refuse a command whose settings differ from those that a search was started with.

    Args:
        earlier: The `SearchSettings` that were recorded, as a dict.
        now: Those of the present command.
        name: Name of the search.

    Raises:
        BadInput: naming all that differs.
    """
    others = [key for key in now if _differ(key, earlier[key], now[key])]
    told = [f"{key} was {earlier[key]} and is now {now[key]}" for key in others if key != "data"]
    if "data" in others:
        told.append(f"the images were other ones, those of {earlier['title']}")
    if told:
        raise BadInput(
            f"argument --name: the search '{name}' was started with different settings "
            f"({'; '.join(told)}); use the old ones, or choose another --name"
        )


def refuse_other_decisions(earlier: Mapping, now: Mapping, folder: str) -> None:
    """Refuse an oracle that would decide otherwise than that with which a search was started.

    Args:
        earlier: State of the oracle that the search was started with.
        now: State of the present oracle. It may lack what to try first.
        folder: Folder of the search, for messages.

    Raises:
        BadInput: naming what differs.
    """
    for name in DECIDES:
        _refuse(name, earlier.get(name), now[name], folder)
    before, present = _by_identity(earlier), _by_identity(now)
    for identity in sorted(before.keys() | present.keys()):
        name = f"hyperparameter {json.loads(identity)[0]}"
        _refuse(name, before.get(identity), present.get(identity), folder)
    if now["first"]:
        _refuse("try_first", earlier.get("first"), json.loads(json.dumps(now["first"])), folder)


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
            _refuse(name, earlier.get(name), now.get(name), folder)


def _differ(name: str, earlier: Any, now: Any) -> bool:
    """Return whether a search was started with a value that makes it another one."""
    if name in GROWS:
        return earlier > now
    return name not in DECIDES_NOTHING and not fingerprint.alike(earlier, now)


def _refuse(name: str, earlier: Any, now: Any, folder: str) -> None:
    if _differ(name, earlier, now):
        raise BadInput(
            f"{name} was {_short(earlier)} when the search in {folder} was started "
            f"and is now {_short(now)}; use the earlier one, or choose another project_name"
        )


def _by_identity(state: Mapping) -> dict[str, Mapping]:
    """Return a search's first hyperparameters; some may differ in their conditions only."""
    # 0.3.0 had only the latter.
    space = state["known_first"] if "known_first" in state else state["hyperparameters"]["space"]
    return {json.dumps([hp["config"]["name"], hp["config"]["conditions"]]): hp for hp in space}


def _short(value: Any) -> str:
    """Format a value for a message, with digests cut to their first digits."""
    return re.sub(r"[0-9a-f]{64}", lambda digest: digest[0][:8], str(value))
