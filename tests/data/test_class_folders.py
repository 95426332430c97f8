"""A folder with a folder of photos for each class."""

import numpy as np
import pytest
from PIL import Image

from shared_keras.data import datasets, own_data
from shared_keras.errors import BadInput
from shared_keras.photos import many_photos, reading
from tests.conftest import FASHION, MNIST

NAMES = {"Äpfel 🍏": 1, "boots": 9, "10": 8, "2": 7}  # with the label of Fashion-MNIST
IN_ORDER = ("10", "2", "boots", "Äpfel 🍏")


def photo(image, path):
    """Write an image as somebody's photo, dark on light."""
    path.parent.mkdir(parents=True, exist_ok=True)
    paper = 255 - np.pad(np.kron(image, np.ones((4, 4), np.uint8)), 20)
    Image.fromarray(paper).save(path)


def write(folder, images, per_class, start=0):
    """Write photos of four classes, PNG and JPEG in turn, in no order; return their paths."""
    paths = []
    for name, label in NAMES.items():
        for number, image in enumerate(images.x[images.y == label][start : start + per_class]):
            suffix = (".png", ".JPG")[number % 2]
            paths.append(folder / name / f"{9 * number % 10}-{number}{suffix}")
            photo(image, paths[-1])
    return paths


def load(task, folder):
    """Return the task, both sets, and what was said."""
    said = []
    own = own_data.task_of(task, str(folder))
    return own, *datasets.load(own, str(folder), said.append), said


def test_images_that_are_not_taken_are_named(full, tmp_path):
    """Other formats, folders within classes, and a third set beside the two."""
    images = full["fashion"][1]
    for name, start in (("train", 0), ("test", 2)):
        write(tmp_path / name, images, 2, start)
    *_, said = load(FASHION, tmp_path)
    assert not any("left out" in line for line in said)
    others = ("val/10/1.png", "train/boots/more/1.jpg", "train/2/1.HEIC", "test/2/1.webp")
    for number, name in enumerate(others):
        photo(images.x[0], path := tmp_path / name.replace("HEIC", "png"))
        path.rename(tmp_path / name)
        *_, said = load(FASHION, tmp_path)
        (warning,) = (line for line in said if "left out" in line)
        assert warning.startswith(f"warning: {number + 1} image file")
    assert f"4 image files are left out, such as {tmp_path}/test/2/1.webp: expected PNG" in warning


@pytest.mark.long(only=True)
@pytest.mark.parametrize("task", [FASHION, MNIST], ids=lambda task: task.name)
def test_two_sets_are_read_as_predict_reads_photos(full, tmp_path, task):
    images, folder = full["fashion"][1], tmp_path / "mine"
    for name, start in (("train", 0), ("test", 4)):
        write(folder / name, images, 4, start)
    (folder / "train" / "boots" / ".hidden.png").write_text("no image")
    (folder / "train" / "boots" / "Thumbs.db").write_text("no image")
    (folder / ".git").mkdir()
    own, train, test, said = load(task, folder)
    assert (own.title, own.classes, own.own) == ("mine", IN_ORDER, True)
    assert not any(recipe.published for recipe in own.recipes.values())
    for part, name in ((train, "train"), (test, "test")):
        files = [path for each in IN_ORDER for path in sorted((folder / name / each).glob("?-*"))]
        expected = [reading.read(path, task.photos).image for path in files]
        np.testing.assert_array_equal(part.x, np.stack(expected))
        assert part.y.tolist() == [label for label in range(4) for _ in range(4)]
        assert (part.x.dtype, part.y.dtype) == (np.uint8, np.int32)
    assert "16 to train on and 16 to test on" in said[0] and "10, 2, boots, Äpfel" in said[0]
    assert datasets.digest(train, test).startswith(said[-1].split()[-1])


def test_a_sixth_of_a_single_set_is_for_testing(full, tmp_path):
    write(tmp_path, full["fashion"][1], 18)
    _, train, test, said = load(FASHION, tmp_path)
    assert np.bincount(test.y).tolist() == [3] * 4 and np.bincount(train.y).tolist() == [15] * 4
    both = {image.tobytes() for image in (*train.x, *test.x)}
    assert len(both) == 72  # each is in one of them
    again = datasets.load(FASHION, str(tmp_path))
    assert datasets.digest(train, test) == datasets.digest(*again)
    assert "60 to train on and 12 to test on, a sixth of each class" in said[0]


