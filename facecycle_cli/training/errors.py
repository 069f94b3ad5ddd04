"""What goes wrong before or during training, each in one line."""


class TrainingError(ValueError):
    """A run that cannot start or go on."""


class DataError(TrainingError):
    """Training data that cannot be used."""


class SettingsError(TrainingError):
    """A setting that is unknown, of the wrong kind or out of range."""


class NonFiniteLoss(TrainingError):
    """The losses left the real numbers; the last good state is kept."""
