"""Images of a user's own, with five classes, through every command."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shared_keras import files
from shared_keras.command_line import cli
from shared_keras.data import datasets
from tests.conftest import FASHION, MARKUP, write_idx

NAMES = ["Trousers", "Sandals", "Trainers", "Bags [old]", "Boots"]
LABELS = [1, 5, 7, 8, 9]  # of Fashion-MNIST
THEIRS = ("Fashion-MNIST", "Trouser,", "Ankle boot", "T-shirt", "Lab 4")


def some(images, count):
    """Return images of five classes, whose labels become 0 to 4."""
    chosen = np.flatnonzero(np.isin(images.y, LABELS))[:count]
    return datasets.Images(images.x[chosen], np.searchsorted(LABELS, images.y[chosen]))


@pytest.fixture
def figures(monkeypatch):
    """All texts of the figures that commands write, by file."""
    drawn, write = {}, files.write_figure

    def note(path, figure):
        texts = figure.findobj(lambda part: hasattr(part, "get_text"))
        drawn[path.name] = " ".join(text.get_text() for text in texts)
        write(path, figure)

    monkeypatch.setattr(files, "write_figure", note)
    return drawn


@pytest.mark.long(only=True)
def test_own_names_everywhere_and_nothing_published(full, tmp_path, capsys, figures):
    train, test = full["fashion"]
    data, results = tmp_path / "data", tmp_path / "results"
    data.mkdir()
    write_idx(data, some(train, 600), some(test, 300))
    (data / "classes.txt").write_text("\n".join(["# title: Wardrobe", *NAMES]))
    photo = 255 - np.pad(np.kron(test.x[test.y == 9][0], np.ones((6, 6), np.uint8)), 30)
    Image.fromarray(photo).save(tmp_path / "mine.png")

    def user(command, *words, data_dir=("--data-dir", str(data))):
        words = [str(word) for word in (*words, *data_dir, "--results-dir", results)]
        assert cli.main(FASHION, command, words) == 0
        out = capsys.readouterr().out
        assert not MARKUP.search(out), command
        return out

    said = {
        "explore": user("explore"),
        "search": user("search", "--quick", "--max-trials", 1),
        "retrain": user("retrain", "--best", "--epochs", 2),
        "evaluate": user("evaluate"),
        "predict": user("predict", tmp_path / "mine.png"),
        "random": user("predict", "--random", 9),
        "compare": user("compare"),
        "runs": user("runs", data_dir=()),
    }
    (run,) = (path.name for path in (results / "fashion" / "runs").iterdir())
    user("compare", run, run)
    said |= figures
    for name, text in said.items():
        assert "Wardrobe" in text, name
        assert not [word for word in THEIRS if word in text], name
    for name in ("explore", "evaluate", "examples.png", "confusion.png"):
        assert all(label in said[name] for label in NAMES)
    assert said["compare"].count("published") == 2  # "nothing is published ... for others"
    assert {"ladder.png", "seen.png", "history.png", "hardest.png"} <= set(figures)
    assert "grid.png" not in figures
    (table,) = (results / "fashion" / "comparisons").glob("*/ladder.csv")
    assert pd.read_csv(table).published.isna().all()
    # The model answers with its own names even where its images are not at hand.
    out = user("predict", tmp_path / "mine.png", data_dir=())
    assert any(f"{name} " in out.partition("mine.png")[2] for name in NAMES)
    assert "Fashion-MNIST" not in figures["seen.png"] and "Wardrobe" in figures["seen.png"]


@pytest.mark.long(only=True)
def test_class_folders_in_a_command(full, tmp_path, capsys, recwarn):
    """Six photos a class are few, but enough for every split."""
    train, _ = full["fashion"]
    for name, label in (("boots", 9), ("bags 👜", 8)):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number, image in enumerate(train.x[train.y == label][:18]):
            photo = 255 - np.pad(np.kron(image, np.ones((3, 3), np.uint8)), 9)
            Image.fromarray(photo).save(tmp_path / "mine" / name / f"{number}.png")
    places = ["--data-dir", str(tmp_path / "mine"), "--results-dir", str(tmp_path / "results")]

    def user(command, *words):
        assert cli.main(FASHION, command, [*words, *places]) == 0
        out = capsys.readouterr().out
        assert "30 to train on and 6 to test on" in out and "digest of these images: " in out
        assert "in the order of their names (bags 👜, boots)" in out
        return out

    user("explore")
    assert "trained on mine" not in user("retrain", "--recipe", "mlp", "--epochs", "2")
    out = user("evaluate")
    assert "trained on mine" in out and "note: the model was trained on" not in out
    assert "bags 👜" in user("predict", str(tmp_path / "mine" / "boots"))
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
