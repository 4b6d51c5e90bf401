"""The ground station's commands, one file each."""
