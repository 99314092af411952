/** Foresight: a replica that becomes slower and slower loses calls before callers notice, and nothing else changes anything. */
import assert from 'node:assert/strict';
import type { ForesightConfig } from '../../../sidecar/config/model.js';
import { runs } from '../../kit/mocha/effort.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { aRoute } from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const USUAL_MS = 20;
/** Of callers: 99 % of the calls of ten seconds. */
const SLO_MS = 50;
const ENFORCE: ForesightConfig = { mode: 'enforce' };
const RAMP_S = 200;

/** Replicas of an upstream that has no detector but foresight, under a steady load. */
class Watched {
  readonly stack: UpstreamStack;
  /** By name, how many times as long as usual it takes now. */
  readonly slowBy: Record<string, number> = { a: 1, b: 1, c: 1 };
  private readonly random = seeded(9);

  constructor(
    readonly kind: 'round-robin' | 'least-loaded',
    foresight: ForesightConfig | undefined,
    takes: (random: () => number) => number = (random) => USUAL_MS * (0.9 + 0.2 * random()),
  ) {
    this.stack = new UpstreamStack(['a', 'b', 'c'], {
      routes: [aRoute({ timeoutMs: 60_000 })],
      balance: { kind },
      ...(foresight === undefined ? {} : { foresight }),
    });
    for (const name of this.stack.names)
      this.stack.answers((stream) => {
        const tookMs = takes(this.random) * this.slowBy[name]!;
        this.stack.clock.after(tookMs, () => void stream.reply(Buffer.from(name)));
      }, name);
  }

  /** Ten calls a second. Share of each that `a` answered, and 99th percentile of the latency, ms. */
  calls(seconds: number): { readonly share: number; readonly p99Ms: number } {
    const { stack } = this;
    const took: number[] = [];
    let atA = 0;
    const open: { readonly stream: ReturnType<UpstreamStack['call']>; readonly startMs: number }[] = [];
    for (let ms = 0; ms < seconds * 1_000; ms += STEP_MS) {
      if (ms % EVERY_MS === 0) open.push({ stream: stack.caller.call(), startMs: stack.clock.now() });
      stack.advance(STEP_MS);
      for (let i = open.length - 1; i >= 0; i -= 1) {
        const { stream, startMs } = open[i]!;
        if (!stream.isOver) continue;
        assert.equal(stream.status, 0);
        took.push(stack.clock.now() - startMs);
        if (stream.body.toString() === 'a') atA += 1;
        open.splice(i, 1);
      }
    }
    took.sort((a, b) => a - b);
    return { share: atA / took.length, p99Ms: took[Math.floor(took.length * 0.99)] ?? 0 };
  }

  get suspicions(): number[] {
    return this.stack.names.map((name) => this.stack.report(name).suspicion?.value ?? 0);
  }

  /** What each keeps of its calls. */
  get shares(): number[] {
    return this.stack.names.map((name) => this.stack.report(name).share ?? 1);
  }
}

const STEP_MS = 10;
const EVERY_MS = 30;

