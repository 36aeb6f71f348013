"""The number of threads: every step runs once, and the fastest number is kept."""

import pytest

from ranvier.engines.native.runtime import thread_tuning
from ranvier.engines.native.runtime import threads as runtime
from ranvier.engines.native.runtime.object_cache import ObjectCache, cache_key
from ranvier.engines.native.runtime.thread_tuning import HEAVY, LITTLE, TINY, Remembered, ThreadTuner


class Machine:
    """A clock that only running steps moves, by ``seconds`` a step for each number of threads."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds = 0.0, seconds
        monkeypatch.setattr(thread_tuning, "perf_counter", lambda: self.now)
        monkeypatch.setattr(runtime, "fixed_threads", lambda: None)
        monkeypatch.setattr(runtime, "default_threads", lambda: max(self.seconds))

    def run(self, chooser, steps):
        """The steps that each number of threads took, in order of the pieces."""
        taken: list[tuple[int, int]] = []
        at = 0
        for first, end, threads in chooser.pieces(0, steps):
            assert first == at < end <= steps
            at, taken = end, [*taken, (threads, end - first)]
            self.now += self.seconds[threads] * (end - first)
        assert at == steps
        return taken


@pytest.mark.parametrize("fastest", [1, 2, 4])
@pytest.mark.parametrize("steps", [1, 20, 200, 1000, 12345])
def test_the_fastest_number_goes_on_and_no_step_is_lost(steps, fastest, monkeypatch):
    machine = Machine(monkeypatch, {n: 1e-4 * (1 if n == fastest else 2) for n in (1, 2, 4)})
    chooser = ThreadTuner(LITTLE)
    runs = [machine.run(chooser, steps) for _ in range(30)]
    spent = {n: sum(count for run in runs for threads, count in run if threads == n) for n in (1, 2, 4)}
    assert runs[19][-1][0] == fastest
    assert machine.run(chooser, 200)[-1][0] == fastest
    assert spent[fastest] > 0.5 * 30 * steps


def test_more_numbers_than_a_run_has_steps_to_try_them_on(monkeypatch):
    machine = Machine(monkeypatch, {1 << i: 1e-4 for i in range(8)})
    taken = machine.run(ThreadTuner(LITTLE), 60)
    assert sum(count for _, count in taken) == 60


@pytest.mark.parametrize("work", [LITTLE, HEAVY * 10])
@pytest.mark.parametrize(("pace", "steps"), [(2e-5, 1), (1.2e-3, 1), (1.2e-3, 100), (0.1, 1), (0.1, 5)])
@pytest.mark.parametrize("fastest", [1, 2])
def test_how_soon_the_fastest_number_is_found(fastest, pace, steps, work, monkeypatch):
    """Within 30 steps or 50 ms, though the first step takes five times as long; from then on nearly every step."""
    machine = Machine(monkeypatch, {fastest: pace, 3 - fastest: 2 * pace})
    tuner, cold = ThreadTuner(work), True
    taken: list[tuple[float, int]] = []
    while len(taken) < 200 or machine.now < 0.3:
        for first, end, n in tuner.pieces(0, steps):
            machine.now += machine.seconds[n] * (end - first) + 4 * pace * cold
            taken += [(machine.now, n)] * (end - first)
            cold = False
    late = [n for at, n in taken[30:] if at > 0.05]
    assert late[0] == fastest
    assert late.count(fastest) > 0.95 * len(late)


def test_one_run_that_was_held_up_changes_nothing(monkeypatch):
    machine = Machine(monkeypatch, {1: 2e-4, 2: 1e-4})
    chooser = ThreadTuner(LITTLE)
    for _ in range(20):
        machine.run(chooser, 1)
    machine.seconds[2] = 1e-2
    machine.run(chooser, 1)
    machine.seconds[2] = 1e-4
    assert [machine.run(chooser, 1) for _ in range(5)] == [[(2, 1)]] * 5


def test_threads_that_sleep_are_woken_before_they_are_judged(monkeypatch):
    machine = Machine(monkeypatch, {1: 4e-6, 2: 3e-6})
    chooser = ThreadTuner(LITTLE)
    taken, at, awake = [], 0, False
    for first, end, threads in chooser.pieces(0, 5000):
        at += end - first
        taken.append((threads, end - first))
        machine.now += machine.seconds[threads] * (end - first) + (5e-5 if threads == 2 and not awake else 0.0)
        awake = threads == 2
    assert at == 5000
    assert sum(count for threads, count in taken if threads == 2) > 4900


@pytest.mark.parametrize(("burst", "best"), [(200, 2), (60, 2), (1, 1)])
def test_the_first_steps_after_a_pause_are_no_samples(burst, best, monkeypatch):
    """They take far longer: a processor that came back would never seem faster in runs between pauses.

    Where every run follows a pause, some count: threads that must be woken for each step do not pay.
    """
    machine = Machine(monkeypatch, {1: 1e-4, 2: 6e-5})
    tuner, taken = ThreadTuner(HEAVY), list[int]()
    for number in range(400):
        machine.now += 0.1
        machine.seconds[2] = 6e-5 if number > 10 else 1e-3
        for step in range(burst):
            for _, _, n in tuner.pieces(0, 1):
                machine.now += machine.seconds[n] + (6e-4 * n if step == 0 else 5e-4 if step < 5 else 0)
                taken.append(n)
    assert taken[len(taken) // 2 :].count(best) > 0.85 * (len(taken) // 2)


def test_trials_of_long_steps_are_short(monkeypatch):
    machine = Machine(monkeypatch, {1: 0.16, 2: 0.08})
    chooser = ThreadTuner(HEAVY * 100)
    taken = [piece for _ in range(100) for piece in machine.run(chooser, 5)]
    spent = {n: sum(count for threads, count in taken if threads == n) for n in (1, 2)}
    assert 1 <= spent[1] <= 12


def test_an_unlucky_first_trial_is_soon_made_good(monkeypatch):
    """The first steps of a process take long, and the second processor is busy with something else meanwhile."""
    machine = Machine(monkeypatch, {1: 2e-5, 2: 5e-3})
    chooser = ThreadTuner(LITTLE)
    machine.run(chooser, 4)
    machine.seconds[2] = 4e-5
    for _ in range(3):
        machine.run(chooser, 150)
    assert machine.run(chooser, 150) == [(1, 150)]
    machine.seconds[2] = 1e-5
    until = machine.now + 0.3
    while machine.now < until:
        machine.run(chooser, 150)
    assert machine.run(chooser, 150) == [(2, 150)]


def test_what_short_runs_learn_long_ones_use(monkeypatch):
    machine = Machine(monkeypatch, {1: 1e-4, 2: 2e-4})
    chooser = ThreadTuner(LITTLE)
    machine.run(chooser, 200)
    machine.seconds = {1: 2e-4, 2: 1e-4}
    machine.now += 1.0
    for _ in range(200):
        machine.run(chooser, 1)
    assert machine.run(chooser, 200) == [(2, 200)]


def test_the_next_process_begins_with_the_number_that_this_one_found(tmp_path, monkeypatch):
    machine = Machine(monkeypatch, {1: 1e-4, 2: 2e-4})
    kept = Remembered(ObjectCache(tmp_path), cache_key("program"))
    machine.run(ThreadTuner(HEAVY, kept), 200)
    assert kept.get() == 1
    assert machine.run(ThreadTuner(HEAVY, kept), 1) == [(1, 1)]
    assert machine.run(ThreadTuner(HEAVY), 1) == [(2, 1)]
    kept.put(7)  # more than this machine has
    assert machine.run(ThreadTuner(HEAVY, kept), 1) == [(2, 1)]


def test_a_processor_that_comes_where_there_was_one(monkeypatch):
    machine = Machine(monkeypatch, {1: 1e-3})
    chooser = ThreadTuner(HEAVY)
    for _ in range(50):
        machine.run(chooser, 1)
    machine.seconds = {1: 1e-3, 2: 5e-4}
    taken = [machine.run(chooser, 1)[0][0] for _ in range(200)]
    assert taken[0] == 1
    assert set(taken[120:]) == {2}


@pytest.mark.parametrize("steps", [1, 100])
def test_a_processor_that_goes_or_comes_is_noticed_within_a_tenth_of_a_second(steps, monkeypatch):
    machine = Machine(monkeypatch, {1: 1.2e-3, 2: 7e-4})
    chooser = ThreadTuner(HEAVY)
    for seconds, best in ((7e-4, 2), (4e-3, 1), (7e-4, 2)):
        machine.seconds[2] = seconds
        until, taken = machine.now + 1.0, []
        while machine.now < until:
            at = machine.now
            taken += [(at, n) for n, count in machine.run(chooser, steps) for _ in range(count)]
        late = [n for at, n in taken if at > until - 0.9]
        assert late.count(best) > 0.93 * len(late)


@pytest.mark.parametrize("pace", [1e-3, 9e-3, 3e-2])
def test_threads_that_shared_a_processor_are_soon_tried_again(pace, monkeypatch):
    """A trial that loses nothing need not be rare, however long a step takes."""
    machine = Machine(monkeypatch, {1: 2 * pace, 2: pace})
    chooser = ThreadTuner(HEAVY)
    for seconds in (pace, 2.1 * pace, pace):
        machine.seconds[2] = seconds
        until, taken = machine.now + 1.0, []
        while machine.now < until:
            at = machine.now
            taken += [(at, n) for n, _ in machine.run(chooser, 1)]
    assert {n for at, n in taken if at > until - 0.9 + 4 * pace} == {2}


@pytest.mark.parametrize("steps", [10, 1000])
def test_a_processor_that_goes_away_and_comes_back_is_noticed(steps, monkeypatch):
    machine = Machine(monkeypatch, {1: 2e-4, 2: 1e-4})
    chooser = ThreadTuner(LITTLE)
    for slow, best in ((1e-4, 2), (9e-4, 1), (1e-4, 2)):
        machine.seconds[2] = slow
        until, taken = machine.now + 20.0, []
        while machine.now < until:
            taken += machine.run(chooser, steps)
        late = [n for n, count in taken[len(taken) // 2 :] for _ in range(count)]
        assert late.count(best) > 0.9 * len(late)


def test_what_is_tiny_or_fixed_is_not_tried(monkeypatch):
    machine = Machine(monkeypatch, {1: 1.0, 2: 0.5, 3: 0.1})
    assert machine.run(ThreadTuner(TINY - 1), 5000) == [(1, 5000)]
    assert machine.run(ThreadTuner(LITTLE - 1), 1) == [(1, 1)]
    monkeypatch.setattr(runtime, "fixed_threads", lambda: 3)
    assert machine.run(ThreadTuner(LITTLE), 5000) == [(3, 5000)]
