"""A supervised engine: any engine in a process of its own, watched and started again.

A driver can hang, crash or lose its device, and takes its process with it. Here it takes a worker
process only. The supervisor sees three things: a call that passes its deadline, a heartbeat that
stops (a hang that holds Python's lock stops it too), and the death of the process. It then kills
the worker, starts another and repeats the call once.

The worker never outlives its supervisor for long: it ends when the pipe closes, its heartbeat looks
for its parent, and an alarm of the kernel, which the heartbeat puts off, ends it even where a hang
lets no Python run any more.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from onboard.arrays import Array
from onboard.closing import Closing
from onboard.errors import EngineError, FloodsatError
from onboard.masks import Masks
from onboard.uncertainty import Moments

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from onboard.engines import Engine

    Message = tuple[str, Any]
    Factory = Callable[[], Engine]

START_S = 120.0
CLOSE_S = 5.0
PAUSE_S = 2.0
WINDOW = 8
"""Tiles that go to the worker at once in `SupervisedEngine.run_many`."""
_BEATS = 4
"""Heartbeats in the time after which their absence is taken for a hang."""
_LAST_RESORT = 3
"""Such times after which a worker without a heartbeat ends by the kernel's alarm."""
_DONE, _FAILED, _GONE = "done", "failed", "gone"


class DeviceError(EngineError):
    """The device behind an engine failed; a new process may bring it back."""


class Health(NamedTuple):
    """What telemetry says of a supervised engine.

    Attributes:
        restarts: how often its worker was started again, in all.
        in_a_row: how often since a call last succeeded.
        last_error: why it was last; empty if never.
        pid: of the worker's process; 0 while there is none.
    """

    restarts: int
    in_a_row: int
    last_error: str
    pid: int


class _LostError(Exception):
    """The worker hangs or is dead, or its device is; says which."""


