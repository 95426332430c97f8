"""What depends on the space of a search: batch size, objective, and where it begins."""

import keras_tuner

from shared_keras.commands.searching.request import SearchRequest
from shared_keras.errors import BadInput
from shared_keras.results import searches
from shared_keras.results.settings import BATCH_SIZE, OBJECTIVES, TRY_BEST
from shared_keras.systems.recipe import Replay
from shared_keras.task import Task

OF_PROBABILITIES = ("precision", "val_precision")


def batch_size(task: Task, asked: SearchRequest) -> int:
    """Return how many images a step has, unless the space searches that itself.

    Raises:
        BadInput: if it does, and a batch size was asked for.
    """
    hp = keras_tuner.HyperParameters()
    task.builder(asked.space).describe(hp)
    if asked.batch_size is not None and "batch_size" in hp.values:
        raise BadInput(
            f"argument --batch-size: the space {asked.space} searches it itself, so "
            f"leave the flag out, got {asked.batch_size}"
        )
    return asked.batch_size or BATCH_SIZE


def check_objective(task: Task, asked: SearchRequest) -> None:
    """Reject an objective that the models of the space do not support.

    Raises:
        BadInput: naming those that they do.
    """
    system = task.builder(asked.space).describe(keras_tuner.HyperParameters())
    if asked.objective in OF_PROBABILITIES and not system.probabilities:
        raise BadInput(
            f"argument --objective: {asked.objective} counts probabilities above 0.5, but models "
            f"of the space {asked.space} output logits; expected one of "
            f"{', '.join(each for each in OBJECTIVES if each not in OF_PROBABILITIES)}"
        )


def starting_points(task: Task, asked: SearchRequest) -> list[dict[str, int | float | str]]:
    """Return the hyperparameters that the search tries first.

    Args:
        task: The task.
        asked: Its `try_first` is a recipe or "best", the winner of the newest finished search of
            the space, or else of the committed one.

    Raises:
        BadInput: if none belong to this space.
    """
    if asked.try_first is None:
        return []
    space = task.builder(asked.space)
    if asked.try_first == TRY_BEST:
        values = searches.best_of_space(task, asked.results_dir, asked.space, asked.name)
        return [space.replay(values).values]
    replays = {n: r.system for n, r in task.recipes.items() if isinstance(r.system, Replay)}
    fitting = [name for name, replay in replays.items() if replay.space == asked.space]
    if asked.try_first not in fitting:
        raise BadInput(
            f"argument --try-first: the recipe '{asked.try_first}' does not belong to the space "
            f"{asked.space}, expected one of {', '.join([*fitting, TRY_BEST])}"
        )
    return [space.replay(replays[asked.try_first].hyperparameters).values]
