"""Workers in other processes, here or on other machines, through joblib's back ends: loky, Ray, Dask.

joblib's own loop, `joblib.Parallel`, ends at the first worker that is lost, and with Ray it returns no result before
the last one. So the back end is driven here by what it has for that loop: ``submit`` and ``retrieve_result_callback``.
"""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future
from queue import Empty, SimpleQueue
from typing import Any

from ranvier.search.parcel import VERSIONS, Parcel, packed, train_here, unpacked
from ranvier.search.plan import Plan
from ranvier.search.results import Results, Trained
from ranvier.search.team import POLL_SECONDS, Team, Threads, Variants, named
from ranvier.search.variants import Variant
from ranvier.training.loop.progress import Progress

TRIES = 3  # of a variant whose worker is lost
# Of ray.exceptions. Dask's scheduler tries again itself, and then raises KilledWorker.
LOST = ("RayActorError", "ActorDiedError", "ActorUnavailableError", "WorkerCrashedError", "NodeDiedError",
        "OutOfMemoryError", "ObjectLostError", "KilledWorker")  # fmt: skip


def active_backend() -> tuple[Any, int | None]:
    """The back end that the surrounding ``joblib.parallel_config`` names, with its ``n_jobs``. (None, None) if none."""
    joblib = sys.modules.get("joblib")
    if joblib is None:
        return None, None
    # Without a name, what a caller prefers decides, and not with one.
    backends = [joblib.parallel.get_active_backend(prefer=kind) for kind in ("threads", "processes")]
    if type(backends[0][0]) is not type(backends[1][0]):
        return None, None
    backend, jobs = backends[0]
    return backend, jobs


def team_of(
    plan: Plan, variants: Variants, results: Results, show: Progress, keep: bool, threads: int | None, most: int
) -> Team:
    """Those who train ``variants``, at most ``most`` at a time: threads, or the workers of joblib's back end."""
    from ranvier.engines.native.runtime.threads import get_threads, positive

    if threads is not None:
        positive(threads, "threads")
    backend, jobs = active_backend()
    if backend is not None:
        jobs = threads or jobs
        if type(backend).__name__ == "MultiprocessingBackend":
            raise ValueError(
                "joblib's back end 'multiprocessing' does not report a worker that is lost. Write "
                "parallel_config('loky') instead."
            )
        if not getattr(backend, "supports_sharedmem", False):
            return Workers(plan, variants, results, show, keep, -1 if jobs is None else jobs)
        threads = jobs if jobs is None or jobs > 0 else None
    return Threads(plan, variants, results, show, keep, min(threads or get_threads(), most))


class Workers(Team):
    """The workers of joblib's back end."""

    def __init__(self, plan: Plan, variants: Variants, results: Results, show: Progress, keep: bool, jobs: int) -> None:
        super().__init__(plan, variants, results, show, keep)
        self.jobs, self.name = jobs, uuid.uuid4().hex
        self.finished: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self.running: dict[str, tuple[int, Variant]] = {}  # by the name of the try
        self.lost: list[tuple[int, Variant]] = []
        self.broken = False  # a worker is lost: the back end, which still sends to it, needs new ones
        self.tries: Counter[int] = Counter()
        self.parcel: Parcel | None = None

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        from joblib import Parallel

        with Parallel(self.jobs, batch_size=1) as parallel:
            self.backend = parallel._backend
            self.ahead = 2 * self.backend.effective_n_jobs(self.jobs)
            self.backend.start_call()
            try:
                yield
            except BaseException:
                self.backend.abort_everything(ensure_ready=False)
                raise
            finally:
                self.backend.stop_call()

    def outcomes(self) -> Iterator[tuple[int, Trained | BaseException]]:
        while True:
            if self.broken and not self.running:
                self.backend.abort_everything(ensure_ready=True)
                self.broken = False
            taken = None
            if self.has_room():
                taken = self.lost.pop() if self.lost else self.variants.take()
            if taken is not None:
                self.submit(*taken)
            elif not self.running:
                return
            try:
                token, found = self.finished.get(timeout=0 if taken is not None else POLL_SECONDS)
            except Empty:
                continue
            if token not in self.running:  # the back end has reported it twice
                continue
            number, variant = self.running.pop(token)
            try:
                if isinstance(found, BaseException):
                    raise found
                result = found if isinstance(found, list) else self.backend.retrieve_result_callback(found)
                outcome = unpacked(result[0])["result"]
            except BaseException as error:  # noqa: BLE001 - raised again by the caller
                if not is_lost(error):
                    yield number, error
                    return
                self.again(number, variant, error)
                continue
            yield number, outcome

    def has_room(self) -> bool:
        """Whether one more may be sent: alone if it was lost before, so that the one that kills workers is named."""
        if self.lost or any(self.tries[number] > 1 for number, _ in self.running.values()):
            return not self.running
        return len(self.running) < self.ahead

    def submit(self, number: int, variant: Variant) -> None:
        """Send a variant to a worker."""
        from joblib.parallel import BatchedCalls

        if self.parcel is None:
            self.parcel = Parcel(self.plan, self.keep)
            with named(variant):
                self.plan.job(number, variant)  # the checks of data, network and settings, at the caller's line
        self.plan.check_paths(number, variant, self.plan.hooks(variant).get("callbacks"))
        self.tries[number] += 1
        token = uuid.uuid4().hex
        self.running[token] = number, variant
        sent = packed({"variant": variant, "reported": self.plan.reported})
        given = (VERSIONS, self.name, number + 1, sent, self.parcel.common, *self.parcel.arrays)
        if getattr(self.backend, "supports_sharedmem", False):  # of one worker, joblib makes this process
            self.finished.put((token, [train_here(*given)]))
            return
        batch = BatchedCalls([(train_here, given, {})], self.backend.get_nested_backend())

        def finish(found: Any) -> None:
            self.finished.put((token, found))

        try:
            job = self.backend.submit(batch, callback=finish)
        except BrokenExecutor as error:  # the worker of another variant is lost
            finish(error)
            return
        if isinstance(job, Future):  # Dask's does not call back with an error
            job.add_done_callback(lambda job: finish(job.exception()) if job.exception() is not None else None)

    def again(self, number: int, variant: Variant, error: BaseException) -> None:
        """Keep a variant whose worker was lost, for new workers once the others are ready.

        Raises RuntimeError after `TRIES`.
        """
        if type(error).__name__ == "KilledWorker" or self.tries[number] == TRIES:
            raise RuntimeError(
                f"workers were killed, again and again, while they trained the variant {variant}: "
                f"{str(error).splitlines()[0]} They may lack memory: write fewer workers, or a smaller batch_size, "
                "instead."
            ) from error
        self.lost.append((number, variant))
        self.broken = True


def is_lost(error: BaseException) -> bool:
    """Whether an error says that a worker is gone."""
    return isinstance(error, BrokenExecutor) or any(kind.__name__ in LOST for kind in type(error).__mro__)
