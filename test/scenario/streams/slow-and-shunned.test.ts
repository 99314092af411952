/**
 * A replica whose streams begin late gets few of them by least-loaded: too few for a median, and enough to find it out. How long streams last
 * is nothing against it.
 */
import assert from 'node:assert/strict';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { aRoute, aStreamRoute } from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const STREAM = '/llm.Generator/Generate';
const ROUTES = [aRoute({ methods: ['/inference.GRPCInferenceService/*'] }), aStreamRoute()];
const USUAL_MS = 10;

describe('Scenario: streams by least-loaded', () => {
  let pool: DetectorPool;
  const random = seeded(9);

  /** Its streams begin after about so long, and last. */
  const streams = (name: string, firstMs: number, lastsMs: number): void =>
    pool.answers((stream) => {
      stream.begin();
      pool.clock.after(firstMs * (0.7 + 0.6 * random()), () => {
        if (stream.resetCode !== undefined) return;
        stream.data(grpcMessage(Buffer.from(name)));
        pool.clock.after(lastsMs * (0.5 + random()), () => void stream.trailers(0));
      });
    }, name);
  const load = (forMs: number): void => {
    for (let ms = 0; ms < forMs; ms += 20) {
      pool.caller.call({ path: STREAM });
      pool.advance(20);
    }
  };
  const ejections = (): number[] => pool.names.map((name) => pool.endpoint(name).ejection.ejections);
  beforeEach(() => {
    pool = new DetectorPool(['a', 'b', 'c'], { balance: { kind: 'least-loaded' }, routes: ROUTES });
    for (const name of pool.names) streams(name, USUAL_MS, 100);
    load(2_000);
  });
  afterEach(() => pool.advance(20_000));

  it('one that begins fifteen times later is ejected within a minute and a half', () => {
    streams('a', 15 * USUAL_MS, 100);
    load(90_000);
    assert.deepEqual(ejections(), [1, 0, 0]);
    assert.match(pool.endpoint('a').ejection.why, /calls in a row slower than its peers|median latency/);
  });

  it('one whose streams last a hundred times as long is not, and gets calls', () => {
    streams('a', USUAL_MS, 10_000);
    load(60_000);
    assert.deepEqual(ejections(), [0, 0, 0]);
    const before = pool.endpoint('a').attempts;
    load(10_000);
    assert.ok(pool.endpoint('a').attempts > before + 5, `${pool.endpoint('a').attempts - before}`);
  });

  it('one that begins late now and then is not', () => {
    pool.answers((stream) => {
      stream.begin();
      pool.clock.after(random() < 0.2 ? 15 * USUAL_MS : USUAL_MS, () => {
        stream.data(grpcMessage(Buffer.from('a')));
        pool.clock.after(100, () => void stream.trailers(0));
      });
    }, 'a');
    load(60_000);
    assert.deepEqual(ejections(), [0, 0, 0]);
  });
});
