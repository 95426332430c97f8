"""Retrain the best trials of a search, or read what was retrained before."""

from typing import Any

import pandas as pd

from shared_keras.commands.searching.search_folder import SearchFolder
from shared_keras.hyperband import Hyperband, confirm
from shared_keras.reporting.progress import Progress
from shared_keras.results.settings import SEEDS
from shared_keras.results.trials import SearchState


def retrain(tuner: Hyperband, count: int, progress: Progress, **options: Any) -> pd.DataFrame:
    """Retrain the best `count` trials, and say what is done already.

    Args:
        tuner: A tuner that has searched.
        count: How many trials.
        progress: Says what happens.
        options: Images and how to train on them, as for `Hyperband.search`.

    Returns:
        What `confirm.retrain` returns.
    """
    best = min(count, len(tuner.ranked()))
    which = f"the best {best}" if best > 1 else "the best trial"
    done, wanted = confirm.done(tuner, best, SEEDS), best * SEEDS
    if done == wanted:
        progress.say(f"Nothing is left to retrain: {which} had {SEEDS} other seeds each before.")
    else:
        known = f"; {done} of {wanted} trainings are done" if done else ""
        progress.say(f"Retraining {which} with {SEEDS} other seeds{known}.")
    return confirm.retrain(tuner, count, **options, seeds=SEEDS, report=progress.say)


def earlier(folder: SearchFolder, state: SearchState, progress: Progress) -> pd.DataFrame | None:
    """Read the confirmation of a search, if there is one that still holds.

    Args:
        folder: The folder of the search.
        state: The search.
        progress: Says what happens.
    """
    if not folder.was_confirmed:
        return None
    if folder.has_new(state):
        progress.say("More trials have ended since; --confirm retrains the new best ones.")
        return None
    return confirm.read(folder.path)
