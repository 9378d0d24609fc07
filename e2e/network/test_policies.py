"""NetworkPolicies: who may connect with whom, on which ports; names, probes and what is open already."""

from dataclasses import replace
from typing import Any

from e2e.network.world import Machine, Pod

REFUSED = "ConnectionRefusedError"
NONE: dict[str, Any] = {}
A = {"podSelector": {"matchLabels": {"app": "a"}}}


def policy(name: str = "p", selector: Any = NONE, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    """Of the pods with `app=web` unless a selector is given."""
    metadata = {"name": name, "namespace": namespace}
    return {"metadata": metadata, "spec": {"podSelector": selector or {"matchLabels": {"app": "web"}}, **spec}}


def pod(machine: Machine, app: str, namespace: str = "shop", *ports: int) -> Pod:
    made = machine.pod(app, namespace=namespace, labels={"app": app}, ports=[("http", "TCP", 8080)])
    for port in ports:
        made.space.serve("tcp", port, app)
    return made


def reached(client: Pod, server: Pod, port: int = 8080) -> bool:
    """By both families alike."""
    answers = [client.space.ask(address, port) for address in (server.link.ipv4, server.link.ipv6)]
    assert len({answer == REFUSED for answer in answers}) == 1, answers
    return answers[0] != REFUSED


def rule(machine: Machine, *policies: dict[str, Any]) -> None:
    machine.policies = list(policies)
    machine.apply(*machine.services)


def test_what_comes_in_is_chosen_by_pod_namespace_range_and_port(machine: Machine) -> None:
    web = pod(machine, "web", "shop", 8080, 9090)
    a, b, far = pod(machine, "a"), pod(machine, "b"), pod(machine, "a", "other")

    def who(*rules: dict[str, Any], port: int = 8080) -> str:
        rule(machine, policy(ingress=list(rules)))
        return "".join(word for word, each in (("a", a), ("b", b), ("f", far)) if reached(each, web, port))

    assert who() == ""
    assert machine.space.ask(web.link.ipv4, 8080).startswith("web")  # a probe, for one
    assert who({}) == "abf"
    assert who({"from": [A]}) == "a"
    assert who({"from": [{"namespaceSelector": {}}]}) == "abf"
    assert who({"from": [{"namespaceSelector": {"matchExpressions": [label("NotIn", "other")]}}]}) == "ab"
    assert who({"from": [{"namespaceSelector": {"matchExpressions": [label("In", "other")]}, **A}]}) == "f"
    block = {"cidr": f"{a.link.ipv4}/24", "except": [f"{b.link.ipv4}/32"]}
    rule(machine, policy(ingress=[{"from": [{"ipBlock": block}]}]))
    assert a.space.ask(web.link.ipv4, 8080).startswith("web")
    assert (b.space.ask(web.link.ipv4, 8080), a.space.ask(web.link.ipv6, 8080)) == (REFUSED, REFUSED)
    assert who({"ports": [{"port": 8080}]}) == "abf"
    assert who({"ports": [{"port": 8080}]}, port=9090) == ""
    assert who({"ports": [{"port": 9000, "endPort": 9100}], "from": [A]}, port=9090) == "a"
    assert who({"ports": [{"port": "http"}]}) == "abf"
    assert who({"ports": [{"port": "http"}]}, port=9090) == ""
    assert who({"ports": [{"protocol": "UDP"}]}) == ""
    assert who({"ports": [{"protocol": "TCP"}, {"protocol": "TCP", "port": 1}]}) == "abf"


def label(operator: str, *values: str) -> dict[str, Any]:
    return {"key": "kubernetes.io/metadata.name", "operator": operator, "values": list(values)}


def test_what_goes_out_and_names_among_it(machine: Machine) -> None:
    web, a, b = pod(machine, "web", "shop", 8080), pod(machine, "a", "shop", 8080), pod(machine, "b", "shop", 8080)
    outside = machine.neighbour()
    outside.space.serve("tcp", 8080, "world")
    machine.services = [machine.service("a", a)]
    names = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    names["podSelector"] = {"matchLabels": {"k8s-app": "kube-dns"}}

    def where(*rules: dict[str, Any]) -> str:
        rule(machine, policy(policyTypes=["Egress"], egress=list(rules)))
        world = web.space.ask("192.0.2.2", 8080) != REFUSED
        assert reached(a, web)  # what comes in is not spoken of
        found = "".join(word for word, each in (("a", a), ("b", b)) if reached(web, each))
        return found + ("w" if world else "") + ("n" if asked(machine, web) else "")

    assert where({}) == "abwn"
    assert where() == ""
    assert where({"to": [A], "ports": [{"port": "http"}]}) == "a"
    assert web.space.ask(machine.networks.services4[1]).startswith("a")
    assert where({"ports": [{"protocol": "UDP", "port": 53}]}) == "n"
    assert where({"to": [names]}) == "n"
    assert where({"to": [names], "ports": [{"protocol": "UDP", "port": "dns"}]}) == "n"
    assert where({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}) == "w"
    rule(machine, policy(policyTypes=["Egress"]))
    assert web.space.ask(machine.networks.services4[1]) in (REFUSED, "TimeoutError")


def asked(machine: Machine, pod: Pod) -> bool:
    answer = pod.space.run("askdns", str(machine.networks.gateway4), "a.shop.svc.cluster.local")
    return answer != REFUSED


def test_policies_add_up_and_both_ends_must_agree(machine: Machine) -> None:
    web, a, b = pod(machine, "web", "shop", 8080), pod(machine, "a"), pod(machine, "b")
    everything = policy("deny", {"matchExpressions": []}, policyTypes=["Ingress", "Egress"])
    everything["spec"]["podSelector"] = {}
    rule(machine, everything)
    assert not reached(a, web)
    let_in = policy("in", ingress=[{"from": [A]}, {"from": [{"podSelector": {"matchLabels": {"app": "b"}}}]}])
    rule(machine, everything, let_in)
    assert not reached(a, web)
    let_out = policy("out", A["podSelector"], policyTypes=["Egress"], egress=[{"to": [{"podSelector": {}}]}])
    rule(machine, everything, let_in, let_out)
    assert (reached(a, web), reached(b, web)) == (True, False)
    rule(machine)
    assert (reached(a, web), reached(b, web)) == (True, True)


def test_a_pod_is_under_policies_before_its_first_packet(machine: Machine) -> None:
    a = pod(machine, "a")
    rule(machine, policy(policyTypes=["Ingress", "Egress"], ingress=[{"from": [A]}]))
    web = pod(machine, "web", "shop", 8080)  # no state names it yet
    b = pod(machine, "b", "shop", 8080)
    assert (reached(a, web), reached(b, web), reached(web, b)) == (True, False, False)


def test_a_pod_that_gets_other_labels_is_another(machine: Machine) -> None:
    web, a = pod(machine, "web", "shop", 8080), pod(machine, "a")
    rule(machine, policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "b"}}}]}]))
    assert not reached(a, web)
    a.link = replace(a.link, labels=(("app", "b"),))
    machine.apply()
    assert reached(a, web)


