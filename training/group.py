"""A group: the workers that train one network together, as each of them sees it.

Every worker makes its share of each batch, and all compute the same step: what a step sums over
the batch (the losses, the moments of batch normalisation, the gradients) is summed over all
workers by TensorFlow's collectives, and each applies the same update to weights of its own. So a
training comes out as with one worker, up to the order of sums.

Keras 3's ``fit`` does not run under ``MultiWorkerMirroredStrategy``, hence a step of our own
(`training.trainer`). A worker that is lost ends the others with `WorkerLostError`: the training
goes on from its last checkpoint when all are started again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

# How long a lost worker goes unnoticed can be set here only.
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
from tensorflow.python.eager import context

from onboard.errors import ConfigError, EngineError
from training.cluster import CHIEF, VARIABLE, Cluster

WAIT_S = 300.0
"""How long workers wait for each other at the start."""

HEARTBEAT_S = 60
"""A worker that has been silent for so long is lost. One that ends is noticed at once."""

LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


class WorkerLostError(EngineError):
    """Another worker ended or does not answer."""


class Group:
    """The workers of a cluster, joined.

    Attributes:
        index: of this worker; `CHIEF` alone writes.
        count: of workers.
    """

    def __init__(self, cluster: Cluster, strategy: Any) -> None:
        self.index, self.count = cluster.task, len(cluster.addresses)
        self._cluster, self._strategy = cluster, strategy
        self._sum = self.together(lambda each: self.all_sum(each))

    @classmethod
    def join(cls, cluster: Cluster, seconds: float = WAIT_S) -> Group:
        """Wait for the others, and be one of them. TensorFlow must not have computed before.

        Raises:
            ConfigError: not all came in time, or a worker has several devices.
            WorkerLostError: this worker's port is taken, or another ended meanwhile.
        """
        # It would tell of every lost worker, and of every shape that is summed, at length.
        tf.get_logger().setLevel("ERROR")
        if cluster.chief:
            # Once TensorFlow waits it waits for ever, and does not say for whom.
            cluster.wait_for_others(seconds)
        context.context().configure_coordination_service(
            service_type="standalone",
            service_leader=f"/job:worker/replica:0/task:{CHIEF}",
            cluster_register_timeout_in_ms=int(seconds * 1000),
            heartbeat_timeout_in_ms=HEARTBEAT_S * 1000,
            coordinated_jobs=[
                coordination_config_pb2.CoordinatedJob(
                    name="worker", num_tasks=len(cluster.addresses)
                )
            ],
        )
        strategy = _strategy(cluster, seconds)
        if strategy.num_replicas_in_sync != len(cluster.addresses):
            raise ConfigError(
                "a worker trains on one device, and there are several here; start one worker for "
                "each, with its own in CUDA_VISIBLE_DEVICES"
            )
        return cls(cluster, strategy)

    @property
    def chief(self) -> bool:
        """Whether this is the worker that writes."""
        return self.index == CHIEF

    def together(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` as a step that all workers take at once; it may use `all_sum`."""
        run = tf.function(lambda *given: self._strategy.run(function, args=given), autograph=False)

        def step(*given: Any) -> Any:
            with self._noticing():
                return run(*given)

        return step

    def all_sum(self, values: Any) -> Any:
        """Inside a step: the sum over all workers, of a tensor or of each in a list.

        Gradients pass through it: they are summed over all workers too.
        """
        # Made here, for what was given to the step has no device yet.
        here = tf.nest.map_structure(tf.identity, values)
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)

    def sum(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The sum over all workers of arrays of one shape and type."""
        return np.asarray(self._sum(tf.constant(array)))

    def wait(self) -> None:
        """Return once all workers are here."""
        self.sum(np.zeros(1, np.int32))

    def share(self, data: bytes) -> bytes:
        """The chief's ``data``, to all workers; what others give counts for nothing."""
        size = int(self.sum(np.array([len(data) if self.chief else 0], np.int64))[0])
        words = np.zeros(-(-size // 4), np.int32)
        if self.chief:
            words.view(np.uint8)[:size] = np.frombuffer(data, np.uint8)
        return bytes(self.sum(words).view(np.uint8)[:size])

    def share_json(self, make: Callable[[], Any]) -> Any:
        """What ``make`` gives the chief, which alone calls it, to all workers."""
        return json.loads(self.share(json.dumps(make()).encode() if self.chief else b""))

    def agree(self, what: str, digest: bytes) -> None:
        """All workers must have the same of something.

        Raises:
            ConfigError: this worker, or another, has not what the chief has.
        """
        every = np.zeros((self.count, len(digest)), np.int32)
        every[self.index] = np.frombuffer(digest, np.uint8)
        every = self.sum(every)
        other = [i for i in range(self.count) if (every[i] != every[CHIEF]).any()]
        if other:
            raise ConfigError(
                f"worker {other[0]} at {self._cluster.addresses[other[0]]} has other {what} than "
                "the chief; give all workers the same"
            )

    @contextlib.contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except LOST as error:
            raise WorkerLostError(
                "another worker ended or does not answer; give the same command to every worker "
                "again, it goes on from the last finished epoch"
            ) from error


def _strategy(cluster: Cluster, seconds: float) -> Any:
    listed = {"worker": list(cluster.addresses)}
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(listed), task_type="worker", task_id=cluster.task, rpc_layer="grpc"
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.UnknownError as error:
        raise WorkerLostError(
            f"{cluster.addresses[cluster.task]}: cannot listen there, is its port taken? Choose "
            f"another one in {VARIABLE}"
        ) from error
    except LOST as error:
        raise WorkerLostError(
            f"the chief at {cluster.addresses[CHIEF]} does not answer within {seconds:g} s; start "
            "the same command there too, and let its port through"
        ) from error
