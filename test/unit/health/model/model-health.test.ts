import assert from 'node:assert/strict';
import {
  ModelHealth,
  type ModelPhase,
  type ModelSigns,
  type ModelStatusReport,
} from '../../../../sidecar/health/model/model-health.js';
import type { ModelProbe, ProbeAnswer } from '../../../../sidecar/health/model/probe.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

const PASSED: ProbeAnswer = { kind: 'passed' };
const NOT_SERVING: ProbeAnswer = { kind: 'failed', why: 'the model reports NOT_SERVING' };
const WRONG = { kind: 'wrong', why: 'golden output differs: p[3] is 0.91, expected 0.02' } as const;
const INTERVAL_MS = 10_000;

/** Answers after `delayMs`, or not before the timeout while `frozen`. */
class FakeProbe implements ModelProbe {
  readonly name = 'the golden input';
  answer: ProbeAnswer = PASSED;
  frozen = false;
  delayMs = 5;
  readonly timeouts: number[] = [];
  closed = 0;

  constructor(private readonly clock: ManualClock) {}

  ask(timeoutMs: number): Promise<ProbeAnswer> {
    this.timeouts.push(timeoutMs);
    return new Promise((resolve) => {
      if (this.frozen) this.clock.after(timeoutMs, () => resolve({ kind: 'silent', why: 'no answer' }));
      else this.clock.after(this.delayMs, () => resolve(this.answer));
    });
  }

  close(): void {
    this.closed += 1;
  }
}

