/**
 * Every file in mesh-config/ runs as it is written, on the ports it names, after the commands that its comments name.
 * A port that another program has is a failure that names it.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ConsulServer, consulOrSkip } from '../kit/consul/consul.js';
import { afterTest } from '../kit/mocha/after-test.js';
import { EFFORT } from '../kit/mocha/effort.js';
import { scratchForTest } from '../kit/mocha/scratch.js';
import { sumOfSamples } from '../kit/process/metrics-page.js';
import {
  admin,
  DIGITS_MODELS,
  Mesh,
  OUTRIDER,
  outrider,
  REPOSITORY,
  reportOf,
} from '../kit/process/outrider.js';
import { shellLines } from '../kit/process/page-lines.js';
import { until } from '../kit/process/processes.js';
import { ScratchDirectory } from '../kit/process/scratch-directory.js';
import { inferSeven } from '../kit/process/suite-mesh.js';
import { requireModels } from '../kit/service/made-models.js';

const run = promisify(execFile);
const PARCEL = join(REPOSITORY, 'services/ocr/samples/parcel.png');
/**
 * By night: the README's test runs demo.yaml as it is, test/e2e/up/resilient runs resilient.yaml on free ports, test/e2e/up/consul and
 * test/e2e/up/engines run meshes of their own, each model of models.yaml has tests in test/stack/services, and test/e2e/own-server has
 * a server that knows nothing of Outrider.
 */
const AT_NIGHT: ReadonlySet<string> = new Set([
  ...['demo.yaml', 'resilient.yaml', 'consul.yaml', 'models.yaml'],
  ...['engines.yaml', 'foreign-server.yaml'],
]);
/** What a sidecar says once it listens. */
const LISTENS = /^outrider \S+ \S+: .* on /m;

async function infersSeven(target: string): Promise<void> {
  const { stdout, stderr } = await inferSeven(target);
  assert.match(stdout, /^7 /, stderr);
}

/** Until the end of the running test. */
function discarded(mesh: Mesh): Mesh {
  afterTest(() => mesh.discard());
  return mesh;
}

function scratchDirectory(): ScratchDirectory {
  const place = new ScratchDirectory();
  afterTest(() => place.close());
  return place;
}

