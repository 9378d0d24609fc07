"""Labels that tie what a Compose project became to the project, and annotations that more than one room knows."""

STACK = "orchestr.dev/stack"  # on workloads, pods, services, secrets and the namespace: the project's name
SERVICE = "orchestr.dev/service"  # on workloads, pods and services: the name in the Compose file
REMOVE_AFTER = "orchestr.dev/remove-after"  # annotation of a pod: seconds that it stays when it has finished
STOP_TIMEOUT = "orchestr.dev/stop-timeout"  # annotation of a pod: seconds instead of its own grace period, once
CONFIG_FILES = "orchestr.dev/config-files"  # annotation of a Stack: the files that it was read from, comma between
