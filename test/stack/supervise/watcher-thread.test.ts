import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { join } from 'node:path';
import { startWatcher } from '../../../services/model-server/runs/watcher.js';
import { systemClock } from '../../../sidecar/runtime/time/clock.js';
import { WatcherClient } from '../../../sidecar/supervise/watcher-client.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import { until } from '../../kit/process/processes.js';

describe('client of a watcher thread, on a real one', () => {
  it('hears what the watcher thread of the model service says while its main thread is blocked', async () => {
    const path = join(scratchForTest().path, 's.w');
    const log = await startWatcher(`unix:${path}`, (problem) => assert.fail(problem));
    const client = new WatcherClient(path, systemClock);
    afterTest(() => client.close());
    await until('it listens', () => isListening(path));
    client.open();
    await until('it is heard', () => client.signs(false) !== null);
    assert.equal(client.signs(false)!.runningForMs, -1);
    assert.ok(client.thread > 0 && client.thread !== process.pid);
    log.begin(2_000);
    const blockedUntilMs = performance.now() + 1_500;
    while (performance.now() < blockedUntilMs);
    await until('the run is told', () => client.signs(false)!.runningForMs > 1_000);
    const { phi, deadlineInMs, runs } = client.signs(false)!;
    assert.ok(phi < 1 && deadlineInMs < 1_000 && runs === 0, JSON.stringify(client.signs(false)));
    log.end();
    await until('its end is told', () => client.signs(false)!.runs === 1);
    assert.equal(client.signs(false)!.runningForMs, -1);
  });
});

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}
