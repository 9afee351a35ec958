"""Every error that Turnout raises on purpose.

    TurnoutError                something a person should read; exit code 1
    ├── InputError              the caller gave something wrong; exit code 2, HTTP 400
    │   ├── SpecError           model.yaml, or an object's spec, does not say what it must
    │   ├── DataError           a table does not hold what the spec promises
    │   └── ModelError          an artifact is not what its digest or manifest says
    ├── NotFound                no such object; HTTP 404
    ├── Conflict                somebody changed it first, or it is taken; HTTP 409
    ├── Failed                  a step, a check or a process ended badly; trying again as it is will not help
    └── Unavailable             whoever should answer does not; trying again later may help; HTTP 503

A class exists where a caller would act differently. Messages name the object, what was wanted and what was found,
and never a secret.
"""

from __future__ import annotations

__all__ = [
    "Conflict",
    "DataError",
    "Failed",
    "InputError",
    "ModelError",
    "NotFound",
    "SpecError",
    "TurnoutError",
    "Unavailable",
]


class TurnoutError(Exception):
    """Base of all; `exit_code` is what the command line ends with, `status` what an HTTP server answers."""

    exit_code = 1
    status = 500


class InputError(TurnoutError):
    """The caller's input is wrong; the same call can never succeed."""

    exit_code = 2
    status = 400


class SpecError(InputError):
    """A spec is wrong. `problems` holds one sentence per mistake."""

    status = 422

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join((message, *(f"  {problem}" for problem in problems))))
        self.problems = problems


class DataError(InputError):
    """A table does not hold what the spec promises."""

    exit_code = 1
    status = 422


class ModelError(InputError):
    """A model artifact is damaged, altered or of a kind that cannot be served."""

    exit_code = 1
    status = 422


class NotFound(TurnoutError):
    """The named object does not exist."""

    status = 404


class Conflict(TurnoutError):
    """Somebody else changed the object first, or holds what is asked for."""

    status = 409


class Failed(TurnoutError):
    """Work was done and ended badly."""


class Unavailable(TurnoutError):
    """Nothing answers where an answer was expected; `retry_after_s` says when to ask again."""

    status = 503

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
