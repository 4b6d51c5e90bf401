"""The training commands, one file each: what a person types, sees and is told.

Heavy packages are imported inside the functions, so that ``floodsat --help`` answers at once. See
`onboard.cli` for how they are found.
"""