describe('Scenario: foresight', () => {
  it('takes calls from a replica that creeps to 3 × its latency before callers notice', () => {
    const watched = new Watched('round-robin', ENFORCE);
    const before = watched.calls(40).share;
    assert.deepEqual(watched.shares, [1, 1, 1]);
    let loweredAt: number | undefined;
    let breachAt: number | undefined;
    for (let at = 0; at < RAMP_S && breachAt === undefined; at += 10) {
      watched.slowBy['a'] = 1 + (2 * at) / RAMP_S;
      const { share, p99Ms } = watched.calls(10);
      if (p99Ms > SLO_MS) breachAt = at;
      else if (share < before * 0.8) loweredAt ??= at;
    }
    assert.ok(
      loweredAt !== undefined && loweredAt < 90,
      `lowered at ${loweredAt} s, breach at ${breachAt} s`,
    );
    assert.deepEqual(watched.shares.slice(1), [1, 1]);
  });

  it('leaves it all of its calls with observe, and says what it suspects', () => {
    const watched = new Watched('round-robin', { mode: 'observe' });
    watched.calls(40);
    watched.slowBy['a'] = 2;
    const { share } = watched.calls(30);
    assert.ok(Math.abs(share - 1 / 3) < 0.02, String(share));
    assert.deepEqual(watched.shares, [1, 1, 1]);
    const { suspicion, state } = watched.stack.report('a');
    assert.equal(state, 'eligible');
    assert.ok(suspicion?.isSuspect);
    assert.equal(suspicion.detector, 'latency-shift');
    const families = metricsIn(watched.stack, { outbounds: [watched.stack.out.outbound.state] });
    const read = (name: string): unknown[] =>
      families.find((each) => each.name === name)!.samples.map((each) => ('value' in each ? each.value : 0));
    assert.deepEqual(read('outrider_suspicions_total'), [1, 0, 0]);
    const [observed, ...others] = read('outrider_suspicions_not_enforced_total') as number[];
    assert.ok(observed! > 10 && others.every((count) => count === 0));
    assert.equal(read('outrider_endpoint_suspicion').length, 3);
    assert.match(suspicion.why, /^median latency 2\.0 times what is usual for it/);
  });

  it('changes nothing where all replicas become slow together', () => {
    const watched = new Watched('round-robin', ENFORCE);
    watched.calls(40);
    for (let at = 0; at < 60; at += 10) {
      const slowBy = 1 + (2 * at) / 60;
      Object.assign(watched.slowBy, { a: slowBy, b: slowBy, c: slowBy });
      watched.calls(10);
      assert.deepEqual(watched.shares, [1, 1, 1]);
    }
    assert.deepEqual(watched.suspicions, [0, 0, 0]);
  });

  it('is off, and leaves nothing behind, when the file says so', () => {
    const watched = new Watched('round-robin', ENFORCE);
    const routes = [aRoute({ timeoutMs: 60_000 })];
    watched.calls(40);
    watched.slowBy['a'] = 2;
    watched.calls(20);
    assert.ok(watched.shares[0]! < 0.5);
    watched.stack.update({ routes, balance: { kind: 'round-robin' } });
    assert.deepEqual(watched.shares, [1, 1, 1]);
    assert.deepEqual(watched.suspicions, [0, 0, 0]);
    assert.ok(Math.abs(watched.calls(10).share - 1 / 3) < 0.03);
  });

  it('says nothing of what was measured while this process stood still, or of an endpoint that was away', () => {
    const watched = new Watched('round-robin', ENFORCE);
    watched.calls(40);
    watched.stack.hasStalled = true;
    watched.slowBy['a'] = 5;
    watched.calls(10);
    assert.equal(watched.suspicions[0], 0);
    watched.stack.hasStalled = false;
    for (const peer of watched.stack.backend('a').open) peer.socket.break();
    watched.calls(15);
    assert.equal(watched.suspicions[0], 0);
  });

  it('gives a replica that is well again its calls back', () => {
    const watched = new Watched('round-robin', ENFORCE);
    watched.calls(40);
    watched.slowBy['a'] = 2;
    watched.calls(20);
    assert.ok(watched.shares[0]! < 0.5, String(watched.shares));
    watched.slowBy['a'] = 1;
    watched.calls(120);
    assert.deepEqual(watched.shares, [1, 1, 1]);
  });

  it('changes nothing over healthy minutes of calls that take from 1 ms to 2 s', () => {
    const watched = new Watched('least-loaded', ENFORCE, (random) => 2_000 ** random());
    const { stack } = watched;
    for (let i = 0; i < runs(5_000); i += 1) {
      stack.caller.call();
      stack.advance(150);
      if (i % 100 === 0) assert.deepEqual(watched.shares, [1, 1, 1]);
    }
    stack.advance(2_000);
    assert.deepEqual(watched.shares, [1, 1, 1]);
  });
});
