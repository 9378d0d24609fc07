"""A ruleset as data: chains, sets, elements; and the two texts it makes: all of it, or the difference to another.

Pure. Keys are "FAMILY NAME" ("inet services4"); TABLE is filled in when the text is made.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Elements = Mapping[str, Mapping[str, str]]  # set -> key -> value ("" in a set that is not a map)
PER_COMMAND = 500  # elements in one command line


@dataclass(frozen=True, slots=True)
class Chain:
    rules: tuple[str, ...]
    hook: str = ""  # "type nat hook output priority -100;" of a base chain


@dataclass(frozen=True, slots=True)
class Ruleset:
    chains: Mapping[str, Chain]
    sets: Mapping[str, str]  # name -> "map { typeof ... }"; kind and declaration
    elements: Elements


EMPTY = Ruleset({}, {}, {})


def whole(new: Ruleset, table: str) -> str:
    """One transaction that makes the table so, whatever was in it; sets that packets fill keep their elements."""
    families = sorted({key.split()[0] for key in new.chains})
    out = [f"add table {family} {table}" for family in families]
    out += _declare(new.sets, new.chains, table)
    out += [f"flush chain {_at(key, table)}" for key in new.chains]
    out += [f"flush {_kind(new.sets[key])} {_at(key, table)}" for key in new.sets if key in new.elements]
    out += _rules(new.chains, table)
    for key, elements in new.elements.items():
        out += _elements("add", key, elements.items(), table)
    return "\n".join(out) + "\n"


def difference(old: Ruleset, new: Ruleset, table: str) -> str:
    """The transaction that leads from `old` to `new`; "" when they are the same."""
    changed = {key: chain for key, chain in new.chains.items() if old.chains.get(key) != chain}
    out = _declare({key: decl for key, decl in new.sets.items() if key not in old.sets}, changed, table)
    for key, before in old.elements.items():
        after = new.elements.get(key, {})
        if before is not after:
            out += _elements("delete", key, [item for item in before.items() if after.get(item[0]) != item[1]], table)
    out += [f"flush chain {_at(key, table)}" for key in changed if key in old.chains]
    out += _rules(changed, table)
    for key, after in new.elements.items():
        before = old.elements.get(key, {})
        if before is not after:
            out += _elements("add", key, [item for item in after.items() if before.get(item[0]) != item[1]], table)
    gone = [key for key in old.chains if key not in new.chains]
    out += [f"flush chain {_at(key, table)}" for key in gone]  # all before the first goes: they refer to each other
    out += [f"delete chain {_at(key, table)}" for key in gone]
    out += [f"delete {_kind(decl)} {_at(key, table)}" for key, decl in old.sets.items() if key not in new.sets]
    return "\n".join(out) + "\n" if out else ""


def _declare(sets: Mapping[str, str], chains: Mapping[str, Chain], table: str) -> list[str]:
    out = [f"add {_kind(decl)} {_at(key, table)} {decl.split(' ', 1)[1]}" for key, decl in sets.items()]
    return out + [
        f"add chain {_at(key, table)}" + (f" {{ {chain.hook} }}" if chain.hook else "") for key, chain in chains.items()
    ]


def _rules(chains: Mapping[str, Chain], table: str) -> list[str]:
    return [f"add rule {_at(key, table)} {rule}" for key, chain in chains.items() for rule in chain.rules]


def _elements(verb: str, key: str, items: Iterable[tuple[str, str]], table: str) -> list[str]:
    texts = [f"{name} : {value}" if value else name for name, value in items]
    at = _at(key, table)
    return [
        f"{verb} element {at} {{ {', '.join(texts[start : start + PER_COMMAND])} }}"
        for start in range(0, len(texts), PER_COMMAND)
    ]


def _kind(declaration: str) -> str:
    return declaration.split(" ", 1)[0]


def _at(key: str, table: str) -> str:
    family, name = key.split(" ", 1)
    return f"{family} {table} {name}"
