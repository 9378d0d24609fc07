"""The expression language: Kubernetes' dialect, functions and bounds."""

from typing import Any

import pytest

from orchestr.api.cel import CelError, compiled, evaluate
from orchestr.api.celrules import NOTHING, broken

OBJECT = {
    "metadata": {"name": "web", "labels": {"app": "web", "a-b": "c"}},
    "spec": {"replicas": 3, "items": [{"n": "a", "v": 1}, {"n": "b", "v": 2}], "empty": [], "limit": "512Mi"},
}
TRUE = """
object.spec.replicas <= 5
!has(object.spec.other) && has(object.spec.replicas)
object.spec.items.all(i, i.v > 0) && object.spec.items.exists(i, i.n == 'b')
object.spec.items.filter(i, i.v > 1).map(i, i.n) == ['b']
object.?spec.?replicas.orValue(1) == 3
object.?spec.?other.orValue(1) == 1
object.?nothing.deeper.still.orValue('x') == 'x'
object.metadata.?labels['app'].orValue('') == 'web'
object.metadata.labels[?'none'].orValue('y') == 'y'
object.spec.items[?7].hasValue() == false && object.spec.items[?1].hasValue()
object.?spec.?items[0].?n.value() == 'a'
object.spec.?replicas.optMap(r, r * 2).orValue(0) == 6
object.spec.?other.optMap(r, r * 2).orValue(0) == 0
object.spec.?replicas.optFlatMap(r, object.spec.?limit).orValue('') == '512Mi'
object.?none.or(optional.of(4)).orValue(0) == 4
has(object.?none.field) == false
cel.bind(r, object.spec.replicas, r > 2 && r < 4)
object.spec.items.all(i, e, e.v == i + 1)
object.metadata.labels.exists(k, v, k == 'app' && v == 'web')
object.spec.items.transformList(i, e, e.n + string(i)) == ['a0', 'b1']
quantity(object.spec.limit).isLessThan(quantity('1Gi'))
quantity('1Gi') == quantity('1024Mi') && quantity('1k').asInteger() == 1000
quantity('100m').add(quantity('900m')) == quantity('1') && quantity('2').sub(1).sign() == 1
isQuantity('1Gi') && !isQuantity('one')
'%s has %d of %.1f'.format(['web', 3, 1.5]) == 'web has 3 of 1.5'
'a,b'.split(',').join('-').upperAscii() == 'A-B'
ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP('10.1.2.3')
cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')
ip('127.0.0.1').isLoopback() && ip.isCanonical('::1') && !isIP('1.2.3')
url('https://a.example:8443/x?q=1').getHost() == 'a.example:8443' && url('https://a/x?q=1').getQuery() == {'q': ['1']}
semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').compareTo(semver('1.0.0')) == -1
sets.contains([1, 2, 3], [2]) && sets.intersects(['a'], ['a', 'b']) && sets.equivalent([1, 1], [1])
[3, 1, 2].sort() == [1, 2, 3] && [1, 1].distinct() == [1] && [1, 2].sum() == 3 && [1, 2].isSorted()
math.greatest(1, 2) == 2 && string(true) == 'true' && bool('true')
base64.encode(b'hi') == 'aGk=' && jsonpatch.escapeKey('a/b~c') == 'a~1b~0c'
!format.dns1123Label().validate('web').hasValue() && format.dns1123Label().validate('Web!').hasValue()
object.metadata.name.matches('^[a-z]+$') && object.metadata.name.startsWith('w')
true || object.none.at.all
duration('1h') > duration('59m') && timestamp('2024-01-01T00:00:00Z') < timestamp('2025-01-01T00:00:00Z')
Object.spec{replicas: 2, a__dash__b: "x"} == {'replicas': 2, 'a-b': 'x'}
r'\\d'.size() == 2 && '''a'b''' == "a'b" && 0x10 == 16 && 1e3 == 1000.0 // a comment
""".strip().splitlines()


@pytest.mark.parametrize("source", TRUE)
def test_it_is_true(source: str) -> None:
    assert evaluate(source, {"object": OBJECT}) is True


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("object.spec.none > 1", "no such key: none"),
        ("object.spec.replicas > '1'", "no such overload"),
        ("object.spec.limit + 1", "string + int"),
        ("nothing == 1", "undeclared reference to 'nothing'"),
        ("quantity('x').sign() == 1", "quantity: cannot read quantity 'x'"),
        ("1 / 0", "division by zero"),
        ("object.spec.items[9]", "index out of bounds: 9"),
        ("'%d'.format(['a']) == ''", "a number is needed"),
    ],
)
def test_it_fails_when_it_is_evaluated(source: str, why: str) -> None:
    with pytest.raises(CelError) as caught:
        evaluate(source, {"object": OBJECT})
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("", "mismatched input '<EOF>'"),
        ("object.spec.", "no viable alternative"),
        ("a b", "extraneous input 'b'"),
        ("(1", "missing ')'"),
        ("'open", "token recognition error"),
        ("a.nonsense()", "function nonsense is not supported"),
        ("Thing{a: 1}", "undeclared reference to 'Thing'"),
        ("(" * 5000 + "1" + ")" * 5000, "nested too deeply"),
        ("+".join(["1"] * 20_000), "nested too deeply"),
        ("a" + ".b" * 20_000, "nested too deeply"),
        ("!" * 30_000 + "true", "nested too deeply"),
        ("1" * 70_000, "more than 65536 characters"),
    ],
)
def test_it_is_refused(source: str, why: str) -> None:
    """The library itself would overflow its stack, and the process end, at some thousand levels."""
    with pytest.raises(CelError) as caught:
        compiled(source)
    assert why in str(caught.value)


def test_loops_in_loops_over_much_are_not_run() -> None:
    many: dict[str, Any] = {"x": list(range(2000))}
    assert evaluate("x.all(a, a >= 0)", many) is True
    with pytest.raises(CelError, match="cost limit exceeded"):
        evaluate("x.all(a, x.all(b, a + b >= 0))", many)


@pytest.mark.parametrize(("old", "holds"), [(NOTHING, True), (2, True), (9, False)])
def test_a_rule_whose_old_value_may_be_missing(old: Any, holds: bool) -> None:
    rule = {"rule": "!oldSelf.hasValue() || self >= oldSelf.value()", "optionalOldSelf": True}
    causes = list(broken(3, {"type": "integer", "x-kubernetes-validations": [rule]}, old, ("size",)))
    assert (not causes) == holds
