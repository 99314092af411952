/**
 * The Helm chart by `helm` itself: its objects are those of Kustomize; and these, with what `outrider inject` writes, by the schemas of
 * Kubernetes. Skipped, said loudly, where a program is missing; .ci/nightly builds them, which takes minutes.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { type InjectOptions, injectYaml } from '../../sidecar/cli/deploy/inject-yaml.js';
import { loadSidecarFile } from '../../sidecar/config/file/load.js';
import { scratchForEach } from '../kit/mocha/scratch.js';
import { REPOSITORY } from '../kit/process/outrider.js';
import { toolOrSkip } from '../kit/process/tools.js';

const DEPLOY = path.join(REPOSITORY, 'mesh-config/deploy');

/** The program in `.cache/bin` or on PATH; otherwise the tests are skipped. */
function programOrSkip(context: Mocha.Context, name: string): string {
  const cached = path.join(REPOSITORY, '.cache/bin', name);
  if (existsSync(cached)) return cached;
  if (spawnSync('sh', ['-c', `command -v ${name}`]).status === 0) return name;
  process.stderr.write(`\nSKIPPING FILES FOR DEPLOYMENT: there is no ${name}\n`);
  return context.skip();
}

function outputOf(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 30_000 });
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout + stderr;
}

describe('the Helm chart', function () {
  this.timeout(60_000);
  const scratch = scratchForEach();
  let helm: string;
  before(async function () {
    helm = await toolOrSkip(this, 'helm');
  });
  const textOf = (release: string, ...args: string[]) =>
    outputOf(helm, ['template', release, path.join(DEPLOY, 'helm'), '--kube-version', '1.31.0', ...args]);
  const rendered = (...args: string[]) => objectsOf(textOf('digits', ...args));

  it('has the objects that Kustomize has, equal but for the comments of the sidecars’ files', function () {
    const kustomize = programOrSkip(this, 'kustomize');
    // Objects that two releases would share have the name of theirs. The job of the files is known to be short.
    const values = 'identity.issuer.name=outrider,caller.activeDeadlineSeconds=1800';
    const named = (set: string) =>
      objectsOf(textOf('digits', '--set', `${values}${set}`).replaceAll('digits-ask', 'ask'));
    for (const [overlay, found] of [
      ['native', named('')],
      ['endpointslices', named(',discovery=endpointslices')],
    ] as const) {
      const expected = objectsOf(outputOf(kustomize, ['build', path.join(DEPLOY, 'kubernetes', overlay)]));
      assert.deepEqual([...found.keys()].sort(), [...expected.keys()].sort());
      for (const [name, object] of found) {
        const other = expected.get(name)!;
        // A release has a job for each of its revisions.
        if (object.kind === 'Job') Object.assign(object.metadata, { name: other.metadata.name });
        if (object.kind !== 'ConfigMap') assert.deepEqual(object, other, name);
        else {
          const mesh = { trust_domain: 'outrider.local', datacenter: 'dc1' };
          assert.deepEqual(fileOf(object), { ...mesh, ...fileOf(other) }, name);
        }
      }
    }
  });

  it('takes other names and numbers, and makes files that a sidecar accepts', () => {
    const set = 'model.name=speech,model.replicas=2,caller.name=web,identity.trustDomain=corp.example';
    const objects = rendered('--set', set);
    assert.deepEqual(
      [...objects.keys()].filter((name) => /digits(?!-(outrider|web))|ask/.test(name)),
      [],
    );
    const web = objects.get('ConfigMap outrider-digits-web')!;
    const file = path.join(scratch.path, 'sidecar.yaml');
    for (const name of ['speech', 'digits-web']) {
      writeFileSync(file, objects.get(`ConfigMap outrider-${name}`)!.data!['sidecar.yaml']);
      const loaded = loadSidecarFile(file);
      assert.ok(loaded.ok, JSON.stringify(loaded));
    }
    const { outbound } = fileOf(web) as { outbound: { upstreams: Record<string, { dns: object }> } };
    assert.deepEqual(outbound.upstreams['speech']!.dns, { name: 'speech', port: 9443 });
  });

  it('says no number of pods where something else scales them, so that an upgrade does not set it back', () => {
    const replicasOf = (...args: string[]) => {
      const { spec } = rendered(...args).get('StatefulSet digits')!;
      return (spec as { replicas?: number }).replicas;
    };
    assert.deepEqual([replicasOf(), replicasOf('--set', 'model.replicas=0')], [3, 0]);
    assert.equal(replicasOf('--set', 'model.autoscaled=true,model.replicas=7'), undefined);
  });

  it('ends no job that works, unless it is told for how long it may', () => {
    const limitOf = (...args: string[]) => {
      const job = [...rendered(...args).values()].find(({ kind }) => kind === 'Job')!;
      return (job.spec as { activeDeadlineSeconds?: number }).activeDeadlineSeconds;
    };
    assert.equal(limitOf(), undefined);
    const file = path.join(scratch.path, 'values.yaml');
    // A number of a file is a floating-point number to Helm.
    writeFileSync(file, 'caller: { activeDeadlineSeconds: 2592000 }\n');
    assert.deepEqual(
      [limitOf('--set', 'caller.activeDeadlineSeconds=7200'), limitOf('--values', file)],
      [7200, 2_592_000],
    );
  });

  it('lets no caller in that there is none of', () => {
    const said = (...args: string[]) => {
      const objects = rendered('--set', 'caller.enabled=false', ...args);
      assert.deepEqual(
        [...objects.values()].filter(({ kind }) => kind === 'Job'),
        [],
      );
      const file = path.join(scratch.path, 'sidecar.yaml');
      writeFileSync(file, objects.get('ConfigMap outrider-digits')!.data!['sidecar.yaml']);
      const loaded = loadSidecarFile(file);
      assert.ok(loaded.ok, JSON.stringify(loaded));
      return loaded.config.inbound!.intentions.map(({ from }) => from);
    };
    assert.deepEqual(said(), []);
    assert.deepEqual(said('--set', 'callers={web}'), ['web']);
  });

  it('may be installed twice in a namespace, and be called from another one', () => {
    const set = 'discovery=endpointslices,model.name=speech';
    const [first, second] = [rendered(), objectsOf(textOf('speech', '--set', set))];
    assert.deepEqual(
      [...first.keys()].filter((name) => second.has(name)),
      [],
    );
    assert.match(JSON.stringify([...second]), /"csi.cert-manager.io\/issuer-name":"speech-outrider"/);
    const all = 'callerNamespaces={web,api},identity.issuer.create=false,identity.issuer.kind=ClusterIssuer';
    const open = textOf('digits', '--set', `${all},identity.issuer.name=mesh`);
    assert.doesNotMatch(open, /kind: (Issuer|Certificate)/);
    assert.match(open, /issuer-name: mesh\n *csi.cert-manager.io\/issuer-kind: ClusterIssuer/);
    const { ingress } = objectsOf(open).get('NetworkPolicy digits')!.spec as unknown as {
      ingress: { from: { namespaceSelector?: { matchLabels?: Record<string, string> } }[] }[];
    };
    assert.deepEqual(
      ingress[0]!.from.map(({ namespaceSelector }) => Object.values(namespaceSelector?.matchLabels ?? {})),
      [[], ['web'], ['api']],
    );
  });

  it('has another job for another template also where there is one revision only, as of Argo CD and Flux', () => {
    const jobOf = (...args: string[]): string | undefined =>
      [...rendered(...args).values()].find(({ kind }) => kind === 'Job')?.metadata.name;
    const name = jobOf();
    assert.match(name!, /^digits-ask-1-[0-9a-f]{8}$/);
    assert.equal(jobOf(), name);
    assert.equal(jobOf('--set', 'model.replicas=7'), name);
    assert.notEqual(jobOf('--set', 'sidecar.image=outrider:2'), name);
    assert.notEqual(jobOf('--set', 'caller.args={--rate,7}'), name);
  });

  it('takes certificates from Secrets, and then needs nothing of cert-manager', () => {
    const objects = rendered('--set', 'identity.secretPrefix=identity-,callers={web,api}');
    assert.doesNotMatch(JSON.stringify([...objects]), /cert-manager/);
    const volumes = [...objects.values()].flatMap(
      ({ spec }) => spec?.template?.spec.volumes.filter(({ name }) => name === 'outrider-identity') ?? [],
    );
    assert.deepEqual(volumes.map(({ secret }) => secret?.secretName).sort(), [
      'identity-ask',
      'identity-digits',
    ]);
    const { inbound } = fileOf(objects.get('ConfigMap outrider-digits')!) as {
      inbound: { intentions: { from: string }[] };
    };
    assert.deepEqual(
      inbound.intentions.map(({ from }) => from),
      ['ask', 'web', 'api'],
    );
  });
});

