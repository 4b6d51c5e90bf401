"""Verification: whether a product is what its frame and its bundle give.

Three verdicts. *The same, bit for bit* is what the engine that made the product must give again, at
the same version, instruction set and number of threads. *The same within rounding* is what another
engine or another processor may give: at most `SHARE` of the mask's pixels differ, each of them with
a probability at its threshold, and every other figure follows from the mask that was sent. All else
*does not match*, and the findings say what and what to do about it.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from onboard.golden import TOLERANCE
from onboard.product import Product
from onboard.recompute import Recomputation, box_of
from onboard.reduced import Regions
from onboard.uncertainty import bernoulli_entropy

if TYPE_CHECKING:
    from onboard.arrays import Bytes, Flags

SHARE = 0.001
"""Of the mask's pixels, that rounding may change."""
EXACT = 1e-9
"""Relative difference of two figures that are one: sums may be taken in another order."""
ALL_OVER = 0.8
"""Share of a frame's rows and columns that what differs must span to be called all over."""

OTHER_FRAME = "this is another frame; give the one that the product names"
OTHER_MODEL = "this bundle holds another model; give the one that flew"
OTHER_BUNDLE = (
    "same weights, other manifest: give the version of the bundle that flew; the mask was "
    "recomputed with the product's own thresholds"
)
OTHER_TAGS = (
    "the frame's file says otherwise; its tags or its sidecar were changed since, they are no part "
    "of the scene id"
)
CURES: Mapping[str, str] = {
    "scene_id": OTHER_FRAME,
    "model_id": OTHER_MODEL,
    "sensor": OTHER_MODEL,
    "water_threshold": OTHER_BUNDLE,
    "cloud_threshold": OTHER_BUNDLE,
    "operating_point": OTHER_BUNDLE,
    "acquired_ms": OTHER_TAGS,
    "acquired_quality": OTHER_TAGS,
    "acquired_sigma_s": OTHER_TAGS,
    "georef": OTHER_TAGS,
    "geolocation_sigma_m": OTHER_TAGS,
    "conditions": (
        "another calibration of the camera (--profile), or a frame whose tags were changed since"
    ),
    "reference_version": "the reference does not cover this frame; give the one that flew",
    "seed": "the product names another seed than the one it was recomputed with",
    "passes": "the product names another number of passes than it was recomputed with",
    "statistics": "does not follow from the maps: the figure was changed",
}
_MAPS = ("mask", "entropy", "epistemic")
_LEFT_OUT = (*_MAPS, "engine", "product_id", "version", "tables_id", "guided", "regions")


class Verdict(enum.Enum):
    """How a product stands to its recomputation."""

    SAME = "the same, bit for bit"
    WITHIN = "the same within rounding"
    DIFFERS = "does not match"


class Finding(NamedTuple):
    """Something that differs.

    Attributes:
        what: its name.
        sent: as the product has it, in words.
        here: as it was recomputed.
        cure: what it means and what to do.
    """

    what: str
    sent: str
    here: str
    cure: str


class Slack(NamedTuple):
    """How far rounding may move things.

    Attributes:
        probability: any probability.
        nats: any entropy.
    """

    probability: float
    nats: float


@dataclass(frozen=True)
class Result:
    """What verification says.

    Attributes:
        verdict: in one word.
        findings: what differs; empty if nothing does.
        pixels: of the mask.
        differ: pixels of the mask that differ.
        furthest: the largest distance of a differing pixel's probability from its threshold,
            0…1, infinite where no probability gives what was sent; 0 where none differs.
        allowed: the distance that rounding explains.
        box: first row, first column, last row, last column of the pixels that differ.
        blocks: map of uncertainty → blocks whose code differs.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    pixels: int = 0
    differ: int = 0
    furthest: float = 0.0
    allowed: float = 0.0
    box: tuple[int, int, int, int] | None = None
    blocks: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; an infinite distance is None."""
        return {
            "verdict": self.verdict.name.lower(),
            "text": self.verdict.value,
            "findings": [finding._asdict() for finding in self.findings],
            "mask": {
                "pixels": self.pixels,
                "differ": self.differ,
                "furthest_from_threshold": self.furthest if math.isfinite(self.furthest) else None,
                "rounding_explains": self.allowed,
                "box": None if self.box is None else list(self.box),
            },
            "blocks_that_differ": dict(self.blocks),
        }


