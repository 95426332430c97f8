"""The folders of a command: those that were interrupted and have its settings, or new ones.

All folders of one command have the same time in their names, so that those of `--recipe all` are
found together, finished or not.
"""

import glob
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from shared_keras.commands.retraining.group import Group
from shared_keras.processes import lock
from shared_keras.results import folders

RETRAINING = "retraining"


def take_up_or_create(groups: Sequence[Group]) -> ExitStack:
    """Give each group its folder; return what keeps other processes from working there.

    The newest folders with the same settings are taken up, if some run in them was interrupted and
    no other process is at work there. What the groups lack is created.
    """
    for when, found in _interrupted(groups):
        with ExitStack() as held:
            try:
                for folder in found.values():
                    held.enter_context(_lock(folder))
            except lock.Taken:
                continue
            if not any(g.unfinished_in(found[g.label]) for g in groups if g.label in found):
                continue  # another process has just done it
            for group in groups:
                if group.label in found:
                    group.take_up(found[group.label])
                else:
                    held.enter_context(_create(group, when))
            return held.pop_all()
    when = folders.now()
    with ExitStack() as held:
        for group in groups:
            held.enter_context(_create(group, when))
        return held.pop_all()


def _interrupted(groups: Sequence[Group]) -> Iterator[tuple[str, dict[str, Path]]]:
    """Yield the times of interrupted commands, newest first, each with the folders by label."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    unfinished = set()
    for group in groups:
        for folder in group.runs.glob(f"*-{glob.escape(group.label)}*"):
            when = folders.time_of(folder.name)
            if when is None or not folder.is_dir() or not group.is_in(folder):
                continue
            if group.unfinished_in(folder):
                unfinished.add(when)
                found[when][group.label] = folder
            else:
                found[when].setdefault(group.label, folder)
    for when in sorted(unfinished, reverse=True):
        yield when, found[when]


def _create(group: Group, when: str) -> ExitStack:
    """Create a group's folder; return the context that has it to itself.

    It is taken before it can be found, so that an equal command does not take it up.
    """
    group.create(when)
    with _lock(group.folder) as held:
        group.write_settings()
        return held.pop_all()


def _lock(folder: Path) -> ExitStack:
    """Return a context that has a folder to itself, and leaves no file of this."""
    with ExitStack() as held:
        held.enter_context(lock.of(folder, RETRAINING))
        held.callback((folder / lock.FILE).unlink, missing_ok=True)
        return held.pop_all()
