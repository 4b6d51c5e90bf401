"""A Dask cluster: one made here for the time of a job, or one that is there already.

Dask does the scheduling. What is added: machines are checked before they get work, no more is
handed out than keeps the workers busy, so that a year of frames takes no memory, and a task that
is accused of killing workers is tried once more alone, for whoever ran beside the culprit is
accused as well.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from onboard.closing import Closing
from onboard.engines import threads
from onboard.errors import ClusterError, ConfigError, FloodsatError, MissingPackageError

if TYPE_CHECKING:
    from distributed import Client, Future

LOCAL = "local"
AHEAD = 2
"""Tasks a worker's thread: one that runs and one that waits, lest a thread wait for its next."""
DEATHS = 3
"""Workers that a task may kill on a local cluster before it is accused; a remote one has its own
setting, ``distributed.scheduler.allowed-failures``."""
CONNECT_S = 20
ALONE_S = 300.0
"""The longest that a job waits without any worker."""
LOOK_S = 2.0
ONE_THREAD = dict.fromkeys(
    (threads.VARIABLE, "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
)
"""A worker takes one core: more workers, not more threads, are how a machine is filled."""

T = TypeVar("T")
R = TypeVar("R")


class Answer(NamedTuple, Generic[T, R]):
    """What came of a task.

    Attributes:
        asked: what the task was given.
        result: what it returned; None where it has none.
        lost: why it has none, in a few words; empty where it has.
    """

    asked: T
    result: R | None
    lost: str = ""


class Cluster(Closing):
    """Workers, and a way to have many things done by them.

    Attributes:
        client: of `distributed`.
    """

    def __init__(self, client: Client, made: Any = None, on: Sequence[str] | None = None) -> None:
        self.client, self._made, self._on = client, made, on

    def part(self, count: int) -> Cluster:
        """The first ``count`` of the workers that are there now; they end with the whole."""
        return Cluster(self.client, self._made, sorted(self.client.nthreads())[:count])

    @property
    def local(self) -> bool:
        """Whether it was made here and ends here, so that nobody works on after `close`."""
        return self._made is not None

    def close(self) -> None:
        """Let go of the workers; a local cluster ends, and what it was at with it."""
        with contextlib.suppress(Exception):
            self.client.close(timeout=5)
        if self._made is not None:
            with contextlib.suppress(TimeoutError):
                self._made.close(timeout=20)

    def check(self, look: Callable[[], None]) -> None:
        """Have every worker that is there look whether it can do the work.

        Args:
            look: raises a `FloodsatError` where it cannot; importable on the workers.

        Raises:
            ClusterError: one cannot.
        """
        answers = self.client.run(_looked, look, self.local, on_error="return")
        for worker, answer in sorted(answers.items()):
            if isinstance(answer, ImportError | AttributeError):
                answer = f"has no such FloodSat ({answer}); install the same version there"
            if answer is not None:
                raise ClusterError(f"worker {worker}: {answer}")

    def each(self, work: Callable[[T], R], many: Iterable[T]) -> Iterator[Answer[T, R]]:
        """Have everything done; answers come as they are ready, in no order.

        What killed too many workers is tried again, alone, when all else is done; what kills them
        again is answered as lost. An exception that ``work`` raises is raised here.

        Args:
            work: importable on the workers.
            many: what to give it, taken as it is needed.

        Raises:
            ClusterError: the scheduler or every worker is gone.
        """
        accused: list[T] = []
        for answer in self._round(work, many, self._room):
            if answer.lost:
                accused.append(answer.asked)
            else:
                yield answer
        yield from self._round(work, accused, lambda: 1)

    def in_order(self, work: Callable[[T], R], many: Iterable[T]) -> Iterator[R]:
        """As `each`, but answers come in the order of what was asked.

        Raises:
            ClusterError: as `each`, and where one thing killed its workers again.
        """
        early: dict[int, R] = {}
        due = 0
        for answer in self.each(_Numbered(work), enumerate(many)):
            if answer.result is None:
                raise ClusterError(f"{answer.asked[1]}: {answer.lost}")
            early[answer.asked[0]] = answer.result[0]
            while due in early:
                yield early.pop(due)
                due += 1

    def _room(self) -> int:
        """How many tasks may be out."""
        there: dict[str, int] = self.client.nthreads()
        ours = there if self._on is None else [one for one in self._on if one in there]
        return AHEAD * max(1, sum(there[one] for one in ours))

    def _round(
        self, work: Callable[[T], R], many: Iterable[T], room: Callable[[], int]
    ) -> Iterator[Answer[T, R]]:
        waiting = iter(many)
        out: dict[Any, tuple[Future[R], T]] = {}
        ready: SimpleQueue[Future[R]] = SimpleQueue()
        try:
            while True:
                for asked in islice(waiting, max(0, room() - len(out))):
                    future = self.client.submit(
                        _on_worker, work, asked, pure=False, workers=self._on
                    )
                    out[future.key] = (future, asked)
                    future.add_done_callback(ready.put)
                if not out:
                    return
                future = self._next(ready)
                _, asked = out.pop(future.key)
                yield self._answer(future, asked)
        finally:
            with contextlib.suppress(Exception):
                self.client.cancel([future for future, _ in out.values()], force=True)

    def _next(self, ready: SimpleQueue[Future[R]]) -> Future[R]:
        """The next future that is done; a job without workers does not wait for ever."""
        return self._patient(lambda: ready.get(timeout=LOOK_S), Empty)

    def _answer(self, future: Future[R], asked: T) -> Answer[T, R]:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        try:
            # Its worker may have died since, and then it is done once more.
            result = self._patient(lambda: future.result(timeout=LOOK_S), TimeoutError)
            return Answer(asked, result)
        except KilledWorker:
            return Answer(asked, None, "every worker that worked on it died")
        except FutureCancelledError as error:
            raise ClusterError(
                "the cluster's scheduler is gone; what is done is kept, start it and run the same "
                "command again"
            ) from error

    def _patient(self, attempt: Callable[[], R], late: type[Exception]) -> R:
        since = monotonic()
        while True:
            try:
                return attempt()
            except late:
                if self.client.nthreads():
                    since = monotonic()
                elif monotonic() - since > ALONE_S:
                    raise ClusterError(
                        f"the cluster has had no worker for {ALONE_S:g} s; what is done is kept, "
                        "start workers and run the same command again"
                    ) from None


class _Numbered(Generic[T, R]):
    """Passes on what is numbered; the answer is wrapped, since it may be None."""

    def __init__(self, work: Callable[[T], R]) -> None:
        self.work = work

    def __call__(self, numbered: tuple[int, T]) -> tuple[R]:
        return (self.work(numbered[1]),)


def _on_worker(work: Callable[[T], R], asked: T) -> R:
    """On a worker, which may have come after the others were checked."""
    os.environ.setdefault(threads.VARIABLE, ONE_THREAD[threads.VARIABLE])
    return work(asked)


def _looked(look: Callable[[], None], ours: bool) -> str | None:
    """On a worker: why it cannot do the work, or None."""
    if ours:
        # Ctrl-C reaches every process of a terminal; those made here end when their maker does.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        look()
    except FloodsatError as error:
        return str(error)
    return None


@contextlib.contextmanager
def opened(where: str, workers: int | None = None) -> Iterator[Cluster]:
    """A cluster, for the time of a ``with`` block.

    Args:
        where: ``"local"``, or the address of a scheduler, as ``tcp://10.0.0.7:8786``.
        workers: of a local cluster: processes of one thread each; one a core where not given.

    Raises:
        ConfigError: no such place, or workers asked of a remote cluster.
        ClusterError: no scheduler answers there, or it has no worker.
        MissingPackageError: without Dask's distributed.
    """
    cluster = _local(workers) if where == LOCAL else _remote(where, workers)
    try:
        yield cluster
    finally:
        cluster.close()


def _dask() -> None:
    try:
        import distributed  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"--cluster: needs the package {error.name!r}, which is not installed here; "
            "pip install 'floodsat[archive]' brings it"
        ) from error