def test_open_connections_answers_and_a_pod_and_itself_go_on(machine: Machine) -> None:
    web, a = pod(machine, "web", "shop", 8080), pod(machine, "a", "shop", 8080)
    machine.services = [machine.service("web", web, publish=[("", 8000)])]
    machine.apply(*machine.services)
    kept = a.space.start("keep", str(web.link.ipv4), "8080")
    assert kept.stdin
    assert kept.stdout
    kept.stdin.write("\n")
    kept.stdin.flush()
    assert kept.stdout.readline().startswith("web")
    rule(machine, policy(policyTypes=["Ingress", "Egress"]))
    kept.stdin.write("\n")
    kept.stdin.flush()
    assert kept.stdout.readline().startswith("web")
    assert web.space.ask(machine.networks.services4[1]).startswith("web")  # itself, by its service
    assert machine.space.ask("127.0.0.1", 8000).startswith("web")
    rule(machine, policy(policyTypes=["Ingress", "Egress"], egress=[{"to": [A]}]))
    assert reached(web, a)  # the answers come back although nothing may come in
    outside = machine.neighbour()
    assert outside.space.ask("192.0.2.1", 8000) == REFUSED
    rule(machine, policy(ingress=[{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]))
    assert outside.space.ask("192.0.2.1", 8000) == "web 192.0.2.2"


def test_networks_of_compose_hold_beside_policies(machine: Machine) -> None:
    web = machine.pod("web", "shop/back", labels={"app": "web"})
    web.space.serve("tcp", 8080, "web")
    a = machine.pod("a", "shop/back", labels={"app": "a"})
    alien = machine.pod("alien", "shop/front", labels={"app": "a"})
    rule(machine, policy(ingress=[{"from": [A]}]))
    assert (reached(a, web), reached(alien, web)) == (True, False)
    rule(machine, policy(ingress=[]))
    assert not reached(a, web)
