"""Run a search: start or resume it, show its progress, write its results."""

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import asdict, replace
from pathlib import Path

import keras_tuner

from shared_keras import devices, files
from shared_keras.commands.searching import confirmation
from shared_keras.data import datasets, own_data, splits
from shared_keras.errors import BadInput, RunFailed, of_file, sentence
from shared_keras.hyperband import Hyperband
from shared_keras.models import metrics
from shared_keras.processes.protocol import Pool, Worker
from shared_keras.processes.seldom import Seldom
from shared_keras.reporting import run_report, search_report
from shared_keras.reporting.console import say
from shared_keras.reporting.progress import Progress
from shared_keras.results import folders, searches
from shared_keras.results.environment import environment
from shared_keras.results.settings import (
    BATCH_SIZE,
    BEST,
    OBJECTIVES,
    SearchSettings,
    read_settings,
    write_settings,
)
from shared_keras.results.trials import PICTURES, SearchState, write_trials
from shared_keras.systems.recipe import Replay
from shared_keras.task import Task

MISLEADING = (
    "warning: {0} counts only outputs above 0.5, so it rewards models that hardly "
    "ever give a confident answer: with it, the original search chose a learning rate of 1e-6. "
    "--objective {1} averages the precision of all classes instead."
)


def run(task: Task, args, budget: dict[str, int], name: str, pool: Pool) -> None:
    """Start or resume a search, and show its results.

    Args:
        task: The task.
        args: What `flags.search` parsed.
        budget: `max_epochs`, `min_epochs`, `factor` and `iterations`.
        name: Name of the search.
        pool: The workers.

    Raises:
        BadInput: if the flags do not fit the space, or the folder holds a different search.
        RunFailed: if no trial completed.
    """
    task = own_data.task_of(task, args.data_dir)
    _check_space(task, args)
    images = datasets.load(task, args.data_dir, say)
    settings = SearchSettings(
        task=task.name,
        space=args.space,
        batch_size=args.batch_size or BATCH_SIZE,
        objective=args.objective,
        split=args.split,
        seed=args.seed,
        try_first=args.try_first,
        backend=devices.backend(),
        data=datasets.digest(*images),
        title=task.title,
        **budget,
    )
    try_first = _starting_points(task, args, name)
    split = splits.split(task, *images, args.split)
    folder = args.results_dir / task.name / "searches" / name
    with folders.gone_if_refused(folder):
        _run(task, args, settings, folder, pool, try_first, split)


def _run(task, args, settings, folder, pool, try_first, split) -> None:
    dates = search_report.dates(folder)
    resumed = _same_settings(folder / "settings.json", settings)
    if not resumed:
        files.write_json(folder / "environment.json", environment())
        write_settings(folder / "settings.json", settings)
    tuner = _tuner(task, settings, folder, pool, try_first, args.max_trials)
    state = tuner.state()
    planned = replace(settings, planned=state.total + state.left_out)
    write_settings(folder / "settings.json", planned)
    if settings.objective.endswith("precision") and "macro" not in settings.objective:
        macro = settings.objective.replace("precision", "macro_precision")
        print(MISLEADING.format(settings.objective, macro), file=sys.stderr)
    progress = Progress(task.title, pool.size)
    progress.announce(state, folder, resumed)
    if settings.split != "holdout":
        source = run_report.validation_source(settings.split)
        progress.say(f"{len(split.validation):,} images for validation, {source}.")
    _search(tuner, folder, split, settings, args, progress, dates)


def _tuner(task, settings, folder, pool, try_first, max_trials) -> Hyperband:
    return Hyperband(
        task.builder(settings.space),
        keras_tuner.Objective(
            settings.objective, "min" if settings.objective.endswith("loss") else "max"
        ),
        max_epochs=settings.max_epochs,
        min_epochs=settings.min_epochs,
        factor=settings.factor,
        hyperband_iterations=settings.iterations,
        seed=settings.seed,
        max_consecutive_failed_trials=None,
        metrics=_metrics(task, settings.objective),
        directory=folder.parent,
        project_name=folder.name,
        workers=pool,
        try_first=try_first,
        max_trials=max_trials,
    )


