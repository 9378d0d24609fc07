"""Labels that tie what a Compose project became to the project."""

STACK = "orchestr.dev/stack"  # on workloads, pods, services, secrets and the namespace: the project's name
SERVICE = "orchestr.dev/service"  # on workloads, pods and services: the name in the Compose file
