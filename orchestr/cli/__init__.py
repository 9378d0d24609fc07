"""The command `orch`. This file imports next to nothing: a command's module is imported when it is called.

A command module has `add(parser)`, which declares its options on an argparse parser, and `run(args) -> int`, which
gives the exit code. What goes wrong is raised and worded here: bad input is 2, no daemon is 5, anything else 1.
"""

import gc
import os
import sys
from collections.abc import Sequence

# name, aliases, group, one line of help
COMMANDS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("apply", (), "Run", "make the machine look like the files, and wait until it does"),
    ("diff", (), "Run", "show what apply would change (exit 0 same, 1 different)"),
    ("delete", (), "Run", "delete objects, or what a file made"),
    ("restart", (), "Run", "restart workloads, in order"),
    ("rollout", (), "Run", "versions of workloads: status, history, undo, restart, pause"),
    ("scale", (), "Run", "set the number of replicas"),
    ("run", (), "Run", "run a command in a new container, of an image or a service"),
    ("exec", (), "Run", "run a command in a container"),
    ("attach", (), "Run", "see and type what a running container writes and reads"),
    ("debug", (), "Run", "a container with tools beside those of a running pod"),
    ("port-forward", (), "Run", "ports of this machine that lead to ports of a pod"),
    ("wait", (), "Run", "wait until objects are ready, complete or deleted"),
    ("up", (), "Compose", "run a Compose project, with its logs, or with -d behind"),
    ("down", (), "Compose", "end a Compose project; its data stays without -v"),
    ("ps", (), "Compose", "the containers of a project"),
    ("ls", (), "Compose", "the projects of this machine"),
    ("stop", (), "Compose", "services end, and stay ended"),
    ("start", (), "Compose", "stopped services run again"),
    ("kill", (), "Compose", "a signal to services"),
    ("cp", (), "Compose", "files out of and into a container"),
    ("export", (), "Compose", "the file system of a container as an archive"),
    ("stats", (), "Compose", "what the containers of a project use"),
    ("port", (), "Compose", "where a port of a service is published"),
    ("images", (), "Compose", "the images that a project runs"),
    ("volumes", (), "Compose", "the named volumes of a project"),
    ("build", (), "Compose", "images that a Compose project builds"),
    ("pull", (), "Compose", "images of services from their registries"),
    ("push", (), "Compose", "images of services to their registries"),
    ("status", (), "Look", "the tree of what runs, why not, and what happens next"),
    ("get", (), "Look", "list objects of any kind"),
    ("describe", (), "Look", "all about objects, with their events"),
    ("logs", (), "Look", "what containers printed"),
    ("events", (), "Look", "what happened"),
    ("graph", (), "Look", "who waits for whom"),
    ("top", (), "Look", "cpu and memory of pods; processes of services"),
    ("config", (), "Look", "print a Compose file as it is understood"),
    ("image", (), "Images", "build, pull, push, list, load, save, tag, remove, bootstrap"),
    ("bundle", (), "Images", "objects and their images in one file, for where no network is"),
    ("login", (), "Images", "keep who you are to a registry"),
    ("logout", (), "Images", "forget who you are to a registry"),
    ("system", (), "Daemon", "start, stop, status, check, install, uninstall"),
    ("kubeconfig", (), "Daemon", "print a kubeconfig for kubectl and other clients"),
    ("daemon", (), "Daemon", "run the daemon in the foreground"),
    ("version", (), "Daemon", "client and daemon version"),
    ("completion", (), "Daemon", "shell completion for bash, zsh, fish"),
)
OK, FAILED, BAD_INPUT, TIMEOUT, ROLLED_BACK, NO_DAEMON = 0, 1, 2, 3, 4, 5

# options before the command: word -> (attribute, takes a value)
GLOBAL = {
    "--instance": "instance", "--host": "host", "-H": "host", "--kubeconfig": "kubeconfig", "--context": "context",
    "--color": "color", "-f": "files", "--file": "files",
    "-p": "project", "--project-name": "project", "-n": "namespace", "--namespace": "namespace",
    "--project-directory": "project_directory", "--profile": "profiles", "--env-file": "env_files", "--ansi": "color",
}  # fmt: skip


def usage() -> str:
    lines = ["usage: orch [--instance NAME | --host ADDR | --kubeconfig FILE] [-f FILE] [-p PROJECT] COMMAND ...", ""]
    lines += ["  orch apply -f stack.yaml     make it so, and wait", "  orch status                  see what runs", ""]
    for group in dict.fromkeys(command[2] for command in COMMANDS):
        lines.append(f"{group}:")
        for name, aliases, its, help_ in COMMANDS:
            if its == group:
                also = f" (also: {', '.join(aliases)})" if aliases else ""
                lines.append(f"  {name:<12} {help_}{also}")
        lines.append("")
    return "\n".join([*lines, "orch COMMAND --help says more about each."])


def main(argv: Sequence[str] | None = None) -> int:
    gc.disable()  # a command ends before it has made enough garbage; the daemon turns it on again
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # we have none, and looking for them takes 10 ms
    words = list(sys.argv[1:] if argv is None else argv)
    from orchestr.cli.errors import guarded

    return guarded(dispatch, words)


def dispatch(words: list[str]) -> int:
    """Finds the command, imports its module, runs it."""
    before: dict[str, list[str]] = {}
    while words and words[0].startswith("-"):
        word, _, value = words.pop(0).partition("=")
        if word in ("-h", "--help"):
            print(usage())
            return OK
        if word == "--version":
            words[:] = ["version", "--client"]
            break
        if word not in GLOBAL:
            return _unknown(f"option {word}", word, list(GLOBAL))
        if not value and not words:
            return _unknown(f"option {word} without a value", "", [])
        before.setdefault(GLOBAL[word], []).append(value or words.pop(0))
    if not words:
        print(usage())
        return OK if not before else BAD_INPUT
    known = {alias: name for name, aliases, _, _ in COMMANDS for alias in (name, *aliases)}
    word = words.pop(0)
    if word == "help":
        print(usage())
        return OK
    if word not in known:
        return _unknown(f"command {word!r}", word, list(known))
    from orchestr.cli.options import parse

    module, args = parse(known[word], word, words, before)
    code: int = module.run(args)
    return code


def _unknown(what: str, word: str, there: list[str]) -> int:
    import difflib

    near = difflib.get_close_matches(word, there, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    print(f"orch: unknown {what} ({hint}see orch --help)", file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
