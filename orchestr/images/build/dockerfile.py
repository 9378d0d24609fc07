"""The text of a Dockerfile as instructions (Docker's reference, and what BuildKit does where that is silent).

Ours, because the parsers on PyPI stop before here-documents: dockerfile-parse knows neither those nor flags, and
splits a RUN with a here-document into instructions that nobody wrote.
"""

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from orchestr.images.build.seam import BuildError

NAMES = ("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
         "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")  # fmt: skip
FLAGS = {
    "ADD": ("checksum", "chmod", "chown", "exclude", "link", "unpack"),
    "COPY": ("chmod", "chown", "exclude", "from", "link", "parents"),
    "FROM": ("platform",),
    "HEALTHCHECK": ("interval", "retries", "start-interval", "start-period", "timeout"),
    "RUN": ("device", "mount", "network", "security"),
}
JSON_FORM = ("ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME")
HEREDOCS = ("ADD", "COPY", "RUN")
MOST_BYTES = 1 << 20

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*$")
_HEREDOC = re.compile(r"""(?:^|(?<=\s))\d*<<(-?)(?:"([^"\s<]+)"|'([^'\s<]+)'|([A-Za-z0-9_.][^\s<"'|;&()>]*))""")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(.*))?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Heredoc:
    name: str
    content: str
    expand: bool  # variables in it count: its name was not quoted


