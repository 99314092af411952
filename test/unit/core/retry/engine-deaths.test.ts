import assert from 'node:assert/strict';
import { EngineDeaths } from '../../../../sidecar/core/retry/engine-deaths.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const HOUR_MS = 3_600_000;
const ENGINES = 4;

describe('EngineDeaths', () => {
  let deaths: EngineDeaths;

  beforeEach(() => {
    deaths = new EngineDeaths();
  });

  /** How many engines a request ends, each so long after it came there, until it is convicted. */
  const deathsNeeded = (exposureMs: number, startMs = 0): number => {
    let weight = 0;
    let sentMs = startMs;
    for (let count = 1; count <= 32; count++) {
      const nowMs = sentMs + exposureMs;
      deaths.record({}, { request: 'killer', sentMs }, nowMs);
      weight += deaths.weigh({ request: 'killer', sentMs }, ENGINES, nowMs);
      if (weight > deaths.limit) return count;
      sentMs = nowMs + 25;
    }
    return Number.POSITIVE_INFINITY;
  };
  /** An engine dies with a request inside that is in no other death. */
  const dieOtherwise = (nowMs: number): void => deaths.record({}, { request: {}, sentMs: nowMs - 10 }, nowMs);

  for (const [exposureMs, engines] of [
    [0, 2],
    [160, 2],
    [5_000, 2],
    [30_000, 3],
    [60_000, 4],
    [120_000, 4],
    [600_000, 7],
  ] as const)
    it(`convicts a request that ends engines in ${exposureMs} ms at number ${engines}, where no others die`, () =>
      assert.equal(deathsNeeded(exposureMs), engines));

  it('convicts it as soon while copies of it do the same, at all engines at once', () => {
    for (let copy = 0; copy < 8; copy++) deaths.record({}, { request: 'killer', sentMs: 0 }, 100 + copy);
    assert.ok(deathsNeeded(100, 200) <= 2);
  });

  it('convicts it as soon after another request that is known to have done the same', () => {
    for (const nowMs of [100, 230]) deaths.record({}, { request: 'other', sentMs: 0 }, nowMs);
    deaths.explain('other');
    assert.equal(deathsNeeded(100, 250), 2);
  });

  it('convicts it as soon some minutes after another death', () => {
    dieOtherwise(0);
    assert.equal(deathsNeeded(100, 300_000), 2);
  });

  it('takes more engines while others have just died without it', () => {
    dieOtherwise(0);
    assert.ok(deathsNeeded(100, 100) > 3);
  });

  it('says nothing of deaths that come as often without the request', () => {
    for (let nowMs = 0; nowMs < 500; nowMs += 25) dieOtherwise(nowMs);
    deaths.record({}, { request: 'own', sentMs: 400 }, 500);
    assert.ok(deaths.weigh({ request: 'own', sentMs: 400 }, ENGINES, 500) < 1);
  });

  it('says little of many deaths in a row that are not too soon, for as long as one request may have', () => {
    for (let nowMs = 0; nowMs < 20_000; nowMs += 1_000) dieOtherwise(nowMs);
    for (let count = 0, sentMs = 20_000; count < 31; count++, sentMs += 2_000) {
      deaths.record({}, { request: 'own', sentMs }, sentMs + 2_000);
      assert.ok(deaths.weigh({ request: 'own', sentMs }, ENGINES, sentMs + 2_000) < 1);
    }
  });

  it('takes requests that were in the same engine for one death', () => {
    const engine = {};
    for (let nowMs = 0; nowMs < 500; nowMs += 100) dieOtherwise(nowMs);
    const before = deaths.weigh({ request: 'own', sentMs: 400 }, ENGINES, 500);
    for (let i = 0; i < 8; i++) deaths.record(engine, { request: i, sentMs: 490 }, 500);
    assert.equal(deaths.weigh({ request: 'own', sentMs: 400 }, ENGINES, 500), before);
  });

  it('forgets how often engines died, once none has for ten minutes', () => {
    for (let i = 0; i < 20; i++) dieOtherwise(i * 25);
    assert.equal(deathsNeeded(100, HOUR_MS), 2);
  });

  const kept = (): number =>
    deaths['deaths'].reduce(
      (sum: number, { requests }: { requests: Set<unknown> }) => sum + requests.size,
      0,
    );

  it('keeps nothing of them once none has died for ten minutes, as soon as it is asked', () => {
    for (let i = 0; i < 20; i++) dieOtherwise(i * 25);
    assert.equal(kept(), 20);
    deaths.weigh({ request: {}, sentMs: 0 }, ENGINES, 475 + 600_000);
    assert.equal(kept(), 0);
  });

  it('keeps a bounded number of requests of each death', () => {
    const engine = {};
    for (let i = 0; i < 5_000; i++) deaths.record(engine, { request: {}, sentMs: 0 }, 10);
    assert.equal(kept(), 1_024);
  });

  it('convicts next to no answers whose engines are killed again and again, and only at the first deaths', () => {
    const random = seeded(11);
    const engines = Array.from({ length: ENGINES }, () => ({}));
    const any = (): number => Math.floor(random() * ENGINES);
    let early = 0;
    let late = 0;
    for (let run = 0; run < 20; run++) {
      deaths = new EngineDeaths();
      let nowMs = 0;
      // An answer brings a message each millisecond, 125 at most.
      const anAnswer = () => ({ at: any(), sentMs: nowMs, leftMs: 1 + random() * 125, weight: 0, farMs: 0 });
      const answers = Array.from({ length: 12 }, anAnswer);
      for (let kill = 0; kill < 500; kill++) {
        const passedMs = random() * 50;
        nowMs += passedMs;
        const killed = any();
        for (const [i, answer] of answers.entries()) {
          answer.leftMs -= passedMs;
          answer.farMs += passedMs;
          if (answer.leftMs <= 0) answers[i] = anAnswer();
          else if (answer.at === killed) {
            const lost = { request: answer, sentMs: answer.sentMs };
            deaths.record(engines[killed]!, lost, nowMs);
            if (answer.farMs >= 16) answer.weight = 0;
            answer.weight += deaths.weigh(lost, ENGINES, nowMs);
            if (answer.weight > deaths.limit) {
              if (kill < 20) early++;
              else late++;
              answers[i] = anAnswer();
            } else Object.assign(answer, { at: (killed + 1) % ENGINES, sentMs: nowMs, farMs: 0 });
          }
        }
      }
    }
    assert.equal(late, 0);
    assert.ok(early <= 20, `${early} in twenty runs`);
  });
});
