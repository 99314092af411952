/**
 * What it costs to learn many endpoints from Consul: from the last byte of an answer to endpoints that calls go to, what
 * the event loop does meanwhile, memory, picks, and bytes. The Consul is ours, its answers are as a real one's.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { YOUNG_HEAP_FLAG } from '../../../sidecar/runtime/process/v8-tuning.js';
import { AskedProcess } from '../../kit/process/asked-process.js';
import type { BenchOptions } from '../options.js';
import { describeMachine, type Machine } from '../relay/machine.js';
import { type Spread, spreadOf } from '../relay/results.js';
import { LOAD_CORE, scratch } from '../subjects/subject.js';
import { type LiveResult, measureLive } from './live.js';
import type { Stall } from './loop.js';
import type { AgentCounts, AgentRequest, Applied, LoopWatch, SubjectRequest } from './protocol.js';

const COUNTS = [1, 2, 100, 1_000, 10_000];
const UPSTREAMS = 100;
const EACH = 10;
const PER_MINUTE = 1_000;
/** Reads of one query are at most this frequent in the long run. */
const READ_PERIOD_MS = 1_100;

/** What one kind of answer costs, over several runs. */
export interface Times {
  readonly appliedMs: Spread;
  readonly stallMs: Spread;
  /** Of the stall, the main thread's own CPU time: what of it is not the machine's doing. */
  readonly ownMs: Spread;
}

function timesOf(runs: readonly Applied[]): Times {
  const spread = (field: keyof Times): Spread => spreadOf(runs.map((run) => run[field]));
  return { appliedMs: spread('appliedMs'), stallMs: spread('stallMs'), ownMs: spread('ownMs') };
}

/** One upstream of so many endpoints. */
export interface SizeResult {
  readonly endpoints: number;
  readonly bytes: number;
  /** The first answer, all of which is new, and one in which a single instance has changed. */
  readonly first: Times;
  readonly change: Times;
  /** Beyond what the process had before it asked. */
  readonly memoryMb: number;
  readonly pickNs: number;
}

/** A thousand changes a minute in one upstream of so many endpoints. */
interface ChurnResult extends LoopWatch {
  readonly endpoints: number;
  readonly seconds: number;
  readonly changes: number;
  readonly reads: number;
  readonly mbPerSecond: number;
}

/** Many upstreams of a few endpoints each. */
interface ManyResult extends Stall {
  readonly upstreams: number;
  readonly endpointsEach: number;
  readonly allMs: number;
  readonly memoryMb: number;
  readonly readsPerSecondAtRest: number;
  readonly changeMs: number;
}

/** All figures of the discovery benchmark. */
export interface DiscoveryReport {
  readonly machine: Machine;
  readonly runs: number;
  /** What the event loop of an idle process shows on this machine: no bar can be below it. */
  readonly idleStallMs: number;
  readonly sizes: readonly SizeResult[];
  readonly churn: readonly ChurnResult[];
  readonly many: ManyResult;
  readonly live: LiveResult;
}

/** Runs the whole benchmark; the agent has a core of its own. */
export async function benchDiscovery(
  options: BenchOptions,
  say: (line: string) => void,
): Promise<DiscoveryReport> {
  const url = new URL('agent.js', import.meta.url);
  const agent: Bench['agent'] = await AskedProcess.start(url, { core: LOAD_CORE });
  try {
    const sizes: SizeResult[] = [];
    const churn: ChurnResult[] = [];
    let idleStallMs = 0;
    for (const count of COUNTS) {
      say(`${count.toLocaleString('en')} endpoints`);
      await withSubject(agent, async (bench) => {
        const idle = await bench.subject.ask<LoopWatch>({ do: 'watch', forMs: 1_000 });
        idleStallMs = Math.max(idleStallMs, idle.stallMs);
        sizes.push(await measureSize(bench, count, options));
        if (count >= 1_000) churn.push(await measureChurn(bench, count, options));
      });
    }
    say(`${UPSTREAMS} upstreams`);
    const many = await withSubject(agent, measureMany);
    const live = await measureLive(options, agent, say);
    return { machine: describeMachine(), runs: options.runs, idleStallMs, sizes, churn, many, live };
  } finally {
    agent.stop();
  }
}

/** The two processes, and the memory of the subject before it asked for anything. */
interface Bench {
  readonly agent: AskedProcess<AgentRequest, number>;
  readonly subject: AskedProcess<SubjectRequest>;
  readonly baseMb: number;
}

