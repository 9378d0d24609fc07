"""Expressions about a write: what they may refer to, and match conditions. No I/O.

Source: staging/src/k8s.io/apiserver/pkg/admission/plugin/cel of Kubernetes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from orchestr.api.base import KubeObject
from orchestr.api.cel import AUTHORIZER, CelError, compiled, evaluate
from orchestr.api.celdialect import fields_of
from orchestr.api.policies import Variable
from orchestr.api.webhooks import MatchCondition
from orchestr.store.caller import SYSTEM
from orchestr.store.matching import Subject, attributes, shown


class Facts:
    """The variables of expressions about one write, each made when it is first needed."""

    def __init__(
        self,
        subject: Subject,
        kind: type[KubeObject],
        params: KubeObject | None = None,
        variables: Sequence[Variable] = (),
    ) -> None:
        self._subject, self.kind, self._params, self._variables = subject, kind, params, variables
        self._defined = {each.name: each.expression for each in variables}
        self._values: dict[str, Any] = {}
        self._faults: dict[str, str] = {}

    def about(self, obj: KubeObject) -> "Facts":
        """The same of the write when the new object is this one."""
        return Facts(self._subject.with_(obj), self.kind, self._params, self._variables)

    def value(self, source: str) -> Any:
        """Of an expression. Raises CelError."""
        wanted = fields_of(compiled(source, AUTHORIZER).tree, "variables")
        for name in wanted & self._defined.keys() - self._values.keys() - self._faults.keys():
            self._define(name)
        try:
            return evaluate(source, {**self._given, "variables": dict(self._values)}, self._functions)
        except CelError as error:
            for name in sorted(wanted & self._faults.keys()):  # the library only says that the variable is not there
                if str(error) == f"no such key: {name}":
                    raise CelError(f'composited variable "{name}" fails to evaluate: {self._faults[name]}') from error
            raise

    def _define(self, name: str) -> None:
        """A variable that fails is left out: it only matters to what comes to use it."""
        try:
            self._values[name] = self.value(self._defined[name])
        except CelError as error:
            self._faults[name] = str(error)

    @cached_property
    def _given(self) -> Mapping[str, Any]:
        subject, kind = self._subject, self.kind
        namespace, who = subject.namespace, subject.tx.caller
        request = {
            **attributes(subject, kind),
            "userInfo": who.user if who else SYSTEM,
            "dryRun": subject.tx.dry_run,
        }
        resource = {"group": kind.GROUP, "resource": kind.PLURAL, "subresource": subject.sub}
        resource |= {"namespace": subject.any.metadata.namespace or "", "name": subject.any.metadata.name}
        return {
            "object": subject.shown(kind),
            "oldObject": shown(subject.old, kind),
            "request": request,
            "params": self._params.wire() if self._params else None,
            "namespaceObject": namespace.wire() if namespace else None,
            "authorizer": {"requestResource": resource},
        }

    @cached_property
    def _functions(self) -> Mapping[str, Callable[..., Any]]:
        return {
            "path": lambda on, path: {"path": path, **_user(on)},
            "group": lambda on, group: {"group": group, **_user(on)},
            "serviceAccount": lambda on, namespace, name: {"user": f"system:serviceaccount:{namespace}:{name}"},
            **{part: _adding(part) for part in ("resource", "subresource", "namespace", "name")},
            "fieldSelector": lambda on, text: on,  # rights do not depend on selectors here
            "labelSelector": lambda on, text: on,
            "check": self._check,
            "allowed": lambda decision: decision["allowed"],
            "reason": lambda decision: decision["reason"],
            "errored": lambda decision: False,
            "error": lambda decision: "",
        }

    def _check(self, on: Mapping[str, Any], verb: str) -> dict[str, Any]:
        tx = self._subject.tx
        if tx.decide is None:
            raise ValueError("there is nobody to decide on rights")
        account = str(on.get("user", ""))
        user: Mapping[str, Any] = tx.caller.user if tx.caller else SYSTEM
        if account:
            namespace = account.split(":")[2]
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
            user = {"username": account, "groups": groups}
        why = tx.decide(tx, user, {"verb": verb, **{k: str(v) for k, v in on.items() if k != "user"}})
        return {"allowed": why is not None, "reason": why or ""}


def _user(on: Mapping[str, Any]) -> dict[str, Any]:
    return {"user": on["user"]} if "user" in on else {}


def _adding(part: str) -> Callable[[Mapping[str, Any], str], dict[str, Any]]:
    return lambda on, value: {**on, part: value}


def meets(facts: Facts, conditions: Iterable[MatchCondition]) -> bool:
    """Whether all conditions are true. One that is false counts more than one that fails. Raises CelError."""
    faults = []
    for condition in conditions:
        try:
            if facts.value(condition.expression) is not True:
                return False
        except CelError as error:
            faults.append(f"expression {condition.expression!r} resulted in error: {error}")
    if faults:
        raise CelError("; ".join(faults))
    return True
