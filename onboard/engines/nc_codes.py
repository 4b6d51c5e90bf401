"""What the Myriad plugin's errors mean, and what helps.

The plugin of OpenVINO 2021.4.2 says what it was doing and how the driver answered, for example
``Failed to read output from FIFO: NC_ERROR``. The phrases are those of its ``myriad_executor.cpp``
and ``myriad_plugin.cpp``, the codes those of ``mvnc.h`` and ``XLinkPublicDefines.h`` there.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Fault(NamedTuple):
    """What one error means.

    Attributes:
        meaning: in words.
        cure: what the operator can do.
        lost: whether a new process, which boots the stick again, may help.
    """

    meaning: str
    cure: str
    lost: bool = True


_REPLUG = "plug the stick out and in, straight into a USB 3 port or a powered hub"
_HELD = "end the other process that uses the stick, or plug it out and in"
_RULES = "allow USB access (udev rules of Myriad, vendor 03e7), or plug the stick out and in"
_EXPORT = "export the bundle again"
_INSTALL = "install the flight environment again"
_CLOSE = "close other engines on it"

ACTIONS = {
    "Can not init Myriad device": "the stick does not boot",
    "Failed to init graph": "the stick does not take the model",
    "Failed to set graph executors": "the stick does not take the model",
    "Failed to allocate graph": "the stick does not take the model",
    "Failed to init input FIFO": "the stick does not take the model",
    "Failed to create input FIFO": "the stick does not take the model",
    "Failed to init output FIFO": "the stick does not take the model",
    "Failed to create output FIFO": "the stick does not take the model",
    "Failed to queue inference": "the stick takes no input",
    "Failed to read output from FIFO": "the stick gives no result",
    "Failed to get thermal stats": "the stick does not tell its temperature",
}
"""What the plugin was doing → what that means to us."""

CODES = {
    "NC_BUSY": Fault("it is busy", _HELD),
    "NC_ERROR": Fault("the connection failed", _REPLUG),
    "NC_OUT_OF_MEMORY": Fault("not enough memory for the model", _CLOSE, lost=False),
    "NC_DEVICE_NOT_FOUND": Fault("it is gone or another process holds it", _HELD),
    "NC_INVALID_PARAMETERS": Fault("the driver refuses the call", _EXPORT, lost=False),
    "NC_TIMEOUT": Fault("no answer in time", _REPLUG),
    "NC_MVCMD_NOT_FOUND": Fault("no firmware for this chip here", _INSTALL, lost=False),
    "NC_NOT_ALLOCATED": Fault("it was closed in the middle of the call", _REPLUG),
    "NC_UNAUTHORIZED": Fault("it is not ours to use", _RULES, lost=False),
    "NC_UNSUPPORTED_GRAPH_FILE": Fault("the blob is of another compiler", _EXPORT, lost=False),
    "NC_UNSUPPORTED_CONFIGURATION_FILE": Fault("a setting is unknown to it", _INSTALL, lost=False),
    "NC_UNSUPPORTED_FEATURE": Fault("the firmware lacks this feature", _INSTALL, lost=False),
    "NC_MYRIAD_ERROR": Fault("the firmware failed", _REPLUG),
    "NC_INVALID_DATA_LENGTH": Fault("input or result has the wrong size", _EXPORT, lost=False),
    "NC_INVALID_HANDLE": Fault("it was closed in the middle of the call", _REPLUG),
    "X_LINK_ALREADY_OPEN": Fault("another process holds it", _HELD),
    "X_LINK_COMMUNICATION_NOT_OPEN": Fault("the connection is closed", _REPLUG),
    "X_LINK_COMMUNICATION_FAIL": Fault("the connection failed", _REPLUG),
    "X_LINK_COMMUNICATION_UNKNOWN_ERROR": Fault("the connection failed", _REPLUG),
    "X_LINK_DEVICE_NOT_FOUND": Fault("it is gone", _REPLUG),
    "X_LINK_TIMEOUT": Fault("no answer in time", _REPLUG),
    "X_LINK_ERROR": Fault("the connection failed", _REPLUG),
    "X_LINK_OUT_OF_MEMORY": Fault("not enough memory for the transfer", _CLOSE, lost=False),
    "REQUEST_BUSY": Fault("an earlier inference has not come back", _REPLUG),
    "RESULT_NOT_READY": Fault("no answer in time", _REPLUG),
}
"""Code → its meaning."""

PHRASES = {
    "No devices available": Fault("no stick is plugged in, or another process holds it", _HELD),
    "No device was detected": Fault("no stick is plugged in, or another process holds it", _HELD),
    "KEY_DEVICE_ID is undefined": Fault(
        "several sticks are plugged in", "name one with FLOODSAT_MYRIAD", lost=False
    ),
    " not found.": Fault(
        "the stick that was named is not plugged in", "plug it in, or name it in FLOODSAT_MYRIAD"
    ),
    "Maximum number of networks reached": Fault("the stick holds no more models", _CLOSE, False),
    "MYRIAD device is not opened": Fault("the stick is not open", _RULES),
    "libusb": Fault(
        "the Myriad plugin does not load without libusb",
        "install the flight environment again, or 'apt-get install libusb-1.0-0'",
        lost=False,
    ),
    "Input has unexpected size": Fault("the blob takes another input", _EXPORT, lost=False),
}
"""Errors without a code: a part of their text → what they mean."""


def explain(text: str) -> Fault:
    """What an error of the plugin means.

    Args:
        text: of the ``RuntimeError``, any number of lines.

    Returns:
        The fault in one line: the action that failed, its reason with the code, and the cure.
    """
    action = next((words for phrase, words in ACTIONS.items() if phrase in text), "")
    code = next((found for found in re.findall(r"[A-Z][A-Z_]+[A-Z]", text) if found in CODES), "")
    if code:
        fault = CODES[code]
        if action == ACTIONS["Can not init Myriad device"] and code == "NC_ERROR":
            fault = fault._replace(cure=_RULES)
        before = f"{action}: " if action else "the stick failed: "
        return fault._replace(meaning=f"{before}{fault.meaning} ({code})")
    for phrase, fault in PHRASES.items():
        if phrase in text:
            return fault
    if action:
        # The firmware's own words stand where the code would.
        return Fault(f"{action} ({last_line(text)})", _REPLUG)
    return Fault(f"OpenVINO fails ({last_line(text)})", "use another engine", lost=False)


def last_line(text: str) -> str:
    """The last line that says something, without the place in the plugin's source."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines else "no reason given"
    return re.sub(r"^\S*\.(?:c|h)pp:\d+\s*", "", line) or line