def engine_key(name: str) -> str:
    """The name of an engine in `onboard.engines.LOADERS`, from how a product names it."""
    return name.split(" ")[0]


def slack(sent: str, here: str) -> Slack:
    """What rounding explains between two engines, by their names in products.

    It is what their golden tiles are allowed, added up; of one engine in one version it is counted
    once. An engine that is not known here counts as the other one does.
    """
    names = sorted({sent, here})
    known = [TOLERANCE[key] for key in map(engine_key, names) if key in TOLERANCE]
    probability = len(names) * sum(known) / max(1, len(known))
    # An entropy moves most where the probability is next to 0.
    nats = float(bernoulli_entropy(np.array([min(probability, 0.5)]))[0])
    return Slack(probability, nats)


def foreign(sent: Product, scene_id: bytes, model_id: bytes, sensor: str) -> Result | None:
    """The verdict on a product that is of another frame or model; None where it is of these.

    Args:
        sent: the product.
        scene_id: of the frame at hand.
        model_id: of the bundle at hand.
        sensor: of the bundle at hand.
    """
    here = {"scene_id": scene_id, "model_id": model_id, "sensor": sensor}
    found = tuple(
        _finding(name, getattr(sent, name), value)
        for name, value in here.items()
        if getattr(sent, name) != value
    )
    return Result(Verdict.DIFFERS, found) if found else None


def verify(sent: Product, again: Recomputation) -> Result:
    """Hold a product to its recomputation.

    Args:
        sent: the product, of the same scene and model.
        again: what the flight code makes of its frame.
    """
    made = again.product
    allowed = slack(sent.engine, made.engine)
    facts = [
        _finding(name, a, b) for name, a, b in differing(sent, made) if not _is_statistic(name)
    ]
    moved = again.moved[again.moved > 0]
    blocks = {name: _count(getattr(sent, name), getattr(made, name)) for name in _MAPS[1:]}
    figures = list(differing(sent.statistics, made.statistics, at="statistics"))
    regions = sent.version == 1 or sent.regions == made.regions
    same = regions and not (facts or moved.size or figures or any(blocks.values()))
    wrong = facts + list(_beyond_rounding(sent, again, allowed))
    verdict = Verdict.SAME if same else Verdict.DIFFERS if wrong else Verdict.WITHIN
    return Result(
        verdict,
        tuple(wrong),
        sent.mask.size,
        int(moved.size),
        float(moved.max()) if moved.size else 0.0,
        allowed.probability,
        box_of(again.moved),
        blocks,
    )


def _beyond_rounding(sent: Product, again: Recomputation, allowed: Slack) -> Iterator[Finding]:
    """What no rounding explains."""
    moved = again.moved[again.moved > 0]
    far = int((moved > allowed.probability).sum())
    strange = {
        name: _strange_blocks(sent, again.resting, name, allowed.nats * power)
        for name, power in (("entropy", 1), ("epistemic", 2))
    }
    why = _why(sent, again, strange)
    if far or moved.size > SHARE * sent.mask.size:
        claim = f"{moved.size} of {sent.mask.size} pixels are otherwise"
        yield Finding("mask", claim, f"{far} of them cannot be rounding", why)
    for name, where in strange.items():
        if where.any():
            claim = f"{int(where.sum())} of {where.size} blocks are otherwise"
            yield Finding(name, claim, "beyond rounding", why)
    if sent.version > 1 and not _near(sent.regions, again.resting.regions):
        yield Finding("regions", "figures of its regions", "are others", CURES["statistics"])
    certain = not any(where.any() for where in strange.values())
    rested = again.resting.statistics
    for name, a, b in differing(sent.statistics, rested, allowed.nats, "statistics"):
        # Where the maps are others, so are all means of them.
        if certain or ".mean_" not in name:
            yield _finding(name, a, b)


