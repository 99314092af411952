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

  /** `a` fails so many of its calls, and is well again. */
  const fail = (faults: number): void => {
    let left = faults;
    pool.answers((stream) => void (left-- > 0 ? stream.fail(14) : stream.reply(Buffer.from('a'))), 'a');
    pool.load(3 * faults);
  };
  const shown = (): string => `${pool.report('a').state}, ${pool.report('a').consecutiveFaults} in a row`;
  const comesBack = (): void => {
    pool.advance(OUT_MS);
    pool.load(6);
    assert.equal(pool.report('a').state, 'eligible');
  };

  it('four faults in a row are forgotten, where the success ratio ejected', () => {
    fail(4);
    assert.equal(shown(), 'eligible, 4 in a row');
    pool.advance(LOOK_MS);
    assert.equal(pool.report('a').state, 'ejected');
    assert.match(pool.report('a').why, /^success ratio/);
    comesBack();
    fail(1);
    assert.equal(shown(), 'eligible, 1 in a row');
  });

  it('a success ratio far too low is forgotten, where faults in a row ejected', () => {
    fail(5);
    assert.equal(pool.report('a').state, 'ejected');
    assert.match(pool.report('a').why, /^5 faults in a row/);
    comesBack();
    pool.load(12);
    pool.advance(LOOK_MS);
    const { state, successRatio } = pool.report('a');
    assert.deepEqual([state, successRatio], ['eligible', 1]);
  });

  it('and what comes after it counts as ever', () => {
    fail(5);
    comesBack();
    fail(5);
    const { state, ejections } = pool.report('a');
    assert.deepEqual([state, ejections], ['ejected', 2]);
  });
});
