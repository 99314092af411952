/** The caller's sidecar of a whole mesh ends in every way while an application calls: `up` holds the socket it listens on. */

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { STOCK_CHANNEL } from '../../../sidecar/cli/chaos/protocol/call.js';
import { digitLoad } from '../../drills/faults/digit-load.js';
import type { Load } from '../../drills/faults/load.js';
import { meshFile } from '../../kit/config/mesh-file.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { admin, reportOf } from '../../kit/process/outrider.js';
import { childrenOf, isRunning, until } from '../../kit/process/processes.js';
import { SuiteMesh } from '../../kit/process/suite-mesh.js';

/** The second successor is that of a successor; by night there is one more. */
const TIMES = EFFORT > 1 ? 3 : 2;

describe('outrider up, when the sidecar of the caller ends', function () {
  this.timeout(90_000);

  // Everything may take long, and all that waited meanwhile may come at once: what is tested is not how fast this machine is.
  const patient = meshFile({ replicas: 1, attemptTimeout: '8s' })
    .replace('replicas: 1 }', 'replicas: 1, queue: { max_waiting: 4096 } }')
    .replace('timeout: 5s', 'timeout: 10s')
    .replace('      routes:', '      pool: { connect_timeout: 10s }\n      routes:');
  const running = new SuiteMesh(patient);
  let load: Load;

  beforeEach(async () => {
    load = await digitLoad({
      target: running.target,
      perSecond: 20,
      deadlineMs: 10_000,
      channel: STOCK_CHANNEL,
    });
  });
  afterEach(() => load?.stop());
  const noneFailed = async (): Promise<void> => {
    await load.stop();
    assert.deepEqual(load.failures, [], `of ${load.sent}`);
  };

  const children = (): number[] => childrenOf(running.mesh.pid).filter(isRunning);
  const callerPid = (): number => running.mesh.pidOf('client');
  const successorOf = (old: number): Promise<number> =>
    until('up has told of a successor', () => callerPid() !== old && isRunning(callerPid()) && callerPid());

  it('on SIGTERM: a successor accepts before it drains, and no call fails', async () => {
    for (let i = 0; i < TIMES; i++) {
      const before = children();
      const old = callerPid();
      process.kill(old, 'SIGTERM');
      await until('it is gone', () => !isRunning(old));
      assert.equal(children().length, before.length);
      await successorOf(old);
    }
    await noneFailed();
    const told = running.mesh.events.filter(({ text }) => String(text).includes('has taken over'));
    assert.equal(told.length, TIMES);
  });

  it('on POST /takeover: the same', async () => {
    const old = callerPid();
    const { status, body } = await admin(running.caller.admin, '/takeover', 'POST');
    assert.equal(status, 200, body);
    assert.match(body, new RegExp(`^process ${await successorOf(old)} accepts`));
    await until('the predecessor is gone', () => !isRunning(old));
    await noneFailed();
  });

  it('of the only replica, on POST /takeover: a model of its own is ready before the first one ends', async () => {
    const replica = running.replicas[0]!;
    const model = async () => (await reportOf(replica.admin)).model!;
    for (let i = 0; i < 2; i++) {
      const { pid } = await model();
      const { status, body } = await admin(replica.admin, '/takeover', 'POST');
      assert.equal(status, 200, body);
      const after = await until('the successor answers', async () => {
        const now = await model();
        return now.pid !== pid && now.state === 'ready' && now;
      });
      assert.ok(isRunning(after.pid!));
      await until('the first model has ended', () => !isRunning(pid!));
    }
    await noneFailed();
    const files = readdirSync(join(running.facts.runDirectory, replica.name));
    const old = files.filter((name) => /sock/.test(name) && !name.startsWith('model.sock.g3'));
    assert.deepEqual(old, []);
  });

  it('on SIGKILL: new calls wait in the backlog, only those in flight fail', async () => {
    await until('calls run', () => load.answered > 20);
    const old = callerPid();
    process.kill(old, 'SIGKILL');
    await successorOf(old);
    const answered = load.answered;
    await until('calls are answered again', () => load.answered > answered + 40);
    await load.stop();
    // From the first failure on the client knows that its connection is gone: all calls on it fail at that moment.
    const ends = load.failures.map(({ endMs }) => endMs);
    const seenMs = Math.min(...ends);
    const late = load.failures.filter(({ startMs }) => startMs > seenMs);
    assert.deepEqual(late, [], `of ${load.sent}`);
    assert.ok(Math.max(...ends) - seenMs < 1_000, ends.join(', '));
  });
});
