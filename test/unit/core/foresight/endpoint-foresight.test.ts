/** Streams of seeded chance: how rarely a healthy endpoint is suspected, and how soon one that goes wrong. */
import assert from 'node:assert/strict';
import { EndpointForesight } from '../../../../sidecar/core/foresight/endpoint-foresight.js';
import type { Random } from '../../../../sidecar/runtime/random.js';
import { type Alarms, type Behaviour, between, likeMeasured, watch } from '../../../kit/core/foresight.js';
import { runs } from '../../../kit/mocha/effort.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const HOUR = 3_600;
const none = ({ rose, why }: Alarms): void => assert.deepEqual(rose.flat(), [], why.join());

/** One endpoint that is as usual up to `AT`. Delays of the alarms, s, over some seeds; Infinity: it was missed. */
const AT = 120;
function delays(
  behave: (random: Random, sinceS: number, usual: () => number) => Behaviour,
  runs = 7,
): number[] {
  return Array.from({ length: runs }, (_, seed) => {
    const random = seeded(seed + 1);
    const usual = likeMeasured(random, () => 2);
    const { rose } = watch(1, AT + 240, random, (_endpoint, second) => behave(random, second - AT, usual));
    const [first = Number.POSITIVE_INFINITY] = rose[0]!;
    assert.ok(first >= AT, `an alarm at ${first} s, before there was anything`);
    return first - AT;
  }).sort((a, b) => a - b);
}

describe('an endpoint as it usually is is not suspected', () => {
  it('in hours of calls like those measured', () => {
    const random = seeded(1);
    const latencyMs = likeMeasured(random, () => 2);
    none(watch(1, runs(2 * HOUR), random, () => ({ latencyMs })));
  });

  it('in hours of calls from 1 ms to 2 s, few or many', () => {
    const random = seeded(2);
    const latencyMs = between(random, 1, 2_000);
    for (const callsPerSecond of [2, 20])
      none(watch(1, runs(2 * HOUR), random, () => ({ latencyMs, callsPerSecond })));
  });

  it('over hours in which load and latency double and halve', () => {
    const random = seeded(3);
    let day = 0;
    const length = runs(5 * HOUR);
    const latencyMs = likeMeasured(random, () => 3 + Math.sin(day));
    none(
      watch(1, length, random, (_, second) => {
        day = (2 * Math.PI * second) / length;
        return { latencyMs, callsPerSecond: 12 + 8 * Math.sin(day) };
      }),
    );
  });

  it('after a cold start, ten times as slow at first', () => {
    const random = seeded(4);
    let second = 0;
    const latencyMs = likeMeasured(random, () => 2 * (1 + 9 * Math.exp(-second / 30)));
    none(
      watch(1, HOUR, random, (_, at) => {
        second = at;
        return { latencyMs };
      }),
    );
  });

  it('in a burst of load that makes all three slow', () => {
    const random = seeded(5);
    let factor = 1;
    const latencyMs = likeMeasured(random, () => 2 * factor);
    none(
      watch(3, HOUR, random, (_, second) => {
        factor = second % 600 < 60 ? 4 : 1;
        return { latencyMs };
      }),
    );
  });
});

describe('an endpoint is suspected', () => {
  it('within 20 s when one call in twenty fails', () => {
    const found = delays((_, since, latencyMs) => ({ latencyMs, failing: since >= 0 ? 0.05 : 0.002 }));
    assert.ok(found.at(-1)! <= 20, String(found));
  });

  it('at half as much again, when its latency triples in four minutes', () => {
    const found = delays((_, since, usual) => ({
      latencyMs: () => usual() * (1 + Math.max(0, since) / 120),
    }));
    assert.ok(found.at(-1)! <= 60, String(found));
  });

  it('within seconds when it takes twice as long, but not in the first', () => {
    const found = delays((_, since, usual) => ({ latencyMs: () => usual() * (since >= 0 ? 2 : 1) }));
    assert.ok(found[0]! >= 2 && found.at(-1)! <= 4, String(found));
  });

  it('when one call in twenty takes ten times as long, within a minute in most cases', () => {
    const found = delays((random, since, usual) => ({
      latencyMs: () => usual() * (since >= 0 && random() < 0.05 ? 10 : 1),
    }));
    assert.ok(found[3]! <= 60, String(found));
  });

  it('no longer, once it has been away', () => {
    const random = seeded(6);
    const [endpoint] = watch(1, 130, random, (_, second) => ({
      latencyMs: () => (second > 100 ? 9 : 2),
    })).endpoints;
    assert.ok(endpoint?.suspicion.isSuspect);
    endpoint.forget();
    assert.equal(endpoint.suspicion.value, 0);
  });

  it('less from second to second while nothing can be said of it', () => {
    const endpoint = new EndpointForesight();
    const quiet = { shift: 0, faults: 0, growth: 0 };
    endpoint.look({ successes: 200, faults: 0, calls: 0 }, () => 0, 0);
    endpoint.judge(quiet, 0);
    endpoint.look({ successes: 290, faults: 10, calls: 0 }, () => 0, 1_000);
    endpoint.judge(quiet, 1_000);
    assert.ok(endpoint.suspicion.isSuspect);
    endpoint.recent.record(0, 1);
    assert.equal(endpoint.skip({ successes: 290, faults: 100, calls: 0 }, 60_000), 'fell');
    endpoint.look({ successes: 290, faults: 100, calls: 0 }, () => 0, 61_000);
    assert.ok(endpoint.errors.recentShare < 0.05);
  });
});
