"""The classes of every mask in FloodSat, fixed once.

``CLOUD`` and ``NODATA`` together are *not observed*: a class of its own on every map, never
drawn as dry.
"""

LAND = 0
WATER = 1
CLOUD = 2
NODATA = 255
