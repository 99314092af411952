/**
 * Records the streams: a model process under calls at a steady rate, which goes wrong after a while. What is measured is the caller's
 * latency, with the wait behind other calls, and the memory of the process as the kernel says it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../../sidecar/runtime/random.js';
import { AskedProcess } from '../../kit/process/asked-process.js';
import { seeded } from '../../kit/time/seeded-random.js';
import { type Second, type Stream, writeStream } from './stream-file.js';

/** One recording. */
interface Plan {
  readonly name: string;
  readonly what: string;
  readonly fault?: string;
  /** What happens to the process from outside, each second since the fault began. */
  readonly pressure?: 'neighbours' | 'throttle';
  /** Amount of work of a request over the usual one. */
  readonly work: (random: Random) => number;
  readonly perSecond: number;
  readonly flags?: readonly string[];
}

const steady = (random: Random): number => 0.8 + 0.4 * random();
/** From an eighth of the usual work to sixteen times, evenly on a logarithmic scale. */
const mixed = (random: Random): number => 0.125 * 128 ** random();

const PER_SECOND = 40;
const HEALTHY_SECONDS = 30;
const FAULTY_SECONDS = 50;
const CORE = 1;
/** A period of throttling, ms: as short as a kernel's quota of CPU time. */
const THROTTLE_MS = 25;
const MIB = 1024 * 1024;
const PAGE = 4096;

/** What is recorded. */
export const PLANS: readonly Plan[] = [
  { name: 'healthy', what: 'steady work', work: steady, perSecond: PER_SECOND },
  { name: 'healthy-mixed', what: 'work from 1 to 128, mixed', work: mixed, perSecond: PER_SECOND / 4 },
  {
    name: 'leak',
    what: 'memory is kept, in a heap of 96 MiB',
    fault: 'leak',
    work: steady,
    perSecond: PER_SECOND,
    flags: ['--max-old-space-size=96'],
  },
  {
    name: 'gc-thrash',
    what: 'ever more of a heap of 128 MiB is in use',
    fault: 'gc-thrash',
    work: steady,
    perSecond: PER_SECOND,
    flags: ['--max-old-space-size=128'],
  },
  {
    name: 'starvation',
    what: 'busy neighbours on its core, one more each 10 s',
    pressure: 'neighbours',
    work: steady,
    perSecond: PER_SECOND,
  },
  {
    name: 'creep',
    what: 'each request scans what earlier ones left',
    fault: 'creep',
    work: steady,
    perSecond: PER_SECOND,
  },
  {
    name: 'throttle',
    what: 'stopped for a growing part of the time, as by a hot CPU',
    pressure: 'throttle',
    work: steady,
    perSecond: PER_SECOND,
  },
  { name: 'errors', what: 'one call in twenty fails', fault: 'errors', work: steady, perSecond: PER_SECOND },
];

/** Records those named, one after another, into `directory`. */
export async function recordAll(
  directory: string,
  only: ReadonlySet<string>,
  say: (line: string) => void,
): Promise<void> {
  for (const plan of PLANS) {
    if (only.size > 0 && !only.has(plan.name)) continue;
    say(`recording ${plan.name}: ${plan.what}`);
    writeStream(join(directory, `${plan.name}.txt`), await record(plan));
  }
}

async function record(plan: Plan): Promise<Stream> {
  const random = seeded(7);
  const isFaulty = plan.fault !== undefined || plan.pressure !== undefined;
  const model = await AskedProcess.start<number>(new URL('./model-process.js', import.meta.url), {
    core: CORE,
    flags: plan.flags ?? [],
    args: [plan.fault ?? 'healthy', String(HEALTHY_SECONDS * plan.perSecond)],
  });
  const tally = new Tally(model.pid);
  const outside = new Pressure(model.pid);
  const seconds: Second[] = [];
  const start = performance.now();
  const secondMs = 1_000;
  let dueMs = start;
  while (seconds.length < HEALTHY_SECONDS + FAULTY_SECONDS) {
    const gapMs = (-Math.log(1 - random()) * 1_000) / plan.perSecond;
    dueMs += gapMs;
    while (start + (seconds.length + 1) * secondMs <= dueMs) {
      await until(start + (seconds.length + 1) * secondMs);
      seconds.push(tally.take());
      if (plan.pressure !== undefined) outside.apply(plan.pressure, seconds.length - HEALTHY_SECONDS);
    }
    await until(dueMs);
    if (model.isRunning) tally.send(model, plan.work(random));
    else tally.fail();
  }
  outside.stop();
  await model.kill();
  const { name, what } = plan;
  return { name, what, ...(isFaulty ? { faultFrom: HEALTHY_SECONDS } : {}), seconds };
}

/** The calls of the present second. */
class Tally {
  private latencies: number[] = [];
  private faults = 0;
  private queue = 0;

  constructor(private readonly pid: number) {}

  send(model: AskedProcess<number>, work: number): void {
    const startMs = performance.now();
    this.queue += 1;
    model.ask(work).then(
      () => {
        this.queue -= 1;
        this.latencies.push(performance.now() - startMs);
      },
      () => {
        this.queue -= 1;
        this.faults += 1;
      },
    );
  }

  fail(): void {
    this.faults += 1;
  }

  take(): Second {
    const { latencies, faults, queue } = this;
    this.latencies = [];
    this.faults = 0;
    return { latencies, faults, queue, residentMib: residentMib(this.pid) };
  }
}

/** What takes the CPU from the process. */
class Pressure {
  private readonly burners: ChildProcess[] = [];
  private timer: NodeJS.Timeout | undefined;
  private stoppedShare = 0;

  constructor(private readonly pid: number) {}

  apply(kind: 'neighbours' | 'throttle', since: number): void {
    if (since < 0) return;
    if (kind === 'neighbours') {
      if (since % 10 === 0)
        this.burners.push(
          spawn('taskset', ['-c', String(CORE), process.execPath, '-e', 'for(;;);'], { stdio: 'ignore' }),
        );
      return;
    }
    this.stoppedShare = Math.min(0.9, since / FAULTY_SECONDS);
    this.timer ??= setInterval(() => this.throttle(), THROTTLE_MS);
  }

  private throttle(): void {
    signal(this.pid, 'SIGSTOP');
    setTimeout(() => signal(this.pid, 'SIGCONT'), this.stoppedShare * THROTTLE_MS);
  }

  stop(): void {
    clearInterval(this.timer);
    signal(this.pid, 'SIGCONT');
    for (const burner of this.burners) burner.kill('SIGKILL');
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It is gone.
  }
}

function residentMib(pid: number): number {
  try {
    return (Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * PAGE) / MIB;
  } catch {
    return 0;
  }
}

function until(atMs: number): Promise<void> {
  const leftMs = atMs - performance.now();
  return leftMs <= 0 ? Promise.resolve() : new Promise((resolve) => void setTimeout(resolve, leftMs));
}
