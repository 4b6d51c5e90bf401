"""What is timed, and against what: the code of ``floodsat bench``.

Every figure of speed is a ratio between two things measured in turn in one run, on one engine with
one number of threads; the seconds behind it are shown beside it and say nothing of other machines.
"""
