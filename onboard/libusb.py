"""libusb for the Myriad plugin, which wants ``libusb-1.0.so.0`` and does not bring it.

Debian has it in ``libusb-1.0-0``; the package ``libusb-package`` ships the same library in a wheel.
Loaded once into the process under its own name, it is what the plugin finds.
"""

from __future__ import annotations

import ctypes
import importlib

NAME = "libusb-1.0.so.0"
PACKAGE = "libusb_package"


def preload(name: str = NAME) -> bool:
    """Load libusb before the Myriad plugin is: the machine's own, else the package's.

    Args:
        name: of the library, as the plugin asks for it.

    Returns:
        Whether it is there. Says nothing otherwise: the plugin's own complaint is the clearer one.
    """
    if _loads(name):
        return True
    try:
        path = importlib.import_module(PACKAGE).get_library_path()
    except ImportError:
        return False
    return path is not None and _loads(str(path))


def _loads(library: str) -> bool:
    try:
        # Globally: the plugin's dependency is then met by the name that the library carries.
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
