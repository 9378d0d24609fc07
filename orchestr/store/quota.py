"""ResourceQuota: charged in the transaction of the write, so that no two writes can both take the last of it.

The used amounts in a quota's status are exact at every revision: each write that changes what its namespace uses
also writes the quota. A write of a quota itself counts its namespace anew.
"""

from decimal import Decimal

from orchestr.api.base import KubeObject
from orchestr.api.container import Container
from orchestr.api.core import Pod, ResourceQuota
from orchestr.api.namespace import ResourceQuotaStatus
from orchestr.api.quantity import parse
from orchestr.api.usage import SHORT, Usage, text, total, usage
from orchestr.store.refusals import forbidden
from orchestr.store.table import Row, kind_name
from orchestr.store.transaction import Tx

QUOTAS = kind_name(ResourceQuota)
ZERO = Decimal(0)


def charge(tx: Tx, old: KubeObject | None, new: KubeObject | None) -> None:
    """Adds what `new` uses more than `old` to the quotas of their namespace. Raises Forbidden over the limit."""
    obj = new or old
    if obj is None:
        return
    rows = [row for row in tx.table.rows(QUOTAS, obj.metadata.namespace or "") if not _itself(row, obj)]
    if not rows:
        return
    if isinstance(new, Pod) and old is None:
        for row in rows:
            _must_say(new, row.object)
    before, after = usage(old) if old else {}, usage(new) if new else {}
    delta = {name: after.get(name, ZERO) - before.get(name, ZERO) for name in {**before, **after}}
    delta = {name: value for name, value in delta.items() if value}
    if delta:
        for row in rows:
            _charge(tx, row, obj, delta)


def counted(tx: Tx, quota: ResourceQuota) -> ResourceQuota:
    """The quota with its status counted from what is in the namespace now."""
    namespace = quota.metadata.namespace or ""
    found = [row.object for kind in tx.table.kinds() for row in tx.table.rows(kind, namespace)]
    stored = tx.get(ResourceQuota, quota.key) is not None
    used = total(found if stored else [*found, quota])
    hard = quota.spec.hard
    status = ResourceQuotaStatus(hard=hard, used={name: text(name, used.get(name, ZERO)) for name in hard})
    return quota.but(status=status)


def _itself(row: Row, obj: KubeObject) -> bool:
    """A quota counts itself when it is written (`counted`)."""
    return isinstance(obj, ResourceQuota) and row.object.key == obj.key


def _charge(tx: Tx, row: Row, obj: KubeObject, delta: Usage) -> None:
    quota = row.object
    assert isinstance(quota, ResourceQuota)
    hard, used = quota.spec.hard, quota.status.used
    names = sorted(name for name in delta if name in hard)
    if not names:
        return
    was = {name: parse(used.get(name, "0")) for name in names}
    over = [n for n in names if delta[n] > 0 and was[n] + delta[n] > parse(hard[n])]
    if over:
        requested, taken = _list(over, delta), _list(over, was)
        limited = ",".join(f"{name}={hard[name]}" for name in over)
        why = f"exceeded quota: {quota.metadata.name}, requested: {requested}, used: {taken}, limited: {limited}"
        raise forbidden(type(obj), obj.metadata.name, why)
    now = {**used, **{name: text(name, max(was[name] + delta[name], ZERO)) for name in names}}
    tx.put(quota.but(status=quota.status.but(used=now)), row)


def _must_say(pod: Pod, quota: KubeObject) -> None:
    """A quota on a resource means that every container says how much of it it takes."""
    assert isinstance(quota, ResourceQuota)
    wanted = sorted({SHORT.get(name, name) for name in quota.spec.hard if SHORT.get(name, name).count(".") == 1})
    missing: list[str] = []
    for name in wanted:
        side, _, resource = name.partition(".")
        if side not in ("requests", "limits") or resource == "storage":
            continue
        silent = [c.name for c in (*pod.spec.init_containers, *pod.spec.containers) if not _says(c, side, resource)]
        if silent:
            missing.append(f"{name} for: {','.join(silent)}")
    if missing:
        why = f"failed quota: {quota.metadata.name}: must specify {'; '.join(missing)}"
        raise forbidden(Pod, pod.metadata.name, why)


def _says(container: Container, side: str, resource: str) -> bool:
    resources = container.resources
    return resource in resources.limits or (side == "requests" and resource in resources.requests)


def _list(names: list[str], values: Usage) -> str:
    return ",".join(f"{name}={text(name, values[name])}" for name in names)
