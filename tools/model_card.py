"""The card beside each committed model, from the files of its run."""

import hashlib
from pathlib import Path

from fashion_keras.task import TASK as FASHION
from mnist_keras.task import TASK as MNIST
from shared_keras.reporting.run_report import accuracy
from shared_keras.results import saved_models
from shared_keras.results.environment import Environment
from shared_keras.results.metrics import RunMetrics
from shared_keras.results.settings import RunSettings
from shared_keras.task import Task
from tools.markdown import table

OTHERS = {"fashion": "garments, photographs of people", "mnist": "alphabets, whole words"}
DATA_LICENCES = {"fashion": "MIT (Zalando SE)", "mnist": "CC BY-SA 3.0 (LeCun, Cortes, Burges)"}


def cards() -> dict[Path, str]:
    """Return the card of each task's committed model, by path."""
    paths = {task.name: saved_models.committed(task) for task in (FASHION, MNIST)}
    return {paths[t.name].with_name("README.md"): card(t, paths[t.name]) for t in (FASHION, MNIST)}


def card(task: Task, path: Path) -> str:
    """Return the card of a model in the folder of its run."""
    settings, metrics, environment = (
        kind.read(path.parent) for kind in (RunSettings, RunMetrics, Environment)
    )
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    macro = metrics.test.macro
    facts = [
        ("data", f"{task.title}, split `{settings.split}`"),
        ("recipe", f"`{settings.recipe}`, {metrics.parameters:,} parameters"),
        ("training", f"{metrics.epochs_trained} epochs, seed {settings.seed}"),
        ("command", f"`python -m {task.package}.retrain --recipe {settings.recipe}`"),
        ("validation accuracy", accuracy(metrics.validation)),
        ("test accuracy", accuracy(metrics.test)),
        ("test loss", f"{metrics.test.loss:.4f}"),
        ("mean precision, recall, F1", ", ".join(f"{macro[key]:.4f}" for key in macro)),
        ("versions", versions),
        ("commit", f"`{environment.commit}`"),
        ("SHA-256 of the file", f"`{digest}`"),
    ]
    rows = [[name, text] for name, text in facts]
    worst = min(metrics.test.classes, key=lambda row: row["f1"])
    return f"""# The committed model for {task.title}

`{path.name}` takes raw images, shape (n, 28, 28), 0 to 255, light on dark, and returns
logits, shape (n, {len(task.classes)}). `predict` and `evaluate` use it until you have a run of
your own; stock Keras loads it without this project:

```python
model = keras.saving.load_model("{path.name}")
```

{table(("", ""), rows)}

It is weakest on the class {worst["class"]} (F1 {worst["f1"]:.4f}).

**Licence.** The code and the weights are under the MIT licence. The images that it was trained
on: {DATA_LICENCES[task.name]}.

**Not for** anything that matters to somebody. It has seen ten classes of small grey pictures of
one collection, and calls everything else one of the ten, often with confidence: other
{OTHERS[task.name]}, colour, blank paper.
Its scores hold for test images of the same collection, and for nothing else.
"""
