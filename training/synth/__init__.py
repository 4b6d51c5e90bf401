"""Generated multispectral frames with truth: a place, a flood, a sky and a camera, all from seeds.

A *recipe* says what to make; ``training.synth.frame.synthesise`` makes it. Nothing here is a
picture of a real place.
"""
