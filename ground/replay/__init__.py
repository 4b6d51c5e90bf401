"""Replay: a mission in simulated time, from the orbit to the map on the ground."""
