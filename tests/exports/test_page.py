"""The page that draws: the same pixels as `predict` sees, the same answers as Keras gives."""

import base64
import dataclasses
import io
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from fashion_keras.task import TASK as FASHION
from mnist_keras.task import TASK as MNIST
from shared_keras import training
from shared_keras.command_line import cli
from shared_keras.exports import page, plain
from shared_keras.exports.session import Taken
from shared_keras.models.build import keras_model
from shared_keras.models.portable import portable
from shared_keras.photos import handwriting, reading
from shared_keras.results import saved_models
from shared_keras.results.scores import predict_probabilities
from shared_keras.results.winner import Winner
from shared_keras.systems.recipe import Replay
from shared_keras.systems.spec import (
    ACTIVATIONS,
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Flip,
    MaxPool,
    Optimizer,
    System,
)
from tests import handwriting as drawings
from tests.browser import opened
from tests.shares import dealt
from tests.strokes import STROKES, drawn

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(full, tmp_path_factory):
    """The pages of the committed models, and these models."""
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for task in (MNIST, FASHION):
        model = saved_models.load(task, saved_models.committed(task))
        found[task.name] = written(task, model, full[task.name][1], folder / f"{task.name}.html")
    return found


def written(task, model, test, path, seen=500):
    """Write the page of a model that answers with logits; its score is that of a few images."""
    copy = plain.inference(model, probabilities=False)
    few = type(test)(test.x[:seen], test.y[:seen])
    page.write(task, [Taken(copy, predict_probabilities(model, few.x), "ours")], few, path)
    return path, model, copy


def answers(tab, x):
    """Return what the page's network answers."""
    given = [
        tab.evaluate(
            "(text) => { const all = bytesOf(text), rows = [];"
            "for (let i = 0; i < all.length; i += 784)"
            "rows.push([...networks[0].answer(all.slice(i, i + 784))]); return rows; }",
            base64.b64encode(x[i : i + 500].tobytes()).decode(),
        )
        for i in range(0, len(x), 500)
    ]
    return np.concatenate(given)


def compare(chromium, path, model, copy, x):
    """Hold what a page answers to Keras: with the page's weights, and with the model's own."""
    with opened(chromium, path) as tab:
        given = answers(tab, x)
    ours = predict_probabilities(page.rounded(copy), x)
    assert np.abs(given - ours).max() < 1e-3
    differ = given.argmax(axis=1) != ours.argmax(axis=1)
    best = np.sort(ours[differ])[:, -2:]
    assert (best[:, 1] - best[:, 0] < 2e-3).all()  # ties
    assert (given.argmax(axis=1) != predict_probabilities(model, x).argmax(axis=1)).sum() <= 5


@pytest.mark.long(only=True)
@pytest.mark.parametrize(
    "count", [pytest.param(10_000, marks=pytest.mark.long), 500], ids=["all", "some"]
)
@pytest.mark.parametrize("of", [MNIST, FASHION], ids=lambda t: t.name)
def test_the_javascript_answers_as_keras_does(chromium, made, full, of, count):
    path, model, copy = made[of.name]
    compare(chromium, path, model, copy, full[of.name][1].x[:count])
    assert path.stat().st_size <= 1.5e6


@pytest.mark.long(only=True)
def test_every_activation_is_keras_s(chromium, full, tmp_path):
    test = full["mnist"][1]
    layers = [Flatten()]
    for name in ACTIVATIONS:
        layers += [Dense(12, init="he"), Activation(name)]
    keras.utils.set_random_seed(0)
    model = keras_model(System((*layers, Dense(10)), Optimizer("sgd", 0.1)))
    path, _, copy = written(MNIST, portable(model), test, tmp_path / "page.html", seen=20)
    with opened(chromium, path) as tab:
        given = answers(tab, test.x[:100])
    want = predict_probabilities(page.rounded(copy), test.x[:100])
    assert np.ptp(want, axis=0).max() > 1e-4
    assert np.abs(given - want).max() < 1e-5


