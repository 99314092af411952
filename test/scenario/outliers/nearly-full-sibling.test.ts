/**
 * One detector ejects while another is nearly there too. Once the endpoint is back, all of them begin anew: what was
 * counted before the ejection ejects no endpoint after it (Envoy clears all counters of a host when it is readmitted).
 */
import assert from 'node:assert/strict';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';

/** Shorter than the 10 s that the success ratio looks back. */
const OUT_MS = 3_000;
/** The detectors of ratios look once a second. */
const LOOK_MS = 1_010;

describe('Scenario: a detector that is nearly full when another one ejects', () => {
  let pool: DetectorPool;
  beforeEach(() => {
    pool = new DetectorPool(['a', 'b', 'c'], { ejection: { baseMs: OUT_MS } });
    pool.load(3);
  });
  afterEach(() => pool.close());

  /** `a` fails so many of its calls, and is well again. */
  const fail = (faults: number): void => {
    let left = faults;
    pool.stack.backend('a').answer = (stream) => {
      if (left-- > 0) stream.fail(14);
      else stream.reply(Buffer.from('a'));
    };
    pool.load(3 * faults);
  };
  const comesBack = (): void => {
    pool.stack.advance(OUT_MS);
    pool.load(6);
    assert.equal(pool.report('a').state, 'eligible');
  };

  it('four faults in a row are forgotten, where the success ratio ejected', () => {
    fail(4);
    assert.deepEqual([pool.report('a').state, pool.report('a').consecutiveFaults], ['eligible', 4]);
    pool.stack.advance(LOOK_MS);
    assert.equal(pool.report('a').state, 'ejected');
    assert.match(pool.report('a').why, /^success ratio/);
    comesBack();
    fail(1);
    assert.deepEqual([pool.report('a').state, pool.report('a').consecutiveFaults], ['eligible', 1]);
  });

  it('a success ratio far too low is forgotten, where faults in a row ejected', () => {
    fail(5);
    assert.equal(pool.report('a').state, 'ejected');
    assert.match(pool.report('a').why, /^5 faults in a row/);
    comesBack();
    pool.load(12);
    pool.stack.advance(LOOK_MS);
    const { state, successRatio } = pool.report('a');
    assert.deepEqual([state, successRatio], ['eligible', 1]);
  });

  it('and what comes after it counts as ever', () => {
    fail(5);
    comesBack();
    fail(5);
    assert.equal(pool.report('a').state, 'ejected');
    assert.equal(pool.report('a').ejections, 2);
  });
});
