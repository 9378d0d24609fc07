"""What is run, as text: a Compose file for orch and Docker, the same as pods for Podman."""

import json

from bench.image import NAME

IMAGE = f"{NAME}:1"
PROJECT = "bench"
SLEEP = ("sleep", "1000000")


def compose(services: dict[str, tuple[str, ...]], *, restart: str = "always", more: str = "") -> str:
    """A Compose file of services with these commands. A sleep as pid 1 ignores SIGTERM, so it is stopped by SIGKILL."""
    lines = [f"name: {PROJECT}", "services:"]
    for name, command in services.items():
        words = json.dumps([word.replace("$", "$$") for word in command])
        lines += [f"  {name}:", f"    image: {IMAGE}", f"    command: {words}", f'    restart: "{restart}"']
        lines += ["    stop_signal: SIGKILL"]
        lines += [f"    {more}"] if more else []
    return "\n".join(lines) + "\n"


def idle(count: int) -> dict[str, tuple[str, ...]]:
    return {f"s{number}": SLEEP for number in range(count)}


def pods(count: int) -> str:
    """YAML for `podman kube play`."""
    texts = []
    for name, command in idle(count).items():
        container = {"name": "c", "image": f"localhost/{IMAGE}", "command": list(command)}
        spec = {"containers": [container], "restartPolicy": "Always", "terminationGracePeriodSeconds": 0}
        texts.append(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}))
    return "\n---\n".join(texts) + "\n"


def loud(megabytes: int, word: str) -> tuple[str, ...]:
    """A command that prints so many million bytes in lines of 100; `word` is how its process is found."""
    return ("sh", "-c", f"i=0; while [ $i -lt {megabytes} ]; do cat /lines; i=$((i+1)); done", word)


def web() -> tuple[str, ...]:
    return ("httpd", "-f", "-p", "80", "-h", "/www")
