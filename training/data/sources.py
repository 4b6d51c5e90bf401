"""Public data sets: where they are, under which terms, and what their files hold.

All addresses stand here. Layouts were read from the sets' own documentation; see ``docs/data.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

S2_BANDS = {
    "coastal": "B1",
    "blue": "B2",
    "green": "B3",
    "red": "B4",
    "rededge1": "B5",
    "rededge2": "B6",
    "rededge3": "B7",
    "nir": "B8",
    "nir_narrow": "B8A",
    "water_vapour": "B9",
    "cirrus": "B10",
    "swir1": "B11",
    "swir2": "B12",
}
"""Our name of a band → Sentinel-2's, in the order of level 1C files."""
S2_SCALE = 1e-4
S2_GSD_M = 10.0


@dataclass(frozen=True)
class Source:
    """A public data set.

    Attributes:
        name: as the command line names it, and the chip folder's ``dataset.toml``.
        title: for people.
        base_url: what its addresses begin with.
        store: bucket or repository there.
        licence: short, for ``dataset.toml``.
        terms: what to know before using it.
        citation: whom to cite.
        classes: label value → class of the chip folder.
        unit: what one item of the set is called.
    """

    name: str
    title: str
    base_url: str
    store: str
    licence: str
    terms: str
    citation: str
    classes: dict[int, str]
    unit: str


SEN1FLOODS11 = Source(
    name="sen1floods11",
    title="Sen1Floods11 v1.1, hand-labelled Sentinel-2 chips of 11 flood events",
    base_url="https://storage.googleapis.com",
    store="sen1floods11",
    licence="none stated by the publisher (Cloud to Street); contains Copernicus Sentinel data",
    terms=(
        "Its repository (cloudtostreet/Sen1Floods11) offers it openly, asks to be cited and states "
        "no licence: ask the publisher before you redistribute it or what is derived from it. "
        "Sentinel data are free under the Copernicus terms."
    ),
    citation=(
        "Bonafilia, Tellman, Anderson & Issenberg, Sen1Floods11: a georeferenced dataset to train "
        "and test deep learning flood algorithms for Sentinel-1, CVPR Workshops 2020, pp. 210-211"
    ),
    classes={0: "land", 1: "water", 255: "ignore"},
    unit="chips",
)
WORLDFLOODS = Source(
    name="worldfloods",
    title="WorldFloods v2, Sentinel-2 scenes with curated flood maps",
    base_url="https://huggingface.co",
    store="isp-uv-es/WorldFloodsv2",
    licence="CC BY-NC 4.0",
    terms=(
        "Creative Commons Attribution-NonCommercial 4.0: not for commercial use, and that holds "
        "for models trained on it as its publishers see it. The whole set is some 76 GB; --limit "
        "brings a part."
    ),
    citation=(
        "Portalés-Julià, Mateo-García, Purcell & Gómez-Chova, Global flood extent segmentation in "
        "optical satellite images, Scientific Reports 13, 20316 (2023)"
    ),
    classes={0: "land", 1: "water", 2: "cloud", 255: "ignore"},
    unit="scenes",
)
SOURCES = {source.name: source for source in (SEN1FLOODS11, WORLDFLOODS)}