@dataclass(frozen=True, slots=True)
class Instruction:
    name: str  # upper case
    text: str  # what follows the flags, continuation lines joined
    line: int
    flags: tuple[tuple[str, str], ...] = ()  # "true" for a flag without a value
    words: tuple[str, ...] | None = None  # of the JSON form
    heredocs: tuple[Heredoc, ...] = ()
    file: str = "Dockerfile"
    escape: str = "\\"

    def flag(self, name: str) -> str:
        return next((value for key, value in reversed(self.flags) if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.flags if key == name]

    def on(self, name: str) -> bool:
        """A flag that is true or false."""
        value = self.flag(name)
        if value not in ("", "true", "false"):
            self.fail(f"--{name}={value} is neither true nor false")
        return value == "true"

    def fail(self, why: str) -> NoReturn:
        raise BuildError(f"{self.file}:{self.line}: {self.name}: {why}")

    def __str__(self) -> str:
        """As history and progress show it, on one line."""
        flags = "".join(f" --{key}" + ("" if value == "true" else f"={value}") for key, value in self.flags)
        return f"{self.name}{flags} {' '.join(self.text.split())}".rstrip()


@dataclass(frozen=True, slots=True)
class Dockerfile:
    instructions: tuple[Instruction, ...]
    warnings: tuple[str, ...] = ()


def parse(text: str, file: str = "Dockerfile") -> Dockerfile:
    """Raises BuildError with file and line."""
    if len(text) > MOST_BYTES:
        raise BuildError(f"{file}:1: larger than {MOST_BYTES} bytes (is it a Dockerfile?)")
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    escape, first = _directives(lines, file)
    reader = _Reader(lines, first, escape, file)
    instructions = tuple(reader.read())
    if not instructions:
        raise BuildError(f"{file}:1: has no instructions (begin with FROM IMAGE)")
    return Dockerfile(instructions, tuple(reader.warnings))


def one(text: str, like: Instruction) -> Instruction:
    """An instruction that stands in another, or came with an image: an ONBUILD's."""
    found = list(_Reader(text.split("\n"), 0, like.escape, like.file, like.line).read())
    if len(found) != 1 or found[0].name in ("FROM", "MAINTAINER", "ONBUILD"):
        like.fail(f"{text.split(None, 1)[0] if text.strip() else 'nothing'} cannot be an ONBUILD trigger")
    return found[0]


def _directives(lines: list[str], file: str) -> tuple[str, int]:
    """The escape character and how many lines told it. They stand before anything else, comments included."""
    escape, seen = "\\", set()
    for number, line in enumerate(lines):
        found = _DIRECTIVE.match(line.strip())
        if not found or (key := found.group(1).lower()) not in ("syntax", "escape", "check"):
            return escape, number
        if key in seen:
            raise BuildError(f"{file}:{number + 1}: directive {key} is given twice")
        seen.add(key)
        if key == "escape":
            escape = found.group(2)
            if escape not in ("\\", "`"):
                raise BuildError(f"{file}:{number + 1}: escape={escape} is neither \\ nor `")
    return escape, len(lines)


class _Reader:
    def __init__(self, lines: list[str], first: int, escape: str, file: str, fixed: int = 0) -> None:
        """`fixed` is the line that is told for every instruction, when these lines stand in none of the file's."""
        self._lines, self._at, self._escape, self._file, self._fixed = lines, first, escape, file, fixed
        self._more = re.compile(re.escape(escape) + r"[ \t]*$")
        self.warnings: list[str] = []

    def read(self) -> Iterator[Instruction]:
        while self._at < len(self._lines):
            number, line = self._at, self._lines[self._at].strip()
            self._at += 1
            if line and not line.startswith("#"):
                yield self._instruction(self._joined(line), self._fixed or number + 1)

    def _joined(self, line: str) -> str:
        """With its continuation lines; comments and empty lines among them are left out."""
        whole = ""
        while self._more.search(line):
            whole += self._more.sub("", line)
            line = ""
            while self._at < len(self._lines):
                line = self._lines[self._at].rstrip()
                self._at += 1
                if line.strip() and not line.lstrip().startswith("#"):
                    break
                line = ""
        return whole + line

    def _instruction(self, line: str, number: int) -> Instruction:
        word, _, rest = line.partition(" ") if "\t" not in line.split(" ")[0] else line.partition("\t")
        name = word.upper()
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"
            raise BuildError(f"{self._file}:{number}: unknown instruction {word[:40]} ({hint})")
        if name == "MAINTAINER":
            self.warnings.append(f"{self._file}:{number}: MAINTAINER is deprecated (write LABEL maintainer=...)")
        flags, text = self._flags(name, rest.strip(), number)
        words = json_form(text) if name in JSON_FORM else None
        found = Instruction(name, text, number, flags, words, (), self._file, self._escape)
        if not text:
            found.fail("has nothing after it")
        documents = tuple(self._heredocs(found)) if words is None and _takes_heredocs(name, text) else ()
        return Instruction(name, text, number, flags, words, documents, self._file, self._escape)

    def _flags(self, name: str, text: str, number: int) -> tuple[tuple[tuple[str, str], ...], str]:
        known, found = FLAGS.get(name, ()), []
        while known and text.startswith("--"):
            word, text = first_word(text, self._escape)
            if word == "--":
                break
            flag = _FLAG.match(word)
            if not flag or flag.group(1) not in known:
                near = difflib.get_close_matches(flag.group(1) if flag else word, known, 1)
                hint = f"did you mean --{near[0]}?" if near else f"it has {', '.join('--' + each for each in known)}"
                raise BuildError(f"{self._file}:{number}: {name}: unknown flag {word[:40]} ({hint})")
            found.append((flag.group(1), "true" if flag.group(2) is None else flag.group(2)))
        return tuple(found), text

    def _heredocs(self, instruction: Instruction) -> Iterator[Heredoc]:
        for match in _HEREDOC.finditer(instruction.text):
            strip, *names = match.groups()
            name = next(each for each in names if each)
            content = []
            while True:
                if self._at >= len(self._lines):
                    instruction.fail(f"the here-document {name} does not end (a line {name} is missing)")
                line = self._lines[self._at]
                self._at += 1
                line = line.lstrip("\t") if strip else line
                if line == name:
                    break
                content.append(line + "\n")
            yield Heredoc(name, "".join(content), expand=names[2] is not None)


def _takes_heredocs(name: str, text: str) -> bool:
    if name == "ONBUILD":
        name = text.split(None, 1)[0].upper()
    return name in HEREDOCS and "<<" in text


def first_word(text: str, escape: str) -> tuple[str, str]:
    """The first word, its quotes removed, and what follows it."""
    word, quote, at = "", "", 0
    while at < len(text):
        char = text[at]
        if char == escape and at + 1 < len(text) and quote != "'":
            word, at = word + text[at + 1], at + 1
        elif quote:
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char in "\"'":
            quote = char
        elif char.isspace():
            break
        else:
            word += char
        at += 1
    return word, text[at:].lstrip()


def json_form(text: str) -> tuple[str, ...] | None:
    """The words of `["a", "b"]`; None for anything else, which is then the shell form."""
    if not text.startswith("["):
        return None
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        return None
    good = isinstance(words, list) and all(isinstance(word, str) for word in words)
    return tuple(words) if good else None
