"""Outlines: fitting the nets by which masks are coded in few bytes; see `onboard.outlines`.

`corpus` gathers masks of the shipped model, `fit` fits the nets on them, and `make` puts the tables
into a bundle. ``python -m training.outlines`` does all three.
"""
