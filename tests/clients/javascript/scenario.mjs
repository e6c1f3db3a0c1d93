// The common scenario (../README.md) by the official JavaScript client: scenario.mjs NAMESPACE. setup.sh puts it beside the
// client, since modules are found by where they are.

import { PassThrough } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const namespace = process.argv[2];
const group = `${namespace}.example.com`;
const bound = 30; // seconds that a watch lasts at most

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const extensions = config.makeApiClient(k8s.ApiextensionsV1Api);
const custom = config.makeApiClient(k8s.CustomObjectsApi);

const say = (step, ...words) => console.log([`${step}:`, ...words].join(' '));

/** What the server says when it refuses; a success is said too, and differs from what is expected. */
async function sayRefusal(step, call) {
  try {
    await call();
  } catch (refusal) {
    if (!(refusal instanceof k8s.ApiException)) throw refusal;
    const status = typeof refusal.body === 'string' ? JSON.parse(refusal.body) : refusal.body;
    if (status.kind !== 'Status' || status.code !== refusal.code) throw refusal;
    // kubectl names a kind without its group here.
    const message = status.message.replaceAll(`Widget.${group}`, 'Widget').replaceAll(namespace, 'NAMESPACE');
    return say(step, status.reason, message);
  }
  say(step, 'succeeded');
}

const configMap = (name, data, more = {}) => ({ metadata: { name, ...more }, data });
const create = (body) => core.createNamespacedConfigMap({ namespace, body });
const read = (name) => core.readNamespacedConfigMap({ namespace, name });
const pairs = (data) => Object.entries(data ?? {}).sort().map(([key, value]) => `${key}=${value}`).join(' ');
const names = (list) => list.items.map((item) => item.metadata.name).sort().join(' ');
const as = (type) => k8s.setHeaderOptions('Content-Type', type);

/** Watches until `enough` holds of an event. */
async function watched(path, query, enough) {
  let found = false;
  await new Promise((resolve, reject) => {
    const ended = (error) => (error && !found ? reject(error) : resolve());
    let request;
    const seen = (type, object) => {
      if (found || !enough(type, object)) return;
      found = true;
      request.then((controller) => controller.abort());
    };
    request = new k8s.Watch(config).watch(path, { timeoutSeconds: bound, ...query }, seen, ended);
    request.catch(reject);
  });
  if (!found) throw new Error(`the watch of ${path} has ended without it`);
}

const inNamespace = (plural) => `/api/v1/namespaces/${namespace}/${plural}`;

/** Waits until an object is gone. */
async function gone(plural, name, list) {
  const fieldSelector = `metadata.name=${name}`;
  const listed = await list({ namespace, fieldSelector });
  if (listed.items.length === 0) return;
  const { resourceVersion } = listed.metadata;
  await watched(inNamespace(plural), { resourceVersion, fieldSelector }, (type) => type === 'DELETED');
}

async function objects() {
  await core.createNamespace({ body: { metadata: { name: namespace } } });
  say('create', pairs((await create(configMap('list', { milk: '1', eggs: '6' }))).data));
  say('get', pairs((await read('list')).data));
  await sayRefusal('create again', () => create(configMap('list', {})));
  await sayRefusal('get nothing', () => read('nothing'));
  await sayRefusal('create invalid', () => create(configMap('Not_Valid', {})));
}

async function lists() {
  for (const number of [1, 2, 3, 4, 5]) {
    await create(configMap(`page-${number}`, {}, { labels: { page: 'yes', odd: number % 2 ? 'yes' : 'no' } }));
  }
  const sizes = [];
  let more;
  do {
    const page = await core.listNamespacedConfigMap({ namespace, labelSelector: 'page', limit: 2, _continue: more });
    sizes.push(page.items.length);
    more = page.metadata._continue;
  } while (more);
  say('list by pages', ...sizes);
  for (const labelSelector of ['odd=yes', 'odd notin (yes),page']) {
    say(`list ${labelSelector}`, names(await core.listNamespacedConfigMap({ namespace, labelSelector })));
  }
  const fieldSelector = 'metadata.name=page-2';
  say('list by field', names(await core.listNamespacedConfigMap({ namespace, fieldSelector })));
}

