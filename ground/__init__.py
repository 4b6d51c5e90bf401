"""The ground station: receive, decode, show. Imports `onboard` for the wire formats.

A stream of transfer frames comes in by `ground.sources`, is put in order and together
(`ground.sequencer`, `ground.reassembly`) and checked (`ground.receive`); what is whole becomes
maps, polygons, pictures and a catalogue (`ground.delivery`). `ground.replay` plays a whole mission
through the same code, `ground.archive` maps many frames on many machines, and `ground.cli` has the
commands. Nothing here needs TensorFlow.
"""
