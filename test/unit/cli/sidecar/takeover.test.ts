/** A takeover that cannot be begun: the process goes on, and may be asked again. */
import assert from 'node:assert/strict';
import type { RunningSidecar } from '../../../../sidecar/app/running-sidecar.js';
import type { ParentChannel } from '../../../../sidecar/cli/sidecar/parent-channel.js';
import { readyLimitMs, Takeover, takeoverObstacle } from '../../../../sidecar/cli/sidecar/takeover.js';
import { endRequests } from '../../../../sidecar/cli/signals.js';
import type { SidecarConfig } from '../../../../sidecar/config/model.js';
import { defaultModelProcess } from '../../../../sidecar/config/options/model-process.js';
import { ListenSockets } from '../../../../sidecar/runtime/process/listen-sockets.js';
import { aConfig } from '../../../kit/stack/sidecar-in-memory.js';
import { silentLogger } from '../../../kit/stack/silent-logger.js';
import { anInbound } from '../../../kit/stack/stack.js';

describe('a takeover', () => {
  it('that the system refuses to begin says why, each time it is asked for', async () => {
    const ends = endRequests([]);
    const sidecar = {
      setTakeover: () => {},
      handOver: () => assert.fail('no successor has accepted'),
    } as unknown as RunningSidecar;
    const rest = { sidecar, parent: undefined, logger: silentLogger, config: aConfig(), fileNow: aConfig };
    const takeover = new Takeover({ ...rest, sockets: new ListenSockets(), ends });
    // Longer than an argument may be (MAX_ARG_STRLEN, execve(2)): spawn throws, as it does for want of memory.
    process.argv.push('x'.repeat(200_000));
    try {
      for (let i = 0; i < 2; i++) {
        const answer = await takeover.request();
        assert.deepEqual(answer, { ok: false, why: 'no successor: spawn E2BIG' });
      }
    } finally {
      process.argv.pop();
    }
    assert.equal(takeover.isHandedOver, false);
  });

  it('waits for a successor as long as the file says now, or as it said at the start where it is invalid', async () => {
    const model = { ...defaultModelProcess(), command: ['serve', '{socket}'] };
    const inbound = anInbound({ local: { kind: 'unix', path: '/run/model.sock' } });
    const saying = (startTimeoutMs: number) => aConfig({ inbound, model: { ...model, startTimeoutMs } });
    let now: SidecarConfig | undefined = saying(7_000);
    const limits: number[] = [];
    const parent = {
      ask: (_: object, limitMs: number) => {
        limits.push(limitMs);
        return Promise.resolve({ ok: false, why: 'not now' });
      },
    } as unknown as ParentChannel;
    const sidecar = { setTakeover: () => {} } as unknown as RunningSidecar;
    const takeover = new Takeover({
      ...{ sidecar, parent, sockets: new ListenSockets(), ends: endRequests([]), logger: silentLogger },
      config: saying(7_000),
      fileNow: () => now,
    });
    for (const next of [saying(7_000), saying(600_000), undefined]) {
      now = next;
      await takeover.request();
    }
    assert.deepEqual(
      limits.map((each) => each - limits[0]!),
      [0, 593_000, 0],
    );
  });

  it('is impossible where two models cannot have an address each', () => {
    const model = { ...defaultModelProcess(), command: ['serve', '{socket}'], startTimeoutMs: 7_000 };
    const at = (local: ReturnType<typeof anInbound>['local'], command = model.command) =>
      takeoverObstacle(aConfig({ inbound: anInbound({ local }), model: { ...model, command } }));
    const path = '/run/model.sock';
    assert.equal(takeoverObstacle(aConfig()), undefined);
    assert.equal(at({ kind: 'unix', path }), undefined);
    assert.match(
      at({ kind: 'unix', path }, ['serve', path]) ?? '',
      /says \/run\/model\.sock where \{socket\}/,
    );
    assert.match(at({ kind: 'tcp', host: '127.0.0.1', port: 9 }) ?? '', /where a second one cannot/);
    assert.equal(
      readyLimitMs(aConfig({ inbound: anInbound(), model })) - readyLimitMs(aConfig()),
      model.startTimeoutMs,
    );
  });
});
