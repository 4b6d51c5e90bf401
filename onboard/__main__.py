"""``python -m onboard`` is ``floodsat``."""

from onboard.cli import main

main()
