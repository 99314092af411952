/**
 * The objects of mesh-config/deploy/kubernetes/native and of `outrider inject` in a real Kubernetes of one node, which this builds (six minutes the
 * first time), starts and removes: `npm run try:kubernetes`. cert-manager is left out, its volumes are Secrets with certificates of
 * `outrider certs`.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { Cluster } from '../kit/deploy/cluster/cluster.js';
import { Podman } from '../kit/deploy/podman.js';
import { outrider, REPOSITORY, Scratch } from '../kit/process/outrider.js';
import { run } from '../kit/process/packed-package.js';
import { until } from '../kit/process/processes.js';
import { toolOrSkip } from '../kit/process/tools.js';

const VERSION = '0.1.0';
const NATIVE = join(REPOSITORY, 'mesh-config/deploy/kubernetes/native');
const POD_LIMIT_MS = 120_000;
/** Calls of the deployment `web`, in a second. */
const RATE = 20;

/** What `web` has printed: calls so far, those that failed by their status, and the slowest, ms. */
interface Tally {
  readonly calls: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly slowestMs: number;
}

/** Calls `digits` at a steady rate and prints a `Tally` each second. */
const CALLER = `
const grpc = require('/opt/outrider/node_modules/@grpc/grpc-js');
const loader = require('/opt/outrider/node_modules/@grpc/proto-loader');
const file = '/opt/outrider/node_modules/outrider/proto/inference.proto';
const { inference } = grpc.loadPackageDefinition(loader.loadSync(file, { keepCase: true }));
const client = new inference.GRPCInferenceService('127.0.0.1:8800', grpc.credentials.createInsecure());
const request = { model_name: 'digits', inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 784], contents: { fp32_contents: new Array(784).fill(0.5) } }] };
const tally = { calls: 0, failed: {}, slowestMs: 0 };
setInterval(() => {
  const begun = Date.now();
  client.ModelInfer(request, { deadline: begun + 5000 }, (error) => {
    tally.calls++;
    tally.slowestMs = Math.max(tally.slowestMs, Date.now() - begun);
    if (error) tally.failed[grpc.status[error.code] + ': ' + error.details] = (tally.failed[grpc.status[error.code] + ': ' + error.details] || 0) + 1;
  });
}, ${1000 / RATE});
setInterval(() => console.log(JSON.stringify(tally)), 1000);
process.on('SIGTERM', () => process.exit());
`;

