"""The runs of one choice, with a seed each: their folder, their jobs, and how they ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared_keras import devices, files, words
from shared_keras.commands.retraining.choices import Choice
from shared_keras.commands.retraining.request import RetrainRequest
from shared_keras.commands.retraining.training_job import RunJob, epochs_allowed
from shared_keras.data.datasets import Images
from shared_keras.errors import BadInput
from shared_keras.reporting import run_report
from shared_keras.reporting.console import say
from shared_keras.results import (
    folders,
    history_csv,
    names,
    predictions,
    published,
    run_folders,
)
from shared_keras.results.metrics import RunMetrics
from shared_keras.results.settings import RunSettings, penalised
from shared_keras.task import Task


@dataclass
class Group:
    """The runs of one choice.

    Attributes:
        task: The task.
        choice: What to train.
        asked: What the retraining was asked.
        digest: Digest of the images.
        protocol: A line about their split.
        test: The images to test on.
        folder: The folder of this group, once it has one.
        results: What each run reached, by seed.
        left: The seeds of the runs that have not ended.
        resumed: Whether its folder was there before.
    """

    task: Task
    choice: Choice
    asked: RetrainRequest
    digest: str
    protocol: str
    test: Images
    folder: Path | None = None
    results: dict[int, RunMetrics] = field(default_factory=dict)
    left: list[int] = field(init=False)
    resumed: bool = False

    def __post_init__(self) -> None:
        self.left = list(self.seeds)

    @property
    def seeds(self) -> range:
        """A seed for each run."""
        return self.asked.seeds

    @property
    def runs(self) -> Path:
        """Where the folders of runs are."""
        return self.asked.results_dir / self.task.name / "runs"

    @property
    def what(self) -> str:
        """What is trained, in a word."""
        choice = self.choice
        named = choice.label if choice.recipe is None else f"recipe {choice.recipe}"
        return "twin of " * self.asked.torch + named

    @property
    def framework(self) -> str:
        """What trains."""
        return "pytorch" if self.asked.torch else "keras"

    @property
    def penalised(self) -> bool:
        """Whether the losses of the epochs include penalties."""
        return penalised(self.framework, self.choice.system.to_json())

    def name(self, seed: int) -> str:
        """Return the name of a run for messages."""
        return f"{self.what}, seed {seed}"

    def cost(self) -> int:
        """Return how long a run takes, in no particular unit."""
        return self.choice.epochs * self.choice.system.multiplications()

    @property
    def label(self) -> str:
        """What the name of its folder says."""
        return "twin-" * self.asked.torch + self.choice.label

    def create(self, when: str) -> None:
        """Create the folder.

        Args:
            when: The time in its name.
        """
        self.folder = folders.new_folder(self.runs, self.label, when)

    def write_settings(self) -> None:
        """Write the settings of each run, by which others find the folder."""
        for seed in self.seeds:
            self.settings(seed).write(folders.make_folder(self.place(seed)))

    def is_in(self, folder: Path) -> bool:
        """Return whether a folder holds runs with the same settings and seeds."""
        mine = {self.place(seed, folder): self.settings(seed) for seed in self.seeds}
        if {path.parent for path in folder.rglob(names.SETTINGS)} != set(mine):
            return False
        try:
            return all(RunSettings.read(place) == settings for place, settings in mine.items())
        except BadInput:  # damaged, or of another version
            return False

    def left_in(self, folder: Path) -> list[int]:
        """Return the seeds of those runs in a folder that have not ended."""
        return [seed for seed in self.seeds if not run_folders.has_ended(self.place(seed, folder))]

    def unfinished_in(self, folder: Path) -> bool:
        """Return whether something is left to do in a folder."""
        done = any(RunMetrics.is_in(self.place(seed, folder)) for seed in self.seeds)
        summed = len(self.seeds) == 1 or not done or (folder / names.SUMMARY).exists()
        return bool(self.left_in(folder)) or not summed

    def take_up(self, folder: Path) -> None:
        """Go on in a folder that was interrupted.

        Raises:
            BadInput: if a result in it is damaged.
        """
        self.folder, self.left, self.resumed = folder, self.left_in(folder), True
        for seed in self.seeds:
            if (result := RunMetrics.find(self.place(seed))) is not None:
                self.results[seed] = result
            files.sweep(self.place(seed))

    def introduce(self) -> None:
        """Say what is trained, and how long that takes."""
        choice, title = self.choice, self.task.title
        say(f"{title}: {self.choice.source}" + ", as PyTorch twin" * self.asked.torch)
        say(self.protocol)
        seconds = choice.searched.seconds if choice.searched else None
        run_report.length(choice.epochs, choice.patience, choice.monitor, seconds)
        if not self.asked.torch and (allowed := epochs_allowed(choice.epochs)) < choice.epochs:
            say(f"KERAS_MAX_EPOCHS ends the training after {allowed}")
        run_report.other_images("the search used", choice.search, title, self.digest)
        if self.penalised:
            say(f"the losses of the epochs include the L2 penalty; those in {names.METRICS} do not")

    def place(self, seed: int, folder: Path | None = None) -> Path:
        """Return the folder of a run, in this group's folder or another."""
        folder = folder or self.folder
        return folder if len(self.seeds) == 1 else folder / f"seed-{seed}"

    def job(self, seed: int, pause_after: float | None = None) -> RunJob:
        """Return a run as a job. See `RunJob` for `pause_after`."""
        folder = self.place(seed).absolute()
        return RunJob(self.settings(seed), self.choice.system, folder, pause_after)

    def settings(self, seed: int) -> RunSettings:
        """Return what decides a run."""
        choice, replay = self.choice, self.choice.replay
        return RunSettings(
            task=self.task.name,
            source=choice.source,
            framework=self.framework,
            recipe=choice.recipe,
            space=replay.space if replay else None,
            hyperparameters=dict(replay.hyperparameters) if replay else {},
            system=choice.system.to_json(),
            epochs=choice.epochs,
            patience=choice.patience,
            monitor=choice.monitor,
            batch_size=choice.batch_size,
            split=choice.split,
            seed=seed,
            precision=self.asked.precision,
            backend="torch" if self.asked.torch else devices.backend(),
            data=self.digest,
            title=self.task.title,
            classes=list(self.task.classes),
        )

    def finish(self) -> None:
        """Say what all runs reached, and write it if there are several."""
        if not self.results:
            return
        results = [self.results[seed] for seed in self.seeds if seed in self.results]
        choice = self.choice
        if len(self.seeds) > 1:
            say(f"{self.what}, {len(results)} of {len(self.seeds)} seeds")
        run_report.outcome(results, choice.published, self.penalised)
        if choice.searched and choice.search.data == self.digest:
            run_report.beside_search(results, choice.searched)
        self._write_page(results)
        if len(self.seeds) > 1:
            files.write_json(self.folder / names.SUMMARY, run_report.summary(results))
            say(f"wrote {self.folder / names.SUMMARY}")

    def _write_page(self, results: Sequence[RunMetrics]) -> None:
        """Write the page of all runs that have a result."""
        from shared_keras.reporting.pages import facts, run_page  # Matplotlib: see `training_job`

        places = [self.place(result.seed) for result in results]
        made = [predictions.find(place, len(self.test)) for place in places]
        choice, recipe = self.choice, self.choice.recipe
        seeds = ", ".join(str(result.seed) for result in results)
        decided = [
            facts.data(self.task.title, choice.split, self.digest),
            ("source", choice.source),
            ("framework", self.framework),
            ("epochs", f"at most {choice.epochs}; kept {_kept(results)}"),
            ("batch size", str(choice.batch_size)),
            ("parameters", f"{results[0].parameters:,}"),
            ("seeds" if len(results) > 1 else "seed", seeds),
        ]
        tests, validations = (
            [getattr(r, part) for r in results] for part in ("test", "validation")
        )
        shown = run_page.Trained(
            title=f"{self.task.title}, {self.what}",
            facts=facts.of_environment(places[0], decided),
            classes=self.task.classes,
            scores=tests,
            figures=run_page.figures(tests, validations),
            histories=[history_csv.read(place / names.HISTORY) for place in places],
            predictions=[] if None in made else made,
            images=self.test,
            published=published.curve(self.task, recipe) if recipe else None,
        )
        run_page.write(self.folder, shown, self.asked.results_dir)
        say(f"wrote {self.folder / names.REPORT}")


def _kept(results: Sequence[RunMetrics]) -> str:
    return words.span([result.best_epoch for result in results], "epoch")
