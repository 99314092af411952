import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { admin, OUTRIDER, type Outcome, outcomeOf, outrider, Scratch } from '../../kit/process/outrider.js';
import { isRunning, until } from '../../kit/process/processes.js';

const MODEL = fileURLToPath(
  new URL(
    `../../kit/service/tiny-model-process.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`,
    import.meta.url,
  ),
);

describe('outrider sidecar', function () {
  this.timeout(30_000);

  let scratch: Scratch;
  let child: ChildProcess | undefined;
  let outcome: Promise<Outcome>;
  let stdout: string;
  let stderr: string;

  beforeEach(() => {
    scratch = new Scratch();
    stdout = '';
    stderr = '';
  });

  afterEach(async () => {
    child?.kill('SIGKILL');
    await outcome;
    child = undefined;
    scratch.remove();
  });

  const inbound = () =>
    `inbound: { listen: "127.0.0.1:0", mtls: off, local: "unix:${join(scratch.path, 'model.sock')}" }`;
  const upstream = (endpoints: string, more = '') =>
    `outbound: { upstreams: { far: { listen: "127.0.0.1:0", tls: plaintext, endpoints: [${endpoints}] } } }\n${more}`;
  const file = (text: string) => scratch.write('sidecar.yaml', `service: tiny\nadmin: 127.0.0.1:0\n${text}`);

  /** Starts one; resolves with its admin address once it listens. */
  async function start(
    text: string,
    command: readonly string[] = [],
    env: Record<string, string> = {},
  ): Promise<string> {
    const args = ['sidecar', '-c', file(text), ...(command.length > 0 ? ['--', ...command] : [])];
    const [program, ...rest] = [...OUTRIDER, ...args];
    child = spawn(program!, rest, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdout!.on('data', (part: Buffer) => {
      stdout += part;
    });
    child.stderr!.on('data', (part: Buffer) => {
      stderr += part;
    });
    outcome = outcomeOf(child);
    return until('it says where it listens', () => /admin(?: on |":")(127\.0\.0\.1:\d+)/.exec(stdout)?.[1]);
  }

  const model = (...args: string[]) => [process.execPath, ...process.execArgv, MODEL, ...args];
  const report = async (address: string) => JSON.parse((await admin(address, '/endpoints')).body);
  const readyStatus = async (address: string) => (await admin(address, '/ready')).status;
  const endpoints = async (address: string): Promise<string[]> =>
    (await report(address)).endpoints.map((row: { endpoint: string }) => row.endpoint);

  it('is live at once, and ready when its model serves', async () => {
    const flag = join(scratch.path, 'serve-now');
    const address = await start(inbound(), model('serving-when', flag));
    assert.equal((await admin(address, '/live')).status, 200);
    await until('the model runs', async () => (await report(address)).model.pid);
    const notReady = await admin(address, '/ready');
    assert.equal(notReady.status, 503);
    assert.match(notReady.body, /model: starting/);
    writeFileSync(flag, '');
    await until('it is ready', async () => (await readyStatus(address)) === 200);
  });

  it('ends its model and itself on SIGTERM, in good order', async () => {
    const address = await start(inbound(), model());
    await until('it is ready', async () => (await readyStatus(address)) === 200);
    const { pid } = (await report(address)).model;
    child!.kill('SIGTERM');
    assert.equal((await outcome).code, 0);
    assert.equal(isRunning(pid), false);
  });

  it('ends at once at the second signal, though its model will not', async () => {
    const address = await start(inbound(), model('stubborn'));
    await until('it is ready', async () => (await readyStatus(address)) === 200);
    const { pid } = (await report(address)).model;
    child!.kill('SIGTERM');
    await until('it is draining', async () => (await report(address)).model.state === 'stopping');
    child!.kill('SIGTERM');
    assert.equal((await outcome).code, 1);
    await until('the model is gone', () => !isRunning(pid));
  });

  it('takes its model along when it is killed', async () => {
    const address = await start(inbound(), model('stubborn'));
    const pid = await until('the model runs', async () => (await report(address)).model.pid as number);
    child!.kill('SIGKILL');
    await until('the model is gone', () => !isRunning(pid));
  });

  it('ends, and its model with it, when the parent that started it is gone', async () => {
    const address = await start(inbound(), model('stubborn'), { OUTRIDER_PARENT_STDIN: '1' });
    const pid = await until('the model runs', async () => (await report(address)).model.pid as number);
    child!.stdin!.end();
    assert.equal((await outcome).code, 1);
    await until('the model is gone', () => !isRunning(pid));
  });

  it('says why a model cannot be started, and keeps trying', async () => {
    const address = await start(inbound(), ['/no/such/model']);
    const { body } = await admin(address, '/ready');
    assert.match(body, /model: starting/);
    const { model } = await until('it has tried again', async () => {
      const now = await report(address);
      return now.model.restarts > 0 && now;
    });
    assert.match(model.why, /command not found or not executable: \/no\/such\/model/);
  });

  it('gives up a model that exits at once, and takes it back with a slow retry once it is mended', async () => {
    const mended = join(scratch.path, 'mended');
    const starts = join(scratch.path, 'starts');
    const restart = 'model: { restart: { base: 1ms, max: 10ms, retry_after: 1s } }';
    const [program, ...args] = model();
    const script = `echo start >> ${starts}; [ -e ${mended} ] || exit 3; exec "$0" "$@"`;
    const address = await start(`${inbound()}\n${restart}\n`, ['/bin/sh', '-c', script, program!, ...args]);
    const given = await until('it is given up', async () => {
      const now = await report(address);
      return now.model.state === 'given-up' && now.model;
    });
    assert.equal(given.restarts, 4);
    assert.match(
      given.why,
      /^given up after 5 starts in \d\.\d s: exited with code 3; next start in 1\.0 s$/,
    );
    assert.match((await admin(address, '/ready')).body, /model: given up after 5 starts/);
    await until('a slow retry came', async () => (await report(address)).model.restarts > 5);
    const logged = stderr.split('\n').filter((line) => line.includes('"model given-up"'));
    assert.ok(logged.length >= 1 && logged.every((line) => line.includes('"level":"error"')), stderr);
    const before = readFileSync(starts, 'utf8').split('\n').length - 1;
    assert.ok(before <= 9, `${before} starts`);
    writeFileSync(mended, '');
    await until('it is ready', async () => (await readyStatus(address)) === 200);
  });

  it('keeps its own environment from the model, but for what its options pass on', async () => {
    const secrets = { CONSUL_HTTP_TOKEN: 'sesame', AWS_SECRET_ACCESS_KEY: 'sesame', HF_HOME: '/hf' };
    const options = 'model: { inherit: ["HF_*"], env: { LEVEL: "3" } }';
    const address = await start(`${inbound()}\n${options}\n`, model(), secrets);
    await until('it is ready', async () => (await readyStatus(address)) === 200);
    const { pid } = (await report(address)).model;
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    assert.ok(environment.includes('HF_HOME=/hf') && environment.includes('LEVEL=3'), environment.join(' '));
    assert.ok(environment.includes(`PATH=${process.env['PATH']}`));
    assert.deepEqual(
      environment.filter((each) => /sesame|^NODE_|^OUTRIDER_PARENT/.test(each)),
      [],
    );
    assert.equal(stderr.split('"CONSUL_HTTP_TOKEN"').length, 2, 'the names are logged once');
    assert.ok(!stderr.includes('sesame'));
  });

  it('takes over an endpoint list when the file changes, and on SIGHUP', async () => {
    const address = await start(upstream('"127.0.0.1:1"'));
    assert.deepEqual(await endpoints(address), ['127.0.0.1:1']);
    file(upstream('"127.0.0.1:1", "127.0.0.1:2"'));
    await until('two endpoints', async () => (await endpoints(address)).length === 2);
    child!.kill('SIGHUP');
    await until('the file is read again', () => stderr.split('configuration reloaded').length === 3);
  });

  it('keeps its configuration when the new file is broken, says so and counts it', async () => {
    const address = await start(upstream('"127.0.0.1:1"'));
    file(upstream('"127.0.0.1:1", "127.0.0.1:2"', 'colour: blue\n'));
    child!.kill('SIGHUP');
    const refused = () =>
      admin(address, '/metrics').then(({ body }) =>
        /^outrider_config_reloads_rejected_total [1-9]/m.test(body),
      );
    await until('the refusal is counted', refused);
    assert.deepEqual(await endpoints(address), ['127.0.0.1:1']);
    child!.kill('SIGTERM');
    const { code } = await outcome;
    assert.equal(code, 0);
    assert.match(stderr, /colour: unknown option/);
    assert.match(stderr, /the old one stays in force/);
  });

  it('says in one line which address is taken', async () => {
    const address = await start(upstream('"127.0.0.1:1"'));
    const second = scratch.write(
      'second.yaml',
      `service: tiny\nadmin: ${address}\n${upstream('"127.0.0.1:1"')}`,
    );
    const { code, stderr } = await outrider(['sidecar', '-c', second]);
    assert.equal(code, 1);
    assert.ok(stderr.startsWith(`outrider: cannot listen on ${address}: already taken`), stderr);
    if (process.platform === 'linux')
      assert.match(stderr, new RegExp(` by process ${child!.pid} \\(.* sidecar.*\\)\n$`));
  });

  it('refuses a model command when nothing says where the model listens', async () => {
    const { code, stderr } = await outrider(['sidecar', '-c', file(upstream('"127.0.0.1:1"')), '--', 'true']);
    assert.equal(code, 1);
    assert.match(stderr, /^outrider: .*a model command needs an inbound block.*\n$/);
    outcome = Promise.resolve({ code, signal: null, stdout: '', stderr });
  });
});
