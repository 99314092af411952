/**
 * The objects of mesh-config/deploy/kubernetes/native and of `outrider inject` in a real Kubernetes of one node, which this builds (ten minutes the
 * first time), starts and removes: `npm run try:kubernetes`. cert-manager is left out, its volumes are Secrets with certificates of
 * `outrider certs`. Two deployments call all the time: `web` finds the pods by DNS, `api` by the EndpointSlices of the Kubernetes API.
 * At the end a real KEDA sets the number of pods.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import type { StatusReport } from '../../sidecar/admin/status.js';
import { LocalCa } from '../../sidecar/identity/ca/local-ca.js';
import { Cluster } from '../kit/deploy/cluster/cluster.js';
import { startKeda } from '../kit/deploy/cluster/keda.js';
import { Podman } from '../kit/deploy/podman.js';
import { outrider, REPOSITORY, Scratch } from '../kit/process/outrider.js';
import { run } from '../kit/process/packed-package.js';
import { until } from '../kit/process/processes.js';
import { toolOrSkip } from '../kit/process/tools.js';

const VERSION = '0.1.0';
const NATIVE = join(REPOSITORY, 'mesh-config/deploy/kubernetes/native');
const POD_LIMIT_MS = 120_000;
/** Calls of each caller, in a second. */
const RATE = 5;
/** Long: a call that is slow on a busy machine is not lost. */
const DEADLINE_MS = 20_000;

/** Calls at any time, of a caller whose load has a step: more than three pods of four calls each have. */
const STEP_STREAMS = 14;

/** Callers, by how they find pods. */
const CALLERS = ['web', 'api'] as const;
type CallerName = (typeof CALLERS)[number];

/** What a caller has printed: calls so far, those that failed by their status, and the slowest, ms. */
interface Tally {
  readonly calls: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  /** Calls with a request of 600 KB; among `calls`. */
  readonly large: number;
  /** Streams of a second that have ended, and those that failed: no route says that they may continue elsewhere. */
  readonly streams: number;
  readonly streamsFailed: Readonly<Record<string, number>>;
}

/** Calls `digits` at a steady rate and prints a `Tally` each second. */
const CALLER = `
const grpc = require('/opt/outrider/node_modules/@grpc/grpc-js');
const loader = require('/opt/outrider/node_modules/@grpc/proto-loader');
const file = '/opt/outrider/node_modules/outrider/proto/inference.proto';
const { inference } = grpc.loadPackageDefinition(loader.loadSync(file, { keepCase: true }));
const client = new inference.GRPCInferenceService('127.0.0.1:8800', grpc.credentials.createInsecure());
const request = { model_name: 'digits', inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 784], contents: { fp32_contents: new Array(784).fill(0.5) } }] };
const large = { ...request, id: 'x'.repeat(600000) };
const tally = { calls: 0, large: 0, failed: {}, slowestMs: 0, streams: 0, streamsFailed: {} };
const count = (failed, error) => {
  const why = grpc.status[error.code] + ': ' + error.details;
  failed[why] = (failed[why] || 0) + 1;
};
const ask = (what) => {
  const begun = Date.now();
  client.ModelInfer(what, { deadline: begun + ${DEADLINE_MS} }, (error) => {
    tally.calls++;
    if (what === large) tally.large++;
    tally.slowestMs = Math.max(tally.slowestMs, Date.now() - begun);
    if (error) count(tally.failed, error);
  });
};
setInterval(() => ask(request), ${1000 / RATE});
setInterval(() => ask(large), 2000);
// Five requests in each second.
const open = (seconds, onEnd) => {
  const stream = client.ModelStreamInfer({ deadline: Date.now() + ${DEADLINE_MS} });
  let sent = 0;
  const timer = setInterval(() => (++sent > 5 * seconds ? stream.end() : stream.write(request)), 200);
  stream.on('data', () => {});
  stream.on('error', () => {});
  stream.on('status', (status) => {
    clearInterval(timer);
    tally.streams++;
    if (status.code !== 0) count(tally.streamsFailed, status);
    onEnd();
  });
};
setInterval(() => open(1, () => {}), 1000);
// A step of load begins with one signal, and ends with the next.
let isStep = false;
const again = () => { if (isStep) open(5, again); };
process.on('SIGUSR2', () => {
  isStep = !isStep;
  if (isStep) for (let i = 0; i < ${STEP_STREAMS}; i++) again();
});
setInterval(() => console.log(JSON.stringify(tally)), 1000);
process.on('SIGTERM', () => process.exit());
`;

