import assert from 'node:assert/strict';
import type { WatcherSigns } from '../../../sidecar/core/health/hang.js';
import { PhiAccrual } from '../../../sidecar/core/health/phi-accrual.js';
import { EndClass } from '../../../sidecar/core/health/process-end.js';
import { HangDetector, type ModelWork } from '../../../sidecar/supervise/hang-detector.js';
import { FakeProbe, SERVING, SILENT } from '../../kit/process/fake-process.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

const LONGEST_RUN_MS = 300_000;

const IDLE = {
  ...{ inFlight: 0, abandoned: 0, settled: 0, lastAnswerMs: 900, lastDeadlineMs: 0, usualMs: 1 },
  answers: { lastByteMs: 0, isAwaited: false, isUnusual: false },
};

/** The process as the kernel shows it: its CPU grows by `load` of a core. */
class FakeKernel {
  now = 'S';
  load = 0;
  isKnown = true;
  threadStarves = false;
  looks = 0;
  private usedMs = 0;
  private atMs: number;

  constructor(private readonly time: ManualClock) {
    this.atMs = time.now();
  }

  state = (): string => (this.isKnown ? this.now : '');
  isStarved = (): boolean => this.threadStarves;

  cpuMs(): number {
    this.looks += 1;
    this.usedMs += this.load * (this.time.now() - this.atMs);
    this.atMs = this.time.now();
    return this.isKnown ? this.usedMs : -1;
  }
}

/** A watcher thread that beats until it is told to fall silent. */
class FakeWatcher {
  thread = 7;
  isThere = false;
  runs = 10;
  /** Since when a run is under way; −1: none is. */
  runningSinceMs = -1;
  deadlineMs = Number.POSITIVE_INFINITY;
  silentSinceMs = -1;
  starvedMs = 0;
  isOpen = false;
  private readonly accrual = new PhiAccrual(500);

  constructor(private readonly time: ManualClock) {}

  open(): void {
    this.isOpen = true;
  }

  close(): void {
    this.isOpen = false;
  }

  forgiveStall(): void {
    if (this.silentSinceMs >= 0) this.silentSinceMs = this.time.now();
  }

  signs(isStarved: boolean): WatcherSigns | null {
    if (!this.isThere) return null;
    const nowMs = this.time.now();
    if (isStarved) this.starvedMs += 500;
    const silentForMs = this.silentSinceMs < 0 ? 0 : nowMs - this.silentSinceMs;
    return {
      phi: this.accrual.phi(silentForMs - Math.min(60_000, this.starvedMs)),
      silentForMs,
      runs: this.runs,
      runningForMs: this.runningSinceMs < 0 ? -1 : nowMs - this.runningSinceMs,
      deadlineInMs: this.deadlineMs - nowMs,
    };
  }
}