describe('Kubernetes', function () {
  this.timeout(300_000);
  const scratch = new Scratch();
  let podman: Podman | undefined;
  let cluster: Cluster | undefined;
  const said = (...args: string[]) => cluster!.said(...args);
  const available = async () =>
    Number((await said('get', 'statefulset/digits', '-o', 'jsonpath={.status.availableReplicas}')) || '0');

  before(async function () {
    await toolOrSkip(this, 'podman');
    podman = Podman.orSkip(this);
    cluster = await Cluster.orSkip(this);
    this.timeout(400_000);
    const images = join(scratch.path, 'images');
    const program = [join(REPOSITORY, 'dist/tools/image/main.js'), '--out', images];
    const { code, stdout, stderr } = await run(process.execPath, program, REPOSITORY, {
      env: podman.env,
      limitMs: 280_000,
    });
    assert.equal(code, 0, stdout + stderr);
    for (const name of ['outrider', 'outrider-models']) cluster.load(archiveOf(images, name));
  });
  after(async function () {
    this.timeout(120_000);
    await cluster?.close();
    await podman?.close();
    scratch.remove();
  });

  afterEach(async function () {
    if (this.currentTest?.state !== 'failed') return;
    const { stdout } = await cluster!.kubectl('logs', 'deployment/web', '-c', 'outrider', '--tail=60');
    process.stderr.write(stdout);
  });

  it('enforces the restricted Pod Security Standard', async () => {
    await said('label', 'namespace', 'default', 'pod-security.kubernetes.io/enforce=restricted');
  });

  it('runs the overlay: the job answers at its first attempt, on a fresh apply', async () => {
    await writeIdentities(['digits', 'ask', 'web']);
    writeOverlay();
    await said('apply', '-k', scratch.path);
    await said('wait', '--for=condition=Complete', 'job/ask', '--timeout=120s');
    assert.match(await said('logs', 'job/ask', '-c', 'ask'), /^7 /);
    assert.equal(await said('get', 'job/ask', '-o', 'jsonpath={.status.failed}'), '');
    await until('three pods are available', async () => (await available()) === 3, POD_LIMIT_MS);
  });

  it('injects a sidecar into a deployment, which calls through it', async () => {
    scratch.write('caller.cjs', CALLER);
    await said('create', 'configmap', 'caller', `--from-file=${join(scratch.path, 'caller.cjs')}`);
    const file = readFileSync(
      join(REPOSITORY, 'mesh-config/deploy/kubernetes/base/ask.sidecar.yaml'),
      'utf8',
    );
    scratch.write('sidecar.yaml', file.replace('service: ask', 'service: web'));
    await said('create', 'configmap', 'outrider-web', `--from-file=${join(scratch.path, 'sidecar.yaml')}`);
    const injected = await outrider(['inject', scratch.write('web.yaml', webDeployment())]);
    assert.equal(injected.code, 0, injected.stderr);
    await said('apply', '-f', scratch.write('web-injected.yaml', withIdentity(injected.stdout, 'web')));
    await said('rollout', 'status', 'deployment/web', '--timeout=120s');
    await until('calls are answered', async () => ((await tally())?.calls ?? 0) > 5 * RATE, POD_LIMIT_MS);
    assert.deepEqual((await tally())!.failed, {});
  });

  const changes: readonly (readonly [what: string, replicas: number, ...commands: string[][]])[] = [
    [
      'a rolling restart',
      3,
      ['rollout', 'restart', 'statefulset/digits'],
      ['rollout', 'status', 'statefulset/digits', '--timeout=180s'],
    ],
    ['scaling from 3 to 1', 1, ['scale', 'statefulset/digits', '--replicas=1']],
    ['scaling from 1 to 3', 3, ['scale', 'statefulset/digits', '--replicas=3']],
    ['a pod that is deleted', 3, ['delete', 'pod', 'digits-1']],
    ['a pod that is killed', 3, ['delete', 'pod', 'digits-2', '--grace-period=0', '--force']],
  ];
  for (const [what, replicas, ...commands] of changes)
    it(`loses no call by ${what}`, async function () {
      const before = (await tally())!;
      for (const command of commands) await said(...command);
      await until(`${replicas} are available`, async () => (await available()) === replicas, POD_LIMIT_MS);
      await until('calls go on', async () => (await tally())!.calls > before.calls + 10 * RATE, POD_LIMIT_MS);
      const now = (await tally())!;
      process.stderr.write(`      ${now.calls - before.calls} calls, slowest so far ${now.slowestMs} ms\n`);
      assert.deepEqual(now.failed, before.failed);
    });

  it('comes back by itself after no pod was left', async () => {
    await said('scale', 'statefulset/digits', '--replicas=0');
    const failures = async () => Object.values((await tally())!.failed).reduce((sum, each) => sum + each, 0);
    await until('calls fail', async () => (await failures()) > RATE, POD_LIMIT_MS);
    for (const why of Object.keys((await tally())!.failed))
      assert.match(why, /^(UNAVAILABLE|DEADLINE_EXCEEDED)/);
    await said('scale', 'statefulset/digits', '--replicas=3');
    await until('three are available', async () => (await available()) === 3, POD_LIMIT_MS);
    // The callers learn of them within two periods of DNS.
    await until(
      'no call fails',
      async () => {
        const before = await failures();
        await tallyAfter(5);
        return (await failures()) === before;
      },
      POD_LIMIT_MS,
    );
  });

  /** What `web` prints `seconds` from now. */
  async function tallyAfter(seconds: number): Promise<Tally> {
    const { calls } = (await tally())!;
    await until('calls go on', async () => (await tally())!.calls >= calls + seconds * RATE, POD_LIMIT_MS);
    return (await tally())!;
  }

  async function tally(): Promise<Tally | undefined> {
    const { stdout } = await cluster!.kubectl('logs', 'deployment/web', '-c', 'web', '--tail=1');
    return stdout.startsWith('{') ? JSON.parse(stdout) : undefined;
  }

  /** A Secret for each service, as a volume of cert-manager's CSI driver would have it. */
  async function writeIdentities(services: readonly string[]): Promise<void> {
    const certs = join(scratch.path, 'certs');
    assert.equal((await outrider(['certs', ...services, '--out', certs])).code, 0);
    for (const name of services) {
      const from = [
        `tls.crt=${certs}/${name}.crt`,
        `tls.key=${certs}/${name}.key`,
        `ca.crt=${certs}/roots.crt`,
      ];
      await said(
        'create',
        'secret',
        'generic',
        `identity-${name}`,
        ...from.map((each) => `--from-file=${each}`),
      );
    }
  }

  function writeOverlay(): void {
    const removed = [
      ['Issuer', 'outrider-self-signed'],
      ['Certificate', 'outrider-root'],
      ['Issuer', 'outrider'],
    ];
    const patches = [
      ...removed.map(([kind, name]) => ({
        $patch: 'delete',
        apiVersion: 'cert-manager.io/v1',
        kind,
        metadata: { name },
      })),
      withSecret('apps/v1', 'StatefulSet', 'digits'),
      withSecret('batch/v1', 'Job', 'ask'),
    ];
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: ['overlays/native'],
      patches: patches.map((patch) => ({ patch: JSON.stringify(patch) })),
    };
    execFileSync('cp', ['-r', join(NATIVE, '..'), join(scratch.path, 'overlays')]);
    const file = join(scratch.path, 'overlays/base/digits.sidecar.yaml');
    const allowed = '    - { from: ask, to: digits, action: allow }\n';
    const text = readFileSync(file, 'utf8');
    assert.ok(text.includes(allowed));
    writeFileSync(file, text.replace(allowed, allowed + allowed.replace('ask', 'web')));
    scratch.write('kustomization.yaml', JSON.stringify(kustomization));
  }
});

