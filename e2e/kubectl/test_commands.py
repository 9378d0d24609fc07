"""Many commands of kubectl, each with what it has to say: tables of `command :: text of its answer`.

A line that begins with `!` is a command that is refused. Every table runs in a namespace of its own, in its order.
"""

import shlex
from pathlib import Path

import pytest

from e2e.kubectl.conftest import Kubectl

GENERATORS = """
create configmap c --from-literal=a=b :: configmap/c created
create configmap c2 --from-literal=a=b --append-hash :: configmap/c2-
create secret generic s --from-literal=a=b :: secret/s created
create secret docker-registry r --docker-server=x --docker-username=u --docker-password=p :: secret/r created
create serviceaccount sa :: serviceaccount/sa created
create token sa --duration=10m :: ey
create role r --verb=get,list --resource=pods :: role.rbac.authorization.k8s.io/r created
create rolebinding rb --role=r --serviceaccount=NS:sa :: rolebinding.rbac.authorization.k8s.io/rb created
set subject rolebinding rb --user=u :: subjects updated
auth can-i list pods --as=u :: yes
!auth can-i delete pods --as=u :: no
create clusterrole NS --verb=get --resource=nodes :: clusterrole.rbac.authorization.k8s.io/NS created
create clusterrolebinding NS --clusterrole=NS --user=u :: created
create quota q --hard=configmaps=50 :: resourcequota/q created
create poddisruptionbudget p --selector=app=d --min-available=1 :: poddisruptionbudget.policy/p created
create priorityclass NS --value=10 :: priorityclass.scheduling.k8s.io/NS created
create ingress i --rule=a.example/*=v:80 :: ingress.networking.k8s.io/i created
create service clusterip v --tcp=80:80 :: service/v created
create service nodeport n --tcp=80:80 :: service/n created
create service loadbalancer l --tcp=80:80 :: service/l created
create job j --image=local/host -- true :: job.batch/j created
create deployment d --image=local/host --replicas=0 -- sleep infinity :: deployment.apps/d created
create configmap c --from-literal=a=b --dry-run=client -o yaml :: kind: ConfigMap
!create configmap c --from-literal=a=b :: already exists
expose deployment d --port=80 --name=e :: service/e exposed
run r --image=local/host --restart=Never --dry-run=server -o name :: pod/r
describe quota q :: configmaps
describe role r :: [get list]
describe pdb p :: Min available:  1
describe ingress i :: a.example
describe serviceaccount sa :: Name:                sa
describe secret s :: a:  1 bytes
describe namespace NS :: Status:       Active
wait job/j --for=condition=Complete --timeout=40s :: job.batch/j condition met
delete clusterrole NS :: deleted
delete clusterrolebinding NS :: deleted
delete priorityclass NS :: deleted
"""
SETTERS = """
create deployment d --image=local/host --replicas=0 -- sleep infinity :: created
set image deployment/d host=local/host:latest :: deployment.apps/d image updated
rollout status deployment/d --timeout=40s :: successfully rolled out
set env deployment/d A=1 :: deployment.apps/d env updated
set env deployment/d --list :: A=1
set env deployment/d A- :: env updated
set resources deployment/d --limits=cpu=1 --requests=cpu=10m :: resource requirements updated
create serviceaccount sa :: created
set serviceaccount deployment d sa :: serviceaccount updated
create service clusterip v --tcp=80:80 :: created
set selector service v app=d :: selector updated
rollout status deployment/d --timeout=40s :: successfully rolled out
rollout history deployment/d --revision=1 :: Image:
rollout undo deployment/d --to-revision=1 :: deployment.apps/d rolled back
rollout pause deployment/d :: paused
!rollout pause deployment/d :: is already paused
!rollout undo deployment/d :: you cannot rollback a paused deployment
!rollout restart deployment/d :: can't restart paused deployment
rollout resume deployment/d :: resumed
rollout restart deployment/d :: restarted
rollout status deployment/d --timeout=40s :: successfully rolled out
scale deployment d --replicas=1 --current-replicas=0 :: scaled
!scale deployment d --replicas=1 --current-replicas=0 :: Expected replicas to be 0, was 1
wait deployment/d --for=jsonpath={.status.readyReplicas}=1 --timeout=40s :: condition met
wait deployment/d --for=condition=Available --timeout=40s :: condition met
wait pod -l app=d --for=jsonpath={.status.podIP} --timeout=40s :: condition met
wait --for=create deployment/d --timeout=5s :: condition met
!wait --for=create deployment/never --timeout=1s :: timed out
wait deployment/never --for=delete --timeout=5s ::
patch deployment d --subresource=scale --type=merge -p {"spec":{"replicas":0}} :: scale.autoscaling/d patched
get deployment d --subresource=scale :: DESIRED
get deployment d --subresource=status :: READY
events --for deployment/d :: ScalingReplicaSet
get events --sort-by=.lastTimestamp :: ScalingReplicaSet
"""
VIEWS = """
cluster-info :: Kubernetes control plane is running at
version -o json :: "serverVersion"
get --raw /version :: "major":"1"
get --raw /livez?verbose :: livez check passed
get --raw /api/v1/namespaces/NS :: "kind":"Namespace"
!get --raw /nothing :: NotFound
api-versions :: apiregistration.k8s.io/v1
api-resources --api-group=apps --verbs=list,get -o wide :: deploy
api-resources --namespaced=false -o name :: nodes
get apiservices v1.apps :: Local
!create --validate=false -f service.yaml :: not supported
explain apiservices :: KIND:       APIService
explain pods.spec.containers --recursive :: imagePullPolicy
!explain pods.nothing :: does not exist
!explain nothing :: doesn't have a resource type
create configmap a --from-literal=k=v :: created
get cm a -o jsonpath={.data.k} :: v
get cm a -o go-template={{.data.k}} :: v
get cm a -o custom-columns=N:.metadata.name :: N
get cm a --show-managed-fields -o yaml :: manager: kubectl-create
get cm -l !x,k!=v -o name :: configmap/a
get cm --field-selector=metadata.name=a -o name :: configmap/a
get cm --chunk-size=1 -o name :: configmap/kube-root-ca.crt
get cm,svc -A -o name :: service/kubernetes
get all :: No resources found
!get cm a nothing :: "nothing" not found
!get pods --as=nobody :: User "nobody" cannot list resource "pods"
auth whoami :: Username
auth can-i --list :: selfsubjectreviews.authentication.k8s.io
top node :: CPU(cores)
describe cm a :: Data
label cm a x=y :: configmap/a labeled
!label cm a x=z :: --overwrite is false
!label cm a z=y --resource-version=1 :: the object has been modified
annotate cm --all n=m :: configmap/a annotated
patch cm a --type=json -p [{"op":"replace","path":"/data/k","value":"w"}] :: patched
!patch cm a --type=json -p [{"op":"test","path":"/data/k","value":"v"}] :: The request is invalid
delete cm a --dry-run=server :: (server dry run)
delete cm a --cascade=orphan :: deleted
delete cm a --ignore-not-found ::
"""
APPLIED = """
apply -f both :: secret/b created
apply -f both --dry-run=server :: configmap/a unchanged (server dry run)
diff -f both ::
!diff -f more :: +  z: more
apply view-last-applied cm/a :: k: v
apply set-last-applied -f more/a.yaml :: configmap/a configured
apply --server-side -f both :: secret/b serverside-applied
diff --server-side -f both ::
!apply --server-side --field-manager=other -f more :: conflict
apply --server-side --field-manager=other --force-conflicts -f more :: serverside-applied
replace --force -f both :: configmap/a replaced
replace -f both --save-config :: configmap/a replaced
patch -f both/a.yaml -p {"data":{"y":"1"}} :: configmap/a patched
get -f both -o name :: secret/b
create -k . :: configmap/k-a created
kustomize . :: name: k-a
delete -k . :: "k-a" deleted
apply --prune -l set=x -f more :: secret/b pruned
apply -f both --prune --applyset=set :: secret/b created
apply -f more --prune --applyset=set :: secret/b pruned
get secret set -o yaml :: applyset.kubernetes.io/contains-group-kinds: ConfigMap
delete -f both --ignore-not-found --wait :: configmap "a" deleted
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {set: x}}\ndata: {k: %s}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: b, labels: {set: x}}\nstringData: {k: v}\n"
SERVICE = "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.x}\nspec: {version: v1}\n"


def files(home: Path) -> None:
    for name, data in (("both/a", MAP % "v"), ("both/b", SECRET), ("more/a", MAP % "w, z: more"), ("service", SERVICE)):
        path = home / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(data)
    (home / "kustomization.yaml").write_text("namePrefix: k-\nresources: [both/a.yaml]\n")


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(GENERATORS, id="generators"),
        pytest.param(SETTERS, id="setters"),
        pytest.param(VIEWS, id="views"),
        pytest.param(APPLIED, id="applied"),
    ],
)
def test_commands(kubectl: Kubectl, table: str) -> None:
    files(kubectl.home)
    wrong = [told for line in table.strip().splitlines() if (told := trial(kubectl, line))]
    assert not wrong, "\n".join(wrong)


def trial(kubectl: Kubectl, line: str) -> str:
    """What is wrong with the answer to one line of a table; "" when nothing is."""
    command, _, text = line.replace("NS", kubectl.namespace).partition(" ::")
    words = shlex.split(command.removeprefix("!").replace('"', '\\"'))
    done = kubectl(*words, env={"KUBECTL_APPLYSET": "true"})
    if (done.code != 0) == command.startswith("!") and text.strip() in done.out + done.err:
        return ""
    return f"kubectl {command}: exit {done.code}, not {text.strip()!r}\n{done.out[:2000]}{done.err[:2000]}"
