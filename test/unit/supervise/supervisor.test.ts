import assert from 'node:assert/strict';
import { MinimumUptime } from '../../../sidecar/core/health/minimum-uptime.js';
import { EndClass, type ProcessEnd } from '../../../sidecar/core/health/process-end.js';
import { RestartLimit } from '../../../sidecar/core/health/restart-limit.js';
import type { Health } from '../../../sidecar/health/model/health-probe.js';
import type { RequestedChange } from '../../../sidecar/health/model/repository-query.js';
import { type MonitorEvents, Supervisor } from '../../../sidecar/supervise/supervisor.js';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import { FakeProbe, FakeProcess, SERVING } from '../../kit/process/fake-process.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

const NOT_SERVING = { kind: 'not-serving', why: 'the model reports NOT_SERVING' } as const;

describe('supervised process', () => {
  let time: ManualClock;
  let probe: FakeProbe;
  let processes: FakeProcess[];
  let reports: ModelReport[];
  let watches: { events: MonitorEvents; stopped: boolean }[];
  let readyTimes: number[];
  let ends: ProcessEnd[];
  let isOutOfMemory: boolean;
  let whyNoStart: string;
  let change: RequestedChange;
  let supervised: Supervisor;

  beforeEach(() => {
    time = new ManualClock();
    probe = new FakeProbe();
    processes = [];
    reports = [];
    watches = [];
    readyTimes = [];
    ends = [];
    isOutOfMemory = false;
    whyNoStart = '';
    change = 'none';
    supervised = new Supervisor(
      { startTimeoutMs: 60_000, stopTimeoutMs: 10_000, notServingTimeoutMs: 20_000 },
      {
        clock: time,
        timers: time,
        probe,
        start: (onExit) => {
          if (whyNoStart !== '') throw new Error(whyNoStart);
          const process = new FakeProcess(100 + processes.length, onExit);
          processes.push(process);
          return process;
        },
        monitor: (events) => {
          const watch = { events, stopped: false };
          watches.push(watch);
          return { stop: () => void Object.assign(watch, { stopped: true }) };
        },
        restartDelayMs: (readyForMs) => {
          readyTimes.push(readyForMs);
          return 200;
        },
        limit: new RestartLimit({ starts: 5, withinMs: 60_000, retryAfterMs: 300_000 }),
        uptime: new MinimumUptime(),
        isOutOfMemory: () => isOutOfMemory,
        requestedChange: async () => change,
        onEnd: (end) => ends.push(end),
        onChange: (report) => reports.push(report),
      },
    );
  });

  const state = () => supervised.report().state;
  const exit = (how: string): void => processes.at(-1)!.exit(how);

  async function becomeReady(): Promise<void> {
    probe.health = SERVING;
    await time.settle(1_000);
    assert.equal(state(), 'ready');
  }

  async function startReady(): Promise<void> {
    supervised.start();
    await becomeReady();
  }

  /** Every process ends as soon as it has started. */
  async function giveUp(): Promise<void> {
    supervised.start();
    for (let start = 0; start < 200 && state() !== 'given-up'; start++) {
      exit('exited with code 3');
      await time.settle(200);
    }
    assert.equal(state(), 'given-up');
  }

  it('is starting until the probe says serving, then ready and watched', async () => {
    supervised.start();
    await time.settle(5_000);
    assert.deepEqual([state(), supervised.report().pid], ['starting', 100]);
    await becomeReady();
    const states = reports.map((report) => report.state);
    assert.deepEqual([watches.length, states], [1, ['starting', 'ready']]);
  });

  it('asks less often the longer a start takes', async () => {
    supervised.start();
    await time.settle(1_000);
    const early = probe.asked;
    await time.settle(10_000);
    const perSecond = (probe.asked - early) / 10;
    assert.ok(early >= 5 && perSecond <= 2.1, `${early} in the first second, ${perSecond} per second later`);
  });

  it('says how the process ended, waits, and starts it again', async () => {
    await startReady();
    exit('killed by SIGKILL');
    assert.deepEqual([state(), watches[0]!.stopped], ['backoff', true]);
    assert.equal(supervised.report().why, 'killed by SIGKILL; next start in 0.2 s');
    await time.settle(199);
    assert.equal(processes.length, 1);
    await time.settle(1);
    assert.deepEqual([processes.length, supervised.report().restarts], [2, 1]);
    await becomeReady();
  });

  it('that cannot be started is started again, and says why it was not', async () => {
    whyNoStart = 'ENOENT: no such file or directory';
    supervised.start();
    await time.settle(0);
    const { state: now, why } = supervised.report();
    assert.deepEqual(
      [now, why],
      ['backoff', 'could not be started: ENOENT: no such file or directory; next start in 0.2 s'],
    );
    whyNoStart = '';
    await time.settle(200);
    await becomeReady();
    whyNoStart = 'no memory';
    exit('killed by SIGKILL');
    await time.settle(200);
    assert.match(supervised.report().why, /^could not be started: no memory/);
    await supervised.stop();
    assert.deepEqual([state(), time.pending()], ['stopped', 0]);
  });

  it('tells the backoff how long the process had been ready', async () => {
    supervised.start();
    processes[0]!.exit('exited with code 1');
    await time.settle(200);
    await becomeReady();
    await time.settle(70_000);
    processes[1]!.exit('exited with code 1');
    assert.equal(readyTimes[0], 0);
    assert.ok(readyTimes[1]! >= 70_000, String(readyTimes[1]));
  });

  it('gives up a process that only ever dies, says so, and tries again now and then', async () => {
    await giveUp();
    assert.equal(processes.length, 5);
    const why = 'given up after 5 starts in 0.8 s: exited with code 3; next start in 300.0 s';
    assert.equal(supervised.report().why, why);
    await time.settle(299_000);
    assert.equal(processes.length, 5);
    await time.settle(1_000);
    assert.equal(processes.length, 6);
    exit('exited with code 3');
    assert.equal(state(), 'given-up');
    assert.match(supervised.report().why, /^given up after 6 starts in 30\d\.\d s: /);
    await time.settle(300_000);
    await becomeReady();
    exit('killed by SIGKILL');
    assert.equal(state(), 'backoff', 'a slow retry that became ready has the whole limit again');
  });

  it('does not give up a process that dies now and then with healthy runs between', async () => {
    supervised.start();
    for (let death = 0; death < 50; death++) {
      await becomeReady();
      await time.settle(60_000);
      exit('killed by SIGSEGV');
      assert.equal(state(), 'backoff');
      await time.settle(200);
    }
  });

  it('starts a process that was given up no more once it was told to stop', async () => {
    await giveUp();
    await supervised.stop();
    assert.deepEqual([state(), time.pending()], ['stopped', 0]);
  });

  it('has a process that follows a dead one on probation for a bounded time, and says so', async () => {
    await startReady();
    assert.equal(supervised.report().isOnProbation, undefined);
    exit('killed by SIGSEGV');
    supervised.report();
    await time.settle(200);
    probe.health = SERVING;
    await time.settle(100);
    const { state: at, why, isOnProbation } = supervised.report();
    assert.deepEqual([at, isOnProbation], ['ready', true]);
    assert.match(why, /^on probation for 1 s/);
    const { length } = reports;
    await time.settle(1_000);
    assert.deepEqual(supervised.report(), { state: 'ready', why: '', restarts: 1, pid: 101 });
    assert.equal(reports.length, length + 1, 'the end is told once');
    assert.equal(watches[1]!.stopped, false, 'it goes on being watched');
    await time.settle(60_000);
    assert.equal(reports.length, length + 1);
  });

  it('has a process that was stopped and started anew, or never served, on no probation', async () => {
    supervised.start();
    exit('exited with code 3');
    await time.settle(200);
    await becomeReady();
    assert.equal(supervised.report().isOnProbation, undefined);
    const stopped = supervised.stop();
    exit('exited with code 0');
    await stopped;
    supervised.start();
    await becomeReady();
    assert.equal(supervised.report().isOnProbation, undefined);
  });

  it('kills a process that hangs, and starts another when it is gone', async () => {
    await startReady();
    watches[0]!.events.onHang('no result for 3 s', EndClass.killedFrozen);
    assert.deepEqual([state(), processes[0]!.signals], ['unresponsive', ['SIGKILL']]);
    exit('killed by SIGKILL');
    assert.match(supervised.report().why, /^no result for 3 s, so it was killed; next start in/);
    await time.settle(200);
    assert.equal(processes.length, 2);
  });

  it('says of each end whether calls may have caused it', async () => {
    supervised.start();
    const endBy = async (how: string): Promise<void> => {
      await becomeReady();
      await time.settle(60_000);
      exit(how);
      await time.settle(200);
    };
    for (const how of ['killed by SIGSEGV', 'exited with code 1', 'killed by SIGKILL', 'exited with code 0'])
      await endBy(how);
    isOutOfMemory = true;
    await endBy('killed by SIGKILL');
    await becomeReady();
    watches.at(-1)!.events.onHang('runs for 301 s', EndClass.killedBusy);
    exit('killed by SIGKILL');
    const told = ends.map((end) => `${end.how}: ${end.class}`);
    assert.deepEqual(told, [
      ...['killed by SIGSEGV: crashed', 'exited with code 1: crashed', 'killed by SIGKILL: ended'],
      ...['exited with code 0: ended', 'killed by SIGKILL: crashed'],
      'runs for 301 s, so it was killed: killed-busy',
    ]);
  });

  it('kills a process that is not ready in time, and says what it answered last', async () => {
    supervised.start();
    probe.health = NOT_SERVING;
    await time.settle(59_999);
    assert.equal(state(), 'starting');
    await time.settle(1);
    assert.deepEqual([state(), processes[0]!.signals], ['unresponsive', ['SIGKILL']]);
    assert.equal(supervised.report().why, 'not ready within 60 s (the model reports NOT_SERVING)');
  });

  it('goes back to starting when a ready model says it is not serving, without killing it', async () => {
    await startReady();
    probe.health = NOT_SERVING;
    watches[0]!.events.onNotServing(NOT_SERVING.why);
    await time.settle(1_000);
    assert.deepEqual([state(), processes[0]!.signals], ['starting', []]);
    await becomeReady();
    assert.equal(processes.length, 1);
  });

  /** A ready process begins to answer so. */
  async function leaveReady(health: Health): Promise<void> {
    await startReady();
    probe.health = health;
    watches[0]!.events.onNotServing(NOT_SERVING.why);
  }

  it('kills a process that was ready and says for a while that it does not serve', async () => {
    await leaveReady(NOT_SERVING);
    await time.settle(19_999);
    assert.deepEqual([state(), processes[0]!.signals], ['starting', []]);
    await time.settle(1);
    assert.deepEqual([state(), processes[0]!.signals], ['unresponsive', ['SIGKILL']]);
    const why = 'it was ready and has not served for 20.0 s (the model reports NOT_SERVING)';
    assert.equal(supervised.report().why, why);
    exit('killed by SIGKILL');
    await time.settle(200);
    assert.equal(processes.length, 2);
  });

  it('leaves it alone when it serves again in time, and counts from the start the next time', async () => {
    await leaveReady(NOT_SERVING);
    await time.settle(19_000);
    await becomeReady();
    probe.health = NOT_SERVING;
    watches.at(-1)!.events.onNotServing(NOT_SERVING.why);
    await time.settle(19_000);
    assert.deepEqual([state(), processes[0]!.signals], ['starting', []]);
    await becomeReady();
  });

  it('counts what it served before it lapsed, in all', async () => {
    await startReady();
    for (let i = 1; i < 4; i++) {
      await time.settle(8_000);
      probe.health = NOT_SERVING;
      watches.at(-1)!.events.onNotServing(NOT_SERVING.why);
      await time.settle(2_000);
      if (i < 3) await becomeReady();
    }
    exit('killed by SIGKILL');
    assert.ok(readyTimes[0]! >= 24_000 && readyTimes[0]! < 27_000, String(readyTimes));
  });

  it('leaves one that has unloaded its models on request alone for ever', async () => {
    change = 'unloaded';
    await leaveReady(NOT_SERVING);
    await time.settle(3_600_000);
    assert.deepEqual([state(), processes[0]!.signals], ['starting', []]);
    await becomeReady();
    assert.equal(processes.length, 1);
  });

  it('gives one that loads on request the time of a start', async () => {
    change = 'under-way';
    await leaveReady(NOT_SERVING);
    await time.settle(59_000);
    assert.deepEqual([state(), processes[0]!.signals], ['starting', []]);
    await time.settle(2_000);
    assert.deepEqual([state(), processes[0]!.signals], ['unresponsive', ['SIGKILL']]);
  });

  it('gives one that becomes silent the time of a start, because it does not say anything itself', async () => {
    await leaveReady({ kind: 'silent', why: 'no answer' });
    await time.settle(59_000);
    assert.deepEqual([state(), processes[0]!.signals], ['starting', []]);
    await time.settle(2_000);
    assert.deepEqual([state(), processes[0]!.signals], ['unresponsive', ['SIGKILL']]);
  });

  it('asks a stopping process politely, wakes it if it is frozen, and kills it when it takes too long', async () => {
    await startReady();
    let stopped = false;
    const done = supervised.stop().then(() => {
      stopped = true;
    });
    const { signals } = processes[0]!;
    assert.deepEqual(signals, ['SIGTERM', 'SIGCONT']);
    await time.settle(9_999);
    assert.deepEqual(signals, ['SIGTERM', 'SIGCONT']);
    await time.settle(1);
    assert.deepEqual([signals, stopped], [['SIGTERM', 'SIGCONT', 'SIGKILL'], false]);
    exit('killed by SIGKILL');
    await done;
    assert.deepEqual([state(), time.pending()], ['stopped', 0]);
  });

  it('starts nothing again once it was told to stop', async () => {
    for (const prepare of [() => {}, becomeReady, () => exit('exited with code 1')]) {
      processes.length = 0;
      supervised.start();
      await prepare();
      const done = Promise.all([supervised.stop(), supervised.stop()]);
      processes[0]!.exit('exited with code 0');
      await done;
      await time.settle(120_000);
      assert.deepEqual([processes.length, state(), time.pending()], [1, 'stopped', 0]);
      probe.health = { kind: 'silent', why: '' };
    }
  });

  it('ignores an answer that belongs to a process that has ended', async () => {
    supervised.start();
    probe.health = 'wait';
    await time.settle(25);
    processes[0]!.exit('exited with code 1');
    probe.release(SERVING);
    await time.settle(0);
    assert.deepEqual([state(), watches.length], ['backoff', 0]);
  });

  it('ignores a late verdict on a process that has ended', async () => {
    await startReady();
    processes[0]!.exit('exited with code 1');
    watches[0]!.events.onHang('too late', EndClass.killedFrozen);
    assert.equal(state(), 'backoff');
    await time.settle(200);
    watches[0]!.events.onHang('too late', EndClass.killedFrozen);
    assert.deepEqual([state(), processes[1]!.signals], ['starting', []]);
  });

  it('strikes only a process that serves, and finds the end as any other', async () => {
    assert.deepEqual(supervised.strike('kill'), {
      kind: 'spared',
      why: 'no process serves: not started yet',
    });
    supervised.start();
    assert.equal(supervised.strike('kill').kind, 'spared');
    await startReady();
    const running = processes.at(-1)!;
    assert.deepEqual(supervised.strike('freeze'), { kind: 'struck', pid: running.pid });
    assert.equal(state(), 'ready');
    supervised.thaw(running.pid + 1);
    supervised.thaw(running.pid);
    supervised.strike('kill');
    assert.deepEqual(running.signals, ['SIGSTOP', 'SIGCONT', 'SIGKILL']);
    running.exit('killed by SIGKILL');
    assert.equal(state(), 'backoff');
    assert.equal(supervised.strike('kill').kind, 'spared');
    supervised.thaw(running.pid);
    assert.equal(running.signals.length, 3);
  });

  it('spares a process that would be given up after its end', async () => {
    await startReady();
    for (let death = 1; death < 5; death++) {
      assert.equal(supervised.strike('kill').kind, 'struck', `death ${death}`);
      exit('killed by SIGKILL');
      await time.settle(300);
      assert.equal(state(), 'ready');
    }
    assert.deepEqual(supervised.strike('kill'), {
      kind: 'spared',
      why: 'it was started so often of late that it would be given up',
    });
    assert.equal(supervised.strike('freeze').kind, 'spared');
    assert.deepEqual(processes.at(-1)!.signals, []);
  });
});
