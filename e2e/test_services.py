"""Services as pods and the machine see them: names, addresses, published ports, isolation; and how objects go.

What leaves this machine (masquerade towards the outside) cannot be proven here: there is no other machine.
"""

import json
import os
import socket
import subprocess
from contextlib import suppress

import pytest

from e2e.checks import alive, eventually, kill
from e2e.load import COMMAND, free_port, get
from e2e.project import Project

CLIENT = """
      client:
        image: local/host
        command: [sleep, infinity]
        restart: always
        stop_grace_period: 0s
"""
NAMED = """
import http.server, os, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{socket.gethostname()} {self.client_address[0]}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", 8080), Handler).serve_forever()
"""


def web(more: str = "", command: str = COMMAND, name: str = "web") -> str:
    return f"""
      {name}:
        image: local/host
        command: {command}
        restart: always
        stop_grace_period: 0s
        healthcheck:
          test: [CMD, python3, -c, "import socket; socket.create_connection(('localhost', 8080))"]
          interval: 1s
        {more}
"""


def fetch(project: Project, url: str, client: str = "client") -> str:
    """What a container gets from a URL; "" with no answer."""
    code = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=3).read().decode())"
    return project.exec(client, "python3", "-c", code).out.strip()


def resolve(project: Project, name: str, client: str = "client") -> set[str]:
    code = f"import socket; print(*{{a[4][0] for a in socket.getaddrinfo({name!r}, None)}})"
    return set(project.exec(client, "python3", "-c", code).out.split())


def publishing(project: Project, port: int, host: str = "127.0.0.1") -> None:
    project.apply("    services:" + web(f'ports: ["{host}:{port}:8080"]' if host else f'ports: ["{port}:8080"]'))


def test_every_form_of_a_name_answers_with_both_families(project: Project) -> None:
    project.apply("    services:" + web("ports: []\n        expose: ['8080']") + CLIENT)
    for name in ("web", f"web.{project.name}", f"web.{project.name}.svc", f"web.{project.name}.svc.cluster.local"):
        addresses = resolve(project, name)
        assert {"." in address for address in addresses} == {True, False}, f"{name}: {addresses}"
        assert fetch(project, f"http://{name}:8080") == "1"
        for address in addresses:
            assert fetch(project, f"http://{f'[{address}]' if ':' in address else address}:8080") == "1"
    assert not resolve(project, "no-such-name")


def test_a_service_without_ports_is_reachable_at_any_port(project: Project) -> None:
    """Compose: the name of a service that publishes and exposes nothing leads to its containers, at every port."""
    project.apply("    services:" + web() + CLIENT)
    assert fetch(project, "http://web:8080") == "1"


def test_aliases_and_the_spelling_of_compose(project: Project) -> None:
    text = "    services:" + web(
        "networks: {default: {aliases: [www, shop-front]}}\n        container_name: the-web", name="web_app"
    )
    project.apply(text + CLIENT)
    for name in ("web_app", "web-app", "www", "shop-front", "the-web"):
        assert fetch(project, f"http://{name}:8080") == "1", name


def test_networks_keep_apart_what_shares_none(project: Project) -> None:
    """front reaches middle and middle reaches back; front and back do not, neither by name nor by address."""
    text = (
        "    services:"
        + web("networks: [front]", name="front")
        + web("networks: [front, rear]", name="middle")
        + web("networks: [rear]", name="back")
        + "\n    networks: {front: {}, rear: {}}\n"
    )
    project.apply(text)
    assert fetch(project, "http://middle:8080", "front") == "1"
    assert fetch(project, "http://back:8080", "middle") == "1"
    address = next(ip["ip"] for ip in project.pod("back")["status"]["podIPs"])
    assert fetch(project, f"http://{address}:8080", "front") == ""
    assert fetch(project, "http://back:8080", "front") == ""


def test_a_headless_service_answers_with_its_pods(project: Project) -> None:
    project.objects(replicated(3, "clusterIP: None"))
    pods = {ip["ip"] for pod in project.pods("web") for ip in pod["status"]["podIPs"]}
    eventually(lambda: resolve(project, "web", "pod/client") == pods)


def test_session_affinity_and_its_absence(project: Project) -> None:
    project.objects(
        replicated(3, "ports: [{port: 80, targetPort: 8080}]", command=json.dumps(["python3", "-u", "-c", NAMED]))
    )
    assert len({fetch(project, "http://web", "pod/client").split()[0] for _ in range(12)}) > 1
    sticky = "sessionAffinity: ClientIP\n          ports: [{port: 80, targetPort: 8080}]"
    project.objects(replicated(3, sticky, command=json.dumps(["python3", "-u", "-c", NAMED])))
    eventually(lambda: len({fetch(project, "http://web", "pod/client").split()[0] for _ in range(6)}) == 1)


def replicated(replicas: int, service: str, command: str = COMMAND) -> str:
    return f"""
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: web}}
        spec:
          replicas: {replicas}
          selector: {{matchLabels: {{app: web}}}}
          template:
            metadata: {{labels: {{app: web}}}}
            spec:
              terminationGracePeriodSeconds: 0
              containers:
                - name: main
                  image: local/host
                  command: {command}
                  readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
        ---
        apiVersion: v1
        kind: Service
        metadata: {{name: web}}
        spec:
          selector: {{app: web}}
          {service}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {{name: client}}
        spec:
          terminationGracePeriodSeconds: 0
          containers: [{{name: main, image: local/host, command: [sleep, infinity]}}]
        """


