"""Outlines: fitting the nets by which masks are coded in few bytes; see `onboard.outlines`."""
