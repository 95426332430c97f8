"""What a search is asked for: whether its space has it, and where the search begins."""

import keras_tuner

from shared_keras.errors import BadInput
from shared_keras.results import searches
from shared_keras.results.settings import OBJECTIVES, TRY_BEST
from shared_keras.systems.recipe import Replay
from shared_keras.task import Task


def check_space(task: Task, args) -> None:
    """Reject a batch size that the space searches itself, and an objective it does not support.

    Args:
        task: The task.
        args: What `flags.search` parsed.

    Raises:
        BadInput: if the flags do not fit the space.
    """
    hp = keras_tuner.HyperParameters()
    system = task.builder(args.space).describe(hp)
    if args.batch_size is not None and "batch_size" in hp.values:
        raise BadInput(
            f"argument --batch-size: the space {args.space} searches it itself, so "
            f"leave the flag out, got {args.batch_size}"
        )
    if args.objective in ("precision", "val_precision") and not system.probabilities:
        raise BadInput(
            f"argument --objective: {args.objective} counts probabilities above 0.5, but models of "
            f"the space {args.space} output logits; expected one of "
            f"{', '.join(o for o in OBJECTIVES if o not in ('precision', 'val_precision'))}"
        )


def starting_points(task: Task, args, name: str) -> list[dict[str, int | float | str]]:
    """Return the hyperparameters that the search tries first.

    Args:
        task: The task.
        args: What `flags.search` parsed; `--try-first` is a recipe or "best", the winner
            of the newest finished search of the space, or else of the committed one.
        name: Name of the search.

    Raises:
        BadInput: if none belong to this space.
    """
    if args.try_first is None:
        return []
    space = task.builder(args.space)
    if args.try_first == TRY_BEST:
        values = searches.best_of_space(task, args.results_dir, args.space, name)
        return [space.replay(values).values]
    replays = {n: r.system for n, r in task.recipes.items() if isinstance(r.system, Replay)}
    fitting = [name for name, replay in replays.items() if replay.space == args.space]
    if args.try_first not in fitting:
        raise BadInput(
            f"argument --try-first: the recipe '{args.try_first}' does not belong to the space "
            f"{args.space}, expected one of {', '.join([*fitting, TRY_BEST])}"
        )
    return [space.replay(replays[args.try_first].hyperparameters).values]
