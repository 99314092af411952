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
import { admin, Mesh, OUTRIDER, outrider, REPOSITORY, Scratch } from '../kit/process/outrider.js';
import { until } from '../kit/process/processes.js';
import { ScratchDirectory } from '../kit/process/scratch-directory.js';

const run = promisify(execFile);
/** What a sidecar says once it listens. */
const LISTENS = /^outrider \S+ \S+: .* on /m;
const SEVEN = join(REPOSITORY, 'services/digits/samples/seven.png');

async function infersSeven(target: string): Promise<void> {
  const { stdout, stderr } = await outrider(['infer', 'digits', '--input', `@${SEVEN}`, '--target', target]);
  assert.match(stdout, /^7 /, stderr);
}

const servesModel = (address: string) => async (): Promise<boolean> => {
  const { model } = JSON.parse((await admin(address, '/endpoints')).body);
  return model.state === 'ready';
};

describe('the example files, as written', function () {
  this.timeout(120_000);

  const told = new Set<string>();
  const example = (name: string, what: string, test: (this: Mocha.Context) => Promise<void>): void => {
    told.add(name);
    it(`${name}: ${what}`, test);
  };

  example('demo.yaml', 'the mesh answers', async () => {
    const mesh = Mesh.open('mesh-config/demo.yaml');
    try {
      const { call } = await mesh.ready();
      assert.deepEqual(call, { digits: '127.0.0.1:8800', 'digits-lite': '127.0.0.1:8801' });
      for (const target of Object.values(call)) await infersSeven(target);
    } finally {
      await mesh.discard();
    }
  });

  it('demo.yaml: is what `outrider up` runs where there is no clone', async () => {
    const mesh = Mesh.elsewhere();
    afterTest(() => mesh.discard());
    await infersSeven((await mesh.ready()).call['digits']!);
  });

  example('resilient.yaml', 'the mesh answers, and all its replicas pass their checks soon', async () => {
    const mesh = Mesh.open('mesh-config/resilient.yaml');
    try {
      const { call, admin: pages } = await mesh.ready();
      await infersSeven(call['digits']!);
      await until('every endpoint is eligible', async () => {
        const { endpoints } = JSON.parse((await admin(pages, '/endpoints')).body);
        return endpoints.every(({ state }: { state: string }) => state === 'eligible');
      });
    } finally {
      await mesh.discard();
    }
  });

  example('consul.yaml', 'the mesh answers on an agent of its own', async function () {
    await consulOrSkip(this);
    const mesh = Mesh.open('mesh-config/consul.yaml', ['--consul', 'dev']);
    try {
      const { call } = await mesh.ready();
      await until(
        'it answers',
        () =>
          infersSeven(call['digits']!).then(
            () => true,
            () => false,
          ),
        20_000,
      );
    } finally {
      await mesh.discard();
    }
  });

  example('foreign-server.yaml', 'the mesh answers around servers that are called tritonserver', async () => {
    const scratch = new Scratch();
    const models = join(REPOSITORY, 'services/digits/models');
    const serve = `exec ${OUTRIDER.join(' ')} serve --models ${models} --listen "127.0.0.1:$port"`;
    const script = `#!/bin/sh\nfor a; do case $a in --grpc-port=*) port=\${a#*=};; esac; done\n${serve}\n`;
    chmodSync(scratch.write('tritonserver', script), 0o755);
    const mesh = Mesh.open('mesh-config/foreign-server.yaml', [], {
      PATH: `${scratch.path}:${process.env['PATH']}`,
    });
    try {
      const { call, sidecars } = await mesh.ready();
      assert.equal(sidecars.filter(({ role }) => role === 'replica').length, 2);
      await infersSeven(call['resnet']!);
    } finally {
      await mesh.discard();
      scratch.remove();
    }
  });

  /** One more sidecar, beside a caller, calls the example's with a certificate that was made together with its own. */
  async function answersWeb(place: ScratchDirectory): Promise<void> {
    await place.start('outrider sidecar -c mesh-config/sidecar.yaml', LISTENS);
    // It is not ready as a whole: what it calls itself is on machines that are not there.
    await until('its model is ready', servesModel('127.0.0.1:8890'), 30_000);
    const upstream = '{ listen: "127.0.0.1:0", endpoints: ["127.0.0.1:9443"] }';
    const identity = 'identity: { cert: certs/web.crt, key: certs/web.key, roots: certs/roots.crt }';
    const web = `service: web\n${identity}\noutbound: { upstreams: { digits: ${upstream} } }\n`;
    place.scratch.write('mesh-config/web.yaml', web);
    const said = await place.start('outrider sidecar -c mesh-config/web.yaml', LISTENS);
    await infersSeven(/127\.0\.0\.1:\d+/.exec(said)![0]);
  }

  example('sidecar.yaml', 'answers a peer, after the command that its comment names', async () => {
    const place = new ScratchDirectory();
    try {
      const text = readFileSync(join(place.path, 'mesh-config/sidecar.yaml'), 'utf8');
      await place.shell(/`(outrider certs .*)`/.exec(text)![1]!);
      await answersWeb(place);
    } finally {
      await place.close();
    }
  });

  it('sidecar.yaml: answers a peer with the certificates that CERTIFICATES.md makes by openssl', async function () {
    const hasOpenssl = await run('openssl', ['version']).catch(() => undefined);
    if (hasOpenssl === undefined) this.skip();
    const place = new ScratchDirectory();
    afterTest(() => place.close());
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
    const place = new ScratchDirectory();
    try {
      await place.start('outrider sidecar -c mesh-config/sidecar-on-consul.yaml', LISTENS, {
        CONSUL_HTTP_ADDR: consul.address,
      });
      const found = async () =>
        (await consul.api<unknown[]>('GET', '/health/service/digits?passing=1')).length === 1;
      await until('it passes its checks', found, 40_000);
    } finally {
      await place.close();
      await consul.stop();
    }
  });

  it('are all run here', () => {
    const files = readdirSync(join(REPOSITORY, 'mesh-config')).filter((name) => name.endsWith('.yaml'));
    assert.deepEqual(
      files.filter((name) => !told.has(name)),
      [],
    );
  });
});
