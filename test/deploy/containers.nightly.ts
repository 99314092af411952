/**
 * The container images, built here and run: as Podman runs single containers, and the mesh of
 * mesh-config/deploy/kubernetes/podman as `podman kube play` runs it. In `.ci/nightly`, because building takes half a minute.
 */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Podman } from '../kit/deploy/podman.js';
import { outrider, REPOSITORY, Scratch } from '../kit/process/outrider.js';
import { run } from '../kit/process/packed-package.js';
import { until } from '../kit/process/processes.js';
import { toolOrSkip } from '../kit/process/tools.js';

const SIDECAR = 'localhost/outrider:0.1.0';
const USER = 10_001;
const SEVEN = '@/opt/outrider/node_modules/outrider/services/digits/samples/seven.png';

describe('container images', function () {
  this.timeout(180_000);
  const scratch = new Scratch();
  let podman: Podman | undefined;
  const ask = (...args: string[]) => podman!.run(...args);
  /** Standard output of one that succeeds. */
  const said = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await ask(...args);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  };

  before(async function () {
    await toolOrSkip(this, 'podman');
    this.timeout(180_000);
    podman = Podman.orSkip(this);
    const image = [join(REPOSITORY, 'dist/tools/image/main.js')];
    const { code, stdout, stderr } = await run(process.execPath, image, REPOSITORY, {
      env: podman.env,
      limitMs: 170_000,
    });
    assert.equal(code, 0, stderr);
    process.stderr.write(stdout);
    const [sidecarMb, modelsMb] = [...stdout.matchAll(/([\d.]+) MB compressed/g)].map(([, mb]) => Number(mb));
    assert.ok(sidecarMb! < 90 && modelsMb! < 120, stdout);
  });
  after(async () => {
    await podman?.close();
    scratch.remove();
  });

  it('run as a user of their own, with a root that is not written to', async () => {
    const inside = 'require("fs").writeFileSync("/etc/outrider/x", "")';
    const written = await ask('run', '--rm', '--read-only', '--entrypoint', 'node', SIDECAR, '-e', inside);
    assert.match(written.stderr, /EROFS|EACCES/);
    const user = 'console.log(process.getuid(), process.getgid())';
    assert.equal(
      await said('run', '--rm', '--read-only', '--entrypoint', 'node', SIDECAR, '-e', user),
      `${USER} ${USER}`,
    );
    assert.match(await said('run', '--rm', '--read-only', SIDECAR, '--version'), /^\d+\.\d+\.\d+$/);
  });

  it('have the licence of each program, library and package in them', async () => {
    const look = `
      const fs = require('node:fs');
      const modules = '/opt/outrider/node_modules/';
      const packages = fs.readdirSync(modules).flatMap((name) =>
        name.startsWith('@') ? fs.readdirSync(modules + name).map((each) => name + '/' + each) : [name]);
      // The text of the Apache License lies beside Outrider, which has it too.
      const isApache = (name) => JSON.parse(fs.readFileSync(modules + name + '/package.json')).license === 'Apache-2.0';
      const bare = packages.filter((name) => !isApache(name) && !fs.readdirSync(modules + name).some((file) => /^(licen[cs]e|copying)/i.test(file)));
      console.log(JSON.stringify({ docs: fs.readdirSync('/usr/share/doc'), texts: fs.readdirSync('/usr/share/common-licenses'), bare }));`;
    const run = ['run', '--rm', '--read-only', '--entrypoint', 'node', SIDECAR, '-e', look];
    const { docs, texts, bare } = JSON.parse(await said(...run)) as Record<string, string[]>;
    for (const name of ['libc6', 'coreutils', 'catatonit']) assert.ok(docs!.includes(name), name);
    assert.ok(
      docs!.some((name) => /^node/.test(name)),
      `${docs}`,
    );
    assert.ok(
      texts!.some((name) => name.startsWith('GPL')),
      `${texts}`,
    );
    assert.deepEqual(bare, []);
  });

  it('have an init that collects processes whose parents have ended', async () => {
    const orphan = `
      const { spawn } = require('node:child_process');
      const script = "require('child_process').spawn('node', ['-e', ''], { detached: true }).unref()";
      spawn('node', ['-e', script]).on('exit', () => setInterval(() => {
        const fs = require('fs');
        const states = fs.readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).map((pid) => {
          try { return fs.readFileSync('/proc/' + pid + '/stat', 'utf8'); } catch { return ''; }
        }).filter((stat) => stat !== '');
        if (states.length === 2) { console.log(fs.readFileSync('/proc/1/comm', 'utf8')); process.exit(); }
      }, 50));`;
    const entry = ['--entrypoint', '["/usr/local/bin/init","--","node"]'];
    assert.equal(await said('run', '--rm', '--read-only', ...entry, SIDECAR, '-e', orphan), 'init');
  });

  it('drain and end with 0 on SIGTERM, and answer a health check before', async () => {
    const folder = join(scratch.path, 'config'); // readable by the image's user, as the scratch folder is not
    mkdirSync(folder);
    const file = join(folder, 'sidecar.yaml');
    writeFileSync(
      file,
      'service: web\nobserve: 127.0.0.1:9464\noutbound: { upstreams: { digits: { listen: "127.0.0.1:8800", endpoints: ["127.0.0.1:9"], tls: plaintext } } }\n',
    );
    const mount = `${folder}:/etc/outrider:ro`;
    await said('run', '--detach', '--read-only', '--name', 'web', '--volume', mount, SIDECAR);
    await until('the health check passes', async () => (await ask('healthcheck', 'run', 'web')).code === 0);
    const ready = await ask('exec', 'web', 'outrider', 'probe', 'ready');
    assert.equal(ready.code, 1, ready.stdout);
    await said('stop', '--time', '30', 'web');
    assert.equal(
      await said('inspect', '--format', '{{.State.ExitCode}}', 'web'),
      '0',
      await said('logs', 'web'),
    );
    await said('rm', 'web');
  });

  it('are a mesh by kube play: three pods with models and one that calls, which a lost pod does not stop', async () => {
    const certs = join(scratch.path, 'certs');
    assert.equal((await outrider(['certs', 'digits', 'ask', '--out', certs])).code, 0);
    for (const name of ['digits.crt', 'digits.key', 'ask.crt', 'ask.key', 'roots.crt', ''])
      chownSync(join(certs, name), 0, USER);
    // As a volume with `fsGroup` gives a key: root's, and readable by the group.
    for (const name of ['digits.key', 'ask.key']) chmodSync(join(certs, name), 0o640);
    chmodSync(certs, 0o750);
    const mesh = readFileSync(join(REPOSITORY, 'mesh-config/deploy/kubernetes/podman/mesh.yaml'), 'utf8');
    const file = scratch.write('mesh.yaml', mesh.replaceAll('/etc/outrider-certs', certs));
    await said('network', 'create', 'outrider');
    await said('kube', 'play', '--network', 'outrider', file);
    const ready = (pod: string) => ask('exec', `${pod}-outrider`, 'outrider', 'probe', 'ready');
    for (const pod of ['digits-0', 'digits-1', 'digits-2', 'ask'])
      await until(`${pod} is ready`, async () => (await ready(pod)).code === 0, 60_000);
    const infer = [
      'exec',
      'ask-caller',
      'outrider',
      'infer',
      'digits',
      '--input',
      SEVEN,
      '--target',
      '127.0.0.1:8800',
    ];
    assert.match(await said(...infer), /^7 /);
    await said('pod', 'stop', '--time', '20', 'digits-1');
    for (let i = 0; i < 3; i++) assert.match(await said(...infer), /^7 /);
    const status = await said('exec', 'ask-outrider', 'outrider', 'status', '--admin', '127.0.0.1:8890');
    assert.match(status, /digits-0:9443 +eligible/);
  });
});
