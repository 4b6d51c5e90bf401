"""Every error that FloodSat raises for bad input.

Each message is one line that names the file (or stream, or option), says what is wrong and how
to cure it. The command line prints it and exits with 2; anything else is a defect of ours and
keeps its traceback.
"""


class FloodsatError(Exception):
    """Root of all errors that a user can cure."""


class FrameError(FloodsatError, ValueError):
    """A frame or chip cannot be read, or is not what the sensor delivers."""


class DatasetError(FloodsatError, ValueError):
    """A chip folder, its ``dataset.toml`` or its labels are unusable."""


class ConfigError(FloodsatError, ValueError):
    """A configuration file or an option has a value that makes no sense."""


class BundleError(FloodsatError, ValueError):
    """A bundle is damaged, unsigned, wrongly signed or not for this software."""


class CommandError(FloodsatError, ValueError):
    """A telecommand is damaged, forged, replayed, too late or makes no sense."""


class EngineError(FloodsatError, RuntimeError):
    """An inference engine is not available here or failed."""


class NotFiniteError(EngineError):
    """An engine gave values that are no finite number."""


class UnavailableError(EngineError):
    """What an engine or an export target needs is not installed here."""


class ProductError(FloodsatError, ValueError):
    """A product's bytes do not decode to a whole, verified product."""


class OtherReferenceError(ProductError):
    """A product is coded against a permanent-water reference that is not at hand."""


class UnknownTablesError(ProductError):
    """A product is coded by tables that are not known here."""


class StreamError(FloodsatError, ValueError):
    """A downlink stream holds nothing that can be used."""


class OutputError(FloodsatError, OSError):
    """A result cannot be written where it was asked for."""


class DamagedError(OutputError):
    """What is stored is damaged: writing again does not help, rebuilding does."""


class MissingPackageError(FloodsatError, ImportError):
    """A command needs a package that this environment does not have."""


class FetchError(FloodsatError, OSError):
    """A file cannot be brought from where it is published."""


class ClusterError(FloodsatError, RuntimeError):
    """A cluster of workers is not there, is gone, or cannot do the work."""


class StoreError(FloodsatError, RuntimeError):
    """An object store does not answer, refuses, or has no such bucket."""
