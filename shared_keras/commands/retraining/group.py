"""The runs of one choice, with a seed each: their folder, their jobs, and how they ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared_keras import devices, files
from shared_keras.commands.retraining.choices import Choice
from shared_keras.commands.retraining.training_job import Job
from shared_keras.reporting import run_report
from shared_keras.reporting.console import say
from shared_keras.results import folders
from shared_keras.results.settings import RunSettings, penalised
from shared_keras.systems.recipe import Replay
from shared_keras.systems.spec import System
from shared_keras.task import Task


@dataclass
class Group:
    """The runs of one choice.

    Attributes:
        task: The task.
        choice: What to train.
        system: Its system.
        seeds: A seed for each run.
        torch: Whether to train the PyTorch twin.
        batch_size: Images per step, if not the system's or the choice's own.
        precision: Keras dtype policy.
        digest: Digest of the images.
        protocol: A line about their split.
        runs: Where the folders of runs are.
        folder: The folder of this group, once it has begun.
        results: The contents of metrics.json by seed.
        left: How many runs have not ended.
    """

    task: Task
    choice: Choice
    system: System
    seeds: Sequence[int]
    torch: bool
    batch_size: int | None
    precision: str
    digest: str
    protocol: str
    runs: Path
    folder: Path | None = None
    results: dict[int, Mapping] = field(default_factory=dict)
    left: int = field(init=False)

    def __post_init__(self):
        self.left = len(self.seeds)

    @property
    def what(self) -> str:
        """What is trained, in a word."""
        choice = self.choice
        named = choice.label if choice.recipe is None else f"recipe {choice.recipe}"
        return "twin of " * self.torch + named

    @property
    def framework(self) -> str:
        """What trains."""
        return "pytorch" if self.torch else "keras"

    @property
    def penalised(self) -> bool:
        """Whether the losses of the epochs include penalties."""
        return penalised(self.framework, self.system.to_json())

    def name(self, seed: int) -> str:
        """Return the name of a run for messages."""
        return f"{self.what}, seed {seed}"

    def cost(self) -> int:
        """Return how long a run takes, in no particular unit."""
        return self.choice.epochs * self.system.multiplications()

    def begin(self) -> None:
        """Create the folder, and say what is trained."""
        label = "twin-" * self.torch + self.choice.label
        self.folder = folders.new_folder(self.runs, label)
        title = self.task.title
        say(f"{title}: {self.choice.source}" + ", as PyTorch twin" * self.torch)
        say(self.protocol)
        run_report.other_images("the search used", self.choice.search, title, self.digest)
        if self.penalised:
            say("the losses of the epochs include the L2 penalty; those in metrics.json do not")

    def place(self, seed: int) -> Path:
        """Return the folder of a run."""
        return self.folder if len(self.seeds) == 1 else self.folder / f"seed-{seed}"

    def job(self, seed: int) -> Job:
        """Return a run as a job, and create its folder."""
        choice, system = self.choice, self.system
        replay = choice.system if isinstance(choice.system, Replay) else None
        settings = RunSettings(
            task=self.task.name,
            source=choice.source,
            framework=self.framework,
            recipe=choice.recipe,
            space=replay and replay.space,
            hyperparameters=dict(replay.hyperparameters) if replay else {},
            system=system.to_json(),
            epochs=choice.epochs,
            patience=choice.patience,
            monitor=choice.monitor,
            batch_size=self.batch_size or system.batch_size or choice.batch_size,
            split=choice.split,
            seed=seed,
            precision=self.precision,
            backend="torch" if self.torch else devices.backend(),
            data=self.digest,
            title=self.task.title,
            classes=list(self.task.classes),
        )
        return Job(settings, system, folders.make_folder(self.place(seed)).absolute())

    def finish(self) -> None:
        """Say what all runs reached, and write it if there are several."""
        if not self.results:
            return
        results = [self.results[seed] for seed in self.seeds if seed in self.results]
        choice = self.choice
        if len(self.seeds) > 1:
            say(f"{self.what}, {len(results)} of {len(self.seeds)} seeds")
        run_report.outcome(results, choice.published, self.penalised)
        if choice.searched and choice.search["data"] == self.digest:
            run_report.beside_search(results, choice.searched)
        if len(self.seeds) > 1:
            files.write_json(self.folder / "summary.json", run_report.summary(results))
            say(f"wrote {self.folder / 'summary.json'}")
