"""A user's own images: how many classes, and what they are called."""

import numpy as np
import pytest

from shared_keras.data import datasets, own_data
from shared_keras.errors import BadInput
from shared_keras.models.build import keras_model
from tests.conftest import as_embedded, write_idx


@pytest.fixture
def five(tmp_path):
    """A folder of images with the labels 0...4."""
    x, y = np.zeros((10, 28, 28), np.uint8), np.arange(10) % 5
    write_idx(tmp_path, datasets.Images(x, y), datasets.Images(x, y))
    return tmp_path


def test_without_a_folder_nothing_changes(task):
    assert own_data.task_of(task, None) is task


def test_classes_are_counted_and_named_by_their_numbers(task, five):
    own = own_data.task_of(task, str(five))
    assert own.classes == ("0", "1", "2", "3", "4")
    assert own.title == five.name and own.own and own.name == task.name
    assert not any(r.published or r.classes or r.note for r in own.recipes.values())
    assert any(r.published for r in task.recipes.values())


def test_a_file_names_classes_and_title(task, five):
    (five / "classes.txt").write_bytes(
        "\ufeff# Title: Schränke\r\na b\r\nc\r\nd\r\ne\r\nf\r\ng\r\n\r\n".encode()
    )
    own = own_data.task_of(task, str(five))
    assert own.title == "Schränke" and own.classes == ("a b", "c", "d", "e", "f", "g")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\nc\nd\n", "a line for each of the labels 0...4, got 4 names"),
        ("a\nb\na\nd\ne\n", "a different class name on each line, got 'a'"),
        ("a\n\nc\nd\ne\n", "a different class name on each line, got ''"),
        ("a\nb\x1b[2J\nc\nd\ne\n", "expected names that can be printed, got 'b\\x1b[2J'"),
        ("a\nb\u202e\nc\nd\ne\n", "expected names that can be printed, got 'b\\u202e'"),
        ("a\n\u200d\nc\nd\ne\n", "expected names that can be printed, got '\\u200d'"),
        (b"\xff\xfe\x00", "expected class names in UTF-8"),
    ],
)
def test_a_wrong_file_is_named(task, five, text, expected):
    raw = text if isinstance(text, bytes) else text.encode()
    (five / "classes.txt").write_bytes(raw)
    with pytest.raises(BadInput, match="classes.txt: ") as caught:
        own_data.task_of(task, str(five))
    assert expected in str(caught.value)


def test_names_of_every_script(task, five):
    """With a no-break space, joiners of Persian, of emoji, and the tags of a flag."""
    names = (
        "T-shirt\u00a0top",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f469\u200d\U0001f680",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "\u05d0\u200f\u202fb",
    )
    (five / "classes.txt").write_text("\n".join(names), encoding="utf-8")
    assert own_data.task_of(task, str(five)).classes == names


def test_the_tasks_own_images_in_a_folder_stay_the_tasks(task, five):
    task = as_embedded(task, five)
    assert own_data.task_of(task, str(five)) is task
    (five / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    named = own_data.task_of(task, str(five))
    assert named.classes == tuple("abcde") and not named.own
    assert named.recipes == task.recipes  # what was published is of these images


def test_every_system_has_an_output_for_each_class(task, five):
    own = own_data.task_of(task, str(five))
    for recipe in own.recipes.values():
        assert keras_model(own.system(recipe.system)).output_shape == (None, 5)
