"""`make demo`: runs manifests/shop in an instance of its own, kills its Redis, changes it, and leaves it running.

Each step is printed as the command that a person would type. Only the kill goes past orch: SIGKILL from outside, to
every process in the Redis container's cgroup, as an out-of-memory kill or a fault would do it.
"""

import glob
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ORCH = ROOT / ".venv/bin/orch"
INSTANCE = "demo"
NAMESPACE = "shop"
SHOP = "manifests/shop"
FILE = f"{SHOP}/compose.yaml"
URL = "http://127.0.0.1:8088"
PACKAGES = ("redis-server", "nginx-light", "python3")
HEALED_WITHIN = 60.0  # seconds
ANSWERED_WITHIN = 5.0  # seconds; a pod is ready some milliseconds before its address is in every table
CLEAN = "make clean removes everything again"

Pod = Mapping[str, Any]


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def orch(*words: str, allowed: tuple[int, ...] = (0,)) -> None:
    """Shows the command and what it prints; ends the demo when it fails."""
    print(f"$ orch {shlex.join(words)}", flush=True)
    code = subprocess.run([ORCH, *words], cwd=ROOT).returncode
    if code not in allowed:
        sys.exit(f"make demo: orch {words[0]} ended with exit code {code} (its words are above; {CLEAN})")


