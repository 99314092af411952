/** The connection to a model server. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { ModelHost } from '../../../sidecar/app/model-host.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { anAppContext } from '../../kit/stack/app-context.js';
import { Backend, Stack } from '../../kit/stack/stack.js';

describe('ModelHost', () => {
  const scratch = scratchForEach();
  let stack: Stack;
  let host: ModelHost;
  let path: string;

  beforeEach(() => {
    mkdirSync(`${scratch.path}/run`);
    path = scratch.write('run/model.sock', '');
    stack = new Stack();
    stack.net.declare(`unix:${path}`, new Backend('model'));
    host = new ModelHost({ address: { kind: 'unix', path }, models: [] }, anAppContext(stack), {
      hasOthers: false,
    });
    host.attach([]);
  });

  /** System timers that fire within `ms`. */
  function firedWithin(ms: number): number {
    const untilMs = stack.clock.now() + ms;
    let fired = 0;
    while (stack.clock.step(untilMs)) fired++;
    return fired;
  }

  it('looks at a socket that is not trusted once a second, however long that lasts', () => {
    chmodSync(dirname(path), 0o777);
    host.start();
    assert.match(host.pool.problem, /every user can write into its directory/);
    firedWithin(10_000);
    const first = firedWithin(10_000);
    stack.clock.advance(600_000);
    assert.equal(stack.clock.pending(), 1);
    const last = firedWithin(10_000);
    assert.ok(last >= 10 && last <= first + 10, `${first} timers in 10 s, then ${last}`);
    host.stop();
    assert.equal(stack.context.wheel.size, 0);
  });

  it('connects once to a socket that has become trusted, within a second', () => {
    chmodSync(dirname(path), 0o777);
    host.start();
    stack.advance(10_500);
    chmodSync(dirname(path), 0o700);
    stack.advance(1_010);
    assert.deepEqual([host.pool.isConnected, stack.net.dialled], [true, 1]);
    stack.advance(60_000);
    assert.deepEqual([host.pool.isConnected, stack.net.dialled], [true, 1]);
    host.stop();
  });
});
