"""How a search ends: what it writes, in which order, and what a later run may rely on."""

import json
import os

import pandas as pd
import pytest
from filelock import FileLock, Timeout

from shared_keras import files
from shared_keras.command_line import cli
from shared_keras.hyperband import Hyperband
from shared_keras.reporting import search_report
from tests.conftest import MNIST
from tests.shares import dealt

WORDS = ["--space", "dense", "--max-epochs", "2", "--factor", "2"]  # 5 trials


@pytest.fixture
def user(small_dirs, tmp_path, capsys):
    """Runs `search`; `folder` is the folder of the search."""

    class User:
        folder = tmp_path / "mnist" / "searches" / "mine"

        def search(self, *words, code=0):
            places = ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(tmp_path)]
            assert cli.main(MNIST, "search", [*WORDS, "--name", "mine", *words, *places]) == code
            return "".join(capsys.readouterr())

        def best(self):
            return json.loads((self.folder / "best.json").read_text())

    return User()


def no(*args, **kwargs):
    raise ValueError("no")


@pytest.mark.long(only=True)
def test_what_a_killed_search_left_undone_is_done(user, monkeypatch):
    """The search is killed after all trials ended, before anything else is written."""
    user.search("--max-trials", "2", "--confirm", "1")
    old = (user.folder / "search.png").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(search_report, "write", no)
        user.search(code=1)
    table = (user.folder / "trials.csv").read_text().splitlines(keepends=True)
    (user.folder / "trials.csv").write_text("".join(table[:-1]))
    out = user.search()
    assert "More trials have ended since" in out and "other seeds" not in out
    assert "confirmed" not in user.best() and "confirm.csv" not in out
    assert (user.folder / "search.png").read_bytes() != old
    assert len(pd.read_csv(user.folder / "trials.csv")) == 5


@pytest.mark.long(only=True)
def test_a_search_of_version_0_5_is_resumed_and_its_files_keep_their_dates(user):
    """It did not write versions."""
    user.search("--max-trials", "1")
    names = ("best.json", "settings.json")
    for name in names:
        values = json.loads((user.folder / name).read_text())
        assert values.pop("version") == 1
        (user.folder / name).write_text(json.dumps(values, indent=2) + "\n")
    before = {name: (user.folder / name).stat().st_mtime_ns for name in names}
    out = user.search("--max-trials", "1")
    assert f"unchanged in {user.folder}: settings.json, trials.csv, best.json" in out
    assert {name: (user.folder / name).stat().st_mtime_ns for name in names} == before
    user.search("--max-trials", "2")
    assert user.best()["trials"] == 2 and user.best()["version"] == 1
    assert len(pd.read_csv(user.folder / "trials.csv")) == 2


@pytest.mark.parametrize("name", dealt(["best.json", "settings.json"], ["best.json"]))
def test_a_search_of_a_later_version_is_refused_and_left_alone(user, name):
    user.search("--max-trials", "1")
    path = user.folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))
    before = {path: path.read_bytes() for path in user.folder.rglob("*.*") if path.is_file()}
    said = user.search("--max-trials", "2", code=2)
    assert f"{path}: expected version 1 of this file, or none, got 2" in said
    assert "Traceback" not in said and before == {path: path.read_bytes() for path in before}


@pytest.mark.long(only=True)
def test_a_confirmation_that_cannot_be_read_is_said_in_a_sentence(user):
    user.search("--max-trials", "1", "--confirm", "1")
    (user.folder / "confirm.csv").unlink()
    assert "--confirm writes it again" in user.search("--max-trials", "1", code=2)
    assert "other seeds" in user.search("--max-trials", "1", "--confirm", "1")


@pytest.mark.long(only=True)
def test_the_table_of_a_confirmation_is_written_under_the_lock(user, monkeypatch):
    user.search("--max-trials", "1")
    tried = []

    def write(path, rows, *, real=files.write_csv):
        if path.name == "confirm.csv":
            with pytest.raises(Timeout):
                FileLock(user.folder / ".lock", timeout=0).acquire()
            tried.append(path)
        real(path, rows)

    monkeypatch.setattr(files, "write_csv", write)
    user.search("--max-trials", "1", "--confirm", "1")
    assert tried


def test_a_timeout_before_the_first_trial_is_said_in_a_sentence(user, monkeypatch):
    """This happens where processes start slowly; the same command resumes the search."""
    real = Hyperband.search
    with monkeypatch.context() as patch:
        patch.setattr(Hyperband, "search", lambda *args, **words: real(*args, **words | ZERO))
        said = user.search("--timeout", "1", "--max-trials", "1", code=1)
    assert said.strip().endswith("no trial completed; time was up; a longer --timeout resumes")
    assert "Traceback" not in said and not (user.folder / "best.json").exists()
    assert "Winner: trial 0000" in user.search("--max-trials", "1")


ZERO = {"timeout": 0}


@pytest.mark.long(only=True)
def test_pictures_that_could_not_be_drawn_are_drawn_later(user, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(search_report, "draw", draw_nothing)
        out = user.search("--max-trials", "1")
        assert "note: search.png could not be drawn" in out
        assert "Winner: trial 0000" in out and user.best()["trial"] == "0000"
    user.search("--max-trials", "1")
    assert (user.folder / "search.png").exists()


def draw_nothing(*search):
    """Replaces the drawing function, in a worker."""
    return ["note: search.png could not be drawn"]


@pytest.mark.long(only=True)
def test_a_worker_that_dies_while_drawing_costs_the_pictures(user, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(search_report, "draw", die)
        out = user.search("--max-trials", "1")
        assert "could not be drawn, because the worker process died" in out
        assert "Winner: trial 0000" in out
    user.search("--max-trials", "1")
    assert (user.folder / "search.png").exists()


def die(*search):
    """Replaces the drawing function, in a worker that runs out of memory."""
    os._exit(1)
