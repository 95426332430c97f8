"""The leaderboard of a Ray Tune folder, and the import of one trial as a run."""

import shutil

from shared_keras import datasets, ray_comparison, ray_results, runs, saved_models
from shared_keras.comparison_plots import claimed
from shared_keras.errors import BadInput
from shared_keras.ray_comparison import Ported
from shared_keras.report import say, wrote
from shared_keras.retrain import Settings
from shared_keras.retraining import CHECKPOINT, scores


def run(task, args) -> None:
    """Recompute every trial that has a checkpoint; print and write the leaderboard."""
    names = ray_results.read_names(args.mapping)
    trials = ray_results.read(args.ray_results, names)
    wanted = _wanted(trials, args.import_trial)
    images = datasets.load(task, args.data_dir)
    split = datasets.split(task, *images, args.split or "holdout")
    folder = runs.comparison_folder(task, args, "ray")
    rows, left_out, imported = [], [], None
    for trial in trials:
        if trial.checkpoint is None:
            left_out.append({"trial": trial.name, "reason": "; ".join(trial.notes)})
            continue
        try:
            ported = ray_comparison.port(trial, names, task.pixels)
        except BadInput as error:
            left_out.append({"trial": trial.name, "reason": str(error)})
            continue
        rows.append(ray_comparison.row(ported, split))
        if trial is wanted:
            imported = ported
    rows.sort(key=lambda row: (-row["torch_val"], row["trial"]))
    _show(rows, left_out, len(trials))
    runs.write_csv(folder / "leaderboard.csv", rows)
    runs.write_json(folder / "leaderboard.json", {"trials": rows, "left_out": left_out})
    if any(row["claimed_val"] is not None for row in rows):
        runs.write_figure(folder / "claimed.png", claimed(rows, task.title))
    wrote(folder)
    if wanted is not None:
        if imported is None:
            reason = next(row["reason"] for row in left_out if row["trial"] == wanted.name)
            raise BadInput(f"argument --import: '{wanted.name}' cannot be imported: {reason}")
        _import(task, args, imported, split, datasets.digest(*images))


def _wanted(trials, name: str | None):
    if name is None:
        return None
    for trial in trials:
        if name in (trial.name, trial.name.removeprefix("trial_")):
            return trial
    known = ", ".join(trial.name for trial in trials[:10]) + ", ..." * (len(trials) > 10)
    raise BadInput(f"argument --import: no trial '{name}', expected one of {known}")


def _show(rows, left_out, n_trials) -> None:
    from rich import box
    from rich.table import Table

    from shared_keras.progress import console

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
            f"{row['max_logit_difference']:.1e}",
            f"{row['disagreements']} images",
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


def _import(task, args, ported: Ported, split, digest: str) -> None:
    """Write the ported model as a run that `evaluate` and `predict` find."""
    from shared_keras import devices, twin

    trial, described = ported.trial, ported.system
    folder = runs.new_folder(args.results_dir / task.name / "runs", f"ray-{_label(trial.name)}")
    settings = Settings(
        task=task.name,
        source=f"Ray Tune trial {trial.name} of {args.ray_results}",
        framework="pytorch",
        recipe=None,
        space=None,
        hyperparameters=dict(trial.config),
        system=described.to_json(),
        epochs=trial.config.get("max_epochs") or len(trial.results),
        patience=None,
        batch_size=described.batch_size,
        split=args.split or "holdout",
        seed=None,
        precision="float32",
        backend=devices.backend(),
        data=digest,
    )
    runs.write_settings(folder / "settings.json", settings)
    runs.write_json(folder / "environment.json", runs.environment())
    if trial.results:
        flat = [
            {k: v for k, v in result.items() if isinstance(v, int | float | str)}
            for result in trial.results
        ]
        runs.write_csv(folder / "reported.csv", flat)
    saved_models.save(ported.model, folder / saved_models.MODEL)
    shutil.copyfile(trial.checkpoint, folder / CHECKPOINT)

    def probabilities(x):
        return twin.probabilities(described, ported.network, x)

    runs.write_json(
        folder / "metrics.json",
        {
            "claimed_val_accuracy": trial.claimed,
            "parameters": ported.model.count_params(),
            "validation": scores(task, probabilities, split.validation),
            "test": scores(task, probabilities, split.test),
        },
    )
    wrote(folder)


def _label(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:60]
