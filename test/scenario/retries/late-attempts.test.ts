/**
 * Twice as many calls as the models can serve, by callers that have time, where one attempt may take much less. An attempt
 * whose time is up is of no use any more: its endpoint knows that beforehand, so that models work for those that wait.
 */
import assert from 'node:assert/strict';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { aSafeRoute, type CallOptions } from '../../kit/stack/stack.js';

const REPLICAS = 3;
/** Each model: one call at once, for so long; what is beyond waits inside it, and a run that has begun is not stopped. */
const RUN_MS = 50;
const CAPACITY_PER_SECOND = (REPLICAS * 1_000) / RUN_MS;
const SECONDS = 3;

class Models {
  runs = 0;
  /** Runs without a waiting caller when they ended. */
  vain = 0;

  constructor(private readonly mesh: Mesh) {
    for (const { model } of mesh.replicas) {
      const inside: PeerStream[] = [];
      let isBusy = false;
      const work = (): void => {
        if (isBusy) return;
        const stream = inside.shift();
        if (stream === undefined) return;
        if (stream.resetCode !== undefined) return work();
        isBusy = true;
        this.mesh.stack.clock.after(RUN_MS, () => {
          isBusy = false;
          this.runs++;
          if (stream.resetCode === undefined) stream.reply(Buffer.from('answer'));
          else this.vain++;
          work();
        });
      };
      model.answer = (stream) => {
        inside.push(stream);
        work();
      };
    }
  }
}

describe('Scenario: attempts whose time is up', () => {
  let mesh: Mesh;
  let models: Models;

  const open = (route: Partial<RouteConfig>): void => {
    mesh = new Mesh({
      routes: [aSafeRoute({ attemptTimeoutMs: 250, ...route })],
      queue: { concurrency: 2, maxWaiting: 128 },
    });
    models = new Models(mesh);
  };
  const overload = (options: CallOptions): void => {
    mesh.load(SECONDS * 1_000, 1_000 / (2 * CAPACITY_PER_SECOND), options);
    mesh.advance(6_000);
  };
  const served = (): number => mesh.sent.filter(({ stream }) => stream.status === 0).length;
  const isWorthwhile = (): void => {
    const share = served() / (SECONDS * CAPACITY_PER_SECOND);
    const found = `${served()} of ${mesh.sent.length} served, ${models.vain} of ${models.runs} runs in vain`;
    assert.ok(share >= 0.9, found);
    assert.ok(models.vain < 0.05 * models.runs, found);
  };

  it('where an attempt may take a twentieth of what the call may', () => {
    open({});
    overload({ timeout: '5S' });
    isWorthwhile();
  });

  it('where requests are so large that they leave before they are complete', () => {
    open({});
    overload({ timeout: '5S', body: Buffer.alloc(80_000) });
    isWorthwhile();
  });

  it('where callers name no deadline', () => {
    open({});
    overload({});
    isWorthwhile();
  });
});
