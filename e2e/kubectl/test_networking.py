"""kubectl on ingresses and network policies: create, get, describe."""

from e2e.kubectl.conftest import Kubectl


def test_an_ingress(kubectl: Kubectl) -> None:
    done = kubectl(
        *("create", "ingress", "shop", "--class=public", "--rule=shop.example.org/cart*=cart:8080,tls=cert"),
        "--default-backend=web:80",
    )
    assert (done.code, done.out) == (0, "ingress.networking.k8s.io/shop created\n")
    assert "no controller routes ingress shop: no IngressClass public names a controller" in done.err
    (row,) = kubectl.table("ingress")
    assert (row["NAME"], row["CLASS"], row["HOSTS"], row["PORTS"]) == ("shop", "public", "shop.example.org", "80, 443")
    text = kubectl.ok("describe", "ing", "shop")
    assert "cert terminates shop.example.org" in text
    assert "/cart" in text
    assert "default/backend" not in text