def test_photos_without_anything_are_left_out_and_named(full, tmp_path):
    write(tmp_path, full["fashion"][1], 8)
    blank = tmp_path / "boots" / "0-blank.png"
    Image.new("L", (90, 60), 200).save(blank)
    _, train, test, said = load(FASHION, tmp_path)
    assert len(train) + len(test) == 32
    (warning,) = (line for line in said if line.startswith("warning"))
    assert f"1 photo is left out, as on {blank}" in warning


def test_a_class_may_be_called_train(full, tmp_path):
    """Or test: the sets of these names hold folders."""
    write(tmp_path, full["fashion"][1], 6)
    (tmp_path / "boots").rename(tmp_path / "train")
    own, train, test, said = load(FASHION, tmp_path)
    assert own.classes == ("10", "2", "train", "Äpfel 🍏")
    assert (len(train), len(test)) == (20, 4) and "a sixth of each class" in said[0]


@pytest.mark.long(only=True)
def test_many_photos_are_read_on_all_cores_in_the_same_order(full, tmp_path, monkeypatch):
    paths = write(tmp_path, full["fashion"][1], 12)
    paths.insert(3, tmp_path / "absent.png")
    here = many_photos.read(paths, "objects", thumbnails=2)
    monkeypatch.setattr(many_photos, "FEW", 10)
    there = many_photos.read(paths, "objects", thumbnails=2)
    for number, (one, other) in enumerate(zip(here, there, strict=True)):
        if number == 3:
            assert isinstance(one, BadInput) and str(one) == str(other)
            continue
        np.testing.assert_array_equal(one.image, other.image)
        assert (one.thumbnail is None) == (other.thumbnail is None) == (number >= 2)


def test_a_title_but_no_other_names(full, tmp_path):
    write(tmp_path, full["fashion"][1], 6)
    (tmp_path / "classes.txt").write_text("# title: Wardrobe\n", encoding="utf-8")
    assert own_data.task_of(FASHION, str(tmp_path)).title == "Wardrobe"
    (tmp_path / "classes.txt").write_text("\n".join(reversed(IN_ORDER)), encoding="utf-8")
    with pytest.raises(BadInput, match="those of the class folders in their order"):
        own_data.task_of(FASHION, str(tmp_path))


def no_files(folder):
    (folder / "zebra").mkdir()


def broken(folder):
    (folder / "boots" / "odd.png").write_text("no image")


def only_train(folder):
    (folder / "train" / "boots").mkdir(parents=True)


def only_train_has_classes(folder):
    only_train(folder)
    (folder / "test").mkdir()


def other_classes(folder):
    for name in ("train/boots/a.png", "train/bags/a.png", "test/boots/a.png", "test/hats/a.png"):
        photo(np.zeros((28, 28), np.uint8), folder / name)


def a_single_class(folder):
    for name in IN_ORDER[:3]:
        for path in (folder / name).iterdir():
            path.unlink()
        (folder / name).rmdir()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (no_files, "zebra: expected PNG or JPEG files of the class 'zebra', got none"),
        (broken, "odd.png: not an image in one of the formats"),
        (only_train, "test; `--data-dir "),
        (only_train_has_classes, "test; `--data-dir "),
        (other_classes, "hats: expected a class of "),
        (a_single_class, "expected folders of at least two classes, got 'Äpfel 🍏'"),
    ],
)
def test_what_is_wrong_is_named(full, tmp_path, spoil, expected):
    write(tmp_path, full["fashion"][1], 6)
    spoil(tmp_path)
    with pytest.raises(BadInput) as caught:
        load(FASHION, tmp_path)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_too_few_of_a_class_are_a_sentence(full, tmp_path):
    write(tmp_path, full["fashion"][1], 1)
    with pytest.raises(BadInput, match="4 images cannot be split by class"):
        load(FASHION, tmp_path)
