"""The flight side of FloodSat: frames in, flagged flood products out.

``onboard`` is the ground floor of the project. Every format is defined here once; ``training`` and
``ground`` import it, it imports neither of them. It runs on Python 3.9 with numpy 1.19.

A frame (`onboard.scene`) is cut into tiles and segmented (`onboard.segment`) by an engine
(`onboard.engines`) that runs a signed bundle (`onboard.bundle`); triage decides what it is worth
(`onboard.triage`), the product goes into the outbox (`onboard.product`, `onboard.outbox`) and down
in a pass (`onboard.link`). `onboard.runtime` does this for one frame, `onboard.service` for weeks.
CONTRIBUTING.md has a table of every module.
"""

__version__ = "0.1.0"
