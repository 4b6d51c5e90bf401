"""``floodsat`` of which one worker kills itself, once, in its second epoch."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any


def main() -> int:
    """Arguments: the number of the doomed worker, a file that says it happened, the command's."""
    from onboard.cli import run
    from training import clouds, trainer
    from training.cluster import Cluster

    worker, happened = int(sys.argv[1]), Path(sys.argv[2])
    cluster = Cluster.of(os.environ)
    assert cluster is not None
    # A bank of 160 generated skies takes longer than all the rest.
    clouds.make_bank = partial(clouds.make_bank, skies=3)
    whole = trainer.Trainer.epoch

    def epoch(self: Any, stream: Any, on_step: Any) -> float:
        if stream.epoch == 1 and cluster.task == worker and not happened.exists():
            happened.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, stream, on_step)

    trainer.Trainer.epoch = epoch  # type: ignore[method-assign]
    return run(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
