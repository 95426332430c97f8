"""Read the experiment folder of a Ray Tune session, without Ray.

The folder holds `experiment_state-*.json`, and a folder for each trial with
`params.json`, `result.json` (a JSON object per line), `progress.csv` and perhaps
`checkpoint_*/model.pt`. Missing or truncated files are noted, not fatal.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from shared_keras import files
from shared_keras.comparisons.ray.assumptions import Assumed
from shared_keras.errors import BadInput
from shared_keras.systems.mlp import N_CLASSES
from shared_keras.systems.spec import (
    Activation,
    BatchNorm,
    Cosine,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Optimizer,
    System,
)

CHECKPOINT = "model.pt"
SECTIONS = ("config", "modules", "metric")


@dataclass(frozen=True)
class Trial:
    """What one trial left on disk.

    Attributes:
        name: Name of its folder.
        status: From the experiment's state file, such as TERMINATED; "" if unknown.
        config: Its hyperparameters, under Fashion-PyTorch's names.
        own_config: The same under the names that the trial had for them.
        results: The complete lines of `result.json`.
        checkpoint: Its last `model.pt`, or None.
        claimed: The accuracy that was reported with that checkpoint, as a fraction.
        notes: What was missing or truncated.
    """

    name: str
    status: str
    config: Mapping
    own_config: Mapping
    results: list[dict]
    checkpoint: Path | None
    claimed: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Names:
    """How another project's names map to those of Fashion-PyTorch.

    Attributes:
        config: Their hyperparameter names, mapped to l1_size, l1_drop, base_lr, ...
        modules: Their module names, mapped to the twin's: dense_1, norm_1, ...
        metric: Their name for the validation accuracy.
    """

    config: Mapping[str, str]
    modules: Mapping[str, str]
    metric: str = "accuracy"


def read_names(path: Path | None) -> Names:
    """Read a mapping: JSON with the optional keys `config`, `modules` and `metric`.

    Raises:
        BadInput: naming the file, if it holds anything else.
    """
    if path is None:
        return Names({}, {})
    values = files.read_json(path)
    strings = isinstance(values, dict) and all(
        isinstance(values.get(key, {}), dict)
        and all(isinstance(name, str) for name in values.get(key, {}).values())
        for key in ("config", "modules")
    )
    if (
        not strings
        or not set(values) <= set(SECTIONS)
        or not isinstance(values.get("metric", ""), str)
    ):
        raise BadInput(
            f"argument --mapping: {path} holds {json.dumps(values)[:100]}, expected an object with "
            '"config" and "modules" (objects of names) and "metric" (a name), each optional'
        )
    return Names(
        values.get("config", {}), values.get("modules", {}), values.get("metric", "accuracy")
    )


def read(folder: Path, names: Names) -> list[Trial]:
    """Return the trials of an experiment, sorted by name.

    Raises:
        BadInput: if there are none.
    """
    if not folder.is_dir():
        raise BadInput(
            f"argument --ray-results: expected the folder of a Ray Tune experiment, got "
            f"'{folder}', which is not a folder"
        )
    states = _states(folder)
    known = ("params.json", "result.json", "progress.csv")
    trials = sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and (any((path / f).exists() for f in known) or _checkpoints(path))
    )
    if not trials:
        raise BadInput(
            f"argument --ray-results: {folder} holds no trials, expected folders with "
            f"{', '.join(known)} or checkpoint_*/{CHECKPOINT}"
        )
    return [_trial(path, states, names) for path in trials]


def _trial(folder: Path, states: Mapping[str, str], names: Names) -> Trial:
    notes: list[str] = []
    results = _results(folder, notes)
    config = _config(folder, results, notes)
    checkpoints = _checkpoints(folder)
    if not checkpoints:
        notes.append("no checkpoint")
    trial_id = next((r["trial_id"] for r in results if "trial_id" in r), None)
    status = next((s for i, s in states.items() if i == trial_id or i in folder.name), "")
    if status not in ("", "TERMINATED"):
        notes.append(f"status {status}")
    return Trial(
        name=folder.name,
        status=status,
        config={names.config.get(key, key): value for key, value in config.items()},
        own_config=config,
        results=results,
        checkpoint=checkpoints[-1] if checkpoints else None,
        claimed=_claimed(results, checkpoints, names.metric, notes),
        notes=tuple(notes),
    )


def _states(folder: Path) -> dict[str, str]:
    """Return the status of each trial by its id, from the newest readable state file."""
    for path in sorted(folder.glob("experiment_state-*.json"), reverse=True):
        try:
            trials = [json.loads(entry[0]) for entry in json.loads(path.read_text())["trial_data"]]
            return {trial["trial_id"]: trial.get("status", "") for trial in trials}
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            continue
    return {}


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"checkpoint_*/{CHECKPOINT}"))


def _results(folder: Path, notes: list[str]) -> list[dict]:
    path = folder / "result.json"
    if not path.exists():
        return _progress(folder, notes)
    results = []
    for line in path.read_bytes().splitlines():
        try:
            result = json.loads(line)
        except ValueError:
            notes.append("an unfinished line in result.json")
            continue
        if isinstance(result, dict):
            results.append(result)
    return results


def _progress(folder: Path, notes: list[str]) -> list[dict]:
    """Return the rows of progress.csv, which holds less than result.json."""
    notes.append("no result.json")
    try:
        return pd.read_csv(folder / "progress.csv").to_dict("records")
    except (OSError, ValueError):
        return []


def _config(folder: Path, results: list[dict], notes: list[str]) -> dict:
    try:
        config = json.loads((folder / "params.json").read_bytes())
        if isinstance(config, dict):
            return config
    except (OSError, ValueError):
        pass
    notes.append("no params.json")
    return next((r["config"] for r in results if isinstance(r.get("config"), dict)), {})


def _claimed(
    results: Sequence[Mapping[str, Any]], checkpoints: Any, metric: str, notes: list[str]
) -> float | None:
    """Return the accuracy that was reported with the last checkpoint."""
    reported = [
        r for r in results if isinstance(r.get(metric), int | float) and math.isfinite(r[metric])
    ]
    if not reported:
        notes.append(f"no '{metric}' was reported")
        return None
    with_it = [
        r
        for r in reported
        if checkpoints and r.get("checkpoint_dir_name") == checkpoints[-1].parent.name
    ]
    value = float((with_it or reported)[-1][metric])
    return value / 100 if value > 1 else value


def system(config: Mapping, state: Mapping, assumed: Assumed) -> System:
    """Return the system that a trial trained.

    Args:
        config: Hyperparameters: l1_size, l1_drop, l2_size, ..., base_lr, l2_rate,
            t_max, batch_size. Only the sizes are required.
        state: Its state dict; if it has no running means, there is no BatchNorm.
        assumed: What neither of them says.

    Raises:
        BadInput: if a size is missing or not a whole number.
    """
    depth = 1
    while f"l{depth + 1}_size" in config:
        depth += 1
    sizes = [config.get(f"l{i}_size") for i in range(1, depth + 1)]
    for i, size in enumerate(sizes, 1):
        if not isinstance(size, int) or size < 1:
            raise BadInput(f"config: 'l{i}_size' is {size!r}, expected a whole number of units")
    norm: list[Layer] = [BatchNorm()] * any(key.endswith("running_mean") for key in state)
    layers: list[Layer] = [Flatten()]
    for i, size in enumerate(sizes, 1):
        rate = float(config.get(f"l{i}_drop", 0))
        activated: list[Layer] = [*norm, Activation(assumed.activation)]
        layers += [Dense(size, init="he"), *activated[:: 1 if assumed.norm == "before" else -1]]
        layers += [Dropout(rate)] * (rate > 0)
    optimizer = Optimizer(
        "adam",
        float(config.get("base_lr", 1e-3)),
        l2=float(config.get("l2_rate", 0)),
        schedule=Cosine(config["t_max"]) if config.get("t_max") else None,
    )
    layers.append(Dense(N_CLASSES, init="he"))
    size = config.get("batch_size")
    return System(tuple(layers), optimizer, assumed.mean, assumed.std, batch_size=size)