describe('the example files, as written', function () {
  this.timeout(120_000);

  const told = new Set<string>();
  const example = (name: string, what: string, test: (this: Mocha.Context) => Promise<void>): void => {
    told.add(name);
    if (!AT_NIGHT.has(name) || EFFORT > 1) it(`${name}: ${what}`, test);
  };

  example('demo.yaml', 'the mesh answers', async () => {
    const { call } = await discarded(Mesh.open('mesh-config/demo.yaml')).ready();
    assert.deepEqual(call, { digits: '127.0.0.1:8800', 'digits-lite': '127.0.0.1:8801' });
    for (const target of Object.values(call)) await infersSeven(target);
  });

  example('resilient.yaml', 'the mesh answers, and all its replicas pass their checks soon', async () => {
    const { call, admin } = await discarded(Mesh.open('mesh-config/resilient.yaml')).ready();
    await infersSeven(call['digits']!);
    await until('every endpoint is eligible', async () =>
      (await reportOf(admin)).endpoints.every(({ state }) => state === 'eligible'),
    );
  });

  example('consul.yaml', 'the mesh answers on an agent of its own', async function () {
    await consulOrSkip(this);
    const { call } = await discarded(Mesh.open('mesh-config/consul.yaml', ['--consul', 'dev'])).ready();
    const answers = async (): Promise<boolean> => /^7 /.test((await inferSeven(call['digits']!)).stdout);
    await until('it answers', answers, 20_000);
  });

  example('models.yaml', 'every model answers', async function () {
    for (const name of ['ocr', 'vad', 'embed', 'filetype', 'langid']) requireModels(this, name);
    const { call } = await discarded(Mesh.open('mesh-config/models.yaml')).ready();
    const page = await outrider(['infer', 'find', '--input', `image=@${PARCEL}`, '--target', call['find']!]);
    assert.match(
      page.stdout,
      /^Fragile: do not drop .*\nGross weight 12 kg .*\nKeep this side up .*\nStore in a dry place /m,
    );
    const others = {
      vad: 'audio=[0, 0, 0, 0]',
      embed: 'text="Where is the library?"',
      filetype: `content=@${PARCEL}`,
      langid: 'text="Hvor er biblioteket?"',
      tokens: 'prompt="Call me "',
    };
    const answers = await Promise.all(
      Object.entries(others).map(async ([name, input]) => {
        const { stdout, stderr } = await outrider(['infer', name, '--input', input, '--target', call[name]!]);
        return `${name}: ${stdout}${stderr}`;
      }),
    );
    assert.match(answers[0]!, / 0\.0 s of speech/);
    assert.match(answers[1]!, /384 numbers/);
    assert.match(answers[2]!, /png/);
    assert.match(answers[3]!, /dan/);
    assert.match(answers[4]!, /^tokens: (?!outrider).{100,}/s);
  });

  example('foreign-server.yaml', 'the mesh answers around servers that are called tritonserver', async () => {
    const scratch = scratchForTest();
    const serve = `exec ${OUTRIDER.join(' ')} serve --models ${DIGITS_MODELS} --listen "127.0.0.1:$port"`;
    const script = `#!/bin/sh\nfor a; do case $a in --grpc-port=*) port=\${a#*=};; esac; done\n${serve}\n`;
    chmodSync(scratch.write('tritonserver', script), 0o755);
    const env = { PATH: `${scratch.path}:${process.env['PATH']}` };
    const { call, sidecars } = await discarded(Mesh.open('mesh-config/foreign-server.yaml', [], env)).ready();
    assert.equal(sidecars.filter(({ role }) => role === 'replica').length, 2);
    await infersSeven(call['resnet']!);
  });

  example('engines.yaml', 'an engine answers through the mesh, each token once', async () => {
    const { call } = await discarded(Mesh.open('mesh-config/engines.yaml')).ready();
    const ask = [join(REPOSITORY, 'dist/services/engine/ask.js'), '--to', call['chat']!, '--tokens', '20'];
    const { stdout } = await run(process.execPath, ask);
    assert.match(stdout, /^20 tokens, each once, as a fake engine makes them$/m);
  });

  /** The sidecar of the example, and one beside a caller of it. */
  interface Pair {
    /** Where the caller's application calls. */
    readonly target: string;
    readonly admins: readonly string[];
  }

  /** One more sidecar, beside a caller, calls the example's with a certificate that was made together with its own. */
  async function answersWeb(place: ScratchDirectory): Promise<Pair> {
    await place.start('outrider sidecar -c mesh-config/sidecar.yaml', LISTENS);
    // It is not ready as a whole: what it calls itself is on machines that are not there.
    const own = '127.0.0.1:8890';
    const state = async () => (await reportOf(own)).model!.state;
    await until('its model is ready', async () => (await state()) === 'ready', 30_000);
    const upstream = '{ listen: "127.0.0.1:0", endpoints: ["127.0.0.1:9443"] }';
    const identity = 'identity: { cert: certs/web.crt, key: certs/web.key, roots: certs/roots.crt }';
    const web = `service: web\nadmin: "127.0.0.1:0"\n${identity}\noutbound: { upstreams: { digits: ${upstream} } }\n`;
    place.scratch.write('mesh-config/web.yaml', web);
    const said = await place.start('outrider sidecar -c mesh-config/web.yaml', LISTENS);
    const addressOf = (listener: string) =>
      new RegExp(`${listener} on (127\\.0\\.0\\.1:\\d+)`).exec(said)![1]!;
    const target = addressOf('upstream digits');
    await infersSeven(target);
    return { target, admins: [own, addressOf('admin')] };
  }

  example('sidecar.yaml', 'answers a peer, after the command that its comment names', async () => {
    const place = scratchDirectory();
    const text = readFileSync(join(place.path, 'mesh-config/sidecar.yaml'), 'utf8');
    const make = /`(outrider certs .*)`/.exec(text)![1]!;
    await place.shell(make);
    await changesAuthority(place, await answersWeb(place), make);
  });

  /** The rounds of CERTIFICATES.md, each at both sidecars before the next one: after each of them the caller is answered. */
  async function changesAuthority(place: ScratchDirectory, pair: Pair, make: string): Promise<void> {
    const page = readFileSync(join(place.path, 'mesh-config/CERTIFICATES.md'), 'utf8');
    const rounds = shellLines(page.slice(page.indexOf('\n## Change the authority')));
    assert.equal(rounds.length, 3);
    await place.shell(`${make}/new`);
    const inFolder = (line: string) => place.shell(`cd mesh-config/certs; ${line}`);
    await inFolder('mkdir old; cp roots.crt old');
    for (const [i, line] of rounds.entries()) {
      const before = await Promise.all(pair.admins.map(rotationsOf));
      await inFolder(line);
      // In this folder lie the files of both.
      if (line.includes('digits')) await inFolder(line.replaceAll('digits', 'web'));
      await until(`round ${i + 1} is taken over`, async () => {
        const now = await Promise.all(pair.admins.map(rotationsOf));
        return now.every((count, at) => count > before[at]!);
      });
      await infersSeven(pair.target);
    }
  }

  async function rotationsOf(address: string): Promise<number> {
    return sumOfSamples((await admin(address, '/metrics')).body, 'outrider_identity_rotations_total');
  }

  it('sidecar.yaml: answers a peer with the certificates that CERTIFICATES.md makes by openssl', async function () {
    const hasOpenssl = await run('openssl', ['version']).catch(() => undefined);
    if (hasOpenssl === undefined) this.skip();
    const place = scratchDirectory();
    const [, block] = readFileSync(join(place.path, 'mesh-config/CERTIFICATES.md'), 'utf8')
      .split(/^```sh$/m)
      .slice(1)
      .map((part) => part.slice(0, part.indexOf('```')).trim());
    await place.shell(block!);
    const again = block!.split('\n').slice(2).join('\n').replaceAll('digits', 'web');
    await place.shell(`cd my-certs\n${again}`);
    symlinkSync('../my-certs', join(place.path, 'mesh-config/certs'));
    await answersWeb(place);
  });

  example('sidecar-on-consul.yaml', 'stands in the catalogue, healthy', async function () {
    await consulOrSkip(this);
    const consul = await ConsulServer.start();
    afterTest(() => consul.stop());
    const env = { CONSUL_HTTP_ADDR: consul.address };
    await scratchDirectory().start('outrider sidecar -c mesh-config/sidecar-on-consul.yaml', LISTENS, env);
    const passing = () => consul.api<unknown[]>('GET', '/health/service/digits?passing=1');
    await until('it passes its checks', async () => (await passing()).length === 1, 40_000);
  });

  it('are all run here', () => {
    const files = readdirSync(join(REPOSITORY, 'mesh-config')).filter((name) => name.endsWith('.yaml'));
    const missing = files.filter((name) => !told.has(name));
    assert.deepEqual(missing, []);
  });
});
