"""A frame on disk: one multispectral image, read by window.

A *frame* is what the camera delivers; its *scene id* is the SHA-256 of its samples, so the same
samples are the same scene wherever the file lies.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import rasterio
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from onboard.ahead import ahead
from onboard.arrays import Array
from onboard.capture import Capture, capture_of_tags
from onboard.closing import Closing
from onboard.conditions import Condition
from onboard.errors import FrameError
from onboard.georef import IDENTITY, Georef
from onboard.mirror import mirror
from onboard.rasters import READ_ERRORS, first_line, name_of, reaching, unlocated_is_fine
from onboard.remote import Remote
from onboard.sensor import Sensor
from onboard.spool import Spool

if TYPE_CHECKING:
    from onboard.radiometry import Correction

    Pair = tuple[int, int]

INTEGER_TYPES = ("uint16", "int16")
FLOAT_TYPES = ("float32",)
RADIOMETRIES = ("reflectance", "counts")
STRIP_ROWS = 64
MAX_STRIP_ROWS = 512
MAX_PIXELS = 2**31


class Patch(NamedTuple):
    """A window of a frame.

    Attributes:
        reflectance: float32 ``(h, w, bands)``; 0 where there is no data.
        valid: bool ``(h, w)``, whether the frame has data there.
    """

    reflectance: Array
    valid: Array


class OpenFrame(Closing):
    """An open frame, whatever it is stored as. Use as a context manager.

    What stores samples in some way is a subclass with `samples`, ``dtype`` and ``strip_rows``;
    `onboard.frames.open_frame` opens them all, and calibrates raw ones.

    Attributes:
        path: what was opened.
        sensor: whose bands are read, in its order.
        notes: what a person should know of the frame.
        georef: its grid.
        capture: when and from where it was taken.
        conditions: flags; see `onboard.conditions`.
        correction: what makes reflectance of raw samples; None where they are reflectance.
    """

    path: Path
    sensor: Sensor
    georef: Georef
    dtype: np.dtype[Any]
    strip_rows: int

    def __init__(self, path: Path, sensor: Sensor) -> None:
        self.path, self.sensor = path, sensor
        self.notes: list[str] = []
        self.capture = Capture()
        self.conditions = Condition(0)
        self.correction: Correction | None = None

    @property
    def height(self) -> int:
        """Rows."""
        return self.georef.height

    @property
    def width(self) -> int:
        """Columns."""
        return self.georef.width

    @property
    def raw(self) -> bool:
        """Whether the samples are the camera's counts, not reflectance."""
        raise NotImplementedError

    @property
    def scaling(self) -> tuple[Array, Array] | None:
        """Scale and offset, ``(bands,)`` each, that make reflectance of the stored samples.

        None where it takes more than that.
        """
        return None

    @property
    def sample_bytes(self) -> int:
        """Size of the sensor's bands, uncompressed, in bytes."""
        return int(self.width * self.height * len(self.sensor.bands) * self.dtype.itemsize)

    @property
    def acquired(self) -> str | None:
        """Time of acquisition, ISO 8601, where the frame states one."""
        time = self.capture.time
        return None if time is None else time.isoformat()

    def scene_id(self) -> bytes:
        """SHA-256 over the size and the samples of the sensor's bands, read strip by strip.

        The hash runs over ``width, height, bands`` as little-endian 32-bit words, the sample
        type's name, and the samples row by row, bands interleaved by pixel, little-endian. The
        samples are those that were stored: no calibration changes what a scene is.
        """
        shape = np.array([self.width, self.height, len(self.sensor.bands)], dtype="<u4")
        digest = hashlib.sha256(shape.tobytes() + self.dtype.name.encode())
        little = self.dtype.newbyteorder("<")
        strips = (
            partial(self.samples, top, 0, min(self.strip_rows, self.height - top), self.width)
            for top in range(0, self.height, self.strip_rows)
        )
        for samples in ahead(strips):
            digest.update(np.ascontiguousarray(samples, dtype=little).data)
        return digest.digest()

    def read(self, row: int, col: int, height: int, width: int) -> Patch:
        """A window that may reach beyond the frame; what lies outside is mirrored from inside.

        Args:
            row: first row, may be negative.
            col: first column, may be negative.
            height: rows.
            width: columns.
        """
        return _mirrored(self._inside, (self.height, self.width), (row, col), (height, width))

    def samples(self, row: int, col: int, height: int, width: int) -> Array:
        """Stored samples ``(h, w, bands)`` of a window within the frame, contiguous."""
        raise NotImplementedError

    def look(self, row: int, col: int, height: int, width: int) -> tuple[Array, Array]:
        """Stored samples of a window within the frame, and bool ``(h, w)`` where there are any."""
        raise NotImplementedError

    def _inside(self, row: int, col: int, height: int, width: int) -> Patch:
        """A window that lies within the frame."""
        if self.correction is not None:
            return self.correction.patch(self.look, row, col, height, width)
        samples, valid = self.look(row, col, height, width)
        return Patch(self._to_reflectance(samples, valid), valid)

    def _to_reflectance(self, samples: Array, valid: Array) -> Array:
        raise NotImplementedError


