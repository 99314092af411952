import assert from 'node:assert/strict';
import {
  FAILURES,
  FIRST_OPEN_MS,
  LONGEST_OPEN_MS,
  PrimaryBreaker,
  PrimaryRoute,
} from '../../../../sidecar/core/retry/primary-breaker.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const { primary, probe, fallback } = PrimaryRoute;

describe('PrimaryBreaker', () => {
  let way: PrimaryBreaker;
  let now = 0;
  /** Each call goes where it is led, and the primary does what `isUp` says. */
  const call = (isUp: boolean): PrimaryRoute => {
    const lead = way.route(now);
    if (lead === fallback) return lead;
    if (isUp) way.succeeded(lead, now, now);
    else way.failed(lead, now, now);
    return lead;
  };
  const fail = (n: number): void => {
    for (let i = 0; i < n; i++) call(false);
  };
  /** Opens it, and lets so much time pass. */
  const openFor = (ms: number): void => {
    fail(FAILURES);
    now += ms;
  };
  beforeEach(() => {
    way = new PrimaryBreaker(() => 0);
    now = 1000;
  });

  it('opens after several failures in a row', () => {
    for (let i = 0; i < 50; i++) {
      fail(FAILURES - 1);
      assert.equal(call(true), primary);
    }
    fail(FAILURES - 1);
    assert.equal(way.isOpen, false);
    fail(1);
    assert.deepEqual([way.isOpen, way.route(now)], [true, fallback]);
  });

  it('probes with one call at a time, and closes with the first success', () => {
    openFor(FIRST_OPEN_MS - 1);
    assert.equal(way.route(now), fallback);
    now += 1;
    const lead = way.route(now);
    assert.equal(lead, probe);
    for (let i = 0; i < 10; i++) assert.equal(way.route(now), fallback);
    way.succeeded(lead, now, now + 20);
    assert.equal(way.route(now + 20), primary);
  });

  it('waits twice as long after each failed probe, up to a bound', () => {
    fail(FAILURES);
    for (const rest of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]) {
      assert.ok(rest <= LONGEST_OPEN_MS);
      now += rest - 1;
      assert.equal(call(false), fallback, `after ${rest - 1}`);
      now += 1;
      assert.equal(call(false), probe, `after ${rest}`);
    }
  });

  it('spreads probes over a fifth of the time open', () => {
    const random = seeded(3);
    for (let i = 0; i < 50; i++) {
      way = new PrimaryBreaker(random);
      now = 1000;
      fail(FAILURES);
      assert.equal(way.route(now + FIRST_OPEN_MS - 1), fallback);
      assert.equal(way.route(now + FIRST_OPEN_MS * 1.2), probe);
    }
  });

  it('makes the next call the probe when one proved nothing', () => {
    openFor(FIRST_OPEN_MS);
    way.undecided(way.route(now));
    assert.equal(way.route(now), probe);
  });

  it('probes less and less often while the primary keeps failing again', () => {
    let trials = 0;
    let failures = 0;
    for (const untilMs = now + 600_000; now < untilMs; now += 10) {
      // It answers one call, then fails for two seconds.
      const isUp = trials > 0 && failures === 0;
      const lead = call(isUp);
      if (lead === probe) trials++;
      if (lead !== fallback) failures = isUp ? failures : failures + 1;
    }
    assert.ok(trials < 30, `${trials} trials in ten minutes`);
  });

  it('begins with the shortest time again once the primary has served for as long as it was open', () => {
    openFor(FIRST_OPEN_MS);
    call(false);
    now += 2 * FIRST_OPEN_MS;
    call(true);
    now += 2 * FIRST_OPEN_MS;
    call(true);
    openFor(FIRST_OPEN_MS);
    assert.equal(way.route(now), probe);
  });

  it('stays open longer when the primary fails again sooner', () => {
    openFor(FIRST_OPEN_MS);
    call(true);
    now += 10;
    openFor(FIRST_OPEN_MS);
    assert.equal(way.route(now), fallback);
    now += FIRST_OPEN_MS;
    assert.equal(way.route(now), probe);
  });

  it('ignores calls that began before it last opened or closed', () => {
    const oldMs = now;
    now += 10;
    fail(FAILURES);
    way.succeeded(primary, oldMs, now);
    assert.equal(way.isOpen, true);
    now += FIRST_OPEN_MS;
    const lead = way.route(now);
    way.succeeded(lead, now, now + 5);
    for (let i = 0; i < 50; i++) way.failed(primary, oldMs, now + 6);
    assert.equal(way.isOpen, false);
  });

  it('closes with any success, such as that of a call without fallback', () => {
    openFor(10);
    way.failed(primary, now, now);
    assert.equal(way.isOpen, true);
    way.succeeded(primary, now, now + 1);
    assert.equal(way.isOpen, false);
  });

  it('always probes again, whatever happens', () => {
    const random = seeded(11);
    way = new PrimaryBreaker(random);
    const open: { lead: PrimaryRoute; atMs: number }[] = [];
    for (let i = 0; i < 20_000; i++) {
      now += random() * 300;
      const lead = way.route(now);
      if (lead !== fallback) open.push({ lead, atMs: now });
      assert.ok(open.filter((each) => each.lead === probe).length <= 1, 'one trial at a time');
      if (open.length === 0 || random() < 0.3) continue;
      const [ended] = open.splice(Math.floor(random() * open.length), 1);
      const how = random();
      if (how < 0.6) way.failed(ended!.lead, ended!.atMs, now);
      else if (how < 0.8) way.succeeded(ended!.lead, ended!.atMs, now);
      else way.undecided(ended!.lead);
    }
    for (const { lead } of open) way.undecided(lead);
    now += LONGEST_OPEN_MS * 2;
    const lead = way.route(now);
    assert.notEqual(lead, fallback);
    way.succeeded(lead, now, now);
    assert.equal(way.route(now), primary);
  });
});