async function withSubject<T>(agent: Bench['agent'], work: (bench: Bench) => Promise<T>): Promise<T> {
  const flags = [YOUNG_HEAP_FLAG];
  const subject: Bench['subject'] = await AskedProcess.start(new URL('subject.js', import.meta.url), {
    flags,
  });
  try {
    const url = `http://127.0.0.1:${agent.ready}`;
    const baseMb = await subject.ask<number>({ do: 'start', agent: url, cache: join(scratch(), 'cache') });
    // The code of the way has run before anything is measured.
    await agent.ask({ do: 'set', service: 'warm', count: 50, port: 0 });
    await subject.ask({ do: 'follow', service: 'warm' });
    await subject.ask({ do: 'leave', service: 'warm' });
    return await work({ agent, subject, baseMb });
  } finally {
    subject.stop();
  }
}

async function measureSize(
  { agent, subject, baseMb }: Bench,
  count: number,
  { runs }: BenchOptions,
): Promise<SizeResult> {
  const service = `fleet-${count}`;
  await agent.ask({ do: 'set', service, count, port: 0 });
  const first: Applied[] = [];
  const changes: Applied[] = [];
  for (let run = 0; run < runs; run += 1) {
    first.push(await subject.ask<Applied>({ do: 'follow', service }));
    await sleep(READ_PERIOD_MS);
    const next = subject.ask<Applied>({ do: 'next', service });
    await agent.ask({ do: 'change', service });
    changes.push(await next);
    await sleep(READ_PERIOD_MS);
  }
  const wrong = first.find(({ endpoints }) => endpoints !== count);
  if (wrong !== undefined) throw new Error(`${wrong.endpoints} endpoints arrived instead of ${count}`);
  return {
    endpoints: count,
    bytes: first[0]!.bytes,
    first: timesOf(first),
    change: timesOf(changes),
    memoryMb: changes.at(-1)!.rssMb - baseMb,
    pickNs: await subject.ask<number>({ do: 'picks', service }),
  };
}

async function measureChurn(
  { agent, subject }: Bench,
  count: number,
  { quick }: BenchOptions,
): Promise<ChurnResult> {
  const service = `fleet-${count}`;
  const seconds = quick ? 5 : 30;
  await agent.ask({ do: 'churn', service, perMinute: PER_MINUTE });
  // The reads that may come at once have come.
  await sleep(6_000);
  const before = await agent.ask<AgentCounts>({ do: 'counts' });
  const watched = await subject.ask<LoopWatch>({ do: 'watch', forMs: seconds * 1_000 });
  const after = await agent.ask<AgentCounts>({ do: 'counts' });
  await agent.ask({ do: 'churn', service, perMinute: 0 });
  return {
    ...watched,
    endpoints: count,
    seconds,
    changes: after.changes - before.changes,
    reads: after.requests - before.requests,
    mbPerSecond: (after.bytes - before.bytes) / 1e6 / seconds,
  };
}

async function measureMany({ agent, subject, baseMb }: Bench): Promise<ManyResult> {
  const names = Array.from({ length: UPSTREAMS }, (_, i) => `many-${i}`);
  for (const service of names) await agent.ask({ do: 'set', service, count: EACH, port: 0 });
  const fromMs = performance.now();
  const applied = await Promise.all(
    names.map((service) =>
      subject.ask<Applied>({ do: 'follow', service }).then((each) => ({ ...each, atMs: performance.now() })),
    ),
  );
  const allMs = Math.max(...applied.map(({ atMs }) => atMs)) - fromMs;
  await sleep(READ_PERIOD_MS);
  const before = await agent.ask<AgentCounts>({ do: 'counts' });
  await sleep(5_000);
  const after = await agent.ask<AgentCounts>({ do: 'counts' });
  const next = subject.ask<Applied>({ do: 'next', service: 'many-50' });
  await agent.ask({ do: 'change', service: 'many-50' });
  const change = await next;
  return {
    upstreams: UPSTREAMS,
    endpointsEach: EACH,
    allMs,
    stallMs: Math.max(...applied.map(({ stallMs }) => stallMs)),
    ownMs: Math.max(...applied.map(({ ownMs }) => ownMs)),
    memoryMb: change.rssMb - baseMb,
    readsPerSecondAtRest: (after.requests - before.requests) / 5,
    changeMs: change.appliedMs,
  };
}
