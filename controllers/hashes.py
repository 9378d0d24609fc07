"""Short names for pod templates, as Kubernetes spells them."""

import hashlib
import json
from typing import Any

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes' SafeEncodeString: spells no word


def letters(data: Any, collisions: int | None) -> str:
    """Ten letters that derive from the data, and from a count of collisions to step out of one."""
    text = json.dumps(data, sort_keys=True) + str(collisions or "")
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return "".join(ALPHABET[number // 27**place % 27] for place in range(10))
