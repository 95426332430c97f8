"""A user's own photos: what `predict` makes of them and says about them."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from mnist_keras.task import TASK as MNIST
from shared_keras import files
from shared_keras.command_line import cli
from shared_keras.commands import predict
from shared_keras.commands.predict import Item
from shared_keras.photos import reading
from shared_keras.results import saved_models
from shared_keras.results.scores import predict_probabilities
from tests import handwriting
from tests.conftest import TASKS
from tests.shares import dealt

EITHER = pytest.mark.parametrize(
    "task", dealt(TASKS, TASKS[:1]), indirect=True, ids=lambda t: t.name
)


def accuracy(images, labels):
    """Score the committed model of MNIST; what is empty counts as wrong."""
    model = saved_models.load(MNIST, saved_models.committed(MNIST))
    empty = np.array([image is None for image in images])
    x = np.stack([np.zeros((28, 28), np.uint8) if i is None else i for i in images])
    return ((predict_probabilities(model, x).argmax(axis=1) == labels) & ~empty).mean()


@pytest.mark.long(only=True)
@pytest.mark.parametrize("count", dealt([75, 1797], [75]))
def test_handwriting_from_elsewhere_is_read(tmp_path, count):
    files = handwriting.write(tmp_path, count)
    images = [reading.read(path, MNIST.photos).image for path, _ in files]
    assert accuracy(images, np.array([label for _, label in files])) >= 0.85


@pytest.mark.long(only=True)
@pytest.mark.parametrize("count", dealt([75, 2000], [75]))
def test_test_images_on_larger_paper_lose_little(full, tmp_path, count):
    x, y = full["mnist"][1].x[:count], full["mnist"][1].y[:count]
    rng = np.random.default_rng(0)
    images = []
    for image in x:
        paper = np.zeros(rng.integers(32, 160, 2), np.uint8)
        top, left = rng.integers(0, np.array(paper.shape) - 27)
        paper[top : top + 28, left : left + 28] = image
        Image.fromarray(paper if rng.integers(2) else 255 - paper).save(tmp_path / "a.png")
        images.append(reading.read(tmp_path / "a.png", "handwriting").image)
    lost = accuracy(list(x), y) - accuracy(images, y)
    assert lost <= max(0.003, 1.01 / count)


@pytest.mark.long(only=True)
def test_what_shows_nothing_or_is_unlike_gets_a_warning(task, tmp_path, capsys, monkeypatch):
    titles, write = [], files.write_figure
    monkeypatch.setattr(
        files,
        "write_figure",
        lambda path, figure: [titles.append(figure.get_suptitle()), write(path, figure)],
    )
    y, x = np.mgrid[:140, :140]
    Image.fromarray(np.full((60, 80), 230, np.uint8)).save(tmp_path / "blank.png")
    rings = np.uint8(235 * (np.hypot(y - 70, x - 70) // 12 % 2))
    Image.fromarray(rings).save(tmp_path / "rings.webp")
    noise = np.random.default_rng(0).integers(0, 256, (90, 90), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    names = ("blank.png", "noise.png", "rings.webp")
    paths = [str(tmp_path / name) for name in names]
    cli.main(task, "predict", [*paths, "--results-dir", str(tmp_path / "results")])
    out = capsys.readouterr().out
    why = "it shows no strokes (" if task is MNIST else "nothing stands out"
    assert f"warning: blank.png is not classified: {why}" in out and "\nblank.png" not in out
    assert "warning: noise.png is" in out
    assert task is not MNIST or f"noise.png is not classified: {why}" in out
    assert "warning: rings.webp is unlike the training images" in out
    assert Image.open(next((tmp_path / "results").glob("*/predictions/*/seen.png")))
    assert "(red: unlike the training images, or nothing found)" in " ".join(titles).replace(
        "\n", " "
    )


@pytest.mark.long(only=True)
def test_a_folder_is_read_with_all_below_it(full, tmp_path, capsys):
    x, y = full["mnist"][1].x, full["mnist"][1].y
    for number, name in enumerate(["a.png", "b/a.png", "b/c.JPG", "b/d/e.webp", ".no/a.png"]):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.kron(x[number], np.ones((8, 8), np.uint8))).save(path)
    Image.new("L", (50, 50)).save(tmp_path / "photos" / "blank.png")
    (tmp_path / "photos" / "b" / "notes.txt").write_text("no image")
    (tmp_path / "photos" / "b" / "phone.HEIC").write_text("an image that Pillow cannot read")
    words = ["--results-dir", str(tmp_path / "results")]
    assert cli.main(MNIST, "predict", [str(tmp_path / "photos"), *words]) == 0
    out, err = capsys.readouterr()
    phone = tmp_path / "photos" / "b" / "phone.HEIC"
    assert f"warning: 1 image file is left out, such as {phone}: expected names that end" in err
    (file,) = tmp_path.glob("results/mnist/predictions/*/predictions.csv")
    assert f"wrote {file}" in out
    table = pd.read_csv(file)
    read = [image.removeprefix(f"{tmp_path / 'photos'}{os.sep}") for image in table["image"]]
    assert read == ["a.png", "b/a.png", "b/c.JPG", "b/d/e.webp", "blank.png"]
    right = table[:4]
    assert right["class"].tolist() == y[:4].tolist()
    each = right[[f"p({digit})" for digit in range(10)]].to_numpy()
    np.testing.assert_allclose(each.sum(axis=1), 1)
    np.testing.assert_allclose(each.max(axis=1), right.probability)
    (blank,) = table[4:].to_dict("records")
    assert np.isnan(blank["class"]) and blank["warning"].startswith("not classified: it shows no")
    assert f"{tmp_path / 'photos' / 'b' / 'a.png'}: " in out and "\nc.JPG: " in out


@pytest.mark.long(only=True)
def test_test_images_are_written_with_their_classes(full, tmp_path, capsys):
    words = ["--results-dir", str(tmp_path), "--random", "5"]
    assert cli.main(MNIST, "predict", words) == 0
    table = pd.read_csv(next(tmp_path.glob("mnist/predictions/*/predictions.csv")))
    numbers = [int(name.split()[-1]) for name in table["image"]]
    assert table["true"].tolist() == full["mnist"][1].y[numbers].tolist()


def test_folders_that_cannot_be_read(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    words = ["--results-dir", str(tmp_path / "results")]
    assert cli.main(MNIST, "predict", [str(tmp_path / "empty"), *words]) == 2
    assert "empty has none whose name ends in .png" in capsys.readouterr().err
    (tmp_path / "empty" / "odd.png").write_text("no image")
    Image.new("L", (50, 50)).save(tmp_path / "empty" / "blank.png")
    assert cli.main(MNIST, "predict", [str(tmp_path / "empty"), *words]) == 1
    err = capsys.readouterr().err
    assert "odd.png: not an image" in err and "1 of 2 files could not be read" in err


def test_the_pictures_of_a_large_folder_are_bounded(full, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(predict, "PAGES", 2)
    monkeypatch.setattr(predict, "PER_PICTURE", 3)
    for number in range(8):
        Image.fromarray(full["mnist"][1].x[number]).save(tmp_path / f"{number}.png")
    words = [str(tmp_path), "--results-dir", str(tmp_path / "results")]
    assert cli.main(MNIST, "predict", words) == 0
    assert "the pictures show the first 6 of 8 images" in capsys.readouterr().out
    (folder,) = tmp_path.glob("results/mnist/predictions/*")
    assert len(pd.read_csv(folder / "predictions.csv")) == 8
    assert sorted(path.name for path in folder.glob("*.png")) == ["seen-2.png", "seen.png"]


def predicted(task, folder, images):
    """Write images as files, classify them, and return the table."""
    (folder / "files").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / "files" / f"{number:03}.png")
    words = [str(folder / "files"), "--results-dir", str(folder / "results")]
    assert cli.main(task, "predict", words) == 0
    return pd.read_csv(next((folder / "results").glob("*/predictions/*/predictions.csv")))


@pytest.mark.long(only=True)
def test_digits_of_others_in_28x28_pixels(tmp_path):
    """They are as large as the image, off centre, and thin; MNIST's are none of that."""
    digits = load_digits()
    images = []
    for levels in digits.images[:60]:
        small = Image.fromarray((levels / 16 * 255).astype(np.uint8))
        image = np.asarray(small.resize((28, 28), Image.Resampling.BICUBIC))
        images.append(255 - image if len(images) % 2 else image)
    table = predicted(MNIST, tmp_path, images)
    assert table.warning.notna().mean() <= 0.1
    assert (table["class"] == digits.target[:60]).mean() >= 0.9
    assert table.note.str.contains("moved and sized as the training images are").mean() > 0.9