class Crop(NamedTuple):
    """A part of an image, in its pixels."""

    col: int
    row: int
    width: int
    height: int

    def of(self, path: Path, whole: Georef) -> Georef:
        """The grid of this part of an image.

        Raises:
            FrameError: it is not within it.
        """
        if not (
            0 <= self.col < self.col + self.width <= whole.width
            and 0 <= self.row < self.row + self.height <= whole.height
        ):
            raise FrameError(
                f"{path}: has {whole.width}×{whole.height} pixels, the window "
                f"{','.join(map(str, self))} (column, row, width, height) is not within; "
                "name another one"
            )
        if not whole.located:
            return Georef(self.width, self.height)
        a, b, c, d, e, f = whole.transform
        at = (a * self.col + b * self.row + c, d * self.col + e * self.row + f)
        return Georef(self.width, self.height, whole.crs, (a, b, at[0], d, e, at[1]))


class Frame(OpenFrame):
    """A frame that is a GeoTIFF.

    Bands are found by their descriptions in the file; a file without any, but with just as many
    bands as the sensor, is taken to be in the sensor's order, and ``notes`` says so. Integer
    samples become reflectance by the file's own band scale where it states one, else by the
    sensor's; float32 samples are reflectance already. A pixel has no data where the file's mask
    says so, where it is not finite, or where every band is exactly 0 (fill of the common
    archives). Its tags may say when and from where it was taken: see `capture_of_tags`.

    Of a frame in an object store the windows that are asked for are read, and the whole of it once,
    for its scene id: what that brings is kept, see `onboard.spool`.

    Args:
        path: the file or the object; for a ``mosaic`` what it is made of.
        sensor: whose bands are read, in its order.
        crop: the part of the image that is the frame; all of it where omitted.
        mosaic: GDAL's description (VRT) of an image that lies in several files, see
            `onboard.items`.

    Raises:
        FrameError: not a readable TIFF, a missing band, a wrong sample type, no pixels, a tag
            that makes no sense, or a crop that is not within it.
    """

    def __init__(
        self, path: Path, sensor: Sensor, crop: Crop | None = None, mosaic: str | None = None
    ) -> None:
        super().__init__(path, sensor)
        self._far = isinstance(path, Remote) or "/vsi" in (mosaic or "")
        self._spool: Spool | None = None
        self._dataset = _open(path) if mosaic is None else _open_mosaic(path, mosaic)
        try:
            self._indexes = self._find_bands()
            self._check_type()
            whole = self._read_georef()
            self._crop = Crop(0, 0, whole.width, whole.height) if crop is None else crop
            self.georef = self._crop.of(path, whole)
            self.dtype = np.dtype(self._dataset.dtypes[self._indexes[0] - 1])
            self._tags = self._dataset.tags()
            self.capture = capture_of_tags(path, self._tags)
            self._check_radiometry()
        except BaseException:
            self._dataset.close()
            raise
        # Whole blocks of the file, lest it be read again for every strip of one.
        self.strip_rows = min(max(STRIP_ROWS, self._dataset.block_shapes[0][0]), MAX_STRIP_ROWS)
        self._scales, self._offsets = self._radiometry()

    def close(self) -> None:
        """Let go of the file."""
        self._dataset.close()
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def scene_id(self) -> bytes:
        """SHA-256 over the size and the samples; see `OpenFrame.scene_id`."""
        if self._far and self._spool is None:
            self._spool = self._bring()
        return super().scene_id()

    @property
    def raw(self) -> bool:
        """Whether the tag ``RADIOMETRY`` calls the samples the camera's counts."""
        return bool(self._tags.get("RADIOMETRY") == "counts")

    @property
    def scaling(self) -> tuple[Array, Array] | None:
        """Scale and offset, ``(bands,)`` each, that make reflectance of the stored samples."""
        return None if self.raw else (self._scales, self._offsets)

    def samples(self, row: int, col: int, height: int, width: int) -> Array:
        """Stored samples ``(h, w, bands)`` of a window within the frame, contiguous."""
        if self._spool is not None:
            return self._spool.look(row, col, height, width)[0]
        return self._read(self._window(row, col, height, width))

    def look(self, row: int, col: int, height: int, width: int) -> tuple[Array, Array]:
        """Stored samples of a window within the frame, and bool ``(h, w)`` where there are any."""
        if self._spool is not None:
            return self._spool.look(row, col, height, width)
        window = self._window(row, col, height, width)
        samples = self._read(window)
        return samples, self._valid(samples, window)

    def _window(self, row: int, col: int, height: int, width: int) -> Window:
        return Window(self._crop.col + col, self._crop.row + row, width, height)

    def _bring(self) -> Spool:
        """Read all of it, once, in whole rows of the file's blocks."""
        spool = Spool(self.path, (self.height, self.width, len(self._indexes)), self.dtype)
        try:
            top = 0
            while top < self.height:
                # To the end of a row of blocks, wherever the area begins.
                rows = self.strip_rows - (self._crop.row + top) % self.strip_rows
                rows = min(rows, self.height - top)
                spool.put(top, *self.look(top, 0, rows, self.width))
                top += rows
        except BaseException:
            spool.close()
            raise
        return spool

    def _to_reflectance(self, samples: Array, valid: Array) -> Array:
        height, width, bands = samples.shape
        # Whole rows at once: numpy is slow where the innermost axis is as short as the bands are.
        image = samples.reshape(height, width * bands).astype(np.float32)
        image *= np.tile(self._scales, width)
        if self._offsets.any():
            image += np.tile(self._offsets, width)
        image = image.reshape(height, width, bands)
        if not valid.all():
            image[~valid] = 0.0
        return image

    def _valid(self, samples: Array, window: Window) -> Array:
        valid = any_sample(samples)
        if samples.dtype.kind == "f":
            valid &= np.isfinite(samples).all(axis=-1)
        nodata = self._dataset.nodata
        if nodata is not None and not math.isnan(nodata):
            for band in range(samples.shape[-1]):
                valid &= samples[..., band] != nodata
        if MaskFlags.per_dataset in self._dataset.mask_flag_enums[0]:
            with self._reading():
                valid &= self._dataset.dataset_mask(window=window) > 0
        return np.asarray(valid)

    def _read(self, window: Window) -> Array:
        """Samples ``(h, w, bands)``, contiguous."""
        with self._reading():
            planes = self._dataset.read(self._indexes, window=window)
        samples = np.empty((*planes.shape[1:], len(planes)), planes.dtype)
        for band, plane in enumerate(planes):
            samples[..., band] = plane
        return samples

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with reaching(self._far):
                yield
        except READ_ERRORS as error:
            if self._far:
                raise FrameError(
                    f"{self.path}: its samples cannot be read to the end "
                    f"({first_line(error)}); the store went away, or the object is damaged: "
                    "run it again"
                ) from error
            raise FrameError(
                f"{self.path}: breaks off or is damaged, its samples cannot be read; "
                "copy it again from its source"
            ) from error

    def _find_bands(self) -> list[int]:
        names = [(d or "").strip().lower() for d in self._dataset.descriptions]
        wanted = self.sensor.bands
        if not any(names) and self._dataset.count == len(wanted):
            self.notes.append(f"bands carry no names; taken as {', '.join(wanted)}")
            return list(range(1, len(wanted) + 1))
        missing = [band for band in wanted if band not in names]
        if missing:
            has = ", ".join(n or "unnamed" for n in names)
            raise FrameError(
                f"{self.path}: lacks the band {missing[0]!r} (has {has}); "
                f"deliver {', '.join(wanted)} and name them in the band descriptions"
            )
        return [names.index(band) + 1 for band in wanted]

    def _check_type(self) -> None:
        types = {self._dataset.dtypes[i - 1] for i in self._indexes}
        good = INTEGER_TYPES + FLOAT_TYPES
        if len(types) > 1 or not types <= set(good):
            raise FrameError(
                f"{self.path}: has samples of type {', '.join(sorted(types))}; "
                f"convert them to one of {', '.join(good)}"
            )

    def _check_radiometry(self) -> None:
        word = self._tags.get("RADIOMETRY", "reflectance")
        if word not in RADIOMETRIES:
            raise FrameError(
                f"{self.path}: its tag RADIOMETRY is {word!r}; "
                f"write one of {', '.join(RADIOMETRIES)}"
            )
        if word == "counts" and self.dtype != np.uint16:
            raise FrameError(
                f"{self.path}: says it holds counts but has {self.dtype} samples; "
                "write them as uint16"
            )

    def _radiometry(self) -> tuple[Array, Array]:
        data = self._dataset
        scales = np.array([data.scales[i - 1] for i in self._indexes], np.float32)
        offsets = np.array([data.offsets[i - 1] for i in self._indexes], np.float32)
        stated = bool((scales != 1).any() or (offsets != 0).any())
        if stated or data.dtypes[self._indexes[0] - 1] in FLOAT_TYPES:
            return scales, offsets
        full = np.ones(len(self._indexes), np.float32)
        return full * np.float32(self.sensor.scale), full * np.float32(self.sensor.offset)

    def _read_georef(self) -> Georef:
        data = self._dataset
        if data.width * data.height > MAX_PIXELS:
            raise FrameError(
                f"{self.path}: claims {data.width}×{data.height} pixels, more than any frame "
                "has; cut it into parts or check the file"
            )
        if data.crs is None:
            self.notes.append("the frame has no coordinates; its maps will have none")
            return Georef(data.width, data.height, "", IDENTITY)
        code = data.crs.to_epsg()
        crs = f"EPSG:{code}" if code else data.crs.to_wkt()
        t = data.transform
        return Georef(data.width, data.height, crs, (t.a, t.b, t.c, t.d, t.e, t.f))


