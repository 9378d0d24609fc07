"""Why a container cannot even be tried."""


class ConfigFailure(Exception):
    """The pod asks for something that cannot be: `reason` as in a waiting state."""

    def __init__(self, message: str, reason: str = "CreateContainerConfigError") -> None:
        super().__init__(message)
        self.reason = reason
