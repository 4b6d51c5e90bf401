"""Names for array types, for readers and the type checker.

The flight environment's numpy (1.19) has no ``numpy.typing``; at run time these mean anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]
    Floats = NDArray[np.floating[Any]]
else:
    Array = Bytes = Flags = Floats = Any
