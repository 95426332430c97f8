"""The embedded data are as published, and the splits as documented."""

import dataclasses

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from shared_keras.data import datasets, splits
from shared_keras.data.datasets import Images
from shared_keras.errors import BadInput
from tests.conftest import TASKS, write_idx
from tests.shares import dealt
from tools.make_holdout import holdout


def test_embedded_data(task, full):
    train, test = full[task.name]
    assert (train.x.shape, test.x.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert (train.x.dtype, train.y.dtype) == (np.uint8, np.int32)
    # Fashion-Keras: 6,000 of each class; MNIST-Keras: 11.24 % ones, 9.04 % fives
    expected = {"fashion": [6000] * 10, "mnist": [5923, 6742, 5958, 6131, 5842, 5421]}
    counts = np.bincount(train.y)
    np.testing.assert_array_equal(counts[: len(expected[task.name])], expected[task.name])


def test_a_wrong_digest_names_the_file(task):
    digests = dict(task.digests) | {"t10k-labels-idx1-ubyte": "0" * 64}
    with pytest.raises(BadInput, match="t10k-labels-idx1-ubyte.gz: holds something else"):
        datasets.load(dataclasses.replace(task, digests=digests))


@pytest.mark.parametrize("protocol", splits.SPLITS)
def test_splits_are_disjoint_and_complete(task, full, protocol):
    """Number the images and split the numbers: each occurs exactly once."""
    train, test = full[task.name]
    numbered = [
        Images(np.arange(offset, offset + len(images)), images.y)
        for offset, images in ((0, train), (len(train), test))
    ]
    split = splits.split(task, *numbered, protocol)
    if protocol == "test":  # validation and test images are the same
        np.testing.assert_array_equal(split.validation.x, split.test.x)
        parts = [split.train.x, split.test.x]
    else:
        parts = [split.train.x, split.validation.x, split.test.x]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(70000))
    from_test = split.validation.x >= len(train)
    assert not from_test.any() if protocol == "holdout" else from_test.all()
    assert (np.sort(split.test.x) >= len(train)).all()
    expected = {"holdout": 10_000, "half": 5_000, "test": 10_000}
    assert len(split.test) == expected.get(protocol, len(test) * task.published_test_fraction)
    tested = splits.tested(task, numbered[1], protocol)
    np.testing.assert_array_equal(split.test.x, len(train) + tested)


@pytest.mark.parametrize("protocol", splits.SPLITS)
def test_splits_are_stratified(task, full, protocol):
    split = splits.split(task, *full[task.name], protocol)
    source = full[task.name][0 if protocol == "holdout" else 1]
    share = len(split.validation) / len(source)
    counts = np.bincount(split.validation.y)
    np.testing.assert_allclose(counts, np.bincount(source.y) * share, atol=1)


def test_sizes(task, full):
    split = splits.split(task, *full[task.name], "holdout")
    assert [len(p) for p in (split.train, split.validation, split.test)] == [48000, 12000, 10000]
    split = splits.split(task, *full[task.name], "published")
    expected = {"fashion": [60000, 6000, 4000], "mnist": [60000, 5000, 5000]}
    assert [len(p) for p in (split.train, split.validation, split.test)] == expected[task.name]


@pytest.mark.parametrize("embedded", dealt([True, False], [True]))
def test_holdout_is_scikit_learns(task, full, embedded):
    """The embedded images' split comes from a file, that of others from scikit-learn."""
    train, test = full[task.name]
    labels = train.y if embedded else train.y[::-1]
    rest, validation = holdout(labels)
    split = splits.split(task, Images(train.x, labels), test, "holdout")
    for images, indices in ((split.train, rest), (split.validation, validation)):
        np.testing.assert_array_equal(images.x, train.x[indices])
        np.testing.assert_array_equal(images.y, labels[indices])


def test_published_split_is_the_originals(task, full):
    """Fashion-Keras unpacks validation first, MNIST-Keras test first."""
    _, test = full[task.name]
    size = {"fashion": 0.4, "mnist": 0.5}[task.name]
    first, second = train_test_split(test.x, test_size=size, random_state=42, stratify=test.y)
    split = splits.split(task, *full[task.name], "published")
    validation, kept = (second, first) if task.name == "mnist" else (first, second)
    np.testing.assert_array_equal(split.validation.x, validation)
    np.testing.assert_array_equal(split.test.x, kept)


@pytest.mark.parametrize("compress", [False, True])
def test_own_data(task, full, tmp_path, compress):
    train, test = full[task.name]
    write_idx(
        tmp_path, Images(train.x[:50], train.y[:50]), Images(test.x[:20], test.y[:20]), compress
    )
    loaded, _ = datasets.load(task, str(tmp_path))
    np.testing.assert_array_equal(loaded.x, train.x[:50])
    np.testing.assert_array_equal(loaded.y, train.y[:50])


def images(n=30, side=28, labels=None):
    x = np.zeros((n, side, side), np.uint8)
    return Images(x, np.arange(n) % 10 if labels is None else labels)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (images(side=32), "train-images-idx3-ubyte: images of 32x32 pixels, expected 28x28"),
        (images(labels=np.zeros(29)), "train-labels-idx1-ubyte: 29 labels, expected 30"),
        (images(labels=np.full(30, 26)), "holds the label 26, expected 0...9 for 10 classes"),
        (images(n=0), "train-images-idx3-ubyte: holds no images"),
    ],
)
def test_inconsistent_own_data(task, tmp_path, train, message):
    write_idx(tmp_path, train, images())
    with pytest.raises(BadInput, match=message):
        datasets.load(task, str(tmp_path))


def test_too_few_of_a_class(task, tmp_path):
    labels = np.array([0] * 29 + [1])
    with pytest.raises(BadInput, match="cannot be split by class"):
        splits.split(task, images(labels=labels), images(), "holdout")


def test_digest_tells_data_apart(task, full):
    train, test = full[task.name]
    changed = train.y.copy()
    changed[7] = (changed[7] + 1) % 10
    assert datasets.digest(train, test) == datasets.digest(train, test)
    assert datasets.digest(train, test) != datasets.digest(Images(train.x, changed), test)


@pytest.mark.parametrize("name", ["{}", "{}.gz"])
@pytest.mark.parametrize("dash", ["-", "."])
def test_files_are_found_plain_or_gzipped_dashed_or_dotted(tmp_path, name, dash):
    path = tmp_path / name.format(f"train-labels{dash}idx1-ubyte")
    path.touch()
    assert datasets.find(tmp_path, "train-labels-idx1-ubyte") == path


def test_a_missing_file_is_named_with_all_four_and_their_spellings(tmp_path):
    with pytest.raises(BadInput) as caught:
        datasets.folder(TASKS[0], str(tmp_path))
    assert str(caught.value).startswith("argument --data-dir: expected four files in")
    for name in (name for pair in datasets.FILES for name in pair):
        assert name in str(caught.value)
    assert "train-images.idx3-ubyte" in str(caught.value) and ".gz" in str(caught.value)
