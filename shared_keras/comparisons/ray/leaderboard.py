"""The leaderboard of a Ray Tune folder, and importing a trial as a run."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from scipy import special

from shared_keras import devices, files
from shared_keras.comparisons.ray import assumptions, claims, experiment, recompute
from shared_keras.comparisons.ray.experiment import Names, Trial
from shared_keras.comparisons.ray.recompute import Conditions, LeftOut, Ported, ReadTrial
from shared_keras.data import datasets, own_data, splits
from shared_keras.errors import BadInput, RunFailed
from shared_keras.processes import job_pool
from shared_keras.processes.protocol import Pool
from shared_keras.reporting.console import console, say, wrote
from shared_keras.reporting.pictures.comparison_plots import claimed
from shared_keras.results import folders, saved_models
from shared_keras.results.environment import environment
from shared_keras.results.metrics import RunMetrics
from shared_keras.results.saved_models import CHECKPOINT
from shared_keras.results.scores import score_images
from shared_keras.results.settings import RunSettings
from shared_keras.systems.recipe import MONITOR
from shared_keras.task import Task


def run(
    task: Task,
    ray_results: Path,
    *,
    mapping: Path | None,
    import_trial: str | None,
    model: Path | None,
    split: str,
    data_dir: str | None,
    results_dir: Path,
    out: Path | None,
    pool: Pool,
) -> None:
    """Recompute every trial that has a checkpoint; print and write the leaderboard.

    Args:
        task: The task whose images the trials used.
        ray_results: Folder of a Ray Tune experiment.
        mapping: A file that translates names; see `experiment.read_names`.
        import_trial: A trial to write as a run as well.
        model: A file that says what their networks are; see `user_network.logits`. By default
            the likeliest is taken that their claimed scores bear out.
        split: The protocol that the trials were validated under.
        data_dir: Folder of images to use instead of the embedded ones.
        results_dir: Folder of the user's results.
        out: Where to write; by default a new folder below `results_dir`.
        pool: The workers.

    Raises:
        BadInput: if there are no trials, or the one to import is missing or cannot be ported.
        RunFailed: if the process that compared a trial died twice; the others are written.
    """
    task = own_data.task_of(task, data_dir)
    names = experiment.read_names(mapping)
    trials = experiment.read(ray_results, names)
    wanted = _wanted(trials, import_trial)
    pool.workers()  # they start while this process reads the images
    images = datasets.load(task, data_dir, say)
    parts = splits.split(task, *images, split)
    folder = folders.comparison_folder(out, results_dir / task.name / "comparisons", "ray")
    jobs, left_out = _read(trials, names, model)
    shared = Conditions(task, parts, next(assumptions.likely(task.pixels)))
    if model is None and jobs:
        borne = claims.borne_out(jobs, shared)
        say(str(borne))
        shared = replace(shared, assumed=borne.assumed)
    rows, left_out, died = _compare(pool, shared, jobs, left_out)
    rows.sort(key=lambda row: (-row["torch_val"], row["trial"]))
    _show(rows, left_out, len(trials))
    files.write_csv(folder / "leaderboard.csv", rows)
    files.write_json(folder / "leaderboard.json", {"trials": rows, "left_out": left_out})
    if any(row["claimed_val"] is not None for row in rows):
        files.write_figure(folder / "claimed.png", claimed(rows, task.title))
    wrote(folder)
    if wanted is not None:
        reasons = [row["reason"] for row in left_out if row["trial"] == wanted.name]
        if reasons:
            raise BadInput(f"argument --import: '{wanted.name}' cannot be imported: {reasons[0]}")
        imported = recompute.port(recompute.read(wanted, names, model), shared)
        if imported.system is None:
            raise BadInput(
                f"argument --import: '{wanted.name}' cannot be imported: its network is none of "
                "those that can be ported"
            )
        settings = _settings(task, ray_results, imported, split, datasets.digest(*images))
        folder = folders.new_folder(results_dir / task.name / "runs", f"ray-{_label(wanted.name)}")
        _import(task, imported, parts, settings, folder)
    if died:
        raise RunFailed("; ".join(died))


def _read(
    trials: Sequence[Trial], names: Names, model: Path | None
) -> tuple[list[ReadTrial], list[dict]]:
    """Return the trials that have weights, and why the others are left out."""
    jobs, left_out = [], []
    for trial in trials:
        if trial.checkpoint is None:
            left_out.append(_without(trial, "; ".join(trial.notes)))
            continue
        try:
            jobs.append(recompute.read(trial, names, model))
        except BadInput as error:
            left_out.append(_without(trial, error))
    return jobs, left_out


def _without(trial: Trial, reason: object) -> dict:
    return {"trial": trial.name, "reason": str(reason)}


def _compare(
    pool: Pool, shared: Conditions, jobs: Sequence[ReadTrial], left_out: list[dict]
) -> tuple[list[dict], list[dict], list[str]]:
    """Return the rows of trials, those that are left out, and sentences about dead workers."""
    rows, failed, died = [], [], []

    def end(job: Any, result: Any) -> None:
        if isinstance(result, dict):
            rows.append(result)
        elif isinstance(result, LeftOut):
            failed.append(_without(job.trial, result.reason))
        else:
            failed.append(_without(job.trial, result))
            died.append(f"{job.trial.name}: {result}")

    def left() -> bool:
        return len(rows) + len(failed) < len(jobs)

    with pool.claimed():
        job_pool.run_all(pool, shared, recompute.work, iter(jobs), end, left, say=say)
    return rows, sorted([*left_out, *failed], key=lambda row: row["trial"]), died


def _wanted(trials: Sequence[Trial], name: str | None) -> Trial | None:
    if name is None:
        return None
    for trial in trials:
        if name in (trial.name, trial.name.removeprefix("trial_")):
            return trial
    known = ", ".join(trial.name for trial in trials[:10]) + ", ..." * (len(trials) > 10)
    raise BadInput(f"argument --import: no trial '{name}', expected one of {known}")


def _show(rows: Sequence[dict], left_out: Sequence[dict], n_trials: int) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("trial")
    columns = ("claimed val", "val PyTorch", "val Keras", "test PyTorch", "test Keras")
    for column in (*columns, "logits differ", "disagree on"):
        table.add_column(column, justify="right")
    for row in rows:
        keys = ("claimed_val", "torch_val", "keras_val", "torch_test", "keras_test")
        numbers = ["-" if row[key] is None else f"{row[key]:.4f}" for key in keys]
        table.add_row(
            row["trial"],
            *numbers,
            *(
                ("-", "-")
                if row["keras_val"] is None
                else (f"{row['max_logit_difference']:.1e}", f"{row['disagreements']} images")
            ),
        )
    if rows:
        console().print(table)
    for row in rows:
        if row["warning"]:
            say(f"warning: {row['trial']} {row['warning']}")
        if row["notes"]:
            say(f"note: {row['trial']}: {row['notes']}")
    say(f"{len(rows)} of {n_trials} trials compared, {len(left_out)} left out")
    for row in left_out:
        say(f"left out: {row['trial']}: {row['reason']}")


def _settings(
    task: Task, ray_results: Path, ported: Ported, split: str, digest: str
) -> RunSettings:
    """Return the settings of the run that an imported trial becomes."""
    trial, system = ported.trial, ported.system
    return RunSettings(
        task=task.name,
        source=f"Ray Tune trial {trial.name} of {ray_results}",
        framework="pytorch",
        recipe=None,
        space=None,
        hyperparameters=dict(trial.config),
        system=system.to_json(),
        epochs=trial.config.get("max_epochs") or len(trial.results),
        patience=None,
        monitor=MONITOR,
        batch_size=system.batch_size,
        split=split,
        seed=None,
        precision="float32",
        backend=devices.backend(),
        data=digest,
        title=task.title,
        classes=list(task.classes),
    )


def _import(
    task: Task, ported: Ported, parts: splits.Split, settings: RunSettings, folder: Path
) -> None:
    """Write the ported model as a run that `evaluate` and `predict` find."""
    trial = ported.trial
    settings.write(folder)
    environment().write(folder)
    if trial.results:
        flat = [
            {k: v for k, v in result.items() if isinstance(v, int | float | str)}
            for result in trial.results
        ]
        files.write_csv(folder / "reported.csv", flat)
    saved_models.save(ported.model, folder / saved_models.MODEL)
    shutil.copyfile(trial.checkpoint, folder / CHECKPOINT)

    def probabilities(x: np.ndarray) -> np.ndarray:
        return special.softmax(ported.logits(x).astype(np.float64), axis=1)

    RunMetrics(
        restored_by=None,
        stopped_early_by=None,
        parameters=ported.model.count_params(),
        validation=score_images(task, probabilities, parts.validation),
        test=score_images(task, probabilities, parts.test),
        claimed_val_accuracy=trial.claimed,
    ).write(folder)
    wrote(folder)


def _label(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:60]
