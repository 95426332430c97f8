"""How a search ends: what it writes, in which order, and what a later showing may believe."""

import json

import pandas as pd
import pytest
from filelock import FileLock, Timeout

from shared_keras import plots, runs, search, search_report
from tests.conftest import MNIST

WORDS = ["--space", "dense", "--max-epochs", "2", "--factor", "2"]  # 5 trials


@pytest.fixture
def user(small_dirs, tmp_path, capsys):
    """Runs `search`; its `folder` is where."""

    class User:
        folder = tmp_path / "mnist" / "searches" / "mine"

        def search(self, *words, code=0):
            places = ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(tmp_path)]
            assert search.main(MNIST, [*WORDS, "--name", "mine", *words, *places]) == code
            return "".join(capsys.readouterr())

        def best(self):
            return json.loads((self.folder / "best.json").read_text())

    return User()


def no(*args, **kwargs):
    raise ValueError("no")


def test_a_picture_that_cannot_be_drawn_costs_only_itself(user, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(plots, "search", no)
        out = user.search("--max-trials", "1")
        assert "search.png could not be drawn (ValueError: no)" in out
        assert "Winner: trial 0000" in out and user.best()["trial"] == "0000"
    user.search("--max-trials", "1")
    assert (user.folder / "search.png").exists()


def test_what_a_killed_search_left_undone_is_done(user, monkeypatch):
    """Killed when all trials had ended, and before anything else was written."""
    user.search("--max-trials", "2", "--confirm", "1")
    old = (user.folder / "search.png").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(search_report, "write", no)
        user.search(code=1)
    table = (user.folder / "trials.csv").read_text().splitlines(keepends=True)
    (user.folder / "trials.csv").write_text("".join(table[:-1]))
    out = user.search()
    assert "More trials ended since" in out and "other seeds" not in out
    assert "confirmed" not in user.best() and "confirm.csv" not in out
    assert (user.folder / "search.png").read_bytes() != old
    assert len(pd.read_csv(user.folder / "trials.csv")) == 5


def test_the_winner_of_an_earlier_version_keeps_its_date(user):
    """Until 0.4.0, best.json did not count the trials."""
    user.search("--max-trials", "1")
    best = user.best()
    assert best.pop("trials") == 1
    (user.folder / "best.json").write_text(json.dumps(best, indent=2) + "\n")
    before = (user.folder / "best.json").stat().st_mtime_ns
    user.search("--max-trials", "1")
    assert (user.folder / "best.json").stat().st_mtime_ns == before


def test_a_confirmation_that_cannot_be_read_is_said_in_a_sentence(user):
    user.search("--max-trials", "1", "--confirm", "1")
    (user.folder / "confirm.csv").unlink()
    assert "--confirm writes it again" in user.search("--max-trials", "1", code=2)
    assert "other seeds" in user.search("--max-trials", "1", "--confirm", "1")


def test_the_table_of_a_confirmation_is_written_under_the_lock(user, monkeypatch):
    user.search("--max-trials", "1")
    tried = []

    def write(path, rows, *, real=runs.write_csv):
        if path.name == "confirm.csv":
            with pytest.raises(Timeout):
                FileLock(user.folder / ".lock", timeout=0).acquire()
            tried.append(path)
        real(path, rows)

    monkeypatch.setattr(runs, "write_csv", write)
    user.search("--max-trials", "1", "--confirm", "1")
    assert tried
