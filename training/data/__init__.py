"""Chip folders: what they hold, how they are divided, and where public ones come from."""
