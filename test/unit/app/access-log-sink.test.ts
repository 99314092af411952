import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AccessLogSink } from '../../../sidecar/app/access-log-sink.js';
import { systemClock } from '../../../sidecar/runtime/time/clock.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { Recorders } from '../../../sidecar/telemetry/recorders.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { silentLogger } from '../../kit/stack/silent-logger.js';
import { anUpstream, aRoute, MESSAGE, Stack } from '../../kit/stack/stack.js';

describe('AccessLogSink', () => {
  const scratch = scratchForEach();

  const start = () => {
    const stack = new Stack();
    const recorders = new Recorders(stack.context);
    const deps = { clock: systemClock, timers: systemTimers, logger: silentLogger } as never;
    const names = { service: 'app', instance: 'app-1' };
    const sink = new AccessLogSink(names, { deps, dataPlane: stack.context }, recorders);
    const set = (name: string): void => {
      sink.update({ path: join(scratch.path, name), sampleRatio: 1 });
    };
    set('first');
    const app = stack.app(stack.outbound(anUpstream(['a'], { routes: [aRoute()] })).listener);
    const call = (): void => {
      stack.settle(app.call());
      stack.settle(stack.backend('a').last.reply(MESSAGE));
    };
    return { sink, set, call };
  };
  const lines = (name: string): number =>
    readFileSync(join(scratch.path, name), 'utf8').split('\n').length - 1;

  it('has written each line once it is asked to, also those of a file that a reload has just replaced', async () => {
    const { sink, set, call } = start();
    call();
    set('second');
    call();
    await sink.flush();
    assert.deepEqual([lines('first'), lines('second')], [1, 1]);
    await sink.close();
  });

  it('has written each line when it is closed', async () => {
    const { sink, set, call } = start();
    call();
    set('second');
    call();
    await sink.close();
    assert.deepEqual([lines('first'), lines('second')], [1, 1]);
  });
});