class SupervisedEngine(Closing):
    """Fits `onboard.engines.Engine`, around another one. Not for several threads at once.

    Args:
        factory: makes the engine, in the worker; can be pickled. The first time, what it raises
            is raised here.
        deadline_s: the longest that one call may take, seconds.
        heartbeat_s: the longest that the worker may be silent during a call, seconds; more than
            the engine's calls hold Python's lock.
        restarts: how often in a row, without a call that succeeds, the worker is started again.
        start_s: the longest that a start may take, seconds.
        pause_s: between restarts in a row, seconds: a device that was reset comes back slowly.

    Raises:
        FloodsatError: of the factory.
        EngineError: the worker does not start.
    """

    def __init__(
        self,
        factory: Factory,
        deadline_s: float,
        heartbeat_s: float,
        restarts: int = 3,
        start_s: float = START_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._factory = factory
        self._deadline_s, self._start_s, self._pause_s = deadline_s, start_s, pause_s
        self._heartbeat_s = heartbeat_s
        self._allowed = restarts
        self._restarts = self._in_a_row = 0
        self._last_error = ""
        self._worker: _Worker | None = None
        self._closed = False
        try:
            self._name, self._size = self._start()
        except _LostError as lost:
            raise EngineError(
                f"the engine's worker did not start: {lost}; check the device, or use another "
                "engine"
            ) from lost

    @property
    def name(self) -> str:
        """The name of the engine inside."""
        return self._name

    @property
    def tile_size(self) -> int | None:
        """The side of tiles of the engine inside."""
        return self._size

    @property
    def health(self) -> Health:
        """Counts and last error, for telemetry."""
        pid = self._worker.pid if self._worker else 0
        return Health(self._restarts, self._in_a_row, self._last_error, pid)

    def run(self, tile: Array, masks: Masks) -> Moments:
        """Moments over all passes of ``masks``; see `onboard.engines.Engine`.

        Raises:
            EngineError: the engine's own, or the call failed twice, or too many restarts.
        """
        found: Moments = self.ask("run", tile, masks)
        return found

    def run_many(self, tiles: Iterable[Array], masks: Masks) -> Iterator[Moments]:
        """Moments of one tile after the other, in their order; `WINDOW` tiles go together.

        Raises:
            EngineError: as `run` does.
        """
        rest = iter(tiles)
        while True:
            window = list(islice(rest, WINDOW))
            if not window:
                return
            yield from self._call(len(window) * self._deadline_s, _many, window, masks)

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the engine inside, such as ``temperature``.

        Raises:
            EngineError: as `run` does.
        """
        return self._call(self._deadline_s, _ask, method, *arguments)

    def close(self) -> None:
        """End the worker. The engine cannot run afterwards."""
        self._closed = True
        if self._worker:
            self._forgotten.detach()
            self._worker.close()
            self._worker = None

    def _call(self, deadline_s: float, *call: Any) -> Any:
        """Make a call; if its worker is lost, once more with a new one."""
        if self._closed:
            raise EngineError(f"engine {self._name}: was closed; load it again")
        try:
            found = self._attempt(deadline_s, call)
        except _LostError:
            try:
                found = self._attempt(deadline_s, call)
            except _LostError as again:
                raise EngineError(
                    f"engine {self._name}: failed and, in a new process, again: {again}"
                ) from again
        self._in_a_row = 0
        return found

    def _attempt(self, deadline_s: float, call: tuple[Any, ...]) -> Any:
        while not self._worker:
            self._restart()
        try:
            return self._worker.ask(call, deadline_s, self._heartbeat_s)
        except _LostError as lost:
            self._drop(str(lost))
            raise
        except DeviceError as error:
            self._drop(str(error))
            raise _LostError(str(error)) from error

    def _restart(self) -> None:
        """Start a worker again; without one if that fails.

        Raises:
            EngineError: there were as many restarts in a row as there may be.
        """
        if self._in_a_row >= self._allowed:
            raise EngineError(
                f"engine {self._name}: gave up after {self._in_a_row} restarts in a row, the last "
                f"after: {self._last_error}"
            )
        if self._in_a_row:
            time.sleep(self._pause_s)
        self._restarts += 1
        self._in_a_row += 1
        try:
            self._start()
        except (_LostError, EngineError) as error:
            self._drop(str(error))

    def _start(self) -> tuple[str, int | None]:
        worker = _Worker(self._factory, self._heartbeat_s, self._start_s)
        try:
            name, size = worker.ask(None, self._start_s, self._start_s)
        except BaseException:
            worker.kill()
            raise
        self._worker = worker
        self._forgotten = weakref.finalize(self, worker.kill)
        return name, size

    def _drop(self, why: str) -> None:
        self._last_error = why
        if self._worker:
            self._forgotten.detach()
            self._worker.kill()
            self._worker = None


class _Worker:
    """One process, as the supervisor sees it."""

    def __init__(self, factory: Factory, heartbeat_s: float, start_s: float) -> None:
        # Spawned: a fork would copy the locks of a driver's threads without the threads.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._beats = context.RawValue("L", 0)
        self._process: SpawnProcess = context.Process(
            target=_serve,
            args=(theirs, self._beats, factory, heartbeat_s, start_s),
            name="engine",
            daemon=True,
        )
        self._process.start()
        self.pid = self._process.pid or 0
        # With our copy closed, the pipe ends when the worker does.
        theirs.close()
        self._exchange: threading.Thread | None = None

    def ask(self, call: Any, deadline_s: float, silence_s: float) -> Any:
        """Send a call and wait for its answer; None waits for the word that it is ready.

        Raises:
            _LostError: no answer by the deadline, no heartbeat, or the process ended.
            Exception: what the call raised.
        """
        answers: queue.Queue[Message] = queue.Queue()
        data = _packed(call) if call else []
        # In a thread: a worker that is stopped in the middle of a message would block us.
        self._exchange = threading.Thread(
            target=_exchange, args=(self._pipe, data, answers), daemon=True
        )
        self._exchange.start()
        kind, answer = self._watch(answers, deadline_s, silence_s)
        if kind == _GONE:
            raise _LostError(self._how_it_ended())
        if kind == _FAILED:
            raise answer
        return answer

    def _watch(self, answers: queue.Queue[Message], deadline_s: float, silence_s: float) -> Message:
        start = heard = time.monotonic()
        beats = self._beats.value
        step = min(deadline_s, silence_s) / _BEATS
        while True:
            with contextlib.suppress(queue.Empty):
                return answers.get(timeout=step)
            now = time.monotonic()
            if self._beats.value != beats:
                beats, heard = self._beats.value, now
            if now - start > deadline_s:
                raise _LostError(f"no answer within {deadline_s:g} s")
            if now - heard > silence_s:
                raise _LostError(f"no heartbeat for {silence_s:g} s")

    def _how_it_ended(self) -> str:
        self._process.join(CLOSE_S)
        code = self._process.exitcode
        if code is None:
            return "its process closed the pipe"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"

    def close(self) -> None:
        """Ask it to end, and kill it if it does not."""
        with contextlib.suppress(OSError):
            _put(self._pipe, None)
        self._process.join(CLOSE_S)
        self.kill()

    def kill(self) -> None:
        """End it now; nothing if it has ended."""
        with contextlib.suppress(ValueError):
            self._process.kill()
            self._process.join()
            if self._exchange:
                self._exchange.join(CLOSE_S)
            self._process.close()
        self._pipe.close()


def _exchange(pipe: Connection, data: list[Any], answers: queue.Queue[Message]) -> None:
    try:
        for part in data:
            pipe.send_bytes(part)
        answers.put(_get(pipe))
    except (EOFError, OSError):
        answers.put((_GONE, None))


def _packed(message: Any) -> list[Any]:
    """A message as parts to be sent: how many arrays there are and the rest, then each array.

    Arrays go as they lie in memory (PEP 574), for a copy of a tile is ten megabytes.
    """
    arrays: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=arrays.append)
    return [len(arrays).to_bytes(4, "big") + head, *(array.raw() for array in arrays)]


def _put(pipe: Connection, message: Any) -> None:
    for part in _packed(message):
        pipe.send_bytes(part)


def _get(pipe: Connection) -> Any:
    """The next message; its arrays cannot be written to."""
    head = pipe.recv_bytes()
    arrays = [pipe.recv_bytes() for _ in range(int.from_bytes(head[:4], "big"))]
    return pickle.loads(head[4:], buffers=arrays)


def _ask(engine: Any, method: str, *arguments: Any) -> Any:
    return getattr(engine, method)(*arguments)


def _many(engine: Any, tiles: list[Array], masks: Masks) -> list[Moments]:
    """All results of `SupervisedEngine.run_many`, by the engine's own if it has one."""
    if hasattr(engine, "run_many"):
        return list(engine.run_many(tiles, masks))
    return [engine.run(tile, masks) for tile in tiles]


def _serve(
    pipe: Connection, beats: Any, factory: Factory, heartbeat_s: float, start_s: float
) -> None:
    """The worker's life: make the engine, answer calls until the pipe closes."""
    # Drivers write to the standard output, which is the command's.
    os.dup2(2, 1)
    # An interrupt from the terminal reaches both; the supervisor decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    heart = _Heart(beats, heartbeat_s / _BEATS, start_s)
    heart.start()
    made: list[Any] = []

    def make() -> tuple[str, int | None]:
        made.append(factory())
        return made[0].name, made[0].tile_size

    with contextlib.suppress(EOFError, OSError):
        ready = _answer(make)
        heart.last_resort_s = _LAST_RESORT * heartbeat_s
        _put(pipe, ready)
        while made:
            call = _get(pipe)
            if call is None:
                break
            function, *arguments = call
            _put(pipe, _answer(partial(function, made[0], *arguments)))
            # Not kept while the next one comes.
            del call, arguments
    if made and hasattr(made[0], "close"):
        made[0].close()


def _answer(work: Callable[[], Any]) -> Message:
    try:
        return _DONE, work()
    except Exception as error:
        if not isinstance(error, FloodsatError):
            # A defect of ours: the supervisor's traceback would end at the pipe.
            traceback.print_exc()
        return _FAILED, _portable(error)


def _portable(error: Exception) -> Exception:
    """An exception that survives the pipe, with its own class if that can be."""
    error.__cause__ = error.__context__ = None
    try:
        again = pickle.loads(pickle.dumps(error))
        if str(again) == str(error):
            return error
    except Exception:
        # A class may take its arguments in any way it likes; the text must do then.
        pass
    return EngineError(f"{type(error).__name__}: {error}")


class _Heart(threading.Thread):
    """Counts up as long as Python runs here and the supervisor is there."""

    def __init__(self, beats: Any, beat_s: float, last_resort_s: float) -> None:
        super().__init__(name="heart", daemon=True)
        self._beats, self._beat_s = beats, beat_s
        self.last_resort_s = last_resort_s
        self._parent = os.getppid()

    def run(self) -> None:
        while os.getppid() == self._parent:
            self._beats.value = (self._beats.value + 1) % 2**32
            # Nobody handles this signal: the kernel ends a process that stops putting it off.
            signal.setitimer(signal.ITIMER_REAL, self.last_resort_s)
            time.sleep(self._beat_s)
        os._exit(1)
