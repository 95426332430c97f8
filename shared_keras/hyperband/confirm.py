"""Retrain a search's best settings with new seeds, so that the winner is not merely lucky."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
import pandas as pd
from keras_tuner.engine.trial import Trial

from shared_keras import files
from shared_keras.errors import BadInput, RunFailed
from shared_keras.hyperband.decisions.drawn import derive_seed
from shared_keras.hyperband.table import bookkeeping
from shared_keras.hyperband.trials import job, saved
from shared_keras.hyperband.tuner import Hyperband
from shared_keras.processes import job_pool
from shared_keras.results import names
from shared_keras.results.trials import last_line


def retrain(
    tuner: Hyperband,
    count: int,
    x: Any,
    y: Any,
    *,
    seeds: int,
    report: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> pd.DataFrame:
    """Retrain the `count` best trials of a search with each of a few seeds.

    Trainings that are already done are not repeated. The seeds differ from those of the
    search and from each other, but are the same for all trials.

    Args:
        tuner: A `Hyperband` that has searched.
        count: How many trials.
        x: Inputs to train on, as for `Hyperband.search`.
        y: Targets.
        seeds: How many seeds.
        report: Called with a line of text after each training, and when workers come or go.
        options: As for `Hyperband.search`.

    Returns:
        A row per trial, the best first: trial, score in the search, mean, sd and n
        of the new scores, and these, as seed_1 and so on.

    Raises:
        RunFailed: if a training fails or its process dies twice, or if another process is
            searching or confirming in the folder.
    """
    numbers = range(1, seeds + 1)
    with tuner.lock():
        trials = tuner.ranked()[:count]
        _train(tuner, trials, numbers, x, y, report, options)
        folder = Path(tuner.project_dir)
        table = pd.DataFrame([_row(folder / "confirm", trial, numbers) for trial in trials])
        falling = tuner.oracle.objective.direction == "min"
        table = table.sort_values("mean", ascending=falling, kind="stable").reset_index(drop=True)
        files.write_csv(folder / names.CONFIRMED, table.to_dict("records"))
    return table


def done(tuner: Hyperband, count: int, seeds: int) -> int:
    """Return how many of the trainings that `retrain` would do are done already."""
    folder, numbers = Path(tuner.project_dir) / "confirm", range(1, seeds + 1)
    return sum(_file(folder, t, n).exists() for t in tuner.ranked()[:count] for n in numbers)


def read(folder: Path) -> pd.DataFrame:
    """Return the table that `retrain` last wrote to a search's folder.

    Raises:
        BadInput: if the table cannot be read.
    """
    exact = dict.fromkeys(("score", "mean", "sd"), float)  # pandas may round the last digit
    try:
        table = pd.read_csv(folder / names.CONFIRMED, dtype={"trial": str}, converters=exact)
        return table[["trial", *exact, "n"]]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{folder / names.CONFIRMED}: cannot be read ({error}); --confirm writes it again"
        ) from None


def _train(
    tuner: keras_tuner.Tuner,
    trials: Sequence[Trial],
    numbers: Iterable[int],
    x: Any,
    y: Any,
    report: Callable[[str], None],
    options: Mapping[str, Any],
) -> None:
    """Run the trainings that are not done yet."""
    folder = Path(tuner.project_dir) / "confirm"
    shared = tuner.shared((x, y), options)
    waiting = [(t, n) for t in trials for n in numbers if not _file(folder, t, n).exists()]
    begun = {}

    def choose(idle: Sequence) -> Any:
        if not waiting:
            return None
        trial, number = waiting.pop(0)
        new = _job(tuner, trial, number, _file(folder, trial, number).parent)
        begun[new] = trial, number
        return idle[0], new

    def end(worker: Any, ended: Any, result: Any) -> None:
        trial, number = begun[ended]
        failure = str(result) if isinstance(result, job_pool.Died) else result.failure
        if failure is not None:
            reason = last_line(failure)
            raise RunFailed(f"trial {trial.trial_id} failed during confirmation: {reason}")
        score = tuner.oracle.objective.get_value(result.metrics)
        files.write_json(_file(folder, trial, number), {"score": score})
        report(f"trial {trial.trial_id}, seed {number}: {score:.4f}")
        for leftover in (saved.CHECKPOINT, saved.BUILD_CONFIG):
            (ended.folder / leftover).unlink(missing_ok=True)

    job_pool.run(tuner.pool, shared, job.run, choose, end, lambda: bool(waiting), say=report)


def _file(folder: Path, trial: Trial, number: int) -> Path:
    return folder / f"trial_{trial.trial_id}" / f"seed-{number}" / "score.json"


def _job(tuner: keras_tuner.Tuner, trial: Trial, number: int, folder: Path) -> job.TrialJob:
    folder.mkdir(parents=True, exist_ok=True)
    return job.TrialJob(
        hyperparameters=trial.hyperparameters.get_config(),
        folder=folder,
        parent=None,
        initial_epoch=0,
        epochs=bookkeeping(trial).epochs,
        seed=seed_of(tuner.oracle.seed, number),
        resumable=False,
    )


def seed_of(search_seed: int, number: int) -> int:
    """Return the seed of a confirmation training; no trial of the search has it.

    Args:
        search_seed: Seed of the search.
        number: Number of the seed, at least 1. With 0, the result would be the seed of trial
            0000, because a `numpy.random.SeedSequence` ignores trailing zeros.
    """
    return derive_seed(search_seed, 0, 0, number)


def _row(folder: Path, trial: Trial, numbers: Iterable[int]) -> dict:
    scores = pd.Series(
        [files.read_object(_file(folder, trial, n), "score")["score"] for n in numbers]
    )
    return {
        "trial": trial.trial_id,
        "score": float(trial.score),
        "mean": scores.mean(),
        "sd": scores.std(),
        "n": len(scores),
    } | {f"seed_{number}": score for number, score in zip(numbers, scores)}