describe('Kubernetes', function () {
  this.timeout(300_000);
  const scratch = new Scratch();
  let podman: Podman | undefined;
  let cluster: Cluster | undefined;
  let authority: LocalCa;
  let helm: string;
  /** Folder of what has been applied. */
  let overlay: string;
  const said = (...args: string[]) => cluster!.said(...args);
  const available = async () =>
    Number((await said('get', 'statefulset/digits', '-o', 'jsonpath={.status.availableReplicas}')) || '0');

  before(async function () {
    await toolOrSkip(this, 'podman');
    helm = await toolOrSkip(this, 'helm');
    podman = Podman.orSkip(this);
    const from = { trustDomain: 'outrider.local', datacenter: 'dc1', wallNow: () => Date.now() };
    authority = await LocalCa.create(from);
    cluster = await Cluster.orSkip(this, [podman.folder, scratch.path]);
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
    for (const name of CALLERS) {
      const { stdout } = await cluster!.kubectl('logs', `deployment/${name}`, '-c', 'outrider', '--tail=60');
      process.stderr.write(stdout);
    }
  });

  it('enforces the restricted Pod Security Standard', async () => {
    await said('label', 'namespace', 'default', 'pod-security.kubernetes.io/enforce=restricted');
  });

  it('runs the overlay: the job answers at its first attempt, on a fresh apply', async () => {
    await writeIdentities(['digits', 'ask', ...CALLERS]);
    overlay = writeOverlay('native');
    await said('apply', '-k', overlay);
    await said('wait', '--for=condition=Complete', 'job/ask', '--timeout=120s');
    assert.match(await said('logs', 'job/ask', '-c', 'ask'), /^7 /);
    assert.equal(await said('get', 'job/ask', '-o', 'jsonpath={.status.failed}'), '');
    await until('three pods are available', async () => (await available()) === 3, POD_LIMIT_MS);
  });

  const sources: readonly (readonly [CallerName, file: string, ...flags: string[]])[] = [
    ['web', 'base/ask.sidecar.yaml'],
    ['api', 'endpointslices/ask.sidecar.yaml', '--endpointslices'],
  ];
  for (const [name, sidecarFile, ...flags] of sources)
    it(`injects a sidecar into a deployment, which calls through it: ${name}`, async () => {
      scratch.write('caller.cjs', CALLER);
      if (name === CALLERS[0])
        await said('create', 'configmap', 'caller', `--from-file=${join(scratch.path, 'caller.cjs')}`);
      const file = readFileSync(join(NATIVE, '..', sidecarFile), 'utf8');
      scratch.write(
        'sidecar.yaml',
        file.replace('service: ask', `service: ${name}`).replace('timeout: 2s', `timeout: ${DEADLINE_MS}ms`),
      );
      const from = `--from-file=${join(scratch.path, 'sidecar.yaml')}`;
      await said('create', 'configmap', `outrider-${name}`, from);
      const bare = scratch.write(`${name}.yaml`, deploymentOf(name));
      const secret = ['--identity-secret', 'identity-{name}'];
      const injected = await outrider(['inject', ...flags, ...secret, bare]);
      assert.equal(injected.code, 0, injected.stderr);
      await said('apply', '-f', scratch.write('injected.yaml', injected.stdout));
      await said('rollout', 'status', `deployment/${name}`, '--timeout=120s');
      const isAnswered = async () => ((await tally(name))?.calls ?? 0) > 5 * RATE;
      await until('calls are answered', isAnswered, POD_LIMIT_MS);
      assert.deepEqual((await tally(name))!.failed, {});
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
    it(`loses no call by ${what}`, () =>
      losesNone(CALLERS, async () => {
        for (const command of commands) await said(...command);
        await areAvailable(replicas);
      }));

  it('tells the callers by the API of changes as fast as they come: scaling 3, 1, 5 loses no call', () =>
    losesNone(['api'], async () => {
      const now = { spec: { minReadySeconds: 0 } };
      await said('patch', 'statefulset/digits', '-p', JSON.stringify(now));
      await said('rollout', 'restart', 'statefulset/digits');
      await said('rollout', 'status', 'statefulset/digits', '--timeout=180s');
      // The pod that is left has just come.
      for (const replicas of [1, 5, 1, 3]) {
        await said('scale', 'statefulset/digits', `--replicas=${replicas}`);
        await areAvailable(replicas);
      }
    }));

  it('lets no caller by the API call a pod that ends, from a second after it does', async () => {
    const ended = await said('get', 'pod', 'digits-0', '-o', 'jsonpath={.status.podIP}');
    await said('delete', 'pod', 'digits-0', '--wait=false');
    // A pod without calls is gone half a second later.
    const isLeft = async () => {
      const { endpoints } = await reportOf('api');
      const state = endpoints.find(({ address }) => address.startsWith(`${ended}:`));
      return state === undefined || state.priority === 1_000;
    };
    await until('the sidecar knows', isLeft, 1_000);
    await areAvailable(3);
  });

  it('comes back by itself after no pod was left', async () => {
    await said('scale', 'statefulset/digits', '--replicas=0');
    const failures = async () =>
      (await Promise.all(CALLERS.map(tally)))
        .flatMap((each) => Object.values(each!.failed))
        .reduce((sum, each) => sum + each, 0);
    for (const name of CALLERS) {
      const hasFailed = async () =>
        Object.values((await tally(name))!.failed).some((each) => each > RATE / 4);
      await until('calls fail', hasFailed, POD_LIMIT_MS);
      for (const why of Object.keys((await tally(name))!.failed))
        assert.match(why, /^(UNAVAILABLE|DEADLINE_EXCEEDED)/);
    }
    const { state, problem } = (await reportOf('api')).kubernetes![0]!;
    assert.equal(state, 'empty', problem);
    await said('scale', 'statefulset/digits', '--replicas=3');
    await areAvailable(3);
    // By DNS the callers learn of them within two periods.
    await until(
      'no call fails',
      async () => {
        const before = await failures();
        for (const name of CALLERS) await tallyAfter(name, 5);
        return (await failures()) === before;
      },
      POD_LIMIT_MS,
    );
  });

  it('loses no call by a model without memory, which the kernel kills', () =>
    losesNone(CALLERS, async () => {
      const status = (field: string) =>
        said('get', 'pod', 'digits-1', '-o', `jsonpath={.status.containerStatuses[0].${field}}`);
      cluster!.starve((await status('containerID')).replace('containerd://', ''));
      const isKilled = async () => (await status('lastState.terminated.reason')) === 'OOMKilled';
      await until('it is killed', isKilled, POD_LIMIT_MS);
      await areAvailable(3);
    }));

  it('takes over a changed ConfigMap: a caller is refused, and let in again', async () => {
    const name = 'outrider-digits';
    const text = await said('get', 'configmap', name, '-o', 'jsonpath={.data.sidecar\\.yaml}');
    const change = (data: string) =>
      said('patch', 'configmap', name, '-p', JSON.stringify({ data: { 'sidecar.yaml': data } }));
    const allowed = '{ from: web, to: digits, action: allow }';
    assert.ok(text.includes(allowed));
    const refused = async () =>
      Object.entries((await tally('web'))!.failed).reduce(
        (sum, [why, count]) => sum + (why.startsWith('PERMISSION_DENIED') ? count : 0),
        0,
      );
    await losesNone(['api'], async () => {
      await change(text.replace(allowed, allowed.replace('allow }', 'deny }')));
      await until('web is refused', async () => (await refused()) > 3 * RATE, POD_LIMIT_MS);
      await change(text);
      const isLetIn = async () => {
        const before = await refused();
        await tallyAfter('web', 5);
        return (await refused()) === before;
      };
      await until('web is let in', isLetIn, POD_LIMIT_MS);
    });
  });

  it('takes over certificates of changed Secrets, and loses no call', () =>
    losesNone(CALLERS, async () => {
      const endsInS = async () => (await reportOf('web')).certificateEndsInS!;
      const before = await endsInS();
      await writeIdentities(['digits', 'ask', ...CALLERS]);
      await until('they have them', async () => (await endsInS()) > before, POD_LIMIT_MS);
    }));

  for (const [what, part] of [
    ['an API server', 'apiserver'],
    ['a CoreDNS', 'coredns'],
  ] as const)
    it(`loses no call by ${what} that is away for a minute`, () =>
      losesNone(CALLERS, async () => {
        await cluster!.stopPart(part);
        await delay(60_000);
        cluster!.startPart(part);
        const answers = async () => (await cluster!.kubectl('get', '--raw', '/readyz')).code === 0;
        await until('it answers', answers, POD_LIMIT_MS);
      }));

  it('loses no call by an image that does not start, nor by the way back', () =>
    losesNone(CALLERS, async () => {
      await said('set', 'image', 'statefulset/digits', 'model=localhost/none:1');
      const waits = "jsonpath={.items[*].status.containerStatuses[?(@.name=='model')].state.waiting.reason}";
      const isStuck = async () =>
        /ErrImage|ImagePull/.test(await said('get', 'pods', '-l', 'app=digits', '-o', waits));
      await until('a pod cannot start', isStuck, POD_LIMIT_MS);
      await tallyAfter('web', 10);
      await said('rollout', 'undo', 'statefulset/digits');
      await areAvailable(3);
    }));

  describe('by Helm', () => {
    const chart = join(REPOSITORY, 'mesh-config/deploy/helm');
    const values = ['--set', `identity.secretPrefix=identity-,callers={${CALLERS.join(',')}}`];
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await cluster!.runAsAdmin(helm, ...args);
      assert.equal(code, 0, `helm ${args.join(' ')}: ${stdout}${stderr}`);
    };
    const isDone = async (revision: number) => {
      const jobs = (await said('get', 'jobs', '-l', 'app=ask', '-o', 'name')).trim().split('\n');
      const job = jobs.find((name) => name.includes(`-ask-${revision}-`));
      assert.ok(job !== undefined, jobs.join(' '));
      await said('wait', '--for=condition=Complete', job, '--timeout=120s');
      assert.match(await said('logs', job, '-c', 'ask'), /^7 /);
    };

    it('the chart is installed in the place of the overlay, and its job answers', async () => {
      await said('delete', '-k', overlay, '--ignore-not-found');
      await run('install', 'digits', chart, ...values, '--wait', '--timeout', '180s');
      await areAvailable(3);
      await isDone(1);
      await areAnswered();
    });

    it('an upgrade and a rollback lose no call, though the job is another one each time', () =>
      losesNone(CALLERS, async () => {
        const more = ['--set', 'model.resources.requests.cpu=90m,sidecar.resources.requests.cpu=40m'];
        await run('upgrade', 'digits', chart, ...values, ...more, '--wait', '--timeout', '240s');
        await isDone(2);
        await run('rollback', 'digits', '1', '--wait', '--timeout', '240s');
        // A rollback brings back what the first revision was, with its job.
        await isDone(1);
        await areAvailable(3);
      }));

    it('is uninstalled without a trace', async () => {
      await run('uninstall', 'digits', '--wait', '--timeout', '120s');
      const kinds = 'statefulset,job,service,configmap,networkpolicy';
      const left = (await said('get', kinds, '-o', 'name'))
        .split('\n')
        .filter((each) => /digits|ask/.test(each));
      assert.deepEqual(left, []);
    });
  });

  describe('by KEDA', () => {
    before(async function () {
      const programs = await toolOrSkip(this, 'keda');
      await said('delete', '-k', overlay, '--ignore-not-found');
      await startKeda(cluster!, programs);
      await writeIdentities(['digits-scaler']);
      await said('apply', '-k', writeOverlay('keda'));
      await said('rollout', 'status', 'deployment/digits-scaler', '--timeout=120s');
      await areAvailable(1);
      const file = readFileSync(join(NATIVE, '../keda/scaled-object.yaml'), 'utf8');
      const { spec, ...object } = parse(file) as { readonly spec: object };
      await cluster!.apply('scaled-object.json', { ...object, spec: { ...spec, ...HERE } });
      const value = 'jsonpath={.status.currentMetrics[0].external.current.averageValue}';
      const hasMetric = async () => (await said('get', 'hpa/keda-hpa-digits', '-o', value)) !== '';
      await until(
        'Kubernetes has read the metric',
        async () => (await cluster!.kubectl('get', 'hpa/keda-hpa-digits')).code === 0 && (await hasMetric()),
        POD_LIMIT_MS,
      );
      await areAnswered();
    });

    afterEach(async function () {
      if (this.currentTest?.state !== 'failed') return;
      for (const args of [
        ['describe', 'hpa/keda-hpa-digits'],
        ['logs', 'deployment/digits-scaler', '--tail=20'],
      ])
        process.stderr.write((await cluster!.kubectl(...args)).stdout);
      process.stderr.write(cluster!.log('keda-operator'));
    });

    const signal = () =>
      said('exec', 'deployment/api', '-c', 'api', '--', 'node', '-e', "process.kill(1, 'SIGUSR2')");

    for (const [what, replicas] of [
      ['one pod becomes four', 4],
      ['four pods become one', 1],
    ] as const)
      it(`${what} by a step of load, and no call fails`, () =>
        losesNone(['api'], async () => {
          const streamsFailed = JSON.stringify((await tally('api'))!.streamsFailed);
          const beginMs = performance.now();
          await signal();
          await areAvailable(replicas);
          const seconds = Math.round((performance.now() - beginMs) / 1_000);
          process.stderr.write(`      ${replicas} pods were available after ${seconds} s\n`);
          // They stay: the number has settled.
          await tallyAfter('api', 30);
          assert.equal(await available(), replicas);
          assert.equal(JSON.stringify((await tally('api'))!.streamsFailed), streamsFailed);
        }));
  });

  /** Resolves when no call of any caller fails any more. */
  async function areAnswered(): Promise<void> {
    const failed = async () =>
      JSON.stringify((await Promise.all(CALLERS.map(tally))).map((each) => each!.failed));
    const isSettled = async () => {
      const before = await failed();
      for (const name of CALLERS) await tallyAfter(name, 5);
      return before === (await failed());
    };
    await until('no call fails', isSettled, POD_LIMIT_MS);
  }

  /** Runs what changes something; no call of these callers fails, nor in the ten seconds after it. */
  async function losesNone(names: readonly CallerName[], change: () => Promise<void>): Promise<void> {
    const before = new Map<CallerName, Tally>();
    for (const name of names) before.set(name, (await tally(name))!);
    await change();
    for (const [name, was] of before) {
      const now = await tallyAfter(name, 10);
      const calls = `${now.calls - was.calls} calls, ${now.large - was.large} of 600 KB`;
      const streams = `${now.streams - was.streams} streams (failed so far: ${JSON.stringify(now.streamsFailed)})`;
      process.stderr.write(`      ${name}: ${calls}, slowest so far ${now.slowestMs} ms, ${streams}\n`);
      assert.deepEqual(now.failed, was.failed, name);
    }
  }

  async function areAvailable(replicas: number): Promise<void> {
    const isNow = async () => (await available()) === replicas;
    await until(`${replicas} are available`, isNow, POD_LIMIT_MS);
  }

  /** What a caller prints `seconds` from now. */
  async function tallyAfter(name: CallerName, seconds: number): Promise<Tally> {
    const { calls } = (await tally(name))!;
    const isReached = async () => (await tally(name))!.calls >= calls + seconds * RATE;
    await until('calls go on', isReached, POD_LIMIT_MS);
    return (await tally(name))!;
  }

  async function tally(name: CallerName): Promise<Tally | undefined> {
    const { stdout } = await cluster!.kubectl('logs', `deployment/${name}`, '-c', name, '--tail=1');
    return stdout.startsWith('{') ? JSON.parse(stdout) : undefined;
  }

  /** What the sidecar of a caller says of itself. */
  async function reportOf(name: CallerName): Promise<StatusReport> {
    const asks = ['outrider', 'status', '--admin', '127.0.0.1:8890', '--json'];
    const json = await said('exec', `deployment/${name}`, '-c', 'outrider', '--', ...asks);
    return (JSON.parse(json) as StatusReport[])[0]!;
  }

  /** A Secret for each service with a fresh certificate, as a volume of cert-manager's CSI driver would have it. */
  async function writeIdentities(services: readonly string[]): Promise<void> {
    const secrets = await Promise.all(
      services.map(async (name) => {
        const { certChainPem, keyPem, rootsPem } = await authority.issueLeaf(name, 86_400_000);
        const stringData = { 'tls.crt': certChainPem, 'tls.key': keyPem, 'ca.crt': rootsPem };
        return { apiVersion: 'v1', kind: 'Secret', metadata: { name: `identity-${name}` }, stringData };
      }),
    );
    const file = scratch.write('secrets.yaml', secrets.map((each) => stringify(each)).join('---\n'));
    await said('apply', '-f', file);
  }

  /** @returns a folder with a kustomization. */
  function writeOverlay(kind: 'native' | 'keda'): string {
    const folder = join(scratch.path, kind);
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
      ...(kind === 'keda' ? [withSecret('apps/v1', 'Deployment', 'digits-scaler')] : []),
    ];
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [`overlays/${kind}`],
      patches: patches.map((patch) => ({ patch: JSON.stringify(patch) })),
    };
    mkdirSync(folder);
    execFileSync('cp', ['-r', join(NATIVE, '..'), join(folder, 'overlays')]);
    const file = join(folder, `overlays/${kind === 'keda' ? kind : 'base'}/digits.sidecar.yaml`);
    const allowed = '    - { from: ask, to: digits, action: allow }\n';
    const text = readFileSync(file, 'utf8');
    assert.ok(text.includes(allowed));
    const all = ['ask', ...CALLERS].map((name) => allowed.replace('ask', name));
    writeFileSync(file, text.replace(allowed, all.join('')));
    writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
    return folder;
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

/** The node has no room for more pods, and the test no time for the five minutes that Kubernetes waits before it takes one away. */
const HERE = {
  maxReplicaCount: 4,
  advanced: {
    horizontalPodAutoscalerConfig: { behavior: { scaleDown: { stabilizationWindowSeconds: 30 } } },
  },
};

function withSecret(apiVersion: string, kind: string, name: string): object {
  return {
    apiVersion,
    kind,
    metadata: { name },
    spec: { template: { spec: { volumes: [secretVolume(name)] } } },
  };
}

/** A program of somebody who knows nothing of Outrider, as restricted as the namespace wants it. */
function deploymentOf(name: CallerName): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      containers:
        - name: ${name}
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
