"""Training on the ground: chips to a signed bundle. Imports `onboard` for shared definitions.

Labelled *chips* (`training.chips`) fit the network (`training.fit`) into a *run folder*; its
thresholds come from places of their own (`training.calibrate`). `training.export` makes every
engine's files of it (`training.targets`), holds them to the float64 reference (`training.parity`)
and signs them. `training.evaluate` scores a bundle as it flies. Rooms of their own:
`training.data` for chip folders, `training.synth` for generated frames, `training.outlines` for
the nets that code masks, `training.lab` for experiments, `training.cli` for the commands.
"""
