"""A service with a quick engine as a process of its own: python -m tests.onboard.quick_service."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from onboard.service import Places, Service
from onboard.settings import Settings
from onboard.standby import Standby
from tests.onboard.flights import QuickEngine, runtime


def main(inbox: str, outbox: str, *options: str) -> None:
    """Serve until SIGTERM, or, with --once, until the inbox is empty."""
    # A busy machine may be killed in one frame again and again; here none is given up for that.
    settings = Settings(poll_seconds=0.05, retry_seconds=0.05, min_free_mb=0, attempts=1000)
    standby = Standby(["tflite"], lambda name: runtime(QuickEngine(name)))
    with Service(Places(Path(inbox), Path(outbox)), settings, standby) as service:
        signal.signal(signal.SIGTERM, lambda *_: service.stop())
        print("ready", flush=True)
        service.run(once="--once" in options)


if __name__ == "__main__":
    main(*sys.argv[1:])
