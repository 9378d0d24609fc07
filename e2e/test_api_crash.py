"""kill -9 of the daemon during a storm of writes by several clients: what was acknowledged is there after it.

Each client has objects of its own, so that what may be there is known: the last state that was acknowledged, or what
the write made that was under way. A watch goes on from the last version it saw and misses nothing, or is told 410.
"""

import http.client
import json
import random
import threading
from dataclasses import dataclass, field
from typing import Any

from e2e.checks import eventually
from e2e.daemon import Answer, Daemon

MAPS = "/api/v1/namespaces/default/configmaps"
CLIENTS, OBJECTS, ACKNOWLEDGED = 6, 5, 300
GONE = "gone"  # as the state of an object
LOST = (OSError, http.client.HTTPException, ValueError)  # the daemon died; ValueError: in the middle of an answer


@dataclass
class Writer:
    """A client: what was acknowledged of its objects, and what it had asked for when the daemon died."""

    number: int
    states: dict[str, str] = field(default_factory=dict)  # name -> value, or GONE
    pending: dict[str, str] = field(default_factory=dict)
    acknowledged: int = 0
    wrong: list[str] = field(default_factory=list)

    def run(self, path: str) -> None:
        chance, connection = random.Random(), Answer(path)
        try:
            while not self.wrong:
                self._step(connection, f"w{self.number}-{chance.randrange(OBJECTS)}", chance)
        except LOST:
            return
        finally:
            connection.close()

    def _step(self, connection: Answer, name: str, chance: random.Random) -> None:
        value = f"{self.number}-{self.acknowledged}"
        if self.states.get(name, GONE) == GONE:
            wanted, request = value, ("POST", MAPS, {"metadata": {"name": name}, "data": {"v": value}})
        elif chance.random() < 0.2:
            wanted, request = GONE, ("DELETE", f"{MAPS}/{name}", None)
        else:
            wanted, request = value, ("PUT", f"{MAPS}/{name}", {"metadata": {"name": name}, "data": {"v": value}})
        self.pending = {name: wanted}
        method, path, body = request
        connection.request(method, path, json.dumps(body) if body else None, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            self.wrong.append(f"{method} {path}: {answer.status} {text!r}")
        self.states[name], self.pending = wanted, {}
        self.acknowledged += 1


class Watch(threading.Thread):
    """Follows the objects from a version on; knows them, and the last version that it saw."""

    def __init__(self, path: str, since: str, known: dict[str, str]) -> None:
        super().__init__()
        self._connection = Answer(path)
        self._connection.request("GET", f"{MAPS}?watch=true&resourceVersion={since}")
        self._answer = self._connection.getresponse()
        self.known, self.last = dict(known), since
        self.expired = self._answer.status == 410
        self.start()

    def run(self) -> None:
        try:
            while line := self._answer.readline():
                self._take(json.loads(line))
        except LOST:
            return  # of an event that came in part nothing was seen
        finally:
            self._connection.close()

    def _take(self, event: dict[str, Any]) -> None:
        obj = event["object"]
        if event["type"] == "ERROR":
            self.expired = True
            return
        name, value = obj["metadata"]["name"], obj["data"].get("v")
        if event["type"] == "DELETED":
            self.known.pop(name)
        elif value is not None:  # else it is the daemon's own: the authority's certificate
            self.known[name] = value
        self.last = obj["metadata"]["resourceVersion"]

    def end(self) -> None:
        if (sock := self._connection.sock) is not None:
            sock.shutdown(2)
        self.join()


def stored(daemon: Daemon) -> tuple[dict[str, str], str]:
    found = daemon.get(MAPS)
    items = {each["metadata"]["name"]: each["data"] for each in found["items"]}
    return {name: data["v"] for name, data in items.items() if "v" in data}, found["metadata"]["resourceVersion"]


def storm(daemon: Daemon, writers: list[Writer]) -> None:
    """All write at once; in the midst of it the daemon is killed."""
    path = f"{daemon.run}/orch.sock"
    pid, begun = daemon.daemon_pid, sum(each.acknowledged for each in writers)
    threads = [threading.Thread(target=each.run, args=(path,)) for each in writers]
    for thread in threads:
        thread.start()
    wanted = begun + ACKNOWLEDGED
    eventually(lambda: sum(each.acknowledged for each in writers) >= wanted or any(each.wrong for each in writers))
    assert daemon.kill_daemon() == pid
    for thread in threads:
        thread.join()


def test_acknowledged_writes_survive_kill_9(daemon: Daemon) -> None:
    """Three storms and three deaths; after each, objects, revisions and watches go on from where they were."""
    writers = [Writer(number) for number in range(CLIENTS)]
    watch = Watch(f"{daemon.run}/orch.sock", stored(daemon)[1], {})
    for _ in range(3):
        storm(daemon, writers)
        watch.join()
        assert not [each.wrong for each in writers if each.wrong]
        daemon.start()
        found, version = stored(daemon)
        for writer in writers:
            for name in {*writer.states, *writer.pending}:
                here = found.get(name, GONE)
                assert here in (writer.states.get(name, GONE), writer.pending.get(name)), (name, writer, here)
                writer.states[name] = here
            writer.pending = {}
        assert int(version) >= int(watch.last)
        watch = resumed(daemon, watch, found)
    watch.end()


def resumed(daemon: Daemon, before: Watch, found: dict[str, str]) -> Watch:
    """A watch that goes on where the last one ended; anew from a list if that is told to be too old."""
    watch = Watch(f"{daemon.run}/orch.sock", before.last, before.known)
    eventually(lambda: watch.known == found or watch.expired, what="the watch to know what is stored")
    if watch.expired:
        watch.join()
        found, version = stored(daemon)
        watch = Watch(f"{daemon.run}/orch.sock", version, found)
    return watch
