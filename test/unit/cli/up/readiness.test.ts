import assert from 'node:assert/strict';
import type { SidecarState } from '../../../../sidecar/cli/up/fleet-state.js';
import type { SidecarSpec } from '../../../../sidecar/cli/up/plan.js';
import { type ReadyWait, startLimitMs, untilReady } from '../../../../sidecar/cli/up/readiness.js';
import { defaultModelProcess } from '../../../../sidecar/config/options/model-process.js';
import type { ModelReport } from '../../../../sidecar/telemetry/reports.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

const report = (state: ModelReport['state'], why = '', restarts = 0) => ({ state, why, restarts });

describe('waiting for a mesh to be ready', () => {
  const scratch = scratchForEach();
  let time: ManualClock;
  let wait: ReadyWait;

  beforeEach(() => {
    time = new ManualClock();
    wait = untilReady(time);
  });

  afterEach(() => {
    wait.cancel();
    assert.equal(time.pending(), 0);
  });

  function state(overrides: Partial<SidecarState>): SidecarState {
    const spec = { name: 'digits-1', role: 'replica', folder: scratch.path } as SidecarSpec;
    return { spec, process: report('ready'), model: report('ready'), models: [], notReady: [], ...overrides };
  }

  it('ends when every sidecar is ready', async () => {
    wait.check([state({}), state({ notReady: ['model: starting'] })]);
    wait.check([state({}), state({})]);
    assert.equal(await wait.done, undefined);
  });

  it('fails with the words of a sidecar that could not start', async () => {
    scratch.write('log', '{"level":"info"}\noutrider: cannot listen on 127.0.0.1:1: not permitted\n');
    wait.check([state({ process: report('backoff', 'exited with code 1; next start in 0.1 s') })]);
    await assert.rejects(wait.done, { message: 'digits-1: cannot listen on 127.0.0.1:1: not permitted' });
  });

  it('fails with how a process ended that said nothing', async () => {
    wait.check([state({ process: report('backoff', 'killed by SIGSEGV; next start in 0.1 s') })]);
    await assert.rejects(wait.done, { message: 'digits-1: killed by SIGSEGV' });
  });

  it('lets a model die twice before it gives up', async () => {
    const exited = (restarts: number) =>
      report('backoff', 'exited with code 3; next start in 0.1 s', restarts);
    for (const model of [exited(1), report('starting', '', 2), exited(2)])
      wait.check([state({ model, notReady: ['x'] })]);
    await assert.rejects(wait.done, { message: 'model of digits-1: exited with code 3' });
  });

  it('fails as soon as a model server says that a model will not become ready', async () => {
    wait.check([state({ model: report('starting'), notReady: ['model: starting'] })]);
    time.advance(2_000);
    const problem = 'digits version 1: NOT READY: golden output differs';
    scratch.write('log', `outrider serve: ${problem}\noutrider serve: serving 0 of 1 models\n`);
    time.advance(500);
    await assert.rejects(wait.done, { message: `model of digits-1: ${problem}` });
  });

  const named = (name: string, state: ModelReport['state'], why = '') => ({ ...report(state, why), name });
  const seatOf = (name: string, service: string, role: SidecarSpec['role'] = 'replica'): SidecarSpec =>
    ({ name, service, role, folder: scratch.path }) as SidecarSpec;

  it('does not wait for a model that will not be served beside one that is', async () => {
    const models = [named('broken', 'failed', 'no model'), named('digits', 'starting')];
    wait.check([state({ model: report('failed'), models, notReady: ['model digits: starting'] })]);
    time.advance(1_000);
    wait.check([state({ models: [models[0]!, named('digits', 'ready')] })]);
    assert.equal(await wait.done, undefined);
  });

  it('does not wait for a service of which nothing can be served, as long as another one serves', async () => {
    const dead = state({
      spec: seatOf('broken-1', 'broken'),
      model: report('failed', 'no model'),
      models: [named('broken', 'failed', 'no model')],
      notReady: ['model: no model'],
    });
    const caller = (notReady: string[]): SidecarState =>
      state({ spec: seatOf('app', 'app', 'caller'), model: undefined, notReady });
    const other = state({ spec: seatOf('digits-1', 'digits') });
    wait.check([dead, { ...other, notReady: ['model: starting'] }, caller([])]);
    wait.check([dead, other, caller(['upstream digits: no endpoint is connected yet'])]);
    let isOver = false;
    void wait.done.then(() => {
      isOver = true;
    });
    await new Promise(setImmediate);
    assert.equal(isOver, false);
    wait.check([dead, other, caller(['upstream broken: no endpoint is connected yet'])]);
    assert.equal(await wait.done, undefined);
  });

  it('fails where nothing of the whole mesh can be served', async () => {
    const models = [named('broken', 'failed', 'no model')];
    wait.check([state({ model: report('failed', 'no model'), models, notReady: ['model: no model'] })]);
    await assert.rejects(wait.done, { message: 'model of digits-1: no model' });
  });

  it('shows what a model wrote at last, escaped, and where its log is kept', async () => {
    const own = JSON.stringify({ level: 'warn', service: 'chat', instance: 'chat-1', msg: 'model backoff' });
    const lines = Array.from({ length: 30 }, (_, i) => `line ${i}`);
    scratch.write('log', [...lines, own, 'CUDA \u001b[31mout of memory\u009b', own, ''].join('\n'));
    const kept: string[] = [];
    wait.cancel();
    wait = untilReady(time, {
      keepLog: ({ name }) => {
        kept.push(name);
        return '/kept/chat-1.log';
      },
    });
    const spec = { name: 'chat-1', service: 'chat', role: 'replica', folder: scratch.path } as SidecarSpec;
    wait.check([
      state({
        spec,
        model: report('backoff', 'exited with code 1; next start in 0.1 s', 2),
        notReady: ['x'],
      }),
    ]);
    const shown = [...lines.slice(-19), 'CUDA \\u001b[31mout of memory\\u009b'].map((line) => `  ${line}`);
    const message = [
      'model of chat-1: exited with code 1',
      'the last lines that chat-1 wrote:',
      ...shown,
      'the log of chat-1: /kept/chat-1.log',
    ].join('\n');
    await assert.rejects(wait.done, { message });
    assert.deepEqual(kept, ['chat-1']);
  });

  it('names start_timeout where a model takes longer to start', async () => {
    scratch.write('log', 'loading weights\n');
    const why = 'not ready within 5 s (no answer), so it was killed; next start in 0.2 s';
    wait.check([state({ model: report('backoff', why, 2), notReady: ['x'] })]);
    await assert.rejects(wait.done, ({ message }: Error) => {
      assert.match(
        message,
        /^model of digits-1: not ready within 5 s .*`start_timeout` is how long it may take\n/,
      );
      assert.match(message, /\n {2}loading weights\n.*the log of digits-1: .*log$/s);
      return true;
    });
  });

  it('waits as long as start_timeout of the slowest model says, and 90 s at least', async () => {
    const specOf = (startTimeoutMs: number): SidecarSpec => {
      const model = { ...defaultModelProcess(), command: ['serve'], startTimeoutMs };
      return { config: { inbound: {}, model } } as unknown as SidecarSpec;
    };
    assert.equal(startLimitMs([specOf(1_000)]), 90_000);
    assert.equal(startLimitMs([specOf(1_000), specOf(600_000)]), 630_000);
    wait.cancel();
    wait = untilReady(time, { limitMs: 630_000 });
    wait.check([state({ notReady: ['model: starting'] })]);
    let isOver = false;
    void wait.done.catch(() => {
      isOver = true;
    });
    await time.settle(629_000);
    assert.equal(isOver, false);
    await time.settle(1_000);
    await assert.rejects(wait.done, /^CommandFailure: not ready within 630 s: digits-1/);
  });

  it('gives up after a minute and a half, and says which sidecar was waited for and why', async () => {
    const silent = state({ notReady: undefined, model: undefined });
    wait.check([state({}), state({ notReady: ['model: starting'] }), silent]);
    time.advance(90_000);
    const message = 'not ready within 90 s: digits-1 (model: starting), digits-1';
    await assert.rejects(wait.done, { message });
  });
});
