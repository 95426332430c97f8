"""What a page says of where its figures come from."""

from pathlib import Path

from shared_keras import devices
from shared_keras.results.environment import Environment, environment

Facts = list[tuple[str, str]]


def of_environment(folder: Path) -> Facts:
    """Return on what the search or the run in a folder ran, as names and texts."""
    ran = Environment.find(folder)
    return [] if ran is None else _facts(ran)


def here() -> Facts:
    """Return the same of this process."""
    return _facts(environment())


def _facts(ran: Environment) -> Facts:
    backend = devices.BACKENDS.get(ran.backend, ran.backend)
    where = [("backend", f"{backend}, {ran.device}")]
    if ran.processor:
        where.append(("processor", ran.processor))
    versions = ", ".join(f"{name} {version}" for name, version in ran.versions.items())
    where.append(("versions", versions))
    if ran.commit:
        where.append(("commit", ran.commit))
    return [("command", ran.command), *where]
