/** When a sidecar reads its file again, and when it does not. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { RunningSidecar } from '../../../../sidecar/app/running-sidecar.js';
import { watchConfiguration } from '../../../../sidecar/cli/sidecar/reload.js';
import { ReloadRequests } from '../../../../sidecar/cli/sidecar/reload-requests.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { aConfig } from '../../../kit/stack/sidecar-in-memory.js';
import { silentLogger } from '../../../kit/stack/silent-logger.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

const FILE =
  'service: web\noutbound: { upstreams: { digits: { listen: 127.0.0.1:1, tls: plaintext, endpoints: ["127.0.0.1:2"] } } }\n';

describe('a changed sidecar file', () => {
  const scratch = scratchForEach();
  let clock: ManualClock;
  let requests: ReloadRequests;
  let reloads: number;
  let rejected: string[];
  let problem: Error | undefined;
  let isLeaving: boolean;

  beforeEach(() => {
    clock = new ManualClock();
    [reloads, rejected, problem, isLeaving] = [0, [], undefined, false];
    const file = scratch.write('web.yaml', FILE);
    requests = new ReloadRequests(file, clock);
    afterTest(() => requests.close());
    const sidecar = {
      get isLeaving() {
        return isLeaving;
      },
      reload: async () => {
        reloads++;
        if (problem !== undefined) throw problem;
        return { needsRestart: [] };
      },
      reloadRejected: (why: string) => rejected.push(why),
      reopenLogs: () => {},
    } as unknown as RunningSidecar;
    watchConfiguration({
      ...{ file, requests, sidecar, logger: silentLogger, timers: clock, command: [] },
      ...{ parent: undefined, generation: 1, running: aConfig() },
    });
  });

  const ask = async () => {
    requests.hangUp();
    await clock.settle(0);
  };

  it('is read once for each request', async () => {
    await ask();
    await clock.settle(600_000);
    assert.deepEqual([reloads, rejected], [1, []]);
  });

  it('is not read by a sidecar that drains, or that a successor has taken over from', async () => {
    isLeaving = true;
    await ask();
    assert.deepEqual([reloads, rejected], [0, []]);
  });

  it('is tried again while another process has a port that it adds, and reported once', async () => {
    problem = Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE' });
    await ask();
    await clock.settle(2_999);
    assert.deepEqual([reloads, rejected.length], [2, 1]);
    problem = undefined;
    await clock.settle(1);
    assert.deepEqual([reloads, rejected.length], [3, 1]);
    await clock.settle(600_000);
    assert.equal(reloads, 3);
  });

  it('is not tried for ever', async () => {
    problem = Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE' });
    await ask();
    await clock.settle(600_000);
    assert.equal(reloads, 13);
    await ask();
    assert.equal(reloads, 14);
  });

  it('is not tried again for another problem', async () => {
    problem = Object.assign(new Error('listen EACCES'), { code: 'EACCES' });
    await ask();
    await clock.settle(600_000);
    assert.deepEqual([reloads, rejected.length], [1, 1]);
  });

  it('that is invalid is not tried again', async () => {
    writeFileSync(`${scratch.path}/web.yaml`, 'service: 7\n');
    await ask();
    assert.deepEqual([reloads, rejected.length], [0, 1]);
  });
});