describe('the Kubernetes objects', function () {
  this.timeout(330_000);
  const scratch = scratchForEach();
  let python: string;
  before(async function () {
    python = await toolOrSkip(this, 'kubernetes');
  });
  /** Of 1.31, where a sidecar may be an init container that stays; strict: a field that there is none of is an error. */
  const judged = (text: string) => {
    const file = path.join(scratch.path, 'objects.yaml');
    writeFileSync(file, text);
    const args = ['-m', 'kubernetes_validate', '--strict', '-k', '1.31', file];
    const { status, stdout, stderr } = spawnSync(python, args, { encoding: 'utf8', timeout: 60_000 });
    const said = stdout + stderr;
    return {
      status,
      said,
      unknown: [...said.matchAll(/find schema for kind (\w+)/g)].map(([, kind]) => kind),
    };
  };

  it('are valid with native sidecars and on Consul, which needs nothing of cert-manager', function () {
    const kustomize = programOrSkip(this, 'kustomize');
    for (const [overlay, unknown] of [
      ['native', ['Certificate', 'Issuer', 'Issuer']],
      ['endpointslices', ['Certificate', 'Issuer', 'Issuer']],
      ['keda', ['Certificate', 'Issuer', 'Issuer', 'ScaledObject']],
      ['consul', []],
    ] as const) {
      const built = outputOf(kustomize, ['build', path.join(DEPLOY, 'kubernetes', overlay)]);
      const found = judged(built);
      assert.deepEqual([found.status, found.unknown.sort()], [0, unknown], found.said);
      for (const kind of ['statefulset', 'job', 'networkpolicy'])
        assert.match(found.said, new RegExp(`passed for resource ${kind}/`));
      assert.equal(/cert-manager|outrider-identity/.test(built), overlay !== 'consul');
      const wrong = judged(built.replace('startupProbe:', 'startUpProbe:'));
      assert.equal(wrong.status, 1, wrong.said);
    }
  });

  it('are valid as `outrider inject` writes them', () => {
    const bare = ['digits', 'ask'].map((name) => path.join(DEPLOY, `kubernetes/base/${name}.yaml`));
    const issuer = { kind: 'ClusterIssuer', name: 'mesh' };
    const options: readonly InjectOptions[] = [
      { as: 'native', image: 'outrider:1', identity: { kind: 'secret', name: 'identity-{name}' } },
      { as: 'native', image: 'outrider:1', identity: { kind: 'csi', id: 'spiffe://a.b/{name}', issuer } },
      { as: 'container', image: 'outrider:1', consulAgent: 'node', watchesEndpoints: true },
    ];
    for (const each of options)
      for (const file of bare) {
        const { as } = each;
        const { text, problems } = injectYaml(readFileSync(file, 'utf8'), each);
        if (as === 'container' && file.endsWith('/ask.yaml')) {
          assert.match(problems.join('\n'), /^document 1: kind: found Job, which would never end/);
          continue;
        }
        assert.deepEqual(problems, []);
        const found = judged(text);
        assert.deepEqual([found.status, found.unknown], [0, []], found.said);
      }
  });
});

interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: { readonly 'sidecar.yaml': string };
  readonly spec?: {
    readonly template?: {
      readonly spec: {
        readonly volumes: readonly {
          readonly name: string;
          readonly secret?: { readonly secretName: string };
        }[];
      };
    };
  };
}

/** By kind and name, a job without the revision of its release. */
function objectsOf(text: string): Map<string, KubernetesObject> {
  const objects = parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject | null);
  return new Map(
    objects.flatMap((each) =>
      each === null ? [] : [[`${each.kind} ${each.metadata.name.replace(/-1(-[0-9a-f]{8})?$/, '')}`, each]],
    ),
  );
}

const fileOf = ({ data }: KubernetesObject): object => parse(data!['sidecar.yaml']) as object;
