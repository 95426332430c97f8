"""The list of runs and searches, also of those that have no result."""

import json
import os

import pytest

from shared_keras.command_line import cli
from shared_keras.results import overview
from shared_keras.results.winner import Winner
from tests.conftest import MNIST
from tests.results import made


def write(folder, name, when, **values):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(values))
    os.utime(folder / name, (when, when))


def run(folder, when, score=None, recipe="dense", history=None):
    source = "trial 0003 of your search a/b/mine"
    made.run(folder, score, when, history, recipe=recipe, source=source)


SO_FAR = """trial,epochs,score,status
0000,1,0.4,COMPLETED
0001,2,0.5,COMPLETED
0002,2,0.6,COMPLETED
0003,2,,FAILED
0004,2,,RUNNING
"""


def test_what_is_there_newest_first(tmp_path, capsys):
    home = tmp_path / "mnist"
    run(home / "runs" / "old", 100, 0.5)
    run(home / "runs" / "seeds" / "seed-0", 400, 0.6, recipe=None)
    run(home / "runs" / "seeds" / "seed-1", 400, 0.7, recipe=None)
    run(home / "runs" / "nan", 300, history="epoch,loss\n1,0.5\n2,nan\n")
    run(home / "runs" / "cut", 200, history="epoch,loss\n1,0.5\n")
    (home / "runs" / "damaged").mkdir()
    (home / "runs" / "damaged" / "settings.json").write_text("{")
    os.utime(home / "runs" / "damaged" / "settings.json", (150, 150))
    search = made.search_settings(objective="val_loss").to_json()
    winner = Winner(5, 6, "0001", 0.25, "val_loss", "dense", "holdout", 32, {}).to_json()
    write(home / "searches" / "mine", "settings.json", 500, **search)
    write(home / "searches" / "mine", "best.json", 500, **winner)
    write(home / "searches" / "begun", "settings.json", 50, **search)
    confirmed = {"mean": 0.24, "sd": 0.01, "n": 3.0}
    for place, name in enumerate(("cut-search", "extended")):
        folder = home / "searches" / name
        write(folder, "settings.json", 40 - place, planned=9, **search)
        (folder / "trials.csv").write_text(SO_FAR)
    winner |= {"confirmed": confirmed}
    write(folder, "best.json", 39, **winner | {"trials": 2, "planned": 2})
    kept = home / "searches" / "confirmed"
    write(kept, "settings.json", 30, planned=4, **search)
    write(kept, "best.json", 30, **winner | {"trials": 4, "planned": 4})
    (kept / "trials.csv").write_text(SO_FAR)

    found = {entry.name: entry for entry in overview.entries(home)}
    assert list(found)[:7] == ["mine", "seeds", "nan", "cut", "damaged", "old", "begun"]
    assert list(found)[7:] == ["cut-search", "extended", "confirmed"]
    for name in ("cut-search", "extended"):
        assert "4 of 9 trials" in found[name].what and "confirmed" not in found[name].what
        assert found[name].validation == (0.5,)  # the best of two epochs, not of one
        assert found[name].problem.endswith("still running; the score is the best so far")
    assert "4 of 4 trials" in found["confirmed"].what and found["confirmed"].problem is None
    assert "confirmed by 0.2400 ± 0.0100 over 3 other seeds" in found["confirmed"].what
    assert found["seeds"].validation == (0.6, 0.7) and found["seeds"].problem is None
    assert "trial 0003 of your search mine" in found["seeds"].what
    assert "2 of 2 seeds" in found["seeds"].what and "on Wardrobe" in found["seeds"].what
    assert found["nan"].problem == "failed, the loss became nan"
    assert found["cut"].problem == "interrupted after 1 epoch, or still running"
    assert found["damaged"].problem.startswith("cannot be read: ")
    assert found["old"].test == (0.5,) and found["old"].what.startswith("recipe dense")
    assert found["mine"].validation == (0.25,) and "5 of 6 trials" in found["mine"].what
    assert found["begun"].problem == "interrupted, or still running"

    assert cli.main(MNIST, "runs", ["--results-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert [out.index(name) for name in found] == sorted(out.index(name) for name in found)
    for text in ("0.2500", "val_loss", "0.6500", "± 0.0707", "failed, the loss became nan"):
        assert text in out


def test_of_nothing_it_says_how_to_begin(tmp_path, capsys):
    assert cli.main(MNIST, "runs", ["--results-dir", str(tmp_path / "none")]) == 0
    assert "mnist_keras.retrain --best" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("listed")
def test_seeds_stand_in_their_order_whatever_the_disk_lists_first(tmp_path):
    for seed in (9, 10):
        run(tmp_path / "runs" / "seeds" / f"seed-{seed}", 100, seed / 100, recipe=None)
    (entry,) = overview.entries(tmp_path)
    assert entry.test == (0.09, 0.1)