async function watches() {
  const { resourceVersion } = (await core.listNamespacedConfigMap({ namespace })).metadata;
  await create(configMap('seen', {}));
  const body = { data: { by: 'all' } };
  await core.patchNamespacedConfigMap({ namespace, name: 'seen', body }, as(k8s.PatchStrategy.MergePatch));
  await core.deleteNamespacedConfigMap({ namespace, name: 'seen' });
  const query = { resourceVersion, fieldSelector: 'metadata.name=seen' };
  await watched(inNamespace('configmaps'), query, (type, object) => {
    say('watch', type, object.metadata.name, pairs(object.data));
    return type === 'DELETED';
  });
}

async function patches() {
  const patch = (body, type) => core.patchNamespacedConfigMap({ namespace, name: 'list', body }, as(type));
  const merge = k8s.PatchStrategy.MergePatch;
  say('merge patch', pairs((await patch({ data: { milk: null, tea: '2' } }, merge)).data));
  const changes = [
    { op: 'test', path: '/data/tea', value: '2' },
    { op: 'replace', path: '/data/tea', value: '3' },
    { op: 'remove', path: '/data/eggs' },
  ];
  say('json patch', pairs((await patch(changes, k8s.PatchStrategy.JsonPatch)).data));
  const spec = { clusterIP: 'None', ports: [{ name: 'http', port: 80 }] };
  await core.createNamespacedService({ namespace, body: { metadata: { name: 'web' }, spec } });
  const body = { spec: { ports: [{ name: 'https', port: 443 }] } };
  const strategic = as(k8s.PatchStrategy.StrategicMergePatch);
  const patched = await core.patchNamespacedService({ namespace, name: 'web', body }, strategic);
  say('strategic merge patch', ...patched.spec.ports.map((port) => port.name).sort());

  const apply = (fieldManager, milk, force) => {
    const body = { apiVersion: 'v1', kind: 'ConfigMap', ...configMap('applied', { milk }) };
    const type = as(k8s.PatchStrategy.ServerSideApply);
    return core.patchNamespacedConfigMap({ namespace, name: 'applied', body, fieldManager, force }, type);
  };
  say('apply', pairs((await apply('one', '1')).data));
  await sayRefusal('apply conflicting', () => apply('two', '2'));
  const forced = await apply('two', '2', true);
  say('apply forced', pairs(forced.data), ...forced.metadata.managedFields.map((entry) => entry.manager).sort());

  const replace = (body) => core.replaceNamespacedConfigMap({ namespace, name: 'list', body });
  const stale = await read('list');
  await patch({ data: { rice: '1' } }, merge);
  await sayRefusal('replace stale', () => replace(stale));
  const fresh = await read('list');
  fresh.data = { bread: '1' };
  say('replace', pairs((await replace(fresh)).data));
}

async function customKinds() {
  const number = { type: 'object', properties: { size: { type: 'integer', maximum: 9 } } };
  const version = {
    name: 'v1', served: true, storage: true, subresources: { status: {} },
    schema: { openAPIV3Schema: { type: 'object', properties: { spec: number, status: number } } },
  };
  const name = `widgets.${group}`;
  const definition = {
    metadata: { name },
    spec: {
      group, scope: 'Namespaced', versions: [version],
      names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
    },
  };
  await extensions.createCustomResourceDefinition({ body: definition });
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  await watched(path, { fieldSelector: `metadata.name=${name}` }, (_, { status }) =>
    status?.conditions?.some((each) => each.type === 'Established' && each.status === 'True'));
  say('define', 'Established');

  const all = { group, version: 'v1', namespace, plural: 'widgets' };
  const widget = (name, size) => custom.createNamespacedCustomObject({
    ...all, body: { apiVersion: `${group}/v1`, kind: 'Widget', metadata: { name }, spec: { size } },
  });
  say('create custom', (await widget('one', 3)).spec.size);
  await sayRefusal('create custom invalid', () => widget('two', 10));
  const change = (size, status) => ({ ...all, name: 'one', body: { spec: { size }, status: { size: status } } });
  const merge = as(k8s.PatchStrategy.MergePatch);
  let patched = await custom.patchNamespacedCustomObjectStatus(change(4, 5), merge);
  say('status', patched.spec.size, patched.status.size);
  patched = await custom.patchNamespacedCustomObject(change(6, 7), merge);
  say('spec', patched.spec.size, patched.status.size);
  await extensions.deleteCustomResourceDefinition({ name });
}

