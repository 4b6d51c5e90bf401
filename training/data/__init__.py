"""Chip folders: what they hold, how they are divided, and where public ones come from.

`describe` looks into a folder, `divide` gives each place to train, calibration or test, `fetch`
brings a public set (known to `sources`, listed by `listing`, brought by `download`, cut by
`scenes`), and `labelling` makes of delivered chips a folder that a person labels in QGIS.
"""