def _local(workers: int | None) -> Cluster:
    _dask()
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    settings = {
        "distributed.scheduler.allowed-failures": DEATHS - 1,
        "distributed.worker.profile.enabled": False,
        "distributed.admin.system-monitor.gil.enabled": False,
        "distributed.nanny.pre-spawn-environ": ONE_THREAD,
    }
    with dask.config.set(settings):
        try:
            made = LocalCluster(
                n_workers=workers or os.cpu_count() or 1,
                threads_per_worker=1,
                host="127.0.0.1",
                # None would be every address of this machine, at a port that may be taken.
                dashboard_address="127.0.0.1:0",
                # Results are small; what an engine takes, it takes.
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )
        except RuntimeError as error:
            raise ClusterError(
                f"--cluster {LOCAL}: its workers do not start ({error}); ask for fewer with "
                "--workers, or leave --cluster out and work in one process"
            ) from error
        return Cluster(Client(made, set_as_default=False), made)


def _remote(where: str, workers: int | None) -> Cluster:
    if "://" not in where:
        raise ConfigError(
            f"--cluster {where}: is neither 'local' nor the address of a scheduler; "
            "write one as tcp://HOST:8786"
        )
    if workers is not None:
        raise ConfigError(
            f"--workers: {where} has the workers that were started there; leave it out"
        )
    _dask()
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(where, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"--cluster {where}: no Dask scheduler answers there; start one with 'dask scheduler'"
        ) from error
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except TimeoutError as error:
        client.close()
        raise ClusterError(
            f"--cluster {where}: has no worker; start some with 'dask worker {where} --nthreads 1'"
        ) from error
    return Cluster(client)
