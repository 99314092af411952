import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { admin, isReady, outrider } from '../../kit/process/outrider.js';
import { isRunning, until } from '../../kit/process/processes.js';
import { SidecarProcess, TINY_MODEL } from '../../kit/process/sidecars.js';

describe('outrider sidecar', function () {
  this.timeout(30_000);

  const scratch = scratchForEach();
  let sidecar: SidecarProcess | undefined;

  beforeEach(() => {
    sidecar = undefined;
  });

  afterEach(async () => {
    sidecar?.child.kill('SIGKILL');
    await sidecar?.exited;
  });

  const inbound = () =>
    `inbound: { listen: "127.0.0.1:0", mtls: off, local: "unix:${join(scratch.path, 'model.sock')}" }`;
  const upstream = (endpoints: string, more = '') =>
    `outbound: { upstreams: { far: { listen: "127.0.0.1:0", tls: plaintext, endpoints: [${endpoints}] } } }\n${more}`;
  const file = (text: string) => scratch.write('sidecar.yaml', `service: tiny\nadmin: 127.0.0.1:0\n${text}`);

  /** Starts one; resolves with its admin address once it listens. */
  async function start(text: string, command: readonly string[] = [], env = {}): Promise<string> {
    const onStart = (started: SidecarProcess): void => {
      sidecar = started;
    };
    return (await SidecarProcess.start(file(text), { model: command, env, onStart })).adminAddress;
  }

  const model = async (): Promise<ModelReport> => (await sidecar!.report()).model!;
  const modelPid = (): Promise<number> => until('the model runs', async () => (await model()).pid);
  const untilReady = (address: string) => until('it is ready', () => isReady(address));
  const signal = (name: NodeJS.Signals) => sidecar!.child.kill(name);
  const endpoints = async () => (await sidecar!.report()).endpoints.map(({ endpoint }) => endpoint);

  it('is live at once, and ready when its model serves', async () => {
    const flag = join(scratch.path, 'serve-now');
    const address = await start(inbound(), [...TINY_MODEL, 'serving-when', flag]);
    assert.equal((await admin(address, '/live')).status, 200);
    await modelPid();
    const notReady = await admin(address, '/ready');
    assert.equal(notReady.status, 503);
    assert.match(notReady.body, /model: starting/);
    writeFileSync(flag, '');
    await untilReady(address);
  });

  it('ends its model and itself on SIGTERM, in good order', async () => {
    const address = await start(inbound(), TINY_MODEL);
    await untilReady(address);
    const { pid } = await model();
    signal('SIGTERM');
    assert.equal(await sidecar!.exited, 0);
    assert.equal(isRunning(pid!), false);
  });

  it('ends at once at the second signal, though its model will not', async () => {
    const address = await start(inbound(), [...TINY_MODEL, 'stubborn']);
    await untilReady(address);
    const { pid } = await model();
    signal('SIGTERM');
    await until('it is draining', async () => (await model()).state === 'stopping');
    signal('SIGTERM');
    assert.equal(await sidecar!.exited, 1);
    await until('the model is gone', () => !isRunning(pid!));
  });

  it('takes its model along when it is killed', async () => {
    await start(inbound(), [...TINY_MODEL, 'stubborn']);
    const pid = await modelPid();
    signal('SIGKILL');
    await until('the model is gone', () => !isRunning(pid!));
  });

  it('ends, and its model with it, when the parent that started it is gone', async () => {
    await start(inbound(), [...TINY_MODEL, 'stubborn'], { OUTRIDER_PARENT_STDIN: '1' });
    const pid = await modelPid();
    sidecar!.child.stdin!.end();
    assert.equal(await sidecar!.exited, 1);
    await until('the model is gone', () => !isRunning(pid!));
  });

  it('says why a model cannot be started, and keeps trying', async () => {
    const address = await start(inbound(), ['/no/such/model']);
    const { body } = await admin(address, '/ready');
    assert.match(body, /model: starting/);
    const { why } = await until('it has tried again', async () => {
      const now = await model();
      return now.restarts > 0 && now;
    });
    assert.match(why, /command not found or not executable: \/no\/such\/model/);
  });

  it('gives up a model that exits at once, and takes it back with a slow retry once it is mended', async () => {
    const mended = join(scratch.path, 'mended');
    const starts = join(scratch.path, 'starts');
    // Long enough for what is said of the given-up model to be read before the next start.
    const restart = 'model: { restart: { base: 1ms, max: 10ms, retry_after: 2s } }';
    const [program, ...args] = TINY_MODEL;
    const script = `echo start >> ${starts}; [ -e ${mended} ] || exit 3; exec "$0" "$@"`;
    const address = await start(`${inbound()}\n${restart}\n`, ['/bin/sh', '-c', script, program!, ...args]);
    const given = await until('it is given up', async () => {
      const now = await model();
      return now.state === 'given-up' && now;
    });
    assert.equal(given.restarts, 4);
    assert.match(
      given.why,
      /^given up after 5 starts in \d\.\d s: exited with code 3; next start in 2\.0 s$/,
    );
    assert.match((await admin(address, '/ready')).body, /model: given up after 5 starts/);
    await until('a slow retry came', async () => (await model()).restarts > 4);
    const logged = sidecar!.output.split('\n').filter((line) => line.includes('"model given-up"'));
    assert.ok(
      logged.length >= 1 && logged.every((line) => line.includes('"level":"error"')),
      sidecar!.output,
    );
    const before = readFileSync(starts, 'utf8').split('\n').length - 1;
    assert.ok(before <= 9, `${before} starts`);
    writeFileSync(mended, '');
    await untilReady(address);
  });

  it('keeps its own environment from the model, but for what its options pass on', async () => {
    const secrets = { CONSUL_HTTP_TOKEN: 'sesame', AWS_SECRET_ACCESS_KEY: 'sesame', HF_HOME: '/hf' };
    const options = 'model: { inherit: ["HF_*"], env: { LEVEL: "3" } }';
    const address = await start(`${inbound()}\n${options}\n`, TINY_MODEL, secrets);
    await untilReady(address);
    const { pid } = await model();
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    assert.ok(environment.includes('HF_HOME=/hf') && environment.includes('LEVEL=3'), environment.join(' '));
    assert.ok(environment.includes(`PATH=${process.env['PATH']}`));
    assert.deepEqual(
      environment.filter((each) => /sesame|^NODE_|^OUTRIDER_PARENT/.test(each)),
      [],
    );
    assert.equal(sidecar!.output.split('"CONSUL_HTTP_TOKEN"').length, 2, 'the names are logged once');
    assert.ok(!sidecar!.output.includes('sesame'));
  });

  it('takes over an endpoint list when the file changes, and on SIGHUP', async () => {
    await start(upstream('"127.0.0.1:1"'));
    assert.deepEqual(await endpoints(), ['127.0.0.1:1']);
    file(upstream('"127.0.0.1:1", "127.0.0.1:2"'));
    await until('two endpoints', async () => (await endpoints()).length === 2);
    const reloads = () => sidecar!.output.split('configuration reloaded').length - 1;
    await until('that is said', () => reloads() > 0);
    const before = reloads();
    signal('SIGHUP');
    await until('the file is read again', () => reloads() > before);
  });

  it('keeps its configuration when the new file is broken, says so and counts it', async () => {
    await start(upstream('"127.0.0.1:1"'));
    file(upstream('"127.0.0.1:1", "127.0.0.1:2"', 'colour: blue\n'));
    signal('SIGHUP');
    const refusals = () => sidecar!.metric('outrider_config_reloads_rejected_total');
    await until('the refusal is counted', async () => (await refusals()) >= 1);
    assert.deepEqual(await endpoints(), ['127.0.0.1:1']);
    signal('SIGTERM');
    assert.equal(await sidecar!.exited, 0);
    assert.match(sidecar!.output, /colour: unknown option/);
    assert.match(sidecar!.output, /the old one stays in force/);
  });

  it('says in one line which address is taken', async () => {
    const address = await start(upstream('"127.0.0.1:1"'));
    const text = `service: tiny\nadmin: ${address}\n${upstream('"127.0.0.1:1"')}`;
    const second = scratch.write('second.yaml', text);
    const { code, stderr } = await outrider(['sidecar', '-c', second]);
    assert.equal(code, 1);
    assert.ok(stderr.startsWith(`outrider: cannot listen on ${address}: already taken`), stderr);
    if (process.platform === 'linux')
      assert.match(stderr, new RegExp(` by process ${sidecar!.pid} \\(.* sidecar.*\\)\n$`));
  });

  it('refuses a model command when nothing says where the model listens', async () => {
    const { code, stderr } = await outrider(['sidecar', '-c', file(upstream('"127.0.0.1:1"')), '--', 'true']);
    assert.equal(code, 1);
    assert.match(stderr, /^outrider: .*a model command needs an inbound block.*\n$/);
  });
});
