"""Exceptions."""

from __future__ import annotations


class InadmissibleError(ValueError):
    """Parameter values for which the likelihood is zero, such as rays outside a fixed mesh.

    A fit at fixed numbers raises it. Inside sampling the same point has log-probability -inf with a zero
    gradient, and is counted under `reason`.

    Parameters
    ----------
    reason : str
        A short name, the same for every point of this kind.
    message : str
        What was got and what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.reason, str(self))
