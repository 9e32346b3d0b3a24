"""What can go wrong with the engine itself, as opposed to a picture."""


class EngineFault(Exception):
    """The document engine gave no reading."""


class EngineNotInstalled(EngineFault):
    """The document engine is not installed; the extra `engine` brings it."""


class EngineUnstartable(EngineFault):
    """The engine's process does not start, whatever it is to read."""


class EngineTimeout(EngineFault):
    """The picture took longer than the engine may take, and was given up."""


class EngineCrashed(EngineFault):
    """The engine's process ended in the middle of a picture."""


class EngineBusy(EngineFault):
    """Too many pictures are waiting already."""


class EngineClosed(EngineFault):
    """The engine was shut down."""