async function owners() {
  for (const policy of ['Orphan', 'Background']) {
    const { uid } = (await create(configMap('owner', {}))).metadata;
    const name = `owned-${policy.toLowerCase()}`;
    const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid }];
    const { resourceVersion } = (await create(configMap(name, {}, { ownerReferences }))).metadata;
    await core.deleteNamespacedConfigMap({ namespace, name: 'owner', propagationPolicy: policy });
    const query = { resourceVersion, fieldSelector: `metadata.name=${name}` };
    await watched(inNamespace('configmaps'), query, (type, object) => {
      if (policy === 'Background' && type === 'DELETED') say('delete Background', 'gone');
      else if (policy === 'Orphan' && type === 'MODIFIED') {
        say('delete Orphan', 'owners', object.metadata.ownerReferences?.length ?? 0);
      } else return false;
      return true;
    });
    await gone('configmaps', 'owner', (query) => core.listNamespacedConfigMap(query));
  }
}

/** Runs a command in the pod: its outputs and its exit code. */
async function exec(command) {
  const outputs = [new PassThrough(), new PassThrough()];
  const texts = ['', ''];
  outputs.forEach((output, index) => output.on('data', (chunk) => { texts[index] += chunk; }));
  const status = await new Promise((resolve, reject) => {
    const run = new k8s.Exec(config).exec(namespace, 'pod', 'main', command, ...outputs, null, false, resolve);
    run.then((socket) => socket.addEventListener('error', reject), reject);
  });
  const code = status.details?.causes?.find((cause) => cause.reason === 'ExitCode')?.message ?? 0;
  return [...texts.map((text) => text.trim()), code];
}

async function pods() {
  const script = "echo serving; trap 'exit 0' TERM; while :; do sleep 1; done";
  const container = {
    name: 'main', image: 'test/busybox:1', imagePullPolicy: 'Never', command: ['sh', '-c', script],
  };
  const spec = { terminationGracePeriodSeconds: 5, containers: [container] };
  await core.createNamespacedPod({ namespace, body: { metadata: { name: 'pod' }, spec } });
  let phase;
  await watched(inNamespace('pods'), { fieldSelector: 'metadata.name=pod' }, (_, { status }) => {
    phase = status.phase;
    return status.conditions?.some((each) => each.type === 'Ready' && each.status === 'True');
  });
  say('pod', phase);
  say('log', (await core.readNamespacedPodLog({ namespace, name: 'pod' })).trim());
  const [out, error, code] = await exec(['sh', '-c', 'echo from inside; echo aside >&2; exit 3']);
  say('exec', out, '|', error, '|', code);
  await core.deleteNamespacedPod({ namespace, name: 'pod' });
  await gone('pods', 'pod', (query) => core.listNamespacedPod(query));
  await sayRefusal('get deleted', () => core.readNamespacedPod({ namespace, name: 'pod' }));
}

async function accounts() {
  await core.createNamespacedServiceAccount({ namespace, body: { metadata: { name: 'visitor' } } });
  const request = { namespace, name: 'visitor', body: { spec: {} } };
  const { token } = (await core.createNamespacedServiceAccountToken(request)).status;
  const own = new k8s.KubeConfig();
  own.loadFromClusterAndUser(config.getCurrentCluster(), { name: 'visitor', token });
  const visitor = own.makeApiClient(k8s.CoreV1Api);
  await sayRefusal('forbidden', () => visitor.listNamespacedSecret({ namespace }));
}

for (const part of [objects, lists, watches, patches, customKinds, owners, pods, accounts]) await part();
await core.deleteNamespace({ name: namespace });