class ArrayFrame:
    """A frame in memory, for chips and tests: read like a `Frame`.

    Args:
        reflectance: float32 ``(H, W, bands)``.
        valid: bool ``(H, W)``; all valid where omitted.
    """

    def __init__(self, reflectance: Array, valid: Array | None = None) -> None:
        self._image = np.asarray(reflectance, np.float32)
        self._valid = np.ones(self._image.shape[:2], bool) if valid is None else valid
        self.height, self.width = self._valid.shape

    def scene_id(self) -> bytes:
        """SHA-256 of size and samples, as `Frame.scene_id` forms it."""
        height, width, bands = self._image.shape
        digest = hashlib.sha256(np.array([width, height, bands], dtype="<u4").tobytes())
        digest.update(b"float32" + self._image.astype("<f4").tobytes())
        return digest.digest()

    def read(self, row: int, col: int, height: int, width: int) -> Patch:
        """A window, mirrored at the frame's border; see `Frame.read`."""
        return _mirrored(self._inside, (self.height, self.width), (row, col), (height, width))

    def _inside(self, row: int, col: int, height: int, width: int) -> Patch:
        inside = slice(row, row + height), slice(col, col + width)
        return Patch(self._image[inside], self._valid[inside])


def _mirrored(
    inside: Callable[[int, int, int, int], Patch], frame: Pair, at: Pair, size: Pair
) -> Patch:
    """The window of ``size`` at ``at`` out of what ``inside`` gives within a frame."""
    pads = [(max(0, -a), max(0, a + n - end)) for a, n, end in zip(at, size, frame)]
    (row, height), (col, width) = ((max(0, a), n - sum(pad)) for a, n, pad in zip(at, size, pads))
    if max(pads[0]) > height or max(pads[1]) > width:
        # More lies beyond the frame than within it: what is needed may be reflected repeatedly.
        rows, cols = (mirror(a, n, end) for a, n, end in zip(at, size, frame))
        top, left = int(rows.min()), int(cols.min())
        part = inside(top, left, int(rows.max()) - top + 1, int(cols.max()) - left + 1)
        return Patch(*(array[rows - top][:, cols - left] for array in part))
    patch = inside(row, col, height, width)
    if not any(pads[0] + pads[1]):
        return patch
    return Patch(*(_reflected(array, *pads) for array in patch))


