"""An archive on a local cluster of two workers: one cluster for all tests, for it takes seconds."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ground.archive import cluster as clusters
from ground.archive import job as jobs
from ground.archive.cluster import Cluster, opened
from ground.archive.job import fit, gather, run
from ground.archive.recipe import Recipe
from ground.archive.work import Done
from onboard import cli
from onboard.errors import ClusterError, ConfigError
from tests.ground.archive import deeds
from tests.ground.archive.frames import counted, frames_in, make, maps_of
from tests.samples import BUNDLE

DEATHS = 2


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "DEATHS", DEATHS)
        with opened("local", 2) as made:
            yield made


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.of(BUNDLE, "tflite", passes=2)


def test_a_killed_worker_loses_no_frame_and_the_maps_are_those_of_one_process(
    cluster: Cluster, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = frames_in(tmp_path / "in", 6)
    one, out, mark = make(tmp_path / "one"), make(tmp_path / "out"), tmp_path / "mark"
    assert counted(gather(run(recipe, frames, one))) == (6, 0, 0)
    monkeypatch.setattr(jobs, "segment", partial(deeds.segment_once_deadly, mark))
    with jobs._alone(out) as token:
        cluster.check(partial(fit, recipe, out, token))
        assert counted(gather(run(recipe, frames, out, cluster))) == (6, 0, 0)
        assert mark.exists()
        # What the dead one left goes when the job ends, or the next begins.
        with jobs._workplace(out, None, None):
            assert maps_of(out) == maps_of(one)
        for frame in frames:
            name = f"{frame.stem}.json"
            assert (out / name).read_bytes() == (one / name).read_bytes()
        assert counted(gather(run(recipe, frames, out, cluster))) == (0, 6, 0)


def test_answers_come_in_order_where_that_is_asked(cluster: Cluster) -> None:
    assert list(cluster.in_order(deeds.double, range(9))) == [2 * n for n in range(9)]


def test_what_kills_its_workers_is_lost_and_nothing_else_is(cluster: Cluster) -> None:
    answers = {one.asked: one for one in cluster.each(deeds.poisonous, range(4))}
    assert {n: one.result for n, one in answers.items()} == {0: 0, 1: None, 2: 2, 3: 3}
    assert answers[1].lost == "every worker that worked on it died"
    # The cluster is whole again.
    assert list(cluster.in_order(deeds.double, range(3))) == [0, 2, 4]


def test_an_error_of_the_work_is_raised_here(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="not 2"):
        list(cluster.each(deeds.refuse, range(5)))


def test_a_cluster_that_is_there_is_used_and_left_as_it_is(cluster: Cluster) -> None:
    address = cluster.client.scheduler.address
    with opened(address) as same:
        assert not same.local
        assert list(same.in_order(deeds.double, range(4))) == [0, 2, 4, 6]
    assert list(cluster.in_order(deeds.double, range(2))) == [0, 2]


def test_workers_have_one_thread_and_no_tensorflow(cluster: Cluster) -> None:
    assert set(cluster.client.nthreads().values()) == {1}
    assert set(cluster.client.run(os.getenv, "FLOODSAT_THREADS").values()) == {"1"}
    assert set(cluster.client.run(os.getenv, "OPENBLAS_NUM_THREADS").values()) == {"1"}


def test_a_worker_that_cannot_do_the_work_is_named(
    cluster: Cluster, recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match=r"worker tcp://127\.0\.0\.1:\d+: .* is not the same"):
        cluster.check(partial(fit, recipe, tmp_path, "token"))


def test_without_a_cluster_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "CONNECT_S", 1)
    with (
        pytest.raises(ClusterError, match="no Dask scheduler answers there"),
        opened(
            # A port that nobody may listen on.
            "tcp://127.0.0.1:1"
        ),
    ):
        pass
    with pytest.raises(ConfigError, match="write one as tcp://HOST:8786"), opened("here"):
        pass
    with pytest.raises(ConfigError, match="leave it out"), opened("tcp://127.0.0.1:1", 3):
        pass


def test_workers_are_for_a_local_cluster(tmp_path: Path, capfd: Any) -> None:
    named = [str(BUNDLE), "f.tif", "--out", str(tmp_path), "--workers", "2"]
    assert cli.run(["segment", *named]) == 2
    assert "--workers: counts the processes of '--cluster local'" in capfd.readouterr().err


def test_the_ground_is_named_where_it_is_missing(
    tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onboard.cli.beyond.GROUND_PYTHON", (99,))
    named = [str(BUNDLE), "f.tif", "--out", str(tmp_path), "--cluster", "local"]
    assert cli.run(["segment", *named]) == 2
    assert "pip install 'floodsat[archive]'" in capfd.readouterr().err


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_workers_killed_at_random_lose_no_frame(recipe: Recipe, tmp_path: Path, seed: int) -> None:
    frames = frames_in(tmp_path / "in", 40)
    one, out = make(tmp_path / "one"), make(tmp_path / "out")
    gather(run(recipe, frames, one))
    rng, drawn = random.Random(seed), 0
    with opened("local", 2) as made:
        for outcome in run(recipe, frames, out, made):
            assert outcome is not None
            assert isinstance(outcome.result, Done)
            drawn += 1
            # By what is done, not by the clock: a slow machine must get on as well.
            if rng.random() < 0.2:
                pids = made.client.run(os.getpid, on_error="ignore").values()
                os.kill(rng.choice(sorted(pids)), signal.SIGKILL)
    assert drawn == len(frames)
    jobs.tidy(out)
    assert maps_of(out) == maps_of(one)
