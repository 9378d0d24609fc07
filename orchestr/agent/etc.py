"""The files in /etc that a pod's containers get from us: hosts, hostname, resolv.conf. Pure text."""

from collections.abc import Sequence

from orchestr.api.core import Pod

CLUSTER_DOMAIN = "cluster.local"
HOSTNAME = "orchestr.dev/hostname"  # annotation: a host name that is no DNS label, as Compose allows it
HOST_GATEWAY = "orchestr.dev/host-gateway"  # annotation: names for the machine, with commas between


def hostname(pod: Pod) -> str:
    """What uname -n says inside: the annotation, spec.hostname, else the pod's name; at most 63 characters."""
    return (pod.metadata.annotations.get(HOSTNAME) or pod.spec.hostname or pod.metadata.name)[:63].rstrip("-.")


def hosts(pod: Pod, ips: Sequence[str], gateways: Sequence[str] = ()) -> str:
    """/etc/hosts: loopback, the pod itself, hostAliases, and names that the annotation gives to the machine."""
    name, subdomain = hostname(pod), pod.spec.subdomain
    own = f"{name}.{subdomain}.{pod.metadata.namespace}.svc.{CLUSTER_DOMAIN} {name}" if subdomain else name
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", "fe00::0\tip6-localnet"]
    lines += [f"{ip}\t{own}" for ip in ips]
    lines += [f"{alias.ip}\t{' '.join(alias.hostnames)}" for alias in pod.spec.host_aliases]
    if machine := pod.metadata.annotations.get(HOST_GATEWAY):
        lines += [f"{ip}\t{' '.join(machine.split(','))}" for ip in gateways]
    return "\n".join(lines) + "\n"


def resolv_conf(pod: Pod, servers: Sequence[str], host: str) -> str:
    """/etc/resolv.conf by dnsPolicy; `host` is the machine's own file."""
    policy = pod.spec.dns_policy
    if pod.spec.host_network and policy == "ClusterFirst":
        policy = "Default"  # as in Kubernetes: a pod on the host's network asks the host's servers
    config = pod.spec.dns_config
    names = list(config.nameservers) if config else []
    searches = list(config.searches) if config else []
    options = [f"{o.name}:{o.value}" if o.value else o.name or "" for o in config.options] if config else []
    if policy == "Default":
        return host
    if policy != "None":
        names = [*servers, *names]
        searches = [
            f"{pod.metadata.namespace}.svc.{CLUSTER_DOMAIN}",
            f"svc.{CLUSTER_DOMAIN}",
            CLUSTER_DOMAIN,
            *searches,
        ]
        options = options or ["ndots:5"]
    lines = [f"nameserver {name}" for name in names]
    lines += [f"search {' '.join(searches)}"] if searches else []
    lines += [f"options {' '.join(options)}"] if options else []
    return "\n".join(lines) + "\n"
