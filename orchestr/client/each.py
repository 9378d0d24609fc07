"""A list applied object by object: how `orch apply` works on a server that has Kubernetes' paths alone.

All objects are tried as a dry run before the first is changed, so that bad input changes nothing. What cannot be tried
yet, because its namespace or its definition is in the same list, is tried once those are there; when that finds
something wrong they are deleted again. Between the trial and the deed the server may change its mind; an error then
says what was applied before it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orchestr.api.errors import ApiError, BadRequest, Cause, NotFound, from_status
from orchestr.client.discovery import Resource, resources
from orchestr.client.paths import with_query

if TYPE_CHECKING:
    from orchestr.client.sync import Client

Object = dict[str, Any]
ESTABLISH = 20  # seconds that a new definition may take until its objects are served
NOISE = ("managedFields", "resourceVersion")


def apply_each(
    client: "Client", items: Sequence[Mapping[str, Any]], *, manager: str, dry_run: bool, force: bool
) -> list[Object]:
    """As Client.apply_all; the objects of a dry run whose namespace is not there yet come back as they were given."""
    run = Run(client, items, manager, force)
    later = run.trial(range(len(items)))
    if dry_run:
        return [run.results.get(index) or _result(None, dict(items[index])) for index in range(len(items))]
    grounds = [index for index, item in enumerate(items) if _ground(item)]
    run.deed(grounds)
    if later:
        run.settle(grounds)
        try:
            still = run.trial(later, last=True)
            assert not still
        except ApiError:
            run.undo(grounds)
            raise
    run.deed([index for index in range(len(items)) if index not in grounds])
    return [run.results[index] for index in range(len(items))]


def _ground(item: Mapping[str, Any]) -> bool:
    """Whether other objects of the list may stand on it."""
    return item["kind"] in ("Namespace", "CustomResourceDefinition")


def _result(before: Object | None, after: Object) -> Object:
    action = "created" if before is None else "unchanged" if _plain(before) == _plain(after) else "configured"
    return {"action": action, "object": after}


def _plain(obj: Object) -> Object:
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key not in NOISE}}


class Run:
    def __init__(self, client: "Client", items: Sequence[Mapping[str, Any]], manager: str, force: bool) -> None:
        self.client, self.items = client, items
        self.query = {"fieldManager": manager, "force": force or None, "fieldValidation": "Strict"}
        self.served = self._discover()
        self.before: dict[int, Object | None] = {}
        self.results: dict[int, Object] = {}
        self.done: list[int] = []

    def _discover(self) -> dict[tuple[str, str], Resource]:
        return {(each.api_version, each.kind): each for each in reversed(resources(self.client))}

    def trial(self, indices: Sequence[int], *, last: bool = False) -> list[int]:
        """Dry runs; the indices of those that must wait for another item. One ApiError with all that is wrong."""
        wrong: list[tuple[int, ApiError]] = []
        later = []
        for index in indices:
            try:
                self.before[index] = self._stored(index)
                self.results[index] = _result(self.before[index], self._patch(index, dry_run=True))
            except ApiError as error:
                if not last and isinstance(error, NotFound) and self._waits(self.items[index]):
                    later.append(index)
                else:
                    wrong.append((index, error))
        if wrong:
            raise _together(wrong)
        return later

    def _waits(self, item: Mapping[str, Any]) -> bool:
        """Whether its namespace or its kind is among the items."""
        group = str(item["apiVersion"]).rpartition("/")[0]
        for each in self.items:
            if each["kind"] == "Namespace" and each["metadata"].get("name") == item["metadata"].get("namespace"):
                return True
            spec = each.get("spec") or {}
            names = spec.get("names") or {}
            if each["kind"] == "CustomResourceDefinition" and (spec.get("group"), names.get("kind")) == (
                group,
                item["kind"],
            ):
                return True
        return False

    def deed(self, indices: Sequence[int]) -> None:
        for index in indices:
            try:
                self.before.setdefault(index, self._stored(index))
                self.results[index] = _result(self.before[index], self._patch(index, dry_run=False))
            except ApiError as error:
                raise _together([(index, error)], len(self.done)) from error
            self.done.append(index)

    def settle(self, indices: Sequence[int]) -> None:
        """Until new definitions are served."""
        for index in indices:
            if self.items[index]["kind"] == "CustomResourceDefinition":
                self._established(index)
        self.served = self._discover()

    def _established(self, index: int) -> None:
        obj = self.results[index]["object"]
        place = self._resource(index).path()
        query = {"fieldSelector": f"metadata.name={obj['metadata']['name']}", "timeoutSeconds": ESTABLISH}
        for event in self.client.watch(place, query=query):
            conditions = (event["object"].get("status") or {}).get("conditions") or []
            if any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
                return

    def undo(self, indices: Sequence[int]) -> None:
        """Deletes what was not there before."""
        for index in reversed(indices):
            if self.before.get(index) is None and index in self.done:
                with suppress(ApiError):
                    self.client.delete(self._place(index))

    def _resource(self, index: int) -> Resource:
        item = self.items[index]
        own = str(item["apiVersion"]).startswith("orchestr.dev/")
        found = None if own else self.served.get((str(item["apiVersion"]), str(item["kind"])))
        if found is None:
            hint = "not supported: only orch's own daemon has it" if own else "see its /apis for what there is"
            raise NotFound(f"the server has no kind {item['kind']} in {item['apiVersion']} ({hint})")
        return found

    def _place(self, index: int) -> str:
        meta = self.items[index].get("metadata") or {}
        if not meta.get("name"):
            raise BadRequest("it has no name (give metadata.name)")
        return self._resource(index).path(str(meta.get("namespace") or "default"), str(meta["name"]))

    def _stored(self, index: int) -> Object | None:
        place = self._place(index)
        try:
            return self.client.get(place)
        except NotFound:
            return None

    def _patch(self, index: int, *, dry_run: bool) -> Object:
        item = dict(self.items[index])
        if not self._resource(index).namespaced:
            item["metadata"] = {key: value for key, value in item["metadata"].items() if key != "namespace"}
        query = {**self.query, "dryRun": "All" if dry_run else None}
        return self.client.apply(with_query(self._place(index), query), item)


def _together(wrong: Sequence[tuple[int, ApiError]], done: int = 0) -> ApiError:
    """One error whose causes name items[N] and the field. `done`: how many objects had been applied before."""
    partly = f" ({done} objects were applied before)" if done else ""
    causes = []
    for index, error in wrong:
        named = error.causes if all(cause.field for cause in error.causes) else ()
        for cause in named or [Cause("", error.message, error.reason)]:
            field = cause.field.removeprefix(".")
            causes.append({
                "field": f"items[{index}]{'.' if field else ''}{field}",
                "message": cause.message + partly,
                "reason": cause.reason,
            })  # fmt: skip
    first = wrong[0][1]
    message = f"cannot apply: {first.message}{partly}"
    return from_status({"message": message, "reason": first.reason, "details": {"causes": causes}}, first.code)