def asked(*words: str) -> Any:
    """What a command says as JSON, without showing it."""
    done = subprocess.run([ORCH, *words, "-o", "json"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def fetch(path: str = "/", data: bytes | None = None) -> None:
    """One request through the published port, shown; again while the gateway has no answer from the API yet."""
    deadline = time.monotonic() + ANSWERED_WITHIN
    while True:
        print(f"{'GET' if data is None else 'POST'} {URL}{path}", flush=True)
        try:
            with urllib.request.urlopen(urllib.request.Request(URL + path, data=data), timeout=10) as answer:
                print(f"  {answer.status} {answer.read().decode().strip()}", flush=True)
            return
        except urllib.error.HTTPError as error:
            if error.code not in (502, 503) or time.monotonic() >= deadline:
                raise
            print(f"  {error.code} {error.reason}", flush=True)
            time.sleep(0.2)


def service(pod: Pod) -> str:
    return str(pod["metadata"].get("labels", {}).get("orchestr.dev/service", pod["metadata"]["name"]))


def state(pod: Pod) -> str:
    """What a pod is up to, in a few words."""
    if pod["metadata"].get("deletionTimestamp"):
        return "is stopping"
    conditions = {each["type"]: each for each in pod["status"].get("conditions", [])}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return f"waits: {scheduled.get('message', scheduled.get('reason', ''))}"
    if pod["status"].get("phase") == "Succeeded":
        return "done"
    if conditions.get("Ready", {}).get("status") == "True":
        return f"ready, restarts: {restarts(pod)}" if restarts(pod) else "ready"
    for container in pod["status"].get("containerStatuses", []):
        if waiting := container.get("state", {}).get("waiting"):
            return f"waits: {waiting.get('message') or waiting.get('reason', '')}"
    return "not ready"


def restarts(pod: Pod) -> int:
    return sum(each.get("restartCount", 0) for each in pod["status"].get("containerStatuses", []))


def image() -> None:
    names = [name for each in asked("image", "list")["items"] for name in each["names"]]
    if any(name.split(":")[0].split("/")[-1] == "shop" for name in names):
        return
    say("An image from Debian packages; this takes about a minute, once")
    orch(
        "image",
        "bootstrap",
        "shop",
        "--suite",
        "bookworm",
        *(word for each in PACKAGES for word in ("--package", each)),
    )


def kill_redis(pods: Mapping[str, Pod]) -> None:
    """SIGKILL to every process of the Redis container."""
    uid = next(uid for uid, pod in pods.items() if service(pod) == "redis")
    below = f"orch-{INSTANCE}/{uid}/**/cgroup.procs"  # in the unified hierarchy, or in each one of version 1
    files = [
        *glob.glob(f"/sys/fs/cgroup/{below}", recursive=True),
        *glob.glob(f"/sys/fs/cgroup/*/{below}", recursive=True),
    ]
    pids = {int(line) for file in files for line in Path(file).read_text().split()}
    if not pids:
        sys.exit(f"make demo: found no process of redis in /sys/fs/cgroup/{below} ({CLEAN})")
    print(f"kill -9 {' '.join(map(str, sorted(pids)))}", flush=True)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def changes(lines: Iterable[str]) -> Iterator[Pod]:
    """Objects out of the indented JSON that `orch get -w -o json` prints one after the other."""
    text: list[str] = []
    for line in lines:
        text.append(line)
        if line.rstrip() == "}":
            yield json.loads("".join(text))
            text.clear()


def kill_and_watch() -> None:
    """Prints every change of a pod until Redis was started again, what depends on it too, and all is ready."""
    with subprocess.Popen(
        [ORCH, "get", "pods", "-n", NAMESPACE, "-w", "-o", "json"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdout is not None
        timer = threading.Timer(HEALED_WITHIN, watch.kill)
        timer.start()
        healed = heal(changes(watch.stdout))
        timer.cancel()
        watch.kill()
    if not healed:
        orch("status", "-n", NAMESPACE, allowed=(0, 1))
        sys.exit(f"make demo: not healed after {HEALED_WITHIN:.0f} s (the state is above; {CLEAN})")


def heal(news: Iterator[Any]) -> bool:
    """`news`: first a list of all pods, then each one that changes. False when it ends too early."""
    pods: dict[str, Pod] = {pod["metadata"]["uid"]: pod for pod in next(news)["items"]}
    before = {(uid, restarts(pod)) for uid, pod in pods.items() if service(pod) in ("redis", "api", "worker")}
    kill_redis(pods)
    since = time.monotonic()
    for pod in news:
        uid = pod["metadata"]["uid"]
        if uid not in pods or state(pods[uid]) != state(pod):
            print(f"  {time.monotonic() - since:5.2f} s  {pod['metadata']['name']:<26} {state(pod)}", flush=True)
        pods[uid] = pod
        here = {uid: pod for uid, pod in pods.items() if not pod["metadata"].get("deletionTimestamp")}
        again = not before & {(uid, restarts(pod)) for uid, pod in here.items()}
        if again and all(state(pod).startswith(("ready", "done")) for pod in here.values()):
            return True
    return False


def one_more_api() -> None:
    """diff and apply of a copy of the file with another number of replicas."""
    text = (ROOT / FILE).read_text()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "compose.yaml"
        copy.write_text(text.replace("replicas: 2", "replicas: 3"))
        orch("diff", "-f", str(copy), "--project-directory", SHOP, allowed=(1,))  # 1: something changes
        orch("apply", "-f", str(copy), "--project-directory", SHOP)


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("make demo: containers need root (run: sudo make demo)")
    os.environ["ORCH_INSTANCE"] = INSTANCE
    image()
    say("Apply: everything in the file, in the order of its dependencies")
    orch("apply", "-f", FILE)
    say("Who waits for whom")
    orch("graph", "-f", FILE)
    say("What runs")
    orch("status", "-n", NAMESPACE)
    say("Through the published port: nginx, API, Redis")
    fetch()
    fetch("/orders", b"")
    fetch()
    say("Kill Redis, and watch: Redis comes back first, then what depends on it")
    kill_and_watch()
    fetch()
    say("One API more: what would change, and the change")
    one_more_api()
    orch("status", "-n", NAMESPACE)
    say("It goes on running. Three commands to try:")
    command = f"  {ORCH.relative_to(ROOT)} --instance {INSTANCE}"
    print(
        f"{command} status -n {NAMESPACE} -w\n{command} logs -n {NAMESPACE} -f worker\n{command} events -n {NAMESPACE}"
    )
    print(f"\n{CLEAN}.")


if __name__ == "__main__":
    try:
        main()
    except (urllib.error.URLError, OSError) as error:
        sys.exit(f"make demo: {error} (see: .venv/bin/orch --instance {INSTANCE} status -n {NAMESPACE}; {CLEAN})")
    except subprocess.CalledProcessError as error:
        sys.exit(f"make demo: {shlex.join(map(str, error.cmd))} ended with exit code {error.returncode} ({CLEAN})")