def test_means_over_mirror_images_are_keras_s(chromium, full, tmp_path):
    test = full["fashion"][1]
    keras.utils.set_random_seed(0)
    layers = (Flip(), Conv(4, padded=False), BatchNorm(), MaxPool(), Flatten(), Dense(10))
    model = keras_model(System(layers, Optimizer("sgd", 0.1), mirrored=True))
    path, _, copy = written(FASHION, model, test, tmp_path / "page.html", seen=20)
    few = test.x[:30]
    with opened(chromium, path) as tab:
        given, turned = answers(tab, few), answers(tab, np.ascontiguousarray(few[:, :, ::-1]))
    assert np.abs(given - predict_probabilities(page.rounded(copy), few)).max() < 1e-5
    assert np.abs(given - turned).max() < 1e-5
    assert np.ptp(given, axis=0).max() > 1e-2


VERDICT = "document.querySelector('#verdict').innerText"


def seen(tab):
    """Return the pixels that the page gives its model, (28, 28)."""
    return np.array(tab.evaluate("() => [...pixels]"), np.uint8).reshape(28, 28)


@pytest.mark.parametrize(
    ("touch", "digits"),
    [
        pytest.param(False, [3], id="one with the mouse"),
        pytest.param(False, STROKES, id="with the mouse", marks=pytest.mark.long(only=True)),
        pytest.param(True, STROKES, id="by touch", marks=pytest.mark.long(only=True)),
    ],
)
def test_a_drawing_is_the_digit_and_what_predict_sees(chromium, made, touch, digits):
    size = {"width": 400, "height": 800} if touch else {"width": 1280, "height": 800}
    with opened(chromium, made["mnist"][0], has_touch=touch, viewport=size) as tab:
        assert tab.locator("#take").is_visible() == touch  # what can be touched has a camera
        for digit in digits:
            drawn(tab, STROKES[digit], touch)
            tab.wait_for_function(f"() => {VERDICT}.startsWith('{digit},')")
            shown = tab.evaluate(
                "() => { const c = document.createElement('canvas'); c.width = c.height = 256;"
                "const g = c.getContext('2d'); g.fillStyle = 'white'; g.fillRect(0, 0, 256, 256);"
                "g.drawImage(paper.canvas, 0, 0); return c.toDataURL(); }"
            )
            photo = Image.open(io.BytesIO(base64.b64decode(shown.partition(",")[2])))
            image, dark = handwriting.prepare(np.asarray(photo.convert("RGB")))
            assert dark
            assert np.abs(image.astype(int) - seen(tab)).max() <= 1
            tab.locator("#clear").click()
        tab.wait_for_function(f"() => {VERDICT} === 'Draw something'")


@pytest.mark.long(only=True)
def test_strokes_are_undone_and_test_images_shown(chromium, made):
    with opened(chromium, made["mnist"][0]) as tab:
        drawn(tab, STROKES[4])
        with_both = seen(tab)
        tab.wait_for_function("() => mattering && mattering.some((value) => value > 0.01)")
        tab.locator("#undo").click()
        tab.wait_for_function("() => !waiting")
        assert (seen(tab) != with_both).any()
        tab.locator("#another").click()
        truth = tab.locator("#truth").inner_text()
        assert truth == f"A test image; its true class is {tab.evaluate('() => data.labels[0]')}."
        tab.wait_for_timeout(100)
        assert tab.locator("#truth").inner_text() == truth  # what was drawn does not come back
        assert tab.locator("#bars .row").count() == 10


def photos(folder, x):
    """Write photos of objects: of many sizes, grounds and shadows, and one of 28x28 pixels."""
    rng = np.random.default_rng(0)
    sizes = [(28, 28), (90, 60), (200, 260), (700, 500)]
    for number, (image, size) in enumerate(zip(x, sizes)):
        path = folder / f"{number}.png"
        if number == 0:
            Image.fromarray(255 - image).save(path)
            yield path
            continue
        height, width = size
        side = int(0.7 * min(size))
        mask = np.asarray(Image.fromarray(image).resize((side, side))) / 255.0
        slope = np.linspace(0, 25, width)[None, :, None] * rng.uniform(0.5, 1, 3)
        photo = np.broadcast_to(230 - slope, (height, width, 3)).copy()
        top, left = (height - side) // 3, (width - side) // 2
        part = photo[top : top + side, left : left + side]
        part[:] = part * (1 - mask[..., None]) + mask[..., None] * rng.uniform(20, 120, 3)
        photo += rng.normal(0, 1.5, photo.shape)
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(path)
        yield path


