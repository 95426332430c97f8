"""How a connection to a cluster fails: in one sentence, and in time."""

import time

import pytest

from shared_keras.errors import BadInput, RunFailed
from shared_keras.processes import cluster

ray = pytest.importorskip("ray", reason="needs the extra `cluster`")
from ray._private import utils  # noqa: E402
from ray.exceptions import ActorDiedError, ObjectStoreFullError  # noqa: E402

from shared_keras.processes.cluster import answers  # noqa: E402
from shared_keras.processes.cluster.pool import RayPool  # noqa: E402


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("nonsense", BadInput, "expected auto, local, HOST:PORT or ray://HOST:PORT, got nonsense"),
        ("127.0.0.1:9", RunFailed, "nothing answers at 127.0.0.1:9 "),
        ("ray://127.0.0.1:9", RunFailed, "nothing answers at ray://127.0.0.1:9 "),
    ],
)
def test_an_address_without_a_cluster_is_one_sentence(address, error, message, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(error, match=message):
        cluster.connect(address)


def test_a_cluster_that_does_not_answer_is_given_up():
    with pytest.raises(RunFailed, match=r"has not answered for 0.1 seconds; is its head node"):
        answers.bounded(lambda: time.sleep(5), 0.1)


def test_a_cluster_of_another_version_is_told_with_both(monkeypatch):
    """As Ray itself says it."""

    def refuse(**options):
        utils.check_version_info({"ray_version": "1.0", "python_version": "3.7.1"}, "here")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(RunFailed, match="auto has other versions: .*1.0 Python: 3.7.1 .* Ray: 2"):
        cluster.connect("auto")


def test_an_object_store_that_is_full_is_told(monkeypatch):
    def refuse(data):
        raise ObjectStoreFullError("no")

    monkeypatch.setattr(ray, "put", refuse)
    pool = object.__new__(RayPool)
    with pytest.raises(RunFailed, match="has no room for 2 MiB of images; `ray start"):
        pool.share(bytes(2**21))


def test_a_slow_network_has_as_long_as_the_data_need(monkeypatch):
    monkeypatch.setattr(ray, "put", lambda data: time.sleep(0.4))
    monkeypatch.setattr(answers, "ANSWER", 0.1)
    pool = object.__new__(RayPool)
    assert pool.share(bytes(2**17)) is None
    with pytest.raises(RunFailed, match="0 MiB of images did not reach the cluster in 0 seconds"):
        pool.share(bytes(9))


def test_of_a_traceback_the_exception_is_told():
    error = ActorDiedError()
    error.args = ("The actor died.\nTraceback:\n  x\nModuleNotFoundError: No module named 'a'\n",)
    error.error_msg = error.args[0]
    assert answers.raised(error) == "ModuleNotFoundError: No module named 'a'"
    assert answers.raised(ImportError("b")) == "ImportError: b"
