"""Make the pictures of the docs from what the demo made: `make pictures`."""

from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SIZE = (1360, 850)

with Image.open(ROOT / "demo-out" / "maps" / "flood.png") as quicklook:
    picture = quicklook.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    picture.save(ROOT / "docs" / "images" / "demo.jpg", quality=86, optimize=True)