@pytest.mark.long(only=True)
def test_a_photo_is_what_predict_sees(chromium, made, full, tmp_path):
    x = full["fashion"][1].x[:4]
    with opened(chromium, made["fashion"][0]) as tab:
        for path in photos(tmp_path, x):
            tab.locator("#file").set_input_files(path)
            tab.wait_for_function("() => pixels !== null")
            image = reading.read(path, "objects").image
            assert np.abs(image.astype(int) - seen(tab)).max() <= 1, path.name
            tab.locator("#clear").click()
        Image.fromarray(np.full((50, 50, 3), 200, np.uint8)).save(tmp_path / "blank.png")
        tab.locator("#file").set_input_files(tmp_path / "blank.png")
        tab.get_by_text("Nothing stands out from its ground").wait_for()
        (tmp_path / "broken.png").write_bytes(b"no image")
        tab.locator("#file").set_input_files(tmp_path / "broken.png")
        tab.get_by_text("not an image that the browser can read").wait_for()


def prepared(tab, path):
    """Return what the page makes of a photo, (28, 28), or None where it finds nothing."""
    given = tab.evaluate(
        "async (text) => { await photo.read(new Blob([bytesOf(text)]));"
        "return photo.pixels && [...photo.pixels]; }",
        base64.b64encode(path.read_bytes()).decode(),
    )
    return given and np.array(given).reshape(28, 28)


@pytest.mark.long(only=True)
@pytest.mark.parametrize(
    "count", [pytest.param(100, marks=pytest.mark.long), 12], ids=["many", "some"]
)
def test_a_photo_of_handwriting_is_what_predict_sees(chromium, made, tmp_path, count):
    """Of any colours, light and noise.

    Pillow averages tall, narrow photos in another order, and rounds between. That moves a level by
    one, and once in hundreds of photos a pixel across a threshold.
    """
    files = [path for path, _ in drawings.write(tmp_path, count)]
    differ = []
    with opened(chromium, made["mnist"][0]) as tab:
        for path in files:
            ours, theirs = reading.read(path, "handwriting").image, prepared(tab, path)
            assert (ours is None) == (theirs is None), path.name
            if ours is not None:
                differ.append(np.abs(ours - theirs).max())
    assert sum(most <= 1 for most in differ) >= 0.98 * len(differ) > 0.9 * count
    assert count > 12 or max(differ) <= 1


@pytest.mark.long(only=True)
def test_a_photo_takes_the_place_of_the_paper(chromium, made, tmp_path):
    """Until it is cleared; a page without writing is no digit."""
    ((path, digit),) = drawings.write(tmp_path, 1)
    with opened(chromium, made["mnist"][0]) as tab:
        drawn(tab, STROKES[1])
        tab.locator("#file").set_input_files(path)
        tab.wait_for_function(f"() => {VERDICT}.startsWith('{digit},')")
        assert tab.locator("#photo").is_visible() and not tab.locator("#paper").is_visible()
        assert not tab.locator("#undo").is_visible()
        Image.fromarray(np.full((60, 40, 3), 200, np.uint8)).save(tmp_path / "blank.png")
        tab.locator("#file").set_input_files(tmp_path / "blank.png")
        tab.get_by_text("No strokes were found on this photo").wait_for()
        tab.locator("#clear").click()
        tab.get_by_text("Draw something").wait_for()
        assert tab.locator("#paper").is_visible() and not tab.locator("#photo").is_visible()
        drawn(tab, STROKES[7])
        tab.wait_for_function(f"() => {VERDICT}.startsWith('7,')")