function archiveOf(folder: string, name: string): string {
  return join(folder, `${name}-${VERSION}.tar.gz`);
}

const secretVolume = (name: string) => ({
  name: 'outrider-identity',
  csi: null,
  secret: { secretName: `identity-${name}`, defaultMode: 0o440 },
});

function withSecret(apiVersion: string, kind: string, name: string): object {
  return {
    apiVersion,
    kind,
    metadata: { name },
    spec: { template: { spec: { volumes: [secretVolume(name)] } } },
  };
}

/** A program of somebody who knows nothing of Outrider, as restricted as the namespace wants it. */
function webDeployment(): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: web
          image: localhost/outrider:${VERSION}
          command: [node, /opt/caller/caller.cjs]
          volumeMounts:
            - { name: caller, mountPath: /opt/caller }
          securityContext:
            runAsNonRoot: true
            runAsUser: 10002
            allowPrivilegeEscalation: false
            capabilities: { drop: [ALL] }
            seccompProfile: { type: RuntimeDefault }
      volumes:
        - name: caller
          configMap: { name: caller }
`;
}

/** The volume with the certificate, which `inject` leaves to the reader. */
function withIdentity(yaml: string, name: string): string {
  const deployment = parse(yaml);
  const { spec } = deployment.spec.template;
  const mount = { name: 'outrider-identity', mountPath: '/var/run/secrets/outrider', readOnly: true };
  spec.initContainers[0].volumeMounts.push(mount);
  const { csi: _, ...volume } = secretVolume(name);
  spec.volumes.push(volume);
  return stringify(deployment);
}
