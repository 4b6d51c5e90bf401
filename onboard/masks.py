"""Dropout masks, drawn by the host from a counter-based generator.

One pass is one network over the whole scene, so a mask is keyed by seed, model, scene and pass,
never by tile: tiles fit, and the ground can redraw every mask. Only the raw 64-bit words of
Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) are used;
no library's distribution code can change what a seed means.

Word ``i`` of a pass belongs to channel ``i`` of the network's sites laid end to end. The channel
is kept where the upper 32 bits of the word are below ``round(keep * 2**32)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from onboard.arrays import Array
from onboard.network import Network, Site

Masks = dict[str, Array]
"""Site name → float32 ``(passes, channels)``, values 0 or ``1/keep``."""


def pass_words(seed: int, model_id: bytes, scene_id: bytes, pass_index: int, count: int) -> Array:
    """Raw Philox words of one pass.

    Args:
        seed: 0 … 2**64 - 1.
        model_id: 32 bytes, SHA-256 of the weights.
        scene_id: 32 bytes, SHA-256 of the samples.
        pass_index: 0-based.
        count: how many words.

    Returns:
        uint64 array of shape ``(count,)``.
    """
    text = seed.to_bytes(8, "little") + model_id + scene_id + pass_index.to_bytes(8, "little")
    key = np.frombuffer(hashlib.sha256(text).digest()[:16], dtype="<u8")
    return np.asarray(np.random.Philox(key=key, counter=0).random_raw(count), dtype=np.uint64)


def draw(
    network: Network,
    seed: int,
    model_id: bytes,
    scene_id: bytes,
    passes: Sequence[int],
) -> Masks:
    """Masks of the named passes.

    Returns:
        Site name → float32 ``(len(passes), channels)``, already scaled by ``1/keep``.
    """
    sites = network.sites
    total = sum(site.channels for site in sites)
    words = [pass_words(seed, model_id, scene_id, index, total) for index in passes]
    table = np.stack(words) if words else np.zeros((0, total), np.uint64)
    return _split(sites, table)


def _split(sites: list[Site], words: Array) -> Masks:
    masks: Masks = {}
    start = 0
    for site in sites:
        own = words[:, start : start + site.channels]
        threshold = np.uint64(round(site.keep * 2**32))
        kept = (own >> np.uint64(32)) < threshold
        masks[site.name] = kept.astype(np.float32) * np.float32(1.0 / site.keep)
        start += site.channels
    return masks


def ones(network: Network, passes: int = 1) -> Masks:
    """Masks of the deterministic pass: every channel kept, unscaled."""
    return {s.name: np.ones((passes, s.channels), np.float32) for s in network.sites}