@pytest.mark.long(only=True)
def test_two_models_stand_side_by_side(chromium, full, tmp_path):
    test = full["mnist"][1]
    few = type(test)(test.x[:100], test.y[:100])
    taken = []
    for seed, name in enumerate(("ours", "theirs")):
        keras.utils.set_random_seed(seed)
        system = System((Flatten(), Dense(10)), Optimizer("sgd", 0.1))
        copy = plain.inference(keras_model(system), probabilities=False)
        taken.append(Taken(copy, predict_probabilities(copy, few.x), name))
    page.write(MNIST, taken, few, tmp_path / "page.html")
    with opened(chromium, tmp_path / "page.html") as tab:
        for _ in range(5):
            tab.locator("#another").click()
            named = tab.evaluate(
                "() => networks.map((n) => { const a = n.answer(pixels);"
                "return a.indexOf(Math.max(...a)); })"
            )
            verdict = tab.locator("#verdict").inner_text()
            assert verdict.startswith("They disagree: ours says") == (named[0] != named[1])
        assert tab.locator(".row").first.locator(".bar").count() == 2


@pytest.mark.long(only=True)
def test_a_page_of_own_classes_asks_for_these(chromium, full, tmp_path):
    task = dataclasses.replace(FASHION, title="Fruit", classes=("apple", "pear", "plum"), own=True)
    test = full["fashion"][1]
    few = type(test)(test.x[:20], test.y[:20] % 3)
    model = portable(keras_model(System((Flatten(), Dense(3)), Optimizer("sgd", 0.1))))
    path, *_ = written(task, model, few, tmp_path / "page.html")
    with opened(chromium, path) as tab:
        assert "apple, pear or plum" in tab.locator("#invitation").inner_text()
        assert "cloth" not in tab.locator("body").inner_text().lower()
        tab.locator("#another").click()
        truth = f"its true class is {task.classes[tab.evaluate('() => data.labels[0]')]}"
        assert truth in tab.locator("#truth").inner_text()


@pytest.mark.parametrize("of", [MNIST, FASHION], ids=lambda t: t.name)
def test_the_pages_in_docs_are_as_now_written(of):
    text = (ROOT / "docs" / "pages" / f"{of.name}.html").read_text()
    for name in ("page.css", *(f"{script}.js" for script in page.SCRIPTS)):
        assert (page.HERE / name).read_text() in text, "CONTRIBUTING.md says how to write them"


def winner(task):
    """Return the system that the committed search found."""
    best = Winner.read(saved_models.committed(task).parents[3])
    return task.system(Replay(best.space, best.hyperparameters))


SIZES = {
    "MNIST's winner": (MNIST, winner, 1.0),
    "Lab 4's CNN": (FASHION, lambda task: task.system(task.recipes["lab4-cnn"].system), 1.0),
    "Fashion's winner": (FASHION, winner, 2.0),  # 645,552 weights of 2 bytes are 1.7 MB as text
}


@pytest.mark.long(only=True)
@pytest.mark.parametrize("of", dealt(SIZES, always=["MNIST's winner"]))
def test_pages_of_smaller_networks_are_small_and_answer_as_keras_does(chromium, full, tmp_path, of):
    """Trained for an epoch of some images; a size does not depend on what was learned."""
    task, system, most = SIZES[of]
    train, test = full[task.name]
    keras.utils.set_random_seed(3)
    trained = keras_model(system(task))
    training.fit(trained, train.x[:6000], train.y[:6000], batch_size=64, epochs=1)
    model = portable(trained)
    path, _, copy = written(task, model, test, tmp_path / "page.html")
    assert path.stat().st_size <= most * 1e6
    compare(chromium, path, model, copy, test.x)


def test_the_command_writes_a_page(tmp_path, capsys, small_dirs):
    options = ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(tmp_path)]
    assert cli.main(MNIST, "export", ["--to", "page", "--beside", "reference", *options]) == 0
    (path,) = tmp_path.glob("mnist/exports/*/page.html")
    said = " ".join(capsys.readouterr().out.split())
    assert "largest difference" in said and "Open the page in any browser and draw on it" in said
    assert path.stat().st_size < 1e6