def _reflected(array: Array, rows: Pair, cols: Pair) -> Array:
    """``array`` with so many rows and columns mirrored on either side; `numpy.pad` is slow."""
    (top, bottom), (left, right) = rows, cols
    height, width = array.shape[:2]
    end, side = top + height, left + width
    out = np.empty((end + bottom, side + right, *array.shape[2:]), array.dtype)
    out[top:end, left:side] = array
    out[top:end, :left] = array[:, :left][:, ::-1]
    out[top:end, side:] = array[:, width - right :][:, ::-1]
    out[:top] = out[top : 2 * top][::-1]
    out[end:] = out[end - bottom : end][::-1]
    return out


def any_sample(samples: Array) -> Array:
    """Where any band of ``(h, w, bands)`` differs from zero."""
    height, width, bands = samples.shape
    if samples.dtype.kind in "iu" and samples.dtype.itemsize * bands == 8:
        # A pixel is one word: far quicker than a reduction over an axis of four.
        return np.asarray(samples.view(np.uint64).reshape(height, width) != 0)
    return np.asarray((samples != 0).any(axis=-1))


def _open(path: Path) -> Any:
    if isinstance(path, Remote):
        return _open_remote(path)
    try:
        state = path.stat()
    except OSError as error:
        raise FrameError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if stat.S_ISDIR(state.st_mode):
        raise FrameError(f"{path}: is a folder; name a GeoTIFF in it")
    if state.st_size == 0:
        raise FrameError(f"{path}: is empty; copy it again from its source")
    try:
        with unlocated_is_fine():
            return rasterio.open(str(path), driver="GTiff")
    except READ_ERRORS as error:
        raise FrameError(
            f"{path}: is not a readable GeoTIFF; copy it again from its source or convert it"
        ) from error


def _open_remote(path: Remote) -> Any:
    try:
        with unlocated_is_fine(), reaching(True):
            return rasterio.open(name_of(path), driver="GTiff")
    except READ_ERRORS as error:
        raise FrameError(
            f"{path}: cannot be opened as a GeoTIFF ({first_line(error)}); check the address, "
            "AWS_ENDPOINT_URL and the credentials"
        ) from error


def _open_mosaic(path: Path, mosaic: str) -> Any:
    try:
        with unlocated_is_fine(), reaching(True):
            return rasterio.open(mosaic, driver="VRT")
    except READ_ERRORS as error:
        raise FrameError(
            f"{path}: its files cannot be read as one image ({first_line(error)}); check that "
            "they are whole"
        ) from error