describe('hang detector', () => {
  let time: ManualClock;
  let probe: FakeProbe;
  let kernel: FakeKernel;
  let watcher: FakeWatcher;
  let work: ModelWork;
  let hangs: { why: string; end: EndClass; afterMs: number }[];
  let notServing: string[];
  let detector: HangDetector;
  let beganMs: number;

  beforeEach(() => {
    time = new ManualClock();
    probe = new FakeProbe();
    probe.health = SERVING;
    kernel = new FakeKernel(time);
    watcher = new FakeWatcher(time);
    work = IDLE;
    hangs = [];
    notServing = [];
    beganMs = time.now();
    detector = new HangDetector(
      {
        clock: time,
        timers: time,
        probe,
        signs: kernel,
        watcher,
        longestRunMs: LONGEST_RUN_MS,
        activity: () => work,
      },
      {
        onHang: (why, end) => hangs.push({ why, end, afterMs: time.now() - beganMs }),
        onNotServing: (why) => notServing.push(why),
      },
    );
  });

  afterEach(() => {
    detector.stop();
    assert.equal(time.pending(), 0);
    assert.equal(watcher.isOpen, false);
  });

  /** From now on one call is under way, with this deadline, and the model answers nothing. */
  const blockedBy = (deadlineMs: number, more: Partial<ModelWork> = {}): void => {
    beganMs = time.now();
    work = { ...IDLE, inFlight: 1, lastDeadlineMs: beganMs + deadlineMs, ...more };
    probe.health = SILENT;
  };
  const verdict = () => hangs[0] ?? assert.fail('it is not convicted');
  const assertConvicted = (why: RegExp, end: EndClass): void => {
    assert.match(verdict().why, why);
    assert.equal(verdict().end, end);
  };
  /** It is not convicted in this time. */
  const passes = async (ms: number, why?: string): Promise<void> => {
    await time.settle(ms);
    assert.deepEqual(hangs, [], why);
  };
  /** So many results come, one at a time, and it is not convicted. */
  const answers = async (
    count: number,
    everyMs: number,
    more = (): Partial<ModelWork> => ({}),
  ): Promise<void> => {
    for (let i = 0; i < count; i++) {
      work = { ...work, lastAnswerMs: time.now(), ...more() };
      await time.settle(everyMs);
    }
    await passes(0);
  };
  /** As `blockedBy`, and the watcher reports its run. */
  const run = (deadlineMs: number): void => {
    const nowMs = time.now();
    Object.assign(watcher, { isThere: true, runningSinceMs: nowMs, deadlineMs: nowMs + deadlineMs });
    blockedBy(deadlineMs);
  };

  describe('leaves alone', () => {
    it('a healthy idle model, which it asks every five seconds and whose CPU and watcher it does not look at', async () => {
      await time.settle(60_000);
      assert.ok(probe.asked >= 10 && probe.asked <= 12, `asked ${probe.asked} times in a minute`);
      assert.deepEqual([kernel.looks, watcher.isOpen, hangs], [0, false, []]);
    });

    for (const [what, load, hasWatcher] of [
      ['a run of 11 s that uses CPU', 1, true],
      ['a run of 11 s that uses no CPU, as on a GPU', 0, true],
      ['a run of 11 s of a foreign server that uses CPU', 1, false],
      ['a run of 11 s of a foreign server that uses no CPU', 0, false],
    ] as const)
      it(`${what}, though runs take 1 ms and no health check is answered`, async () => {
        kernel.load = load;
        if (hasWatcher) run(60_000);
        else blockedBy(60_000);
        await time.settle(11_000);
        assert.ok(probe.asked >= 2);
        await passes(48_000);
      });

    it('a run that burns CPU after the deadline of its caller, until longest_run', async () => {
      kernel.load = 1;
      blockedBy(1_000);
      await time.settle(1_000);
      work = { ...work, inFlight: 0, abandoned: 1 };
      await passes(250_000);
    });

    for (const [what, isKnown, deadlineMs] of [
      ['a run without a deadline that uses no CPU, until longest_run', true, Number.POSITIVE_INFINITY],
      ['a process whose deadlines have passed as long as nothing is known of its CPU', false, 2_000],
    ] as const)
      it(what, async () => {
        kernel.isKnown = isKnown;
        blockedBy(deadlineMs);
        await passes(250_000);
      });

    it('a model that brings results, however long its health answers wait', async () => {
      probe.health = SILENT;
      work = { ...work, inFlight: 2 };
      await answers(600, 100, () => ({ lastDeadlineMs: time.now() }));
    });

    it('a stream whose answer goes on for longer than longest_run, though no health check is answered', async () => {
      blockedBy(Number.POSITIVE_INFINITY);
      await answers(400, 1_000);
    });

    it('a model that answers health checks, whatever became of the calls it was given', async () => {
      work = { ...IDLE, abandoned: 3, lastDeadlineMs: time.now() };
      await time.settle(10_000);
      const { asked } = probe;
      await time.settle(20_000);
      assert.ok(probe.asked - asked <= 5, `asked ${probe.asked - asked} times in 20 s, as if in doubt`);
      work = { ...IDLE, inFlight: 1, abandoned: 3, lastDeadlineMs: time.now() };
      await passes(400_000);
    });

    it('a watcher that is silent while results come', async () => {
      run(60_000);
      watcher.silentSinceMs = time.now();
      await answers(300, 100);
    });

    it('a watcher that waits for a core, for a minute', async () => {
      run(600_000);
      kernel.threadStarves = true;
      watcher.silentSinceMs = time.now();
      await passes(55_000);
      await time.settle(20_000);
      assert.equal(hangs.length, 1, 'and no longer');
    });

    it('everything that its own process slept through', async () => {
      run(5_000);
      watcher.silentSinceMs = time.now();
      kernel.now = 'T';
      probe.health = 'wait';
      for (let i = 0; i < 5; i++) {
        time.stall(30_000);
        probe.release(SILENT);
        await time.settle(100);
      }
      assert.deepEqual(hangs, []);
    });

    it('a process that is stopped for a second and a half', async () => {
      for (let i = 0; i < 20; i++) {
        kernel.now = 'T';
        await time.settle(1_500);
        kernel.now = 'S';
        await time.settle(1_000);
      }
      assert.deepEqual(hangs, []);
    });

    it('a process that a debugger holds', async () => {
      kernel.now = 't';
      await passes(60_000);
    });

    it('a later call that still has time, when an earlier one has none', async () => {
      blockedBy(2_000);
      await time.settle(1_500);
      work = { ...work, inFlight: 2, lastDeadlineMs: beganMs + 60_000 };
      await time.settle(1_000);
      work = { ...work, inFlight: 1, abandoned: 1 };
      await passes(55_000);
    });
  });

  describe('convicts', () => {
    it('a process that was stopped at work, within five seconds, and implicates no call', async () => {
      await time.settle(10_000);
      kernel.now = 'T';
      blockedBy(60_000);
      await time.settle(5_000);
      assertConvicted(/^the process has been stopped \(state T\) for 2\.\d s$/, 'killed-frozen');
    });

    it('a process that was stopped while it was idle, within six seconds', async () => {
      await time.settle(20_000);
      kernel.now = 'T';
      await time.settle(6_000);
      assert.equal(hangs.length, 1);
    });

    it('a process whose watcher thread has fallen silent', async () => {
      run(600_000);
      kernel.load = 1;
      watcher.silentSinceMs = time.now();
      await time.settle(10_000);
      const why = /^its watcher thread has been silent for \d\.\d s and \d health checks in a row/;
      assertConvicted(why, 'killed-busy');
      assert.ok(hangs[0]!.afterMs >= 5_000, String(hangs[0]!.afterMs));
    });

    for (const [what, hasWatcher] of [
      ['a run', true],
      ['the calls of a foreign server', false],
    ] as const)
      it(`${what} whose deadline has passed while no CPU is used, and implicates no call`, async () => {
        if (hasWatcher) run(5_000);
        else blockedBy(5_000);
        await time.settle(5_000);
        work = { ...work, inFlight: 0, abandoned: 1 };
        await passes(3_500, 'a second of grace and three without CPU');
        await time.settle(1_500);
        assert.equal(hangs.length, 1);
        const why = /passed \d\.\d s ago, no CPU was used for \d\.\d s, and \d health checks/;
        assertConvicted(why, 'killed-frozen');
      });

    it('a process that hangs in a call that came and went between two looks, right after a result', async () => {
      await time.settle(2_600);
      probe.health = SILENT;
      work = { ...IDLE, lastAnswerMs: time.now(), abandoned: 1, lastDeadlineMs: time.now() + 1_000 };
      kernel.load = 1;
      await passes(60_000, 'it computes');
      kernel.load = 0;
      await time.settle(5_000);
      assert.match(verdict().why, /^the deadline of all calls under way passed/);
    });

    it('a process that hangs though calls keep coming, each with a deadline of its own', async () => {
      blockedBy(3_000);
      let abandoned = 0;
      for (let i = 0; i < 200 && hangs.length === 0; i++) {
        await time.settle(100);
        if (i % 10 === 0) work = { ...work, abandoned: abandoned++, lastDeadlineMs: time.now() + 3_000 };
      }
      assert.equal(hangs.length, 1);
      assert.ok(hangs[0]!.afterMs < 13_000, `after ${hangs[0]!.afterMs} ms`);
    });

    it('a run that outlasts longest_run, whatever its deadline, and says that it burnt CPU', async () => {
      kernel.load = 1;
      run(3_600_000);
      await passes(LONGEST_RUN_MS - 1_000);
      await time.settle(2_000);
      assertConvicted(/^no result for 30\d\.\d s, longer than longest_run \(300\.0 s\)$/, 'killed-busy');
    });

    it('a foreign server without a result or an answer for longest_run', async () => {
      blockedBy(3_600_000);
      await time.settle(LONGEST_RUN_MS + 3_000);
      assertConvicted(
        /longer than longest_run \(300\.0 s\), and \d+ health checks in a row/,
        'killed-frozen',
      );
    });

    it('a run that burns CPU long after its caller has gone, at longest_run', async () => {
      kernel.load = 1;
      blockedBy(1_000);
      await time.settle(1_000);
      work = { ...work, inFlight: 0, abandoned: 1 };
      await time.settle(LONGEST_RUN_MS + 3_000);
      assert.equal(verdict().end, 'killed-busy');
    });

    it('an idle model that answers nothing, within eleven seconds of the first silence', async () => {
      probe.health = SILENT;
      await passes(5_000);
      await time.settle(6_000);
      assert.equal(verdict().why, '5 health checks in a row went unanswered though nothing was under way');
    });

    it('a model whose thread is blocked outside of any run, though its watcher beats', async () => {
      watcher.isThere = true;
      kernel.load = 1;
      probe.health = SILENT;
      await time.settle(12_000);
      assert.deepEqual([hangs.length, verdict().end], [1, 'killed-busy']);
    });
  });

  describe('of a language-model engine whose front answers health checks,', () => {
    const see = (over: Partial<ModelWork['answers']>): void => {
      work = { ...work, answers: { ...work.answers, ...over } };
    };
    /** A byte of some answer comes, and more is awaited. */
    const move = (): void => see({ lastByteMs: time.now(), isAwaited: true });

    for (const load of [0, 1])
      it(`convicts one that sends nothing to anybody for longest_run though answers have begun, and none of its calls: load ${load}`, async () => {
        kernel.load = load;
        for (let i = 0; i < 10; i++) {
          move();
          await time.settle(3_000);
        }
        beganMs = time.now();
        await passes(LONGEST_RUN_MS - 4_000);
        await time.settle(8_000);
        assertConvicted(
          /^no byte of any answer for 30\d\.\d s, longer than longest_run \(300\.0 s\), though answers/,
          EndClass.killedFrozen,
        );
      });

    it('leaves one alone of which one answer moves, however seldom', async () => {
      for (let i = 0; i < 20; i++) {
        move();
        await passes(LONGEST_RUN_MS - 5_000);
      }
    });

    it('leaves one alone while nothing has begun: a long prompt, a model that loads, answers in one piece', async () => {
      move();
      await time.settle(5_000);
      see({ isAwaited: false });
      await passes(5 * LONGEST_RUN_MS);
    });

    it('leaves one alone while an unusually large request is read, and begins to count after it', async () => {
      move();
      await time.settle(LONGEST_RUN_MS - 10_000);
      see({ isUnusual: true });
      await passes(5 * LONGEST_RUN_MS);
      see({ isUnusual: false });
      await passes(LONGEST_RUN_MS - 5_000);
      await time.settle(10_000);
      assert.equal(hangs.length, 1);
    });

    it('leaves one alone whose callers do not read, also now and then', async () => {
      move();
      for (let i = 0; i < 10; i++) {
        await passes(LONGEST_RUN_MS - 10_000);
        see({ isAwaited: false });
        await passes(5_000);
        see({ isAwaited: true });
      }
    });

    it('learns how long it may be silent: three times what it has come back from', async () => {
      move();
      await time.settle(250_000);
      move();
      await passes(740_000);
      await time.settle(20_000);
      assert.equal(hangs.length, 1);
    });

    it('does not count what its own process slept through', async () => {
      move();
      await time.settle(5_000);
      for (let i = 0; i < 5; i++) {
        time.stall(LONGEST_RUN_MS);
        await time.settle(5_000);
      }
      assert.deepEqual(hangs, []);
    });
  });

  it('listens to the watcher only while there is doubt', async () => {
    watcher.isThere = true;
    await time.settle(10_000);
    assert.equal(watcher.isOpen, false);
    run(60_000);
    await time.settle(6_000);
    assert.equal(watcher.isOpen, true);
    work = { ...IDLE, lastAnswerMs: time.now() };
    watcher.runningSinceMs = -1;
    probe.health = SERVING;
    await time.settle(3_000);
    assert.equal(watcher.isOpen, false);
  });

  it('reports a model that answers NOT_SERVING, once, and does not call it hung', async () => {
    probe.health = { kind: 'not-serving', why: 'the model reports NOT_SERVING' };
    await time.settle(60_000);
    assert.deepEqual(notServing, ['the model reports NOT_SERVING']);
    assert.deepEqual(hangs, []);
  });

  it('says nothing after it was stopped, even when a question was open', async () => {
    probe.health = 'wait';
    await time.settle(6_000);
    detector.stop();
    probe.release({ kind: 'not-serving', why: 'late' });
    await time.settle(60_000);
    assert.deepEqual([hangs, notServing], [[], []]);
  });
});
