"""Archives: many frames to many maps, on one process or on many machines.

An *archive* is a folder of maps that is its own catalogue: a frame is done when the catalogue has
its item, and the item names the network and the settings that are asked for now. Nothing else
remembers anything, so a job that was stopped, however it was, goes on where it stopped.
"""