def _why(sent: Product, again: Recomputation, strange: Mapping[str, Flags]) -> str:
    """What maps that differ beyond rounding mean."""
    untouched = not any(where.any() for where in strange.values())
    if engine_key(sent.engine) != engine_key(again.product.engine):
        return (
            f"the product was made by {sent.engine}, this is {again.product.engine}: more than "
            "rounding may do between them; recompute it with the product's own engine to be sure"
        )
    if any(_all_over(where) for where in strange.values()):
        return (
            "all over the frame: other passes or another seed than the product says (try --seed, "
            "--passes), another calibration (--profile), or another model under this id"
        )
    if untouched:
        return "the uncertainty agrees, so the mask was changed after it was made"
    return "only in places: what was sent was changed there, or computed wrongly on board"


# --- fields ---------------------------------------------------------------------------------


def differing(
    sent: Any, here: Any, tolerance: float = 0.0, at: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Name and both values of every field that differs, of two products or parts of them.

    Args:
        sent: a dataclass.
        here: another of the same type.
        tolerance: difference of two numbers that are the same, beside `EXACT`.
        at: what both are called.
    """
    for one in dataclasses.fields(sent):
        if at == "" and one.name in _LEFT_OUT:
            continue
        a, b = getattr(sent, one.name), getattr(here, one.name)
        if not _equal(a, b, tolerance):
            yield f"{at}.{one.name}" if at else one.name, a, b


def _equal(a: Any, b: Any, tolerance: float) -> bool:
    """Equality with a tolerance for floats, within tuples and dataclasses as well."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        return not list(differing(a, b, tolerance, "."))
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(_equal(x, y, tolerance) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        # Nothing but equality where no rounding is allowed for.
        return a == b or (tolerance > 0 and math.isclose(a, b, rel_tol=EXACT, abs_tol=tolerance))
    return bool(a == b)


def _is_statistic(name: str) -> bool:
    return name == "statistics"


def _finding(name: str, sent: Any, here: Any) -> Finding:
    cure = CURES.get(name.split(".")[0], "made by another version of the software, or changed")
    return Finding(name, shown(sent), shown(here), cure)


def shown(value: Any) -> str:
    """A field's value for people."""
    if value is None:
        return "none"
    if isinstance(value, bytes):
        return value.hex()[:16] + ("…" if len(value) > 8 else "")
    if isinstance(value, enum.Flag):
        from onboard.conditions import Condition, condition_names

        return ", ".join(condition_names(Condition(value.value))) or "none of note"
    if isinstance(value, enum.Enum):
        return str(getattr(value, "text", value.name))
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _near(sent: Regions | None, here: Regions | None) -> bool:
    """Whether the figures of regions are the same but for a step of a mean."""
    if sent is None or here is None:
        return sent is here
    if sent[:1] + sent[3:] != here[:1] + here[3:]:
        return False
    pairs = zip(sent.entropy + sent.epistemic, here.entropy + here.epistemic)
    return all(abs(a - b) <= 1 for a, b in pairs)


# --- maps of uncertainty --------------------------------------------------------------------


def _count(sent: Bytes, here: Bytes) -> int:
    return int((sent != here).sum()) if sent.shape == here.shape else int(sent.size)


def _all_over(where: Flags) -> bool:
    """Whether what is true spans a map."""
    box = box_of(where)
    if box is None:
        return False
    top, left, bottom, right = box
    height, width = where.shape
    return bottom - top + 1 >= ALL_OVER * height and right - left + 1 >= ALL_OVER * width


def _strange_blocks(sent: Product, here: Product, name: str, nats: float) -> Flags:
    """Blocks of a map whose codes no rounding explains: more than a step and more than that."""
    a, b = getattr(sent, name), getattr(here, name)
    if a.shape != b.shape or sent.levels != here.levels:
        return np.ones(a.shape, bool)
    step = np.abs(a.astype(np.int64) - b) <= 1
    values = (getattr(one, f"{name}_nats") for one in (sent, here))
    gap = np.abs(np.subtract(*values))
    # What one of them did not observe is no number, and no rounding either.
    strange: Flags = np.where(np.isnan(gap), a != b, ~((gap <= nats) | step))
    return strange
