"""The ServiceAccount of a new pod: whose it is, and the token that its containers find (Kubernetes' admission plug-in).

Pods of a Compose project get no token unless they ask for one: nothing in a Compose file speaks to the API.
"""

from orchestr.api.base import Key
from orchestr.api.container import Container, ObjectFieldSelector, VolumeMount
from orchestr.api.core import KeyToPath, Pod
from orchestr.api.labels import STACK
from orchestr.api.serviceaccount import ServiceAccount
from orchestr.api.volume import (
    ConfigMapProjection,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)
from orchestr.store.refusals import forbidden
from orchestr.store.request import Request

DEFAULT = "default"
PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
PREFIX = "kube-api-access-"
LIFE = 3607  # seconds, Kubernetes' own number
ENFORCED = "kubernetes.io/enforce-mountable-secrets"  # annotation of an account
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def admit(request: Request, pod: Pod) -> Pod:
    """The pod with its account, and with the token's volume where it gets one. Forbidden for an unknown account."""
    if request.old is not None:
        return pod
    name = pod.spec.service_account_name or pod.spec.service_account or DEFAULT
    row = request.tx.get(ServiceAccount, Key(request.namespace, name))
    if row is None and name != DEFAULT:  # that one is on its way
        why = f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(Pod, pod.metadata.name, why)
    account = row.object if row else None
    spec = pod.spec.but(service_account_name=name, service_account=name)
    if isinstance(account, ServiceAccount):
        if not spec.image_pull_secrets and account.image_pull_secrets:
            spec = spec.but(image_pull_secrets=[each.wire() for each in account.image_pull_secrets])
        _only_its_secrets(pod.but(spec=spec), account)
    pod = pod.but(spec=spec)
    return _with_token(request, pod) if automounts(pod, account) else pod


def _only_its_secrets(pod: Pod, account: ServiceAccount) -> None:
    """Forbidden for a pod that uses a Secret which its account does not name, where the account says so."""
    if account.metadata.annotations.get(ENFORCED) != "true":
        return
    name, spec = account.metadata.name, pod.spec.wire()
    mountable = {each.name for each in account.secrets}
    pulled = {each.name for each in account.image_pull_secrets}
    for volume in spec.get("volumes") or ():
        secret = (volume.get("secret") or {}).get("secretName")
        if secret and secret not in mountable:
            why = f"volume with secret.secretName={secret!r} is not allowed because service account {name} does not"
            raise forbidden(Pod, pod.metadata.name, f"{why} reference that secret")
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        used = [(each.get("valueFrom") or {}).get("secretKeyRef") for each in container.get("env") or ()]
        used += [each.get("secretRef") for each in container.get("envFrom") or ()]
        for secret in sorted({str(each["name"]) for each in used if each and each.get("name")} - mountable):
            why = f"container {container['name']} referencing secret {secret!r} is not allowed because service account"
            raise forbidden(Pod, pod.metadata.name, f"{why} {name} does not reference that secret")
    for each in spec.get("imagePullSecrets") or ():
        if each.get("name") not in pulled:
            why = f"imagePullSecrets {each.get('name')!r} is not allowed because service account {name} does not"
            raise forbidden(Pod, pod.metadata.name, f"{why} reference that imagePullSecret")


def automounts(pod: Pod, account: object) -> bool:
    """The pod's own word, then its account's."""
    if pod.spec.automount_service_account_token is not None:
        return pod.spec.automount_service_account_token
    if isinstance(account, ServiceAccount) and account.automount_service_account_token is not None:
        return account.automount_service_account_token
    return STACK not in pod.metadata.labels


def _with_token(request: Request, pod: Pod) -> Pod:
    spec = pod.spec
    if all(_has(container) for container in (*spec.containers, *spec.init_containers)):
        return pod
    known = next((volume.name for volume in spec.volumes if volume.name.startswith(PREFIX)), None)
    name = known or PREFIX + "".join(request.site.chance.choices(ALPHABET, k=5))
    spec = spec.but(
        containers=tuple(_mounted(container, name) for container in spec.containers),
        init_containers=tuple(_mounted(container, name) for container in spec.init_containers),
        volumes=spec.volumes if known else (*spec.volumes, volume(name)),
    )
    return pod.but(spec=spec)


def _has(container: Container) -> bool:
    return any(mount.mount_path == PLACE for mount in container.volume_mounts)


def _mounted(container: Container, name: str) -> Container:
    if _has(container):
        return container
    mount = VolumeMount(name=name, mount_path=PLACE, read_only=True)
    return container.but(volume_mounts=(*container.volume_mounts, mount))


def volume(name: str) -> Volume:
    """token, ca.crt and namespace, as Kubernetes projects them."""
    own = DownwardAPIVolumeFile(
        path="namespace", field_ref=ObjectFieldSelector(api_version="v1", field_path="metadata.namespace")
    )
    sources = (
        VolumeProjection(service_account_token=ServiceAccountTokenProjection(expiration_seconds=LIFE, path="token")),
        VolumeProjection(
            config_map=ConfigMapProjection(name="kube-root-ca.crt", items=(KeyToPath(key="ca.crt", path="ca.crt"),))
        ),
        VolumeProjection(downward_api=DownwardAPIProjection(items=(own,))),
    )
    return Volume(name=name, projected=ProjectedVolumeSource(sources=sources))
