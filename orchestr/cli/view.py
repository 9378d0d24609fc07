"""A live picture of some kinds in some namespaces: a watch and a thread for each; the caller sleeps in between."""

import queue
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from orchestr.cli.kinds import Kind, find
from orchestr.cli.why import owned
from orchestr.client.paths import path
from orchestr.client.sync import Client

GATHER = 0.03  # seconds; changes that come together are looked at once
BELOW = ("deployments", "replicasets", "jobs", "pods")  # pods, and what stands between them and their top


class View:
    def __init__(self, client: Client, namespaces: Iterable[str], plurals: Iterable[str]) -> None:
        self._client, self._changes = client, queue.Queue[tuple[Kind, dict[str, Any]] | Exception]()
        self.objects: dict[str, dict[str, dict[str, Any]]] = {}  # plural -> uid -> object
        self.foreign = client.foreign
        for plural in plurals:
            kind, known = find(plural), self.objects.setdefault(plural, {})
            for namespace in (set(namespaces) or {""}) if kind.namespaced else {""}:
                target = path(kind.plural, namespace or None, group=kind.group, version=kind.version)
                answer = client.get(target)
                for item in answer["items"]:
                    known[item["metadata"]["uid"]] = {"kind": kind.kind, **item}
                since = str(answer["metadata"]["resourceVersion"])
                threading.Thread(target=self._watch, args=(kind, target, since), daemon=True).start()

    def _watch(self, kind: Kind, target: str, since: str) -> None:
        own = Client(self._client.address, start=self._client.start)
        try:
            while True:
                for event in own.watch(target, since=since):
                    since = event["object"]["metadata"]["resourceVersion"]
                    self._changes.put((kind, event))
        except Exception as error:
            self._changes.put(error)

    def wait(self, seconds: float | None) -> bool:
        """Until something changed; False when the time was over first. Raises what ended a watch."""
        try:
            self._take(self._changes.get(timeout=seconds))
        except queue.Empty:
            return False
        time.sleep(GATHER)
        while not self._changes.empty():
            self._take(self._changes.get_nowait())
        return True

    def _take(self, change: tuple[Kind, dict[str, Any]] | Exception) -> None:
        if isinstance(change, Exception):
            raise change
        kind, event = change
        known, uid = self.objects[kind.plural], event["object"]["metadata"].get("uid")
        if event["type"] == "DELETED":
            known.pop(uid, None)
        elif event["type"] != "BOOKMARK":
            known[uid] = {"kind": kind.kind, **event["object"]}

    def one(self, kind: Kind, namespace: str, name: str) -> Mapping[str, Any] | None:
        for obj in self.objects.get(kind.plural, {}).values():
            if obj["metadata"]["name"] == name and obj["metadata"].get("namespace", "") == namespace:
                return obj
        return None

    def below(self, uid: str) -> list[Mapping[str, Any]]:
        """All pods that stand below an object by their owners, newest last."""
        children: dict[str, list[Mapping[str, Any]]] = {}
        for plural in BELOW:
            for obj in self.objects.get(plural, {}).values():
                owner = owned(obj)
                if owner:
                    children.setdefault(owner[1], []).append(obj)
        found: list[Mapping[str, Any]] = []
        todo = [uid]
        while todo:
            for child in children.get(todo.pop(), []):
                if child["kind"] == "Pod":
                    found.append(child)
                else:
                    todo.append(child["metadata"]["uid"])
        return found