describe('model health', () => {
  let clock: ManualClock;
  let probe: FakeProbe;
  let signs: { -readonly [K in keyof ModelSigns]: ModelSigns[K] };
  let phase: ModelPhase;
  let told: ModelStatusReport[];
  let health: ModelHealth;

  beforeEach(() => {
    clock = new ManualClock();
    probe = new FakeProbe(clock);
    signs = { inferences: 0, inFlight: 0, usualMs: 0, lastDeadlineMs: 0 };
    phase = { kind: 'ready' };
    told = [];
    health = new ModelHealth({
      clock,
      timers: clock,
      probe,
      intervalMs: INTERVAL_MS,
      activity: () => ({ ...signs }),
      phase: () => phase,
      onChange: (verdict) => told.push(verdict),
    });
  });

  afterEach(() => health.close());

  const become = (next: ModelPhase): void => {
    phase = next;
    health.changed();
  };
  const isOk = async (afterMs: number): Promise<boolean> => {
    await clock.settle(afterMs);
    return health.report().ok;
  };
  async function proven(): Promise<void> {
    health.start();
    await clock.settle(100);
    assert.deepEqual(health.report(), { ok: true, why: '' });
    told.length = 0;
    probe.timeouts.length = 0;
  }

  it('asks nothing while the model starts, and at once when it is ready', async () => {
    phase = { kind: 'starting' };
    health.start();
    await clock.settle(60_000);
    assert.deepEqual([health.report(), probe.timeouts], [{ ok: false, why: 'the model is starting' }, []]);
    become({ kind: 'ready' });
    await clock.settle(10);
    assert.deepEqual([told, probe.timeouts.length], [[{ ok: true, why: '' }], 1]);
  });

  it('asks once in an interval while nothing goes through', async () => {
    await proven();
    await clock.settle(60_000);
    assert.ok(probe.timeouts.length >= 4 && probe.timeouts.length <= 6, String(probe.timeouts.length));
    assert.deepEqual(told, []);
  });

  it('sends nothing to a busy model whose inferences go through', async () => {
    await proven();
    signs.inFlight = 2;
    for (let i = 0; i < 60; i++) {
      signs.inferences += 1;
      await clock.settle(5_000);
    }
    assert.deepEqual([probe.timeouts, health.report().ok], [[], true]);
  });

  it('condemns a model that answers neither work nor the golden input, and says since when', async () => {
    await proven();
    probe.frozen = true;
    await clock.settle(20_000);
    assert.equal(told.length, 1);
    assert.match(
      told[0]!.why,
      /^the model has not answered for 1\d s: no inference completed and the golden input got no answer$/,
    );
    const before = health.report().why;
    await clock.settle(60_000);
    assert.equal(health.report().why, before, 'the words stay');
    probe.frozen = false;
    await clock.settle(3_000);
    assert.deepEqual(told.slice(1), [{ ok: true, why: '' }]);
  });

  it('holds no silence against a model at work within the deadline of its call', async () => {
    await proven();
    Object.assign(signs, { inFlight: 1, usualMs: 1, lastDeadlineMs: clock.now() + 60_000 });
    probe.frozen = true;
    await clock.settle(40_000);
    assert.deepEqual([told, health.probes().failed], [[], 0]);
    Object.assign(signs, { inferences: 1, inFlight: 0, lastDeadlineMs: 0 });
    probe.frozen = false;
    await clock.settle(20_000);
    assert.deepEqual(told, []);
  });

  it('condemns it after that deadline, though calls with later ones keep coming', async () => {
    await proven();
    Object.assign(signs, { inFlight: 1, usualMs: 1 });
    probe.frozen = true;
    for (let i = 0; i < 60; i++) {
      signs.lastDeadlineMs = clock.now() + 15_000;
      await clock.settle(1_000);
    }
    assert.equal(told.length, 1);
    assert.match(told[0]!.why, /^the model has not answered for \d+ s/);
  });

  it('condemns one at work without a deadline after five minutes', async () => {
    await proven();
    Object.assign(signs, { inFlight: 1, lastDeadlineMs: Number.POSITIVE_INFINITY });
    probe.frozen = true;
    await clock.settle(290_000);
    assert.deepEqual(told, []);
    await clock.settle(120_000);
    assert.equal(told.length, 1);
  });

  it('forgives one silence', async () => {
    await proven();
    probe.frozen = true;
    await nextTimeout();
    await clock.settle(500);
    probe.frozen = false;
    await clock.settle(30_000);
    assert.deepEqual([told, health.probes().failed], [[], 1]);
  });

  it('lets an inference speak for a model that was silent', async () => {
    await proven();
    probe.frozen = true;
    assert.equal(await isOk(30_000), false);
    signs.inferences += 1;
    assert.equal(await isOk(2_500), true);
  });

  it('does not let one speak for a model that computed something wrong: only a right answer does', async () => {
    await proven();
    probe.answer = WRONG;
    await clock.settle(15_000);
    assert.deepEqual(told, [{ ok: false, why: WRONG.why }]);
    probe.frozen = true;
    signs.inferences += 100;
    await clock.settle(10_000);
    signs.inferences += 100;
    assert.equal(await isOk(2_500), false);
    Object.assign(probe, { frozen: false, answer: PASSED });
    assert.equal(await isOk(10_000), true);
  });

  it('reports NOT_SERVING in the words of the probe', async () => {
    probe.answer = NOT_SERVING;
    health.start();
    await clock.settle(100);
    assert.deepEqual(health.report(), { ok: false, why: 'the model reports NOT_SERVING' });
  });

  it('believes at once that the process is gone, and wants proof of the next one', async () => {
    await proven();
    become({ kind: 'away', why: 'killed by SIGKILL' });
    assert.deepEqual(told, [{ ok: false, why: 'killed by SIGKILL' }]);
    become({ kind: 'starting' });
    await clock.settle(5_000);
    probe.answer = NOT_SERVING;
    become({ kind: 'ready' });
    assert.equal(await isOk(100), false);
    probe.answer = PASSED;
    assert.equal(await isOk(3_000), true);
  });

  it('ignores what an earlier life of the model answers', async () => {
    probe.delayMs = 400;
    health.start();
    become({ kind: 'away', why: 'killed' });
    await clock.settle(1_000);
    assert.deepEqual([health.report(), health.probes().passed], [{ ok: false, why: 'killed' }, 0]);
  });

  it('draws no conclusion from a silence in which this process stood still', async () => {
    await proven();
    for (let i = 0; i < 10; i++) {
      probe.frozen = true;
      await nextTimeout();
      probe.frozen = false;
      clock.stall(30_000);
      await clock.settle(10);
    }
    assert.deepEqual([told, health.probes().failed], [[], 0]);
    assert.ok(health.probes().void >= 10);
  });

  it('gives an answer three times as long as a run takes, a second at least, a minute at most', async () => {
    await proven();
    for (const [usualMs, timeoutMs] of [
      [0, 1_000],
      [2_000, 6_000],
      [100_000, 60_000],
    ] as const) {
      signs.usualMs = usualMs;
      assert.equal(await nextTimeout(), timeoutMs);
    }
    Object.assign(signs, { usualMs: 0, inFlight: 1 });
    assert.equal(await nextTimeout(), 30_000, 'it may be a first, slow run');
  });

  it('gives a model that has never answered six seconds', async () => {
    probe.frozen = true;
    health.start();
    await clock.settle(13_000);
    assert.deepEqual(probe.timeouts.slice(0, 2), [6_000, 6_000]);
    assert.match(health.report().why, /has not answered for \d+ s/);
  });

  it('ends with no timer left', async () => {
    await proven();
    health.close();
    await clock.settle(60_000);
    assert.deepEqual([clock.pending(), probe.closed], [0, 1]);
    health.changed();
    assert.equal(clock.pending(), 0);
  });

  /** Waits for the next probe; its timeout. */
  async function nextTimeout(): Promise<number> {
    const asked = probe.timeouts.length;
    for (let i = 0; i < 10_000 && probe.timeouts.length === asked; i++) await clock.settle(10);
    assert.ok(probe.timeouts.length > asked);
    return probe.timeouts.at(-1)!;
  }
});
