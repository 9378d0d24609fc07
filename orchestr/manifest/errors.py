"""What is wrong with files, told with file, line and column, all at once.

ManifestError      files that cannot be applied; `problems` has one entry each thing that is wrong
"""

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong. Prints as `FILE:LINE:COL: field: message (hint)`, FILE alone where there is no line."""

    file: str
    line: int | None = None  # from 1
    column: int | None = None  # from 1
    field: str = ""  # spec.containers[0].image
    message: str = ""
    hint: str = ""  # the nearest right thing

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        field = f"{self.field}: " if self.field else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {field}{self.message}{hint}"


class ManifestError(Exception):
    """Files that cannot be applied."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))
