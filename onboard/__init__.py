"""The flight side of FloodSat: frames in, flagged flood products out.

``onboard`` is the ground floor of the project. Every format is defined here once; ``training``
and ``ground`` import it, it imports neither of them. It runs on Python 3.9 with numpy 1.19.
"""

__version__ = "0.1.0"
