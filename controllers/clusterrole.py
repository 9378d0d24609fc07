"""ClusterRole (rbac.authorization.k8s.io/v1) with an aggregationRule: its rules are those of all that it selects."""

from collections.abc import Iterable, Sequence

from orchestr.api.rbac import ClusterRole, PolicyRule
from orchestr.engine import ControllerCluster, Index, Key, Related, Watches


def _aggregating(role: ClusterRole, index: Index) -> list[Key]:
    return [each.key for each in index.all(ClusterRole) if selects(each, role)]


def selects(whole: ClusterRole, role: ClusterRole) -> bool:
    if whole.aggregation_rule is None or whole.metadata.name == role.metadata.name:
        return False
    selectors = whole.aggregation_rule.cluster_role_selectors
    return any(selector.matches(role.metadata.labels) for selector in selectors)


WATCHES = Watches(ClusterRole, related=(Related(ClusterRole, _aggregating),))


def rules(parts: Iterable[ClusterRole]) -> Sequence[PolicyRule]:
    """All rules in the order of the roles' names, each once. Pure."""
    found: list[PolicyRule] = []
    for role in sorted(parts, key=lambda role: role.metadata.name):
        found += [rule for rule in role.rules if rule not in found]
    return found


async def reconcile(cluster: ControllerCluster, key: Key) -> None:
    whole = await cluster.get(ClusterRole, key)
    if whole is None or whole.aggregation_rule is None or whole.metadata.deleting:
        return
    wanted = tuple(rules(role for role in cluster.all(ClusterRole) if selects(whole, role)))
    if wanted != whole.rules:
        await cluster.update(whole.but(rules=wanted))
