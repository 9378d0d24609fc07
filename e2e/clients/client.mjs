// What a program with @kubernetes/client-node does first. Arguments: kubeconfig, namespace. Prints one JSON object.
import { PassThrough } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const [file, namespace] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromFile(file);
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const found = {};

function text(stream) {
    const pieces = [];
    stream.on('data', (piece) => pieces.push(piece));
    return () => Buffer.concat(pieces).toString();
}

// An informer: a list and a watch, told of a pod's whole life.
const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/pods`, () => core.listNamespacedPod({ namespace }));
const told = [];
const waiting = [];
const seen = (what) => new Promise((done) => waiting.push([what, done]));
for (const event of ['add', 'update', 'delete'])
    informer.on(event, (pod) => {
        const what = event === 'delete' ? 'deleted' : pod.status.phase;
        told.push(what);
        for (const [wanted, done] of waiting) if (wanted === what) done();
    });
informer.on('error', () => {}); // that it is stopped, too
await informer.start();
const running = seen('Running');
const deleted = seen('deleted');
const container = { name: 'c', image: 'local/host', command: ['sh', '-c', 'echo hello; exec sleep 1000'] };
const spec = { terminationGracePeriodSeconds: 0, containers: [container] };
await core.createNamespacedPod({ namespace, body: { metadata: { name: 'a' }, spec } });
await running;
found.cached = informer.list().length;

// A command, with its streams and its exit code; the log.
const [stdout, stderr] = [new PassThrough(), new PassThrough()];
const [out, err] = [text(stdout), text(stderr)];
const command = ['sh', '-c', 'cat; echo complaint >&2; exit 3'];
const stdin = new PassThrough();
const status = await new Promise((done, failed) => {
    const exec = new k8s.Exec(config);
    exec.exec(namespace, 'a', 'c', command, stdout, stderr, stdin, false, done).then(() => stdin.end('through'), failed);
});
found.exec = [out(), err(), status.details.causes[0].message];
const log = new PassThrough();
const printed = text(log);
const ended = new Promise((done) => log.on('end', done));
await new k8s.Log(config).log(namespace, 'a', 'c', log, { follow: false });
await ended;
found.log = printed();

// Apply by patch, a watch until its pods are ready, a JSON patch.
const metadata = { name: 'd', namespace };
const template = { metadata: { labels: { app: 'd' } }, spec: { ...spec, containers: [{ ...container, name: 'd' }] } };
const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata };
deployment.spec = { replicas: 1, selector: { matchLabels: { app: 'd' } }, template };
const { ServerSideApply } = k8s.PatchStrategy;
const applied = await objects.patch(deployment, undefined, undefined, 'tests', true, ServerSideApply);
found.manager = applied.metadata.managedFields.map((each) => `${each.manager} ${each.operation}`);
await new Promise((done, failed) => {
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments`;
    const request = new k8s.Watch(config).watch(
        path,
        {},
        async (type, obj) => {
            if (obj.status?.readyReplicas === 1) {
                (await request).abort();
                done();
            }
        },
        (error) => (error?.name === 'AbortError' ? undefined : failed(error)),
    );
});
const patch = [{ op: 'replace', path: '/spec/replicas', value: 0 }];
found.replicas = (await apps.patchNamespacedDeployment({ name: 'd', namespace, body: patch })).spec.replicas;

found.missing = await core.readNamespacedPod({ name: 'none', namespace }).catch((error) => error.code);
await core.deleteNamespacedPod({ name: 'a', namespace });
await deleted;
found.told = [...new Set(told)].filter((what) => what !== 'Pending');
await informer.stop();
console.log(JSON.stringify(found));
