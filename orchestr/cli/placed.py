"""The daemon's refusal of a list, as what is wrong with the files that it came from."""

import re
from typing import TYPE_CHECKING

from orchestr.api.errors import ApiError
from orchestr.cli.errors import Bad, Failed

if TYPE_CHECKING:
    from orchestr.manifest.loaded import Loaded

ITEM = re.compile(r"items\[(\d+)\]\.?(.*)", re.DOTALL)
BAD_FILES = (400, 422)  # codes that say that what was sent is wrong, and not that it may not be done now,
TAKEN = "FieldValueDuplicate"  # unless another object has it already


def placed(error: ApiError, loaded: "list[Loaded]") -> Exception:
    """Bad or Failed with FILE:LINE:COL and field for each cause; the error itself when a cause is about no item."""
    found = [(ITEM.fullmatch(cause.field), cause.message) for cause in error.causes]
    known = [(match, message) for match, message in found if match and int(match[1]) < len(loaded)]
    if not found or len(known) < len(found):
        return error
    lines = [str(loaded[int(match[1])].problem(match[2], message)) for match, message in known]
    text = "\n".join(dict.fromkeys(lines))
    taken = any(cause.reason == TAKEN for cause in error.causes)
    return Bad(text) if error.code in BAD_FILES and not taken else Failed(text)
