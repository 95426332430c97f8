"""How a connection to a cluster fails: in one sentence, and in time."""

import signal
import socket
import sys
import time

import pytest

from shared_keras.errors import BadInput, RunFailed
from shared_keras.processes import cluster

ray = pytest.importorskip("ray", reason="needs the extra `cluster`")
from ray._private import utils, worker  # noqa: E402
from ray.exceptions import ActorDiedError, ObjectStoreFullError  # noqa: E402

from shared_keras.processes.cluster import answers, connection, pool  # noqa: E402
from shared_keras.processes.cluster import worker as worker_module  # noqa: E402
from shared_keras.processes.cluster.pool import RayPool  # noqa: E402


@pytest.fixture(autouse=True)
def unconnected(monkeypatch):
    """This process has no connection, and the environment names no cluster."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("nonsense", BadInput, "expected auto, local, HOST:PORT or ray://HOST:PORT, got nonsense"),
        ("http://127.0.0.1:8265", BadInput, "or ray://HOST:PORT, got http://127.0.0.1:8265"),
        ("127.0.0.1:99999", BadInput, "or ray://HOST:PORT, got 127.0.0.1:99999"),
        ("127.0.0.1:9", RunFailed, "nothing answers at 127.0.0.1:9 "),
        ("ray://127.0.0.1:9", RunFailed, "nothing answers at ray://127.0.0.1:9 "),
    ],
)
def test_an_address_without_a_cluster_is_one_sentence(address, error, message):
    with pytest.raises(error, match=message):
        cluster.connect(address)


def test_a_client_server_that_refuses_is_told_with_what_to_check(monkeypatch):
    def refuse(**options):
        raise ConnectionError("ray client connection timeout")

    monkeypatch.setattr(ray, "init", refuse)
    with socket.create_server(("", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(RunFailed, match=r"\(ray client connection timeout\); is this the port"):
            cluster.connect(address)


def test_a_client_server_that_is_stuck_once_is_asked_again(monkeypatch):
    """As Ray's may be at its first connection, in its own words."""

    def init(address, **options):
        asked.append(address)
        if len(asked) == 1:
            raise ConnectionError("Initialization failure from server:\n")

    asked = []
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(pool, "RayPool", lambda *args, disconnect: disconnect)
    with socket.create_server(("", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        cluster.connect(address)()
    assert asked == [address] * 2


def test_a_worker_that_dies_after_the_end_is_not_asked_for():
    """Or Ray would start a cluster to ask."""
    asked = []
    assert not worker_module.returned(lambda: asked.append(1))
    assert not asked


def test_auto_is_the_address_of_the_environment_if_there_is_one(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(RunFailed, match="variable RAY_ADDRESS: nothing answers at 127.0.0.1:9 "):
        cluster.connect("auto")


WAITS = """
import socket, sys
host, port = sys.argv[1].split(":")
socket.create_connection((host, int(port))).recv(1)
"""


@pytest.mark.long(only=True)
def test_what_is_no_ray_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(connection, "ANSWERS_WITHIN", 2)
    monkeypatch.setattr(connection, "STATUS", (sys.executable, "-c", WAITS))  # in Ray's place
    with socket.create_server(("", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(RunFailed, match=f"no Ray cluster answers at {address} within 2 s"):
            cluster.connect(address)
        server.settimeout(1)
        for _ in range(2):  # whether anything listens, and then what asks for the status
            server.accept()[0].close()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("a.py\nRuntimeError: Ray version mismatch: cluster has Ray version 1.0", "versions: Runt"),
        ("x.AuthenticationError: InvalidAuthToken: Authentication token is missing", "RAY_AUTH_M"),
        ("Ray couldn't find an authentication token. Create a\nStackTrace\nmain()", "RAY_AUTH_M"),
        ("Traceback\nray.exceptions.RpcError: Method not found!", "needs ray:// before the"),
        ("ConnectionError: Could not find any running Ray instance.", "`ray start --head`"),
        ("Traceback\nValueError: new", r"\(ValueError: new\)"),
        ("", "it gives no reason"),
    ],
)
def test_what_the_status_says_becomes_advice(said, message, monkeypatch):
    """As Ray 2.60 says it."""
    status = (sys.executable, "-c", f"import sys; sys.exit({said!r} or 1)")
    monkeypatch.setattr(connection, "STATUS", status)
    with pytest.raises(RunFailed, match=f"^argument --cluster: .* on this machine .*{message}"):
        cluster.connect("auto")


@pytest.fixture
def handled():
    """Return the signals that a handler of the user's for SIGTERM got."""
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    yield heard
    signal.signal(signal.SIGTERM, before)


def test_sigterm_does_what_it_did_before(handled, monkeypatch):
    def init(**options):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(pool, "RayPool", lambda *args, disconnect: disconnect)
    cluster.connect("local")()
    signal.raise_signal(signal.SIGTERM)
    assert handled == [signal.SIGTERM]


def test_sigterm_while_ray_connects_is_heard_too(handled, monkeypatch):
    def init(**options):  # as Ray does
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(RunFailed, match="^SIGTERM came while Ray connected$"):
        cluster.connect("local")
    assert handled == [signal.SIGTERM]


def test_ray_prints_nothing_of_its_own_until_the_connection_has_ended(monkeypatch):
    def end():
        ended.append(worker._worker_logs_enabled)

    ended = []
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "shutdown", end)
    monkeypatch.setattr(pool, "RayPool", lambda *args, disconnect: disconnect)
    disconnect = cluster.connect("local")
    assert not worker._worker_logs_enabled
    disconnect()
    assert ended == [False] and worker._worker_logs_enabled


def test_a_cluster_that_does_not_answer_is_given_up():
    with pytest.raises(RunFailed, match=r"has not answered for 0.1 seconds; is its head node"):
        answers.bounded(lambda: time.sleep(5), 0.1)


def test_a_cluster_of_another_version_is_told_with_both(monkeypatch):
    """As Ray itself says it."""

    def refuse(**options):
        utils.check_version_info({"ray_version": "1.0", "python_version": "3.7.1"}, "here")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(connection, "ask_ray", lambda *args: None)
    with pytest.raises(RunFailed, match="auto has other versions: .*1.0 Python: 3.7.1 .* Ray: 2"):
        cluster.connect("auto")


def test_an_object_store_that_is_full_is_told(monkeypatch):
    def refuse(data):
        raise ObjectStoreFullError("no")

    monkeypatch.setattr(ray, "put", refuse)
    made = object.__new__(RayPool)
    with pytest.raises(RunFailed, match="has no room for 2 MiB of images; `ray start"):
        made.share(bytes(2**21))


def test_a_slow_network_has_as_long_as_the_data_need(monkeypatch):
    monkeypatch.setattr(ray, "put", lambda data: time.sleep(0.4))
    monkeypatch.setattr(answers, "ANSWER", 0.1)
    made = object.__new__(RayPool)
    assert made.share(bytes(2**17)) is None
    with pytest.raises(RunFailed, match="0 MiB of images did not reach the cluster in 0 seconds"):
        made.share(bytes(9))


def test_of_a_traceback_the_exception_is_told():
    error = ActorDiedError()
    error.args = ("The actor died.\nTraceback:\n  x\nModuleNotFoundError: No module named 'a'\n",)
    error.error_msg = error.args[0]
    assert answers.raised(error) == "ModuleNotFoundError: No module named 'a'"
    assert answers.raised(ImportError("b")) == "ImportError: b"
