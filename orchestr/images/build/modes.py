"""--chmod: octal, or symbolic as chmod(1) has it."""

import re
import stat

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXst]*)+)")
_ACTION = re.compile(r"([-+=])([rwxXst]*)")
_OCTAL = re.compile(r"0*[0-7]{1,4}")
_MASKS = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}


def valid(text: str) -> bool:
    return bool(_OCTAL.fullmatch(text)) or all(_CLAUSE.fullmatch(clause) for clause in text.split(","))


def changed(mode: int, text: str) -> int:
    """The permission bits of `mode` (which says whether it is a directory) after `text`; "" changes nothing."""
    if not text or _OCTAL.fullmatch(text):
        return int(text, 8) if text else stat.S_IMODE(mode)
    bits = stat.S_IMODE(mode)
    for clause in text.split(","):
        found = _CLAUSE.fullmatch(clause)
        assert found is not None  # `valid` was asked before
        who = found.group(1).replace("a", "ugo") or "ugo"
        mask = sum(_MASKS[each] for each in set(who))
        for action, letters in _ACTION.findall(found.group(2)):
            given = _given(letters, folder=stat.S_ISDIR(mode), executable=bool(bits & 0o111)) & mask
            bits = bits & ~mask | given if action == "=" else bits | given if action == "+" else bits & ~given
    return bits


def _given(letters: str, *, folder: bool, executable: bool) -> int:
    bits = 0
    for letter in letters:
        if letter == "X":
            bits |= 0o111 if folder or executable else 0
        elif letter == "s":
            bits |= 0o6000
        elif letter == "t":
            bits |= 0o1000
        else:
            bits |= _BITS[letter]
    return bits
