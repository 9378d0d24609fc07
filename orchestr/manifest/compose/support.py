"""What becomes of every key that Compose knows. Data: the loader refuses by it, the docs are generated from it.

A path is dotted, `*` stands for a name that the user chose, list items add nothing. What is said of a key holds for
the keys below it unless they have a line of their own; a test compares the table with the schema, key by key.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    DONE = "supported"
    NO_EFFECT = "accepted, no effect"
    NOT_YET = "not supported"


@dataclass(frozen=True, slots=True)
class Support:
    level: Level
    note: str  # what it becomes, or why it has no effect or is refused


DONE = """
include: files of this machine, with their own directory and .env; a name that both have must be the same thing
name: the project: namespace and Stack of that name
services: a workload and a Service each
services.*.annotations: annotations of the pods
services.*.blkio_config: weight and throttles of block devices, in annotation orchestr.dev/resources
services.*.build: built by `orch build`, and by `orch up` and `orch apply` when it is not here
services.*.cap_add: added to the default capabilities
services.*.cap_drop: dropped from the default capabilities
services.*.cgroup: private, which every container has
services.*.command: args of the container
services.*.configs.gid: 0 only; see uid
services.*.configs.uid: 0 only; the files belong to root and mode 0444 lets everybody read them
services.*.configs: files of a ConfigMap; default target /NAME, mode 0444
services.*.container_name: another name of the service in DNS; not with more than one replica
services.*.cpu_period: length of the quota's period, in annotation orchestr.dev/resources
services.*.cpu_quota: CPU time in a period, in annotation orchestr.dev/resources; not with cpus
services.*.cpu_rt_period: real-time period, in annotation orchestr.dev/resources; cgroup v1 only
services.*.cpu_rt_runtime: real-time budget, in annotation orchestr.dev/resources; cgroup v1 only
services.*.cpu_shares: weight when CPUs are short, in annotation orchestr.dev/resources
services.*.cpus: CPU limit
services.*.cpuset: the CPUs it may run on, in annotation orchestr.dev/resources
services.*.depends_on: kept at every start, not only at apply
services.*.deploy.labels: annotation orchestr.dev/labels of the workload
services.*.deploy.mode: replicated, and global, which is one replica on one machine
services.*.deploy.replicas: replicas of the Deployment
services.*.deploy.resources: requests and limits
services.*.deploy.restart_policy.condition: as restart: none is no, any is always
services.*.deploy.restart_policy.max_attempts: as restart on-failure:N
services.*.deploy.rollback_config: how failure_action rollback goes back; without it, as updates go
services.*.deploy.rollback_config.failure_action: pause
services.*.deploy.update_config: rolling update of the Deployment
services.*.deploy.restart_policy: see its keys
services.*.deploy.update_config.delay: minReadySeconds, with monitor the larger of both
services.*.deploy.update_config.failure_action: pause, and rollback, after which apply and up exit 4
services.*.deploy.update_config.monitor: minReadySeconds, with delay the larger of both
services.*.deploy.update_config.order: maxSurge or maxUnavailable; one replica stop-first is Recreate
services.*.deploy.update_config.parallelism: size of maxSurge or maxUnavailable; 0 is all at once
services.*.deploy: see its keys
services.*.device_cgroup_rules: devices that may be used, in annotation orchestr.dev/resources
services.*.devices: devices of this machine, with rwm
services.*.dns: only Docker's own, 127.0.0.11; other servers are set on the machine
services.*.dns_opt: options of the pod's dnsConfig
services.*.dns_search: searches of the pod's dnsConfig
services.*.entrypoint: command of the container
services.*.env_file: read at apply, part of the environment
services.*.environment: env of the container; a name without value takes the caller's
services.*.expose: ports of the Service
services.*.extends: a service of this file or of another of this machine; everything is inherited, as Compose does it
services.*.extra_hosts: hostAliases; host-gateway is the machine as its pods reach it
services.*.group_add: supplementalGroups, by number
services.*.healthcheck.start_interval: a startup probe at that pace
services.*.healthcheck: readiness and liveness probe; less than a second is rounded up
services.*.hostname: hostname of the pod
services.*.image: image of the container
services.*.init: a small init as process 1
services.*.ipc: host is hostIPC; private and shareable are the pod's own
services.*.label_file: read at apply, below labels
services.*.labels: annotation orchestr.dev/labels of the pods
services.*.links: the service is waited for; an alias is a name of it for the whole project
services.*.logging: json-file and local with max-size and max-file
services.*.mem_limit: memory limit
services.*.mem_reservation: memory request
services.*.mem_swappiness: in annotation orchestr.dev/resources; cgroup v1 only
services.*.memswap_limit: memory and swap together, in annotation orchestr.dev/resources; else as much as mem_limit
services.*.network_mode: host is hostNetwork; bridge and default are the project's default network
services.*.networks.*.aliases: more names of the service in DNS
services.*.networks: services that share no network cannot reach each other
services.*.oom_kill_disable: who is over the limit waits, in annotation orchestr.dev/resources; cgroup v1 only
services.*.oom_score_adj: annotation orchestr.dev/oom-score-adj; without it the score follows the QoS class
services.*.pid: host is hostPID
services.*.pids_limit: limit orchestr.dev/pids
services.*.platform: this machine's own
services.*.ports: published ports of the Service, stable while its pods change; without a host port one is chosen, once
services.*.privileged: privileged container
services.*.profiles: services of inactive profiles are left out
services.*.pull_policy: always, never, missing, if_not_present
services.*.read_only: read-only root file system
services.*.restart: always and unless-stopped make a Deployment, no and on-failure[:N] a Job
services.*.scale: as deploy.replicas
services.*.secrets.gid: 0 only; see uid
services.*.secrets.uid: 0 only; the files belong to root and mode 0444 lets everybody read them
services.*.secrets: files of a Secret; default target /run/secrets/NAME, mode 0444
services.*.security_opt: no-new-privileges, seccomp=unconfined; label and apparmor=unconfined are how it is anyway
services.*.shm_size: size of /dev/shm
services.*.stdin_open: stdin of the container
services.*.stop_grace_period: terminationGracePeriodSeconds, rounded up
services.*.stop_signal: lifecycle.stopSignal
services.*.sysctls: sysctls of the pod
services.*.tmpfs: memory volume; options size, mode=1777, rw, exec, nosuid, nodev
services.*.tty: a terminal
services.*.ulimits: limits of the processes, in annotation orchestr.dev/ulimits
services.*.user: numbers or names
services.*.userns_mode: host is hostUsers
services.*.volumes.bind.propagation: private and rprivate
services.*.volumes.tmpfs.size: size limit
services.*.volumes.volume.labels: annotation orchestr.dev/labels of the claim
services.*.volumes: volume: a claim that outlives the stack; bind: a path of this machine; tmpfs: memory
services.*.working_dir: workingDir of the container
networks: see services.*.networks
networks.*.driver: bridge
volumes: PersistentVolumeClaims, kept when the stack is deleted
volumes.*.driver: local
volumes.*.name: name of the claim, in the namespace of the project
volumes.*.labels: annotation orchestr.dev/labels of the claim
secrets: Secrets
secrets.*.file: read at apply
secrets.*.environment: read at apply
configs: ConfigMaps
configs.*.content: the text
configs.*.environment: read at apply
configs.*.file: read at apply
"""

NO_EFFECT = """
networks.*.ipam: all networks are on one bridge, which has its own range; no address is taken from the subnet
version: obsolete; told with a warning
services.*.build.cache_from: the cache is this machine's own
services.*.build.cache_to: the cache is this machine's own
services.*.attach: it is about the output of `docker compose up`
services.*.deploy.endpoint_mode: vip only, which services have
services.*.deploy.placement: there is one machine
services.*.deploy.placement.max_replicas_per_node: there is one machine
services.*.networks.*.priority: all networks are on one bridge
services.*.networks.*.gw_priority: all networks are on one bridge
services.*.ports.mode: on one machine host and ingress are the same
services.*.volumes.bind.selinux: there is no SELinux labelling
services.*.volumes.volume.nocopy: what the image holds at that path is never copied into a new volume
services.*.volumes.consistency: there is no virtual machine in between
networks.*.attachable: it is about swarm services
networks.*.enable_ipv4: true only, which networks are
networks.*.enable_ipv6: true only, which networks are
networks.*.labels: networks are not objects
networks.*.name: networks belong to their project
secrets.*.labels: never read by a container
secrets.*.name: secrets belong to their project
configs.*.labels: never read by a container
configs.*.name: configs belong to their project
"""

NOT_YET = """
models: there is no model runner
services.*.build.additional_contexts: name stages and images in the Dockerfile
services.*.build.entitlements: RUN has no privilege
services.*.build.extra_hosts: RUN has the names of the name server
services.*.build.isolation: it is for Windows containers
services.*.build.privileged: RUN has no privilege
services.*.build.provenance: no attestations are made
services.*.build.sbom: no attestations are made
services.*.build.ssh: give what RUN needs as a secret
services.*.build.ulimits: RUN has the limits of any container
services.*.cgroup_parent: the cgroup tree belongs to the daemon
services.*.cpu_count: use cpus
services.*.cpu_percent: use cpus
services.*.credential_spec: it is for Windows containers
services.*.deploy.resources.reservations.devices: devices cannot be given to containers
services.*.deploy.resources.reservations.generic_resources: generic resources are swarm's
services.*.deploy.restart_policy.delay: the back-off is fixed: 0.5 s, doubling up to 60 s
services.*.deploy.restart_policy.window: the back-off is fixed: 0.5 s, doubling up to 60 s
services.*.deploy.rollback_config.max_failure_ratio: a rollback pauses at the first failure
services.*.deploy.update_config.max_failure_ratio: an update pauses at the first failure
services.*.develop: there is no watch mode
services.*.domainname: only hostname can be set
services.*.external_links: use the name of the service in its project: SERVICE.PROJECT
services.*.gpus: devices cannot be given to containers
services.*.isolation: it is for Windows containers
services.*.mac_address: addresses are chosen by the daemon
services.*.models: there is no model runner
services.*.networks.*.driver_opts: there are no network drivers
services.*.networks.*.interface_name: the interface is called eth0
services.*.networks.*.ipv4_address: addresses are chosen by the daemon; use the name
services.*.networks.*.ipv6_address: addresses are chosen by the daemon; use the name
services.*.networks.*.link_local_ips: addresses are chosen by the daemon; use the name
services.*.networks.*.mac_address: addresses are chosen by the daemon
services.*.post_start: there are no life cycle hooks
services.*.pre_start: use a service that the others wait for with service_completed_successfully
services.*.pre_stop: there are no life cycle hooks
services.*.provider: there are no provider plugins
services.*.pull_refresh_after: images are not refreshed by age
services.*.runtime: there is one runtime
services.*.storage_opt: the root file system has no options
services.*.use_api_socket: there is no Docker socket
services.*.uts: a pod always has its own UTS namespace
services.*.volumes.bind.recursive: binds are recursive
services.*.volumes.image: images cannot be mounted
services.*.volumes.tmpfs.mode: the mode is 1777
services.*.volumes_from: name the volume in both services
networks.*.driver_opts: there are no network drivers
networks.*.external: a network belongs to its project
networks.*.internal: outgoing connections cannot be cut off
volumes.*.driver_opts: volumes are directories of the daemon
volumes.*.external: a volume belongs to its project
secrets.*.driver: secrets come from a file or a variable
secrets.*.driver_opts: secrets come from a file or a variable
secrets.*.external: secrets come from a file or a variable
secrets.*.template_driver: contents are not templates
configs.*.external: configs come from a file, a variable or their content
configs.*.template_driver: contents are not templates
"""


def _read(text: str, level: Level) -> Iterator[tuple[str, Support]]:
    for line in text.strip().splitlines():
        path, _, note = line.partition(": ")
        yield path, Support(level, note)


TABLE: dict[str, Support] = {
    path: support
    for text, level in ((DONE, Level.DONE), (NO_EFFECT, Level.NO_EFFECT), (NOT_YET, Level.NOT_YET))
    for path, support in _read(text, level)
}


def support(path: tuple[str, ...]) -> Support:
    """What is said of this key, or of the nearest key above it. KeyError for what Compose does not know."""
    for length in range(len(path), 0, -1):
        found = TABLE.get(".".join(path[:length]))
        if found is not None:
            return found
    raise KeyError(".".join(path))