def _search(
    tuner: Hyperband,
    folder: Path,
    split: splits.Split,
    settings: SearchSettings,
    args,
    progress: Progress,
    dates: Mapping[str, int],
) -> None:
    """Train the remaining trials, then show and write the whole search."""
    artists: list[Worker] = []  # the first idle worker, which has imported the plots
    tuner.callback = report = Seldom(_reporter(tuner, folder, progress, args.tensorboard, artists))
    tuner.course.say = progress.say
    options = {
        "x": split.train.x,
        "y": split.train.y,
        "validation_data": (split.validation.x, split.validation.y),
        "batch_size": settings.batch_size,
    }
    before, ended_before = search_report.read(folder), len(tuner.oracle.end_order)
    if args.tensorboard:  # of trials that ended before the flag was given
        _write_tensorboard(folder, tuner.state(), tuner.oracle.end_order)
    try:
        if not tuner.finished():
            with progress, report:
                tuner.search(**options, timeout=args.timeout)
        state = tuner.state()
        _some_completed(state)
        # Ask the files, because an earlier process may have been killed before it wrote them.
        new = before.get("trials", ended_before) < len(state.ended)
        if args.confirm is not None:
            confirmed = confirmation.retrain(tuner, args.confirm, progress, **options)
        else:
            confirmed = confirmation.earlier(folder, before, new, progress)
    except KeyboardInterrupt:
        progress.say(f"{_done(tuner.state())}; the same command resumes from here.")
        raise
    except OSError as error:
        if not of_file(error):
            raise
        left = f"{_done(tuner.state())}, and the same command resumes from there"
        raise RunFailed(f"{sentence(error)}; {left}") from None
    if len(state.ended) < state.total:
        progress.say(
            f"Stopped by --timeout: {_done(state)}; the same command with a longer one, or without "
            "it, resumes from here."
        )
    if new:
        write_trials(folder, state.rows)
    if new or before.get("trial") != search_report.winner(state, confirmed).trial:
        for name in PICTURES:  # drawn below if they are missing
            (folder / name).unlink(missing_ok=True)
    search_report.write(folder, state, settings, confirmed)
    if not search_report.drawn(folder, confirmed):
        artist = next(iter([*artists, *tuner.idle_workers()]), None)
        _draw(artist, progress, folder, state, tuner.axes(), progress.title, confirmed)
    search_report.show(folder, state, progress.console, confirmed, dates)


def _done(state: SearchState) -> str:
    return f"{len(state.ended)} of {state.total} trials have ended"


def _some_completed(state: SearchState) -> None:
    """Raise `RunFailed` if no trial completed."""
    if state.best is None:
        why = "time was up; a longer --timeout resumes"
        if state.failed:
            why = f"the first failed: {state.failed[0].reason or ''}"
        raise RunFailed(f"no trial completed; {why}")


def _reporter(
    tuner: Hyperband, folder: Path, progress: Progress, tensorboard: bool, artists: list[Worker]
) -> Callable[[], None]:
    """Return the tuner's callback, which shows the search and writes trials.csv."""
    written = len(tuner.oracle.end_order)

    def report():
        nonlocal written
        state = tuner.state()
        progress.update(state)
        new = state.ended[written:]
        if new or not (folder / "trials.csv").exists():
            write_trials(folder, state.rows)
        if tensorboard:
            _write_tensorboard(folder, state, new)
        written += len(new)
        if not artists and tuner.course.running and tuner.idle_workers():  # the last trials train
            artists.append(tuner.idle_workers()[0])
            artists[0].submit(search_report.import_plots)

    return report


def _write_tensorboard(folder: Path, state: SearchState, trials: Sequence[str]) -> None:
    for row in state.rows:
        if row.trial in trials:
            search_report.write_tensorboard(folder, row)


def _draw(worker: Worker | None, progress: Progress, *search: object) -> None:
    """Draw the pictures of a search, given as `search_report.draw` takes it, in a worker if any."""
    try:
        done = worker and worker.submit(search_report.draw, *search)
        for note in done.result() if done else search_report.draw(*search):
            progress.say(note)
    except BrokenExecutor:
        progress.say("note: the pictures could not be drawn, because the worker process died")
        worker.restart()


def _metrics(task: Task, objective: str) -> list | None:
    """Return the metrics that models need for an objective, if they are not their own."""
    return metrics.precisions(len(task.classes)) if "precision" in objective else None


def _check_space(task: Task, args) -> None:
    """Reject a batch size that the space searches itself, and an objective it does not support."""
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


def _starting_points(task: Task, args, name: str) -> list[dict[str, int | float | str]]:
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
    if args.try_first == BEST:
        values = searches.best_of_space(task, args.results_dir, args.space, name)
        return [space.replay(values).values]
    replays = {n: r.system for n, r in task.recipes.items() if isinstance(r.system, Replay)}
    fitting = [name for name, replay in replays.items() if replay.space == args.space]
    if args.try_first not in fitting:
        raise BadInput(
            f"argument --try-first: the recipe '{args.try_first}' does not belong to the space "
            f"{args.space}, expected one of {', '.join([*fitting, BEST])}"
        )
    return [space.replay(replays[args.try_first].hyperparameters).values]


def _same_settings(path: Path, settings) -> bool:
    """Return whether the search was started before; reject different settings.

    More iterations than before extend the search.
    """
    if not path.exists():
        if path.with_name("oracle.json").exists():
            raise BadInput(
                f"argument --name: {path.parent} holds a KerasTuner project that this "
                "command did not create; choose another --name"
            )
        return False
    earlier, now = asdict(read_settings(type(settings), path)), asdict(settings)
    earlier["planned"] = None  # follows from the others
    extended = earlier | {"iterations": max(earlier["iterations"], now["iterations"])}
    extended["title"] = now["title"]
    if extended == now != earlier:
        write_settings(path, settings)
        return True
    differences = [
        f"{key} was {earlier[key]} and is now {now[key]}"
        for key in now
        if earlier[key] != now[key] and key not in ("data", "title")
    ]
    if earlier["data"] != now["data"]:
        whose = f", those of {earlier['title']}" if earlier["title"] else ""
        differences.append(f"the images were other ones{whose}")
    if differences:
        raise BadInput(
            f"argument --name: the search '{path.parent.name}' was started with different "
            f"settings ({'; '.join(differences)}); use the old ones, or choose another --name"
        )
    return True
