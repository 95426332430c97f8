"""The files that others read: each is read as it was written, and refused if it is not known."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_keras.errors import BadInput
from shared_keras.results import folders, history_csv, names
from shared_keras.results.environment import Environment
from shared_keras.results.metrics import RunMetrics, Scores
from shared_keras.results.settings import RunSettings, SearchSettings
from shared_keras.results.winner import Confirmed, Winner
from tests.conftest import TASKS
from tests.results import made

FEW = settings(max_examples=25, deadline=None)  # each is synced to the disk
FORMATS = (SearchSettings, RunSettings, RunMetrics, Winner, Environment)
ROOT = Path(__file__).parents[2]
REAL = st.floats(allow_nan=False)
PLAIN = st.none() | st.booleans() | st.integers() | REAL | st.text()
OBJECT = st.dictionaries(st.text(), PLAIN | st.lists(PLAIN, max_size=2), max_size=3)
OF_KIND = {dict[str, Any]: OBJECT, dict[str, float]: st.dictionaries(st.text(), REAL, max_size=3)}
OF_KIND |= {list[dict[str, Any]]: st.lists(OBJECT, max_size=2), float: REAL}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("formats")


def values(kind):
    """Return a strategy for all values of a format, or of a part of one."""
    parts = {}
    for field in dataclasses.fields(kind):
        options = getattr(field.type, "__args__", ()) if "|" in str(field.type) else (field.type,)
        parts[field.name] = st.one_of(map(value, options))
    return st.builds(kind, **parts)


def value(kind):
    if dataclasses.is_dataclass(kind):
        return values(kind)
    return OF_KIND[kind] if kind in OF_KIND else st.from_type(kind)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_was_written_is_read(kind, folder):
    @FEW
    @given(values(kind))
    def holds(written):
        written.write(folder)
        assert kind.read(folder) == kind.find(folder) == written
        on_disk = json.loads((folder / kind.FILE).read_text())
        assert list(on_disk) == ["version", *written.to_json()] and on_disk["version"] == 1

    (folder / kind.FILE).unlink(missing_ok=True)
    assert kind.find(folder) is None and not kind.is_in(folder)
    holds()
    (folder / kind.FILE).unlink()


@FEW
@given(
    st.dictionaries(
        st.text("abc_", min_size=1), st.lists(REAL, min_size=2, max_size=2), min_size=1
    ),
    st.integers(1, 99),
)
def test_a_history_is_read_as_it_was_written(folder, history, first):
    path = folder / names.HISTORY
    history_csv.write(path, history, first)
    assert history_csv.read(path) == {name: pytest.approx(each) for name, each in history.items()}
    assert path.read_text().splitlines()[1].startswith(f"{first},")


EXAMPLES = [
    made.search_settings(planned=6),
    made.run_settings(),
    made.metrics(0.5),
    Winner(5, 6, "0001", 0.5, "val_loss", "dense", "holdout", 32, {}, Confirmed(0.5, 0.1, 3.0)),
    Environment(command="x", versions={}, backend="jax", device="CPU", processor=None, commit=None),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
@pytest.mark.parametrize("version", [2, "0.7", None, True])
def test_a_version_that_is_not_known_is_refused_and_left_alone(tmp_path, example, version):
    path = tmp_path / example.FILE
    path.write_text(json.dumps({"version": version, "of": "the future"}))
    before = path.read_bytes()
    for act in (type(example).read, type(example).find, example.write):
        with pytest.raises(BadInput) as refused:
            act(tmp_path)
        said = str(refused.value)
        assert said.startswith(f"{path}: ") and json.dumps(version) in said and "version 1" in said
    assert path.read_bytes() == before


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_damage_is_named(tmp_path, example):
    path, whole = tmp_path / example.FILE, {"version": 1} | example.to_json()
    name = next(field.name for field in dataclasses.fields(example) if field.name in whole)
    damages = {
        "cannot be read as JSON": "{",
        "expected a JSON object, got [1]": "[1]",
        "colour": json.dumps(whole | {"colour": "red"}),
        f"{name}: expected ": json.dumps(whole | {name: ["no"]}),
    }
    needed = [f.name for f in dataclasses.fields(example) if f.default is dataclasses.MISSING]
    for missing in needed:
        rest = {key: value for key, value in whole.items() if key != missing}
        damages[f"{missing} is missing"] = json.dumps(rest)
    for said, text in damages.items():
        path.write_text(text)
        with pytest.raises(BadInput, match=f"^{path}: .*{re.escape(said)}|^{path}: {said}"):
            type(example).read(tmp_path)


def test_damage_within_a_part_is_named(tmp_path):
    values = made.metrics(0.5).to_json()
    del values["test"]["loss"]
    (tmp_path / names.METRICS).write_text(json.dumps(values))
    with pytest.raises(BadInput, match="metrics.json: test: loss is missing"):
        RunMetrics.read(tmp_path)


OLD = {  # what version 0.5 did not write
    SearchSettings: set(),
    RunSettings: {"monitor"},
    RunMetrics: {"restored_by"},
    Winner: set(),
    Environment: {"processor", "resumed_on"},
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_file_of_version_0_5_is_read_and_left_alone(tmp_path, example):
    path = tmp_path / example.FILE
    old = {name: v for name, v in example.to_json().items() if name not in OLD[type(example)]}
    path.write_text(json.dumps(old))
    before = path.stat().st_mtime_ns
    assert type(example).read(tmp_path) == example
    example.write(tmp_path)
    assert path.stat().st_mtime_ns == before
    changed = dataclasses.replace(example, **{next(iter(old)): None})
    changed.write(tmp_path)
    assert json.loads(path.read_text())["version"] == 1


def test_an_imported_run_of_version_0_5_is_read(tmp_path):
    """It had not been trained here, so that its file was of another shape."""
    part = dataclasses.asdict(made.scores(0.5))
    old = {"claimed_val_accuracy": None, "parameters": 3, "validation": part, "test": part}
    (tmp_path / names.METRICS).write_text(json.dumps(old))
    read = RunMetrics.read(tmp_path)
    assert read.best_epoch is read.seed is read.restored_by is None
    assert read.test == Scores(**part) and read.parameters == 3


def test_settings_of_version_0_4_are_refused_with_what_they_lack(tmp_path):
    old = made.run_settings().to_json()
    for name in ("title", "classes", "monitor"):
        del old[name]
    (tmp_path / names.SETTINGS).write_text(json.dumps(old))
    with pytest.raises(BadInput, match="settings.json: title, classes are missing"):
        RunSettings.read(tmp_path)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_all_committed_files_are_read(task):
    reference = folders.reference(task)
    assert SearchSettings.read(reference).title == task.title
    assert Winner.read(reference).trials == SearchSettings.read(reference).planned
    assert Environment.read(reference).command
    runs = [path.parent for path in reference.glob(f"runs/**/{names.SETTINGS}")]
    assert len(runs) > 20
    for run in runs:
        assert list(task.classes) == RunSettings.read(run).classes
        metrics = RunMetrics.read(run)
        assert len(history_csv.read(run / names.HISTORY)["loss"]) == metrics.epochs_trained
        assert Environment.read(run).versions


def test_nobody_else_spells_the_names():
    known = [value for name, value in vars(names).items() if name.isupper()]
    spelled = re.compile(rf"""["'/]({"|".join(map(re.escape, known))})["']""")
    owner = Path(names.__file__)
    places = [ROOT / name for name in ("shared_keras", "tools", "benchmarks")]
    sources = [path for place in places for path in place.rglob("*.py") if path != owner]
    assert len(sources) > 100
    assert not [path for path in sources if spelled.search(path.read_text())]
    assert len(set(known)) == len(known) and spelled.search('folder / "best.json"')
