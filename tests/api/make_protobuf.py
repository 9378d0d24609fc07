"""Makes orchestr/api/protobuf.json: the numbers of the fields in protobuf bodies, from Kubernetes' repositories.

    python tests/api/make_protobuf.py API.git APIMACHINERY.git > orchestr/api/protobuf.json

The arguments are clones of kubernetes/api and kubernetes/apimachinery. Shape: {type: {number: "name:code"}}. A code is
s string, y bytes, b boolean, i integer, d double, or "@" and a type; "[" or "{" before it is a list or a map. After it,
"?" says that the Go field is a pointer, whose zero counts; "+" that JSON has the fields of the message in its place. A
type with the one field "items:" is a list in JSON.
"""

import json
import re
import subprocess
import sys

from orchestr.api.schema import tables

CODES = {"string": "s", "bytes": "y", "bool": "b", "double": "d", "float": "f"}
CODES |= dict.fromkeys(("int32", "int64", "uint32", "uint64"), "i")
SPECIAL = {"Quantity", "IntOrString", "Time", "MicroTime", "RawExtension", "FieldsV1", "Duration"}
LINE = re.compile(r"^  (?:optional|repeated|required)?\s*(map<string,\s*[\w.]+>|[\w.]+) (\w+) = (\d+);", re.M)
GO = re.compile(r"^\s+(?:\w+\s+)?(\*?)[\w.\[\]]+\s+`json:\"(\w*)[^`]*?protobuf:\"\w+,(\d+)", re.M)


def git(repository: str, *words: str) -> str:
    return subprocess.run(["git", "-C", repository, *words], check=True, capture_output=True, text=True).stdout


def files(repository: str) -> dict[str, str]:
    names = git(repository, "ls-tree", "-r", "--name-only", "HEAD").split()
    wanted = [n for n in names if n.endswith(("generated.proto", "types.go", "meta.go")) and "test" not in n]
    return {name: git(repository, "show", f"HEAD:{name}") for name in wanted}


def type_name(full: str, package: str) -> str:
    """`.k8s.io.api.core.v1.Pod`, or `Pod` in its own package, as the tables call it."""
    return ".".join((full if "." in full else f"{package}.{full}").split(".")[-3:])


def code(text: str, package: str) -> str:
    if text.startswith("map<"):
        return "{" + code(text[4:-1].split(",")[1].strip(), package)
    return CODES.get(text) or "@" + type_name(text, package)


def messages(proto: str) -> dict[str, dict[int, tuple[str, str]]]:
    package = re.search(r"^package ([\w.]+);", proto, re.M)[1]  # type: ignore[index]
    found = {}
    for name, body in re.findall(r"^message (\w+) \{\n(.*?)^\}", proto, re.M | re.S):
        fields = {}
        for line in LINE.finditer(body):
            repeated = line[0].strip().startswith("repeated")
            fields[int(line[3])] = (line[2], "[" * repeated + code(line[1], package))
        found[type_name(name, package)] = fields
    return found


def pointers(go: str, package: str) -> set[tuple[str, int]]:
    return {
        (type_name(name, package), int(field[3]))
        for name, body in re.findall(r"^type (\w+) struct \{\n(.*?)^\}", go, re.M | re.S)
        for field in GO.finditer(body)
        if field[1]
    }


def main() -> None:
    protos: dict[str, dict[int, tuple[str, str]]] = {}
    pointed: set[tuple[str, int]] = set()
    for repository in sys.argv[1:3]:
        sources = files(repository)
        for name, text in sources.items():
            if name.endswith(".proto"):
                protos |= messages(text)
        for name, text in sources.items():
            folder = name.rpartition("/")[0]
            proto = sources.get(f"{folder}/generated.proto")
            if proto and name.endswith(".go"):
                pointed |= pointers(text, re.search(r"^package ([\w.]+);", proto, re.M)[1])  # type: ignore[index]
    types, found, todo = tables().types, {}, list(tables().types)
    while todo:
        name = todo.pop()
        if name in found or name not in protos or name.rsplit(".")[-1] in SPECIAL:
            continue
        fields = {}
        for number, (field, kind) in sorted(protos[name].items()):
            inline = name in types and field not in types[name] and kind[0] == "@"
            fields[str(number)] = f"{field}:{kind}" + "?" * ((name, number) in pointed) + "+" * inline
            todo.append(kind.lstrip("[{").lstrip("@"))
        found[name] = fields
    json.dump(dict(sorted(found.items())), sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main()
