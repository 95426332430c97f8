"""Jobs on workers that come, leave, and cannot take what jobs share; all in this process."""

from concurrent.futures import BrokenExecutor, Future

import pytest

from shared_keras.errors import RunFailed
from shared_keras.processes import job_pool, parcel
from shared_keras.processes.job_pool import CannotBeSent
from shared_keras.processes.protocol import WorkerLost

LOST, KILLED, REFUSED = WorkerLost("{}"), BrokenExecutor("{SIGKILL}"), CannotBeSent("no room")


class Acted:
    """A worker that holds and works as it is told to: fine, with an error, or not yet (None)."""

    def __init__(self, name, *, hold=("fine",), work=("fine",)):
        self.name, self.hold, self.work = name, list(hold), list(work)
        self.waiting, self.restarts = [], 0

    def submit(self, function, *args):
        is_hold = function is parcel.hold
        plan = self.hold if is_hold else self.work
        how = plan.pop(0) if len(plan) > 1 else plan[0]
        answer = Future()
        if how == "fine":
            answer.set_result(None if is_hold else args[-1])
        elif isinstance(how, parcel.NotGiven):
            answer.set_result(how)
        elif how is None:
            self.waiting.append((answer, args[-1]))
        else:
            answer.set_exception(how)
        return answer

    def restart(self):
        self.restarts += 1

    def stop(self):
        pass

    def end(self):
        """Let the job that it runs end."""
        answer, job = self.waiting.pop()
        answer.set_result(job)


class Stage:
    """A pool of actors that a test may change."""

    shares_files = True

    def __init__(self, *actors):
        self.actors, self.notes = list(actors), []

    def workers(self):
        return list(self.actors)

    def share(self, data):
        return data


@pytest.fixture
def run(monkeypatch):
    """Run jobs; `each_time` is called with the number of the round."""

    def done(futures, **how):
        return {future for future in futures if future.done()}, ()

    monkeypatch.setattr(job_pool, "wait", done)
    monkeypatch.setattr(job_pool.time, "sleep", lambda seconds: None)

    def call(pool, jobs, each_time=lambda number: None, left=None):
        waiting, results, said, rounds = list(jobs), {}, [], []

        def choose(idle):
            return (idle[0], waiting.pop(0)) if waiting else None

        def end(worker, job, result):
            results[job] = (worker.name, result)

        def report():
            rounds.append(len(rounds))
            assert len(rounds) < 100, "it hangs"
            each_time(rounds[-1])

        more = left or (lambda: bool(waiting))
        job_pool.run(pool, 0, None, choose, end, more, report, said.append)
        return results, said

    return call


def test_workers_that_die_beside_healthy_ones_do_not_end_the_run(run):
    """Such as on a node that has too little memory."""
    good, weak = Acted("good", work=[None]), [Acted(f"weak{i}", hold=[KILLED]) for i in range(5)]
    pool = Stage(good)

    def each_time(number):
        if number == 1:
            pool.actors += weak
        if number == 6:
            good.end()

    results, _ = run(pool, "a", each_time)
    assert results == {"a": ("good", "a")} and all(worker.restarts for worker in weak)


def test_two_that_die_at_once_are_one_death(run):
    pair = [Acted("w0", hold=[KILLED, "fine"]), Acted("w1", hold=[KILLED, "fine"])]
    results, _ = run(Stage(*pair), "ab")
    assert results == {"a": ("w0", "a"), "b": ("w1", "b")}
    pair = [Acted("w0", hold=[KILLED]), Acted("w1", hold=[KILLED])]
    with pytest.raises(RunFailed, match="no job could begin: its worker process died twice .SIGK"):
        run(Stage(*pair), "ab")


def test_a_worker_that_cannot_take_the_data_is_not_used_if_others_can(run):
    good, bad = Acted("good"), Acted("bad", hold=[REFUSED])
    results, said = run(Stage(good, bad), "abc")
    assert {name for name, _ in results.values()} == {"good"} and len(results) == 3
    assert said == ["bad is not used: no room."]


def test_a_job_that_came_before_the_refusal_runs_elsewhere(run):
    good, bad = Acted("good", work=[None]), Acted("bad", hold=[None], work=[parcel.NotGiven()])
    pool = Stage(good, bad)

    def each_time(number):
        if number == 1:
            bad.waiting.pop()[0].set_exception(REFUSED)
        if number >= 10 and good.waiting:
            good.end()

    results, said = run(pool, "ab", each_time)
    assert results == {"a": ("good", "a"), "b": ("good", "b")} and len(said) == 1


def test_a_job_that_a_worker_sends_back_as_it_leaves_runs_elsewhere(run):
    gone, other = Acted("gone", work=[None]), Acted("other", work=["fine"])
    pool = Stage(gone)

    def each_time(number):
        if number == 1:
            pool.actors[:] = [other]
        if number == 3:
            gone.waiting.pop()[0].set_result(parcel.NotGiven())

    assert run(pool, "a", each_time)[0] == {"a": ("other", "a")}


def test_if_no_worker_can_take_the_data_the_reason_is_told(run):
    with pytest.raises(CannotBeSent, match="no room"):
        run(Stage(Acted("bad", hold=[REFUSED])), "a")


def test_if_only_such_a_worker_is_left_the_run_ends(run):
    """It has done jobs, so what cannot be sent must not be mistaken for a new run."""
    good, bad = Acted("good", work=["fine", LOST]), Acted("bad", hold=[REFUSED])
    pool = Stage(good, bad)

    def each_time(number):
        if number == 2:
            pool.actors.remove(good)

    with pytest.raises(RunFailed, match="no room") as raised:
        run(pool, "ab", each_time)
    assert not isinstance(raised.value, CannotBeSent)


@pytest.mark.parametrize("error", [LOST, KILLED])
def test_a_job_is_given_up_after_two_deaths_but_ten_losses(run, error):
    often = Acted("w0", work=[error] * 9 + ["fine"])
    results, _ = run(Stage(often), "a")
    _, result = results["a"]
    assert isinstance(result, job_pool.Died) == (error is KILLED)
    assert often.restarts == (2 if error is KILLED else 9)


@pytest.mark.parametrize("jobs", ["a", "abc"])
def test_when_nothing_is_left_no_worker_is_waited_for(run, jobs):
    """The last job ends as the last machine leaves; or the time is up while there is none."""
    only = Acted("only", work=[None])
    pool, late = Stage(only), []

    def each_time(number):
        if number == 2:
            pool.actors.clear()
            only.end()
        if number == 20:
            late.append(True)

    left = None if jobs == "a" else lambda: not late
    results, _ = run(pool, jobs, each_time, left)
    assert results == {"a": ("only", "a")} and bool(late) == (jobs != "a")
