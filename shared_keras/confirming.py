"""Train a search's best settings again, so that the winner is not the luckiest."""

from pathlib import Path

import pandas as pd

from shared_keras import checkpoints, job_pool, runs, search_report, trial_job, workers
from shared_keras.errors import BadInput, RunFailed
from shared_keras.oracle import mix
from shared_keras.search import SEEDS
from shared_keras.search_report import CONFIRMED

NUMBERS = range(1, SEEDS + 1)  # of the seeds


def confirm(tuner, count: int, x, y, *, report=lambda line: None, **options) -> pd.DataFrame:
    """Train the `count` best trials of a search anew with each of three seeds.

    What was trained before is not trained again. Seeds differ from those of the search
    and from each other, but are the same for all trials.

    Args:
        tuner: A `Hyperband` that has searched.
        count: How many trials.
        x: Inputs to train on, as for `Hyperband.search`.
        y: Targets.
        report: Called with a line for each training that ended.
        options: As for `Hyperband.search`.

    Returns:
        A row per trial, the best first: trial, score in the search, and mean, sd and n
        of the new ones.

    Raises:
        RunFailed: if a training fails or its process dies twice, or another process searches
            or confirms in the folder.
    """
    with tuner.lock():
        trials = tuner.ranked()[:count]
        _train(tuner, trials, x, y, report, options)
        folder = Path(tuner.project_dir)
        table = pd.DataFrame([_row(folder / "confirm", trial) for trial in trials])
        falling = tuner.oracle.objective.direction == "min"
        table = table.sort_values("mean", ascending=falling, kind="stable").reset_index(drop=True)
        runs.write_csv(folder / CONFIRMED, table.to_dict("records"))
    return table


def read(folder: Path) -> pd.DataFrame:
    """Return what `confirm` last found in a search's folder.

    Raises:
        BadInput: if that cannot be read.
    """
    try:
        return pd.read_csv(folder / CONFIRMED, dtype={"trial": str}, float_precision="round_trip")
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{folder / CONFIRMED}: cannot be read ({error}); --confirm writes it again"
        ) from None


def _train(tuner, trials, x, y, report, options) -> None:
    """Train what was not trained before."""
    folder = Path(tuner.project_dir) / "confirm"
    shared = trial_job.Search(
        tuner.hypermodel, tuner.make_metrics, tuner.oracle.objective, x, y, options
    )
    waiting = [(t, s) for t in trials for s in NUMBERS if not _file(folder, t, s).exists()]
    begun = {}

    def choose(idle):
        if not waiting:
            return None
        trial, seed = waiting.pop(0)
        job = _job(tuner, trial, seed, _file(folder, trial, seed).parent)
        begun[job] = trial, seed
        return idle[0], job

    def end(worker, job, result):
        trial, seed = begun[job]
        failure = str(result) if isinstance(result, job_pool.Died) else result.failure
        if failure is not None:
            reason = search_report.last_line(failure)
            raise RunFailed(f"trial {trial.trial_id} failed when confirmed: {reason}")
        score = tuner.oracle.objective.get_value(result.logs())
        runs.write_json(_file(folder, trial, seed), {"score": score})
        report(f"trial {trial.trial_id}, seed {seed}: {score:.4f}")
        for leftover in ("checkpoint.weights.h5", "build_config.json", checkpoints.STATE):
            (job.folder / leftover).unlink(missing_ok=True)

    pool = workers.get(tuner.workers or workers.default())
    job_pool.run(pool, shared, trial_job.run, choose, end)


def _file(folder: Path, trial, seed: int) -> Path:
    return folder / f"trial_{trial.trial_id}" / f"seed-{seed}" / "score.json"


def _job(tuner, trial, seed: int, folder: Path) -> trial_job.Job:
    folder.mkdir(parents=True, exist_ok=True)
    return trial_job.Job(
        hyperparameters=trial.hyperparameters.get_config(),
        folder=folder,
        parent=None,
        initial_epoch=0,
        epochs=trial.hyperparameters.values["tuner/epochs"],
        seed=seed_of(tuner.oracle.seed, seed),
        resumable=False,
    )


def seed_of(search_seed: int, number: int) -> int:
    """Return the seed of a confirming training; no trial of a search has it.

    Args:
        search_seed: Seed of the search.
        number: At least 1. For 0 it would be the seed of trial 0000, because zeros at its
            end make no difference to a `numpy.random.SeedSequence`.
    """
    return mix(search_seed, 0, 0, number)


def _row(folder: Path, trial) -> dict:
    scores = pd.Series([runs.read_json(_file(folder, trial, seed))["score"] for seed in NUMBERS])
    return {
        "trial": trial.trial_id,
        "score": float(trial.score),
        "mean": scores.mean(),
        "sd": scores.std(),
        "n": len(scores),
    }
