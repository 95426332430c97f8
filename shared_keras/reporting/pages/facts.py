"""What a page says of where its figures come from."""

from collections.abc import Sequence
from pathlib import Path

from shared_keras import devices
from shared_keras.results.environment import Environment, environment

Fact = tuple[str, str]  # a name and a text
Facts = list[Fact]


def of_environment(folder: Path, decided: Sequence[Fact]) -> Facts:
    """Return the command of the search or the run in a folder, what decided it, on what it ran."""
    ran = Environment.find(folder)
    return list(decided) if ran is None else _facts(ran, decided)


def here(decided: Sequence[Fact] = ()) -> Facts:
    """Return the same of this process."""
    return _facts(environment(), decided)


def data(title: str, split: str, digest: str) -> Fact:
    """Return which images were used."""
    return "data", f"{title}, split {split}, digest {digest[:12]}"


def _facts(ran: Environment, decided: Sequence[Fact]) -> Facts:
    backend = devices.BACKENDS.get(ran.backend, ran.backend)
    where = [("backend", f"{backend}, {ran.device}")]
    if ran.processor:
        where.append(("processor", ran.processor))
    versions = ", ".join(f"{name} {version}" for name, version in ran.versions.items())
    where.append(("versions", versions))
    if ran.commit:
        where.append(("commit", ran.commit))
    return [("command", ran.command), *decided, *where]
