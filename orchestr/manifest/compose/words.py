"""A command written as one text, split into words as Compose splits it (go-shellwords, without a shell's meanings).

Quotes hold words together, a backslash takes the next character as it is. Compose reads up to the first `;`, `&`, `|`,
`<` or `>` outside of quotes and drops the rest without a word; so does this, and `rest` tells what was dropped.
"""

from collections.abc import Iterator

ENDS = frozenset(";&|<>")


def split(text: str) -> list[str]:
    """Raises ValueError."""
    return _split(text)[0]


def rest(text: str) -> str:
    """What is not part of the command."""
    return text[_split(text)[1] :].strip()


def _split(text: str) -> tuple[list[str], int]:
    words: list[str] = []
    word: list[str] = []
    started, closed_by = False, ""  # closed_by: what ends the quote that is open
    characters: Iterator[tuple[int, str]] = iter(enumerate(text))
    for at, character in characters:
        if character == "\\" and closed_by != "'":
            _, following = next(characters, (at, ""))
            if not following:
                raise ValueError("no character after the last backslash")
            word.append(following)
            started = True
        elif closed_by:
            closed_by = _inside(character, closed_by, word)
        elif character in " \t\r\n":
            if started:
                words.append("".join(word))
            word, started = [], False
        elif character in ENDS:
            if started and not (character == ">" and word[:1] and word[0] in "0123456789"):
                words.append("".join(word))
            return words, at
        else:
            started, closed_by = True, _opens(character, word)
    if closed_by:
        raise ValueError(f"{closed_by} is missing")
    return [*words, "".join(word)] if started else words, len(text)


def _opens(character: str, word: list[str]) -> str:
    """What will close the quote that the character opens; it joins the word unless it is a quotation mark."""
    if character in "\"'":
        return character
    if character == ")" or (character == "(" and word[-1:] != ["$"]):
        raise ValueError(f"{character} outside of quotes")
    word.append(character)
    return {"`": "`", "(": ")"}.get(character, "")


def _inside(character: str, closed_by: str, word: list[str]) -> str:
    """`closed_by`, or nothing once the quote is closed."""
    closes = character == closed_by
    if not closes or closed_by in "`)":
        word.append(character)
    return "" if closes else closed_by
