"""The ground station's commands, one file each: what a person types, sees and is told.

They read options, call the ground station and print; what they do is done elsewhere. See
`onboard.cli` for how they are found.
"""
