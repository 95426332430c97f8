"""Long tests are dealt out: all shares together are all of them, each in one share."""

import subprocess

import pytest

from tests import shares

pytest_plugins = ["pytester"]

PLUGIN = ["-p", "tests.shares", "-p", "no:cacheprovider"]
FILE = """
import pytest
from tests.shares import dealt

def test_short():
    pass

@pytest.mark.parametrize("i", dealt(range(12), [7]))
def test_dealt(i):
    pass

@pytest.mark.long
class TestLong:
    def test_a(self):
        pass

    def test_b(self):
        pass

@pytest.mark.long(every=2)
def test_often():
    pass

@pytest.mark.long(every=2)
@pytest.mark.parametrize("i", [pytest.param(1, marks=pytest.mark.long)])
def test_seldom(i):
    pass

@pytest.mark.long(only=True)
def test_only():
    pass
"""
NAMES = {"test_short", *(f"test_dealt[{i}]" for i in range(12)), "TestLong::test_a"}
NAMES |= {"TestLong::test_b", "test_often", "test_seldom[1]", "test_only"}
ALWAYS = {"test_short", "test_dealt[7]"}


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a file of tests with variables; return the names of those that passed, and the header."""
    monkeypatch.delenv("SHARE", raising=False)
    monkeypatch.delenv("WAYS", raising=False)
    monkeypatch.delenv("ONE_IN", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(shares.__file__).removesuffix("/tests/shares.py"))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    path = pytester.makepyfile(FILE)

    def function(*words, how=pytester.runpytest_inprocess, **variables):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            result = how(*PLUGIN, "-v", *words)
        passed = [
            line.split()[-1 if "[gw" in line else 0]
            for line in result.outlines
            if "PASSED" in line and f"{path.name}::" in line
        ]
        header = [line for line in result.outlines if line.startswith("long tests: ")]
        assert len(passed) == len(set(passed))
        return {name.partition("::")[2] for name in passed}, " ".join(header)

    return function


def test_every_long_test_is_in_one_share_and_all_shares_are_all(run):
    shares_of_four = [run(SHARE=f"{number}/4")[0] for number in range(1, 5)]
    assert all(share >= ALWAYS for share in shares_of_four)
    long = [name for share in shares_of_four for name in share - ALWAYS]
    assert sorted(long) == sorted([*(NAMES - ALWAYS), "test_often"])
    often = ["test_often" in share for share in shares_of_four]
    assert often in ([True, False] * 2, [False, True] * 2)
    assert run(WAYS="all") == run(SHARE="1/1", WAYS="all") == (NAMES, "long tests: all")


def test_the_only_test_of_something_is_in_every_24th(run):
    (number,) = (n for n in range(1, 25) if "test_only" in run(SHARE=f"{n}/97")[0])
    assert "test_only" in run(SHARE=f"{number + 24}/97")[0]


def test_elsewhere_every_test_is_in_one_of_three_shares(run):
    thirds = [run(SHARE=f"{number}/97", ONE_IN="3")[0] for number in (4, 5, 6)]
    short = [name for third in thirds for name in third if name in ALWAYS]
    assert sorted(short) == sorted(ALWAYS)


@pytest.mark.long(only=True)
def test_another_process_chooses_the_same(run, pytester):
    """So do those of xdist, of which each collects all tests."""
    here, _ = run(SHARE="2/4")
    assert ALWAYS < here < NAMES
    there, header = run(how=pytester.runpytest_subprocess, SHARE="2/4", PYTHONHASHSEED="5")
    assert there == here and header.startswith("long tests: share 2/4; again: SHARE=2/4 make test")
    assert run("-p", "xdist", "-n", "2", how=pytester.runpytest_subprocess, SHARE="2/4")[0] == here


def test_what_is_named_on_the_command_line_runs(run, pytester):
    (file,) = pytester.path.glob("test_*.py")
    names = {"TestLong::test_a", "TestLong::test_b"}
    for share in ("1/999", "2/999"):
        assert not names & run(SHARE=share)[0]
        assert run(f"{file.name}::TestLong", SHARE=share)[0] == names


def test_the_names_of_many_tests_spread_evenly():
    many = shares.SHARES
    counts = dict.fromkeys(range(1, many + 1), 0)
    for number in range(100 * many):
        counts[shares.share_of(f"tests/test_a.py::test_b[{number}]", many).number] += 1
    assert min(counts.values()) > 60 and max(counts.values()) < 140


@pytest.fixture
def repository(tmp_path):
    """Return a function that runs git in a new repository with one commit."""

    def git(*words, folder=tmp_path / "one"):
        who = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)
        return folder

    (tmp_path / "one").mkdir()
    try:
        git("init", "-b", "main")
    except OSError:
        pytest.skip("git is not installed")
    git("commit", "--allow-empty", "-m", "first")
    return git


def test_each_commit_of_the_main_line_is_the_next_ones_turn(repository, monkeypatch):
    folder = repository("checkout", "-b", "aside")
    for name in "abc":
        repository("commit", "--allow-empty", "-m", name)
    repository("checkout", "main")
    assert shares.turn(folder) == ((2, shares.SHARES), "the number of commits")
    repository("merge", "--no-ff", "aside")
    assert shares.turn(folder)[0].number == 3
    monkeypatch.setattr(shares, "SHARES", 3)
    repository("commit", "--allow-empty", "-m", "third")
    assert shares.turn(folder)[0] == (1, 3)

    repository("clone", "--depth", "1", f"file://{folder}", "../shallow")
    for place in (folder.parent, folder.parent / "shallow"):
        (number, of), source = shares.turn(place)
        assert number in (1, 2, 3) and of == 3 and source == "the day"


def test_the_header_says_whose_turn_it_is_and_how_to_repeat_it(run, pytester):
    _, header = run()
    share = shares.turn(pytester.path)[0]
    assert header == (
        f"long tests: share {share}, which the day chose; again: SHARE={share} make test; "
        "all: WAYS=all make test"
    )


@pytest.mark.long(only=True)
def test_whoever_repeats_a_run_meets_the_same_examples(pytester, monkeypatch):
    """Also in CI, where Hypothesis by itself always takes the same examples, whatever the seed."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(shares.__file__).removesuffix("/tests/shares.py"))
    pytester.makepyfile(
        """
        from hypothesis import given, settings, strategies

        @settings(database=None)
        @given(strategies.integers(0, 10**9))
        def test_drawn(x):
            print("drawn:", x)
        """
    )
    words = (*PLUGIN, "-s", "-p", "_hypothesis_pytestplugin")
    runs = [
        pytester.runpytest_subprocess(*words, *more).outlines
        for more in ((), (), ("--hypothesis-seed=1",))
    ]
    once, again, other = ([x for x in run if "drawn: " in x] for run in runs)
    assert once == again != other
    seed = shares.counted(pytester.path)[0]
    assert any(f"--hypothesis-seed={seed}" in line for line in runs[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [("SHARE", "0/4"), ("SHARE", "5/4"), ("SHARE", "first"), ("SHARE", "1/0"), ("WAYS", "most")],
)
def test_what_is_no_share_is_refused(monkeypatch, name, value):
    monkeypatch.delenv("WAYS", raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(pytest.UsageError, match=f"^{name}: expected .* got '{value}'$"):
        shares.wanted()


def test_values_that_always_run_are_among_those_dealt_out():
    with pytest.raises(AssertionError):
        shares.dealt("abc", ["d"])