@pytest.mark.long
def test_what_stands_elsewhere_in_28x28_pixels(task, full, tmp_path):
    """Smaller, and in a corner."""
    images = full[task.name][1]
    small = [Image.fromarray(x).resize((20, 20), Image.Resampling.BOX) for x in images.x[:60]]
    corner = [np.pad(np.asarray(each), ((1, 7), (0, 8))) for each in small]
    table = predicted(task, tmp_path, corner)
    assert table.warning.notna().mean() <= 0.1
    truth = [task.classes[label] for label in images.y[:60]]
    assert (table["class"].astype(str) == truth).mean() >= 0.65


@pytest.mark.long(only=True)
@EITHER
def test_the_datasets_own_images_are_not_moved(task, full, tmp_path):
    table = predicted(task, tmp_path, full[task.name][1].x[:60])
    assert table.note.isna().mean() >= 0.95


def test_a_filled_shape_is_no_digit(full, tmp_path, capsys):
    """The model is sure of it: a T-shirt becomes an 8."""
    shirt = next(x for x, y in zip(full["fashion"][1].x, full["fashion"][1].y) if y == 0)
    paper = np.pad(255 - np.kron(shirt, np.ones((8, 8), np.uint8)), 40, constant_values=255)
    Image.fromarray(paper).save(tmp_path / "shirt.png")
    for name, margin in (("square.png", 70), ("wide.png", 30)):
        square = np.pad(np.zeros((200 - 2 * margin,) * 2, np.uint8), margin, constant_values=255)
        Image.fromarray(square).save(tmp_path / name)
    names = ("shirt.png", "square.png", "wide.png")
    files = [str(tmp_path / name) for name in names]
    cli.main(MNIST, "predict", [*files, "--results-dir", str(tmp_path / "results")])
    out = capsys.readouterr().out
    assert all(f"warning: {name} is unlike" in out for name in names[:2])
    assert "warning: wide.png is not classified: it shows no strokes (" in out


def test_wrong_answers_to_test_images_are_red():
    truth = Item("test image 3", "test image 3", np.zeros((28, 28), np.uint8), truth="Ankle boot")
    assert not predict.is_red(truth, ["Ankle boot 99.0%", "Bag 1.0%"])
    assert predict.is_red(truth, ["Ankle boot of mine 99.0%"])
    assert not predict.is_red(Item("a.png", "a.png", truth.image), ["Bag 60.0%"])
    assert predict.is_red(Item("a.png", "a.png", truth.image, warning="odd"), ["Bag 60.0%"])
