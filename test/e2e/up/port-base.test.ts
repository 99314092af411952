/** `port_base` of a service changes while an application calls it: its replicas move one after the other, and no call fails. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { STOCK_CHANNEL } from '../../../sidecar/cli/chaos/protocol/call.js';
import { digitLoad } from '../../drills/faults/digit-load.js';
import { meshFile } from '../../kit/config/mesh-file.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { freePort } from '../../kit/process/free-port.js';
import { Mesh, reportOf } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';

describe('outrider up, when the ports of a service change', function () {
  this.timeout(120_000);

  it('tells callers of each replica before the next one moves, and no call fails', async () => {
    // Two for each replica, and two more for the move.
    const base = await freePort(6);
    const text = (port: number): string =>
      meshFile({ replicas: 2, attemptTimeout: '4s' }).replace(
        'replicas: 2',
        `replicas: 2, port_base: ${port}`,
      );
    const mesh = Mesh.start(text(base));
    afterTest(() => mesh.discard());
    const facts = await mesh.ready();
    const target = facts.call['digits']!;
    const load = await digitLoad({ target, perSecond: 20, deadlineMs: 8_000, channel: STOCK_CHANNEL });
    afterTest(() => load.stop());
    // By one replica: the first gets the port that the second one has.
    writeFileSync(join(mesh.temporary, 'mesh.yaml'), text(base + 2));
    const taken = await until(
      'it is done',
      () => mesh.events.find(({ event }) => event === 'mesh-taken'),
      60_000,
    );
    const addresses = (await reportOf(facts.admin)).endpoints.map(({ address }) => address).sort();
    await load.stop();
    assert.deepEqual(load.failures, [], `of ${load.sent}; ${JSON.stringify(taken['changed'])}`);
    assert.deepEqual(addresses, [base + 2, base + 4].map((port) => `127.0.0.1:${port}`).sort());
  });
});