def test_a_pod_reaches_itself_through_its_service(project: Project) -> None:
    """Hairpin: by the service's name, and by the published port on the machine's address."""
    project.apply("    services:" + web("expose: ['8080']"))
    assert fetch(project, "http://web:8080", "web") == "1"


def test_a_port_bound_to_loopback_stays_there(project: Project) -> None:
    port = free_port()
    publishing(project, port)
    assert get(port) == "1"
    for address in machine_addresses():
        with pytest.raises(AssertionError):
            get(port, host=address)


def test_a_port_bound_to_nothing_is_everywhere(project: Project) -> None:
    port = free_port()
    publishing(project, port, "")
    for address in ("127.0.0.1", *machine_addresses()):
        assert get(port, host=address) == "1"


def machine_addresses() -> list[str]:
    """The machine's own IPv4 addresses that are not loopback, as far as a default route knows one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]


def test_a_taken_port_is_refused_with_its_holder(project: Project) -> None:
    """apply exits 1 and names the process; when that lets go, the port is published."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        text = "    services:" + web(f'ports: ["127.0.0.1:{port}:8080"]')
        done = project.apply(text, code=1)
        assert str(port) in done.err + done.out
        assert f"pid {os.getpid()}" in done.err + done.out
    eventually(lambda: get(port) == "1", within=30)


def test_two_services_cannot_publish_the_same_port(project: Project) -> None:
    port = free_port()
    publishing(project, port)
    other = f"""
        apiVersion: v1
        kind: Service
        metadata:
          name: other
          annotations: {{orchestr.dev/publish: '[{{"hostIP": "127.0.0.1", "hostPort": {port}, "port": 80}}]'}}
        spec: {{selector: {{app: other}}, ports: [{{port: 80}}]}}
        """
    done = project.objects(other, code=1)  # the file is right; another service has the port
    assert "web" in done.err + done.out
    assert get(port) == "1"


def test_a_node_port_is_published(project: Project) -> None:
    project.objects(replicated(1, "type: NodePort\n          ports: [{port: 80, targetPort: 8080}]"))
    number = project.get("service", "web")["spec"]["ports"][0]["nodePort"]
    assert eventually(lambda: get(number)) == "1"


def test_a_deleted_namespace_takes_everything_along(project: Project) -> None:
    """Objects of all kinds and the processes of its pods: afterwards the namespace is gone and its port is free."""
    port = free_port()
    publishing(project, port)
    pid = project.pid("web")
    project.orch("delete", "namespace", project.name).expect()
    eventually(lambda: not project.exists())
    assert not alive(pid)
    for plural in ("pods", "services", "endpointslices", "stacks", "deployments", "replicasets", "configmaps"):
        assert all(item["metadata"]["namespace"] != project.name for item in project.daemon.items(plural)), plural
    eventually(lambda: bindable(port), what=f"port {port} is free")


def bindable(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def test_owners_take_their_dependents_along(project: Project) -> None:
    """A ConfigMap owned by another goes with it; one that only names a finished owner goes too."""
    project.objects("        {apiVersion: v1, kind: ConfigMap, metadata: {name: owner}}")
    uid = project.get("configmap", "owner")["metadata"]["uid"]
    reference = f"ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}}}]"
    project.objects(f"        {{apiVersion: v1, kind: ConfigMap, metadata: {{name: child, {reference}}}}}")
    project.orch("delete", "configmap", "owner", "-n", project.name).expect()
    eventually(lambda: project.daemon.names("configmaps", project.name) == [])


def test_a_finalizer_holds_an_object_until_it_is_removed(project: Project) -> None:
    project.objects("        {apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [example.org/hold]}}")
    where = f"/api/v1/namespaces/{project.name}/configmaps/held"
    assert project.daemon.request("DELETE", where)[0] == 200
    held = project.daemon.get(where)
    assert held["metadata"]["deletionTimestamp"]
    held["metadata"]["finalizers"] = []
    assert project.daemon.request("PUT", where, held)[0] == 200
    assert project.daemon.request("GET", where)[0] == 404


def test_a_pod_with_a_finalizer_ends_at_once_and_goes_later(project: Project) -> None:
    """The container ends with the deletion; the object stays for whoever holds it, and nothing is started anew."""
    text = """
        apiVersion: v1
        kind: Pod
        metadata: {name: held, finalizers: [example.org/hold]}
        spec:
          terminationGracePeriodSeconds: 0
          containers: [{name: main, image: local/host, command: [sleep, infinity]}]
        """
    project.objects(text)
    pid = project.pid()
    where = f"/api/v1/namespaces/{project.name}/pods/held"
    project.daemon.request("DELETE", where)
    eventually(lambda: not alive(pid))
    held = eventually(lambda: project.daemon.get(where))
    assert held["metadata"]["deletionTimestamp"]
    held["metadata"]["finalizers"] = []
    assert project.daemon.request("PUT", where, held)[0] == 200
    eventually(lambda: project.daemon.request("GET", where)[0] == 404)


def test_a_flushed_table_is_back(project: Project) -> None:
    """Somebody deletes our nftables table: published ports and services work again within a second or two."""
    port = free_port()
    publishing(project, port)
    subprocess.run(["nft", "delete", "table", "inet", f"orch_{project.daemon.name}"], check=True)
    assert eventually(lambda: get(port), within=3) == "1"


def test_a_killed_pod_process_leaves_the_address(project: Project) -> None:
    """The pod's addresses are those of its sandbox: a restarted container has the same ones."""
    project.apply("    services:" + web("expose: ['8080']"))
    before, pid = project.pod("web")["status"]["podIPs"], project.pid("web")
    kill(pid)
    eventually(lambda: project.pid("web") != pid)
    assert project.pod("web")["status"]["podIPs"] == before
