/** Files for deployment that the programs of others read: the units by `systemd-analyze`, those for Kubernetes by what they say. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { loadSidecarFile } from '../../sidecar/config/file/load.js';
import { readTrigger } from '../../sidecar/core/scaling/waiting-work.js';
import { scratchForEach } from '../kit/mocha/scratch.js';
import { REPOSITORY } from '../kit/process/outrider.js';
import { toolOrSkip } from '../kit/process/tools.js';

const UNITS = path.join(REPOSITORY, 'mesh-config/systemd');

function outputOf(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 30_000 });
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout + stderr;
}

describe('the units of systemd', function () {
  this.timeout(60_000);
  const scratch = scratchForEach();
  let analyze: string;
  before(async function () {
    analyze = await toolOrSkip(this, 'systemd-analyze');
  });

  it('are valid, and a wrong key is found', () => {
    const units = readdirSync(UNITS).map((name) => path.join(UNITS, name));
    assert.ok(units.length >= 4);
    assert.equal(outputOf(analyze, ['verify', ...units]).trim(), '');
    const wrong = path.join(scratch.path, 'wrong.service');
    const unit = readFileSync(path.join(UNITS, 'outrider-model.service'), 'utf8');
    writeFileSync(wrong, unit.replace('NoNewPrivileges', 'NoNewPrivilege'));
    assert.match(outputOf(analyze, ['verify', wrong]), /Unknown key.* 'NoNewPrivilege'/);
  });

  for (const name of ['outrider.service', 'outrider-model.service'])
    it(`leave ${name} an exposure of less than 2.5 of 10`, () => {
      const said = outputOf(analyze, [
        'security',
        '--offline=true',
        '--threshold=25',
        path.join(UNITS, name),
      ]);
      assert.match(said, /Overall exposure level/);
    });
});

describe('the files for Kubernetes', () => {
  const FOLDER = path.join(REPOSITORY, 'mesh-config/deploy/kubernetes');
  const configOf = (name: string) => {
    const loaded = loadSidecarFile(path.join(FOLDER, name));
    assert.ok(loaded.ok, JSON.stringify(loaded));
    return loaded.config;
  };

  const objectsIn = (name: string): Service[] =>
    parseAllDocuments(readFileSync(path.join(FOLDER, name), 'utf8')).map((each) => each.toJS() as Service);

  it('call the headless service of the model where no Consul is there, at the port of its sidecars', () => {
    const [upstream] = configOf('base/ask.sidecar.yaml').outbound!.upstreams;
    const { listen } = configOf('base/digits.sidecar.yaml').inbound!;
    assert.ok(listen.kind === 'tcp');
    const service = objectsIn('base/digits.yaml').find(({ kind }) => kind === 'Service')!;
    assert.deepEqual(
      { name: service.metadata.name, port: service.spec.ports[0]!.port, clusterIP: service.spec.clusterIP },
      { name: upstream!.dns!.name, port: upstream!.dns!.port, clusterIP: 'None' },
    );
    assert.equal(listen.port, upstream!.dns!.port);
  });

  it('name to KEDA the port of a scaler, an upstream of it, and a metric that it has', () => {
    const { scaler, outbound, service } = configOf('keda/digits-scaler.sidecar.yaml');
    const [{ metadata }] = objectsIn('keda/scaled-object.yaml')[0]!.spec.triggers! as [ScalerTrigger];
    const trigger = readTrigger(new Map(Object.entries(metadata)));
    assert.ok(typeof trigger !== 'string', String(trigger));
    assert.deepEqual(
      outbound!.upstreams.map(({ name }) => name),
      [trigger.service],
    );
    // DNS does not tell a service without pods from one whose pods are not ready.
    const [{ kubernetes: found } = {}] = outbound!.upstreams;
    const digits = objectsIn('base/digits.yaml').find(({ kind }) => kind === 'Service')!;
    assert.ok(
      digits.spec.ports.some(({ name }) => name === found?.port),
      JSON.stringify(found),
    );
    const account = objectsIn('keda/digits-scaler.yaml').find(
      ({ kind }) => kind === 'RoleBinding',
    ) as unknown as {
      readonly subjects: readonly unknown[];
    };
    assert.deepEqual(account.subjects, [{ kind: 'ServiceAccount', name: 'digits-scaler' }]);
    const [host, port] = metadata['scalerAddress']!.split(':');
    assert.equal(host, 'digits-scaler.default.svc.cluster.local');
    const own = objectsIn('keda/digits-scaler.yaml').find(({ kind }) => kind === 'Service')!;
    assert.equal(own.metadata.name, 'digits-scaler');
    for (const each of [own.spec.ports[0]!.port, (scaler!.listen as { port: number }).port])
      assert.equal(each, Number(port));
    const { intentions } = configOf('keda/digits.sidecar.yaml').inbound!;
    assert.ok(intentions.some(({ from, action }) => from === service && action === 'allow'));
  });

  // A pod trusts the root of its own leaf alone: with another key its peers are strangers until all have new leaves.
  it('let cert-manager renew the root with its key, and seldom', () => {
    for (const name of ['base/issuer.yaml', '../helm/templates/issuer.yaml']) {
      // The chart is a template: only its actions are not YAML.
      const text = readFileSync(path.join(FOLDER, name), 'utf8').replaceAll(/\{\{-.*\}\}\n/g, '');
      const documents = parseAllDocuments(text.replaceAll(/\{\{.*?\}\}/g, 'x'));
      const roots = documents
        .map((each) => each.toJS() as { kind: string; spec: CertificateSpec })
        .filter(({ kind, spec }) => kind === 'Certificate' && spec.isCA);
      assert.equal(roots.length, 1, name);
      const { privateKey, duration } = roots[0]!.spec;
      assert.equal(privateKey.rotationPolicy, 'Never', name);
      assert.ok(Number.parseInt(duration, 10) >= 5 * 8760, `${name}: ${duration}`);
    }
  });

  it('find the model in the catalogue where Consul is there', () => {
    const [upstream] = configOf('consul/ask.sidecar.yaml').outbound!.upstreams;
    assert.ok(upstream!.consul !== undefined && upstream!.dns === undefined);
  });
});

interface Service {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly clusterIP: string;
    readonly ports: readonly { readonly name: string; readonly port: number }[];
    readonly triggers?: readonly ScalerTrigger[];
  };
}

interface CertificateSpec {
  readonly isCA: boolean;
  readonly duration: string;
  readonly privateKey: { readonly rotationPolicy?: string };
}

interface ScalerTrigger {
  readonly metadata: Readonly<Record<string, string>>;
}
