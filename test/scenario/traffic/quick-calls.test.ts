/**
 * Calls of a millisecond, as small models answer them. What the scheduler of a machine does to one of them is several times as
 * long as it is; the balancer knows, and nothing is ejected for it.
 */
import assert from 'node:assert/strict';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { seeded } from '../../kit/time/seeded-random.js';

const CALL_MS = 1;
/** A process of the same weight on the same core has its turn first: up to a time slice of a machine of few cores. */
const SLICE_MS = 4;
const CALLS = 1_500;
const EVERY_MS = 5;

describe('Scenario: calls of a millisecond', () => {
  let pool: DetectorPool;
  const start = (kind: 'least-loaded' | 'round-robin'): void => {
    pool = new DetectorPool(['a', 'b', 'c'], { balance: { kind } });
    pool.works(pool.names, CALL_MS);
    pool.load(300, EVERY_MS);
  };
  afterEach(() => pool.close());

  /** From now on each call of it takes so long more. */
  const delay = (name: string, moreMs: () => number): void => {
    const reply = (stream: PeerStream) => void stream.reply(Buffer.from(name));
    pool.answers((stream) => void pool.clock.after(CALL_MS + moreMs(), () => reply(stream)), name);
  };

  for (const [kind, most] of [
    ['least-loaded', CALLS / 4],
    ['round-robin', CALLS / 3],
  ] as const)
    it(`one whose core is shared is not ejected (${kind})`, () => {
      start(kind);
      const random = seeded(5);
      delay('a', () => SLICE_MS * (0.5 + random() / 2));
      const { a = 0 } = pool.load(CALLS, EVERY_MS);
      assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
      assert.ok(a > 0 && a <= most, `${a} of ${CALLS}`);
    });

  it('one that takes ten times as long for another reason is ejected', () => {
    start('round-robin');
    delay('a', () => 9);
    pool.load(CALLS / 3, EVERY_MS);
    assert.equal(pool.report('a').state, 'ejected');
    assert.match(pool.report('a').why, /median latency/);
  });
});
