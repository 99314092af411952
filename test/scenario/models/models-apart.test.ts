/** A slow model and a quick one that are not at the same replicas: none is ejected for the work that it was given. */
import assert from 'node:assert/strict';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { addressOf, aSafeRoute, type UpstreamOptions } from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const DETECTORS = { latency: { mode: 'enforce', factor: 3, minCalls: 20 } };
/** What a run takes, ms. */
const RUN_MS = { slow: 20, quick: 2 };
type Model = keyof typeof RUN_MS;
/** By their hash one is at `a` and the other at `b`. */
const NAMES = { slow: 'slowA', quick: 'fastA' };

interface Replicas {
  readonly upstream: UpstreamOptions;
  /** How many times as long as `RUN_MS` the runs of replica `b` take. */
  readonly slowBy?: number;
}

/** Two replicas, each of which runs one call after the other. */
class OneAtATime extends UpstreamStack {
  /** Answered calls by replica and model. */
  readonly answered = { a: { slow: 0, quick: 0 }, b: { slow: 0, quick: 0 } };
  private readonly chance = seeded(7);
  /** How many times as long as `RUN_MS` the runs of replica `b` take. */
  slowBy: number;

  constructor({ upstream, slowBy = 1 }: Replicas) {
    const ejection = { detectors: DETECTORS } as never;
    super(['a', 'b'], {
      ejection,
      routes: [aSafeRoute({ timeoutMs: 60_000, attemptTimeoutMs: 30_000 })],
      ...upstream,
    });
    this.slowBy = slowBy;
    for (const name of ['a', 'b'] as const) {
      let freeMs = 0;
      this.answers((stream) => {
        const model: Model = stream.body.includes('slow') ? 'slow' : 'quick';
        const runMs = RUN_MS[model] * (name === 'b' ? this.slowBy : 1) * (0.8 + 0.4 * this.chance());
        freeMs = Math.max(freeMs, this.clock.now()) + runMs;
        this.clock.after(freeMs - this.clock.now(), () => {
          this.answered[name][model]++;
          stream.reply(Buffer.from(name));
        });
      }, name);
    }
  }

  /** So many callers of each model for so long; each calls again up to `thinkMs` after an answer. */
  callers(counts: Readonly<Record<Model, number>>, forMs: number, thinkMs = 5): void {
    const models = (['slow', 'quick'] as const).flatMap((model) => Array<Model>(counts[model]).fill(model));
    const callers = models.map((model) => ({ model, call: null as PeerStream | null, nextMs: 0 }));
    for (let ms = 0; ms < forMs; ms++, this.advance(1))
      for (const each of callers) {
        if (each.call?.isOver === true) {
          each.call = null;
          each.nextMs = ms + thinkMs * this.chance();
        }
        if (each.call === null && ms >= each.nextMs)
          each.call = this.caller.call({
            body: grpcMessage(new MessageWriter().text(1, NAMES[each.model]).finish()),
          });
      }
    this.advance(1_000);
    this.assertIdle();
  }

  get ejections(): number[] {
    return ['a', 'b'].map((name) => this.endpoint(name).ejection.ejections);
  }
}

/** The part of the calls of `during` that `b` answered. */
function shareOfB({ answered: { a, b } }: OneAtATime, during: () => void): number {
  const counts = () => [a.slow + a.quick, b.slow + b.quick] as const;
  const [fromA, fromB] = counts();
  during();
  const [toA, toB] = counts();
  return (toB - fromB) / (toA - fromA + toB - fromB);
}

const having = (models: Readonly<Record<string, readonly string[]>>): UpstreamOptions => ({
  endpoints: Object.entries(models).map(([id, those]) => ({
    address: addressOf(id),
    weight: 1,
    id,
    models: those,
  })),
});
const BY_MODEL: UpstreamOptions = { balance: { kind: 'ring-hash', hashOn: { model: true } } };

describe('Scenario: a slow model at one replica, a quick one at the other', () => {
  it('by the hash of the model: calls that the full replica passes on wait for the slow model, and that ejects none', () => {
    const stack = new OneAtATime({ upstream: BY_MODEL });
    stack.callers({ slow: 2, quick: 8 }, 4_000);
    const { a, b } = stack.answered;
    const home = a.slow > b.slow ? a : b;
    assert.ok(
      home.slow > 20 && home.quick > 100 && Math.min(a.quick, b.quick) > 100,
      JSON.stringify({ a, b }),
    );
    assert.deepEqual(stack.ejections, [0, 0]);
  });

  it('by the hash of the model: a replica that becomes slow keeps few calls under load, and few models by foresight', () => {
    const busy = new OneAtATime({ upstream: BY_MODEL });
    busy.callers({ slow: 2, quick: 8 }, 2_000);
    busy.slowBy = 10;
    assert.ok(
      shareOfB(busy, () => busy.callers({ slow: 2, quick: 8 }, 4_000)) < 0.2,
      'it is full, and passes calls on',
    );

    const foresight = { mode: 'enforce' } as const;
    const idle = new OneAtATime({ upstream: { ...BY_MODEL, foresight } });
    const load = (forMs: number) => shareOfB(idle, () => idle.callers({ slow: 1, quick: 1 }, forMs, 100));
    assert.ok(load(40_000) > 0.4, 'it is the home of a model, and never full');
    assert.equal(idle.endpoint('b').weightFactor, 1, 'work of different models is no suspicion');
    idle.slowBy = 10;
    load(25_000);
    assert.ok(load(10_000) < 0.25);
    assert.deepEqual(
      [busy.ejections, idle.ejections],
      [
        [0, 0],
        [0, 0],
      ],
    );
  });

  it('where one replica has both: it is slower at the quick one, and not ejected', () => {
    const stack = new OneAtATime({
      upstream: {
        ...having({ a: [NAMES.slow, NAMES.quick], b: [NAMES.quick] }),
        balance: { kind: 'round-robin' },
      },
    });
    stack.callers({ slow: 2, quick: 4 }, 4_000);
    assert.ok(stack.answered.a.quick > 100 && stack.answered.b.slow === 0, JSON.stringify(stack.answered));
    assert.deepEqual(stack.ejections, [0, 0]);
  });

  it('nor where a run of the slow one holds up many calls of the quick one', () => {
    const stack = new OneAtATime({
      upstream: {
        ...having({ a: [NAMES.slow, NAMES.quick], b: [NAMES.quick] }),
        balance: { kind: 'round-robin' },
      },
    });
    stack.callers({ slow: 1, quick: 8 }, 4_000);
    assert.deepEqual(stack.ejections, [0, 0]);
  });

  it('a replica that is slow at both beside one that does the same work is ejected', () => {
    const stack = new OneAtATime({ upstream: { balance: { kind: 'round-robin' } }, slowBy: 6 });
    stack.callers({ slow: 2, quick: 4 }, 4_000);
    assert.deepEqual(stack.ejections, [0, 1]);
  });

  it('latencies from before a change to the hash of the model eject none after it', () => {
    for (const isChanged of [false, true]) {
      const stack = new UpstreamStack(['a', 'b'], {
        ejection: { detectors: DETECTORS } as never,
        balance: { kind: 'round-robin' },
      });
      stack.works('a', 5);
      stack.works('b', 50);
      stack.load(60);
      assert.equal(stack.endpoint('b').ejection.ejections, 0, 'no sweep yet');
      if (isChanged) stack.update({ ejection: { detectors: DETECTORS } as never, ...BY_MODEL });
      stack.advance(3_000);
      assert.equal(stack.endpoint('b').ejection.ejections, isChanged ? 0 : 1);
    }
  });
});
