/**
 * What the adapter for engines costs a token: the same streams through two sidecars with mutual TLS, with `engine: vllm` on both sides and
 * without it, by turns. CPU time of both sidecars, divided by the tokens.
 */

import { mkdirSync } from 'node:fs';
import { AskedProcess } from '../../kit/process/asked-process.js';
import { freePort } from '../../kit/process/free-port.js';
import { writeCertificates } from '../certs.js';
import { describeMachine, type Machine } from '../relay/machine.js';
import { profilesIn, profilingFlags, renderProfile } from '../relay/profile.js';
import { type Spread, spreadOf } from '../relay/results.js';
import { startSidecar } from '../subjects/outrider.js';
import { identityBlock } from '../subjects/outrider-config.js';
import { LOAD_CORE, type Running } from '../subjects/subject.js';
import { type EngineLoad, type EngineResult, GENERATE } from './protocol.js';

/** The most that a token may cost beside one of a stream that is not read. */
export const GOAL = 1.15;

/** Ways in which tokens come. */
export const ENGINE_LOADS = [
  { name: 'tokens-4', what: '4 answers, each token for itself', streams: 4, gapMs: 8, isInSteps: false },
  { name: 'tokens-32', what: '32 answers, a step each 10 ms', streams: 32, gapMs: 10, isInSteps: true },
] as const;

const FULL = { tokensEach: 400, warmMs: 3_000, measureMs: 10_000 };
const QUICK = { tokensEach: 50, warmMs: 300, measureMs: 700 };

const ARMS = ['plain', 'engine'] as const;
type Arm = (typeof ARMS)[number];

/** CPU µs a token. */
interface TokenCost {
  readonly caller: Spread;
  readonly engine: Spread;
  readonly both: Spread;
  readonly perSecond: number;
  /** Of the load process: high beside the others means that the load was the bottleneck. */
  readonly loadUs: number;
}

export interface EngineFigures {
  readonly machine: Machine;
  readonly runs: number;
  readonly rows: readonly {
    readonly name: string;
    readonly what: string;
    readonly plain: TokenCost;
    readonly engine: TokenCost;
    /** Of the medians. */
    readonly ratio: number;
    readonly problems: readonly string[];
  }[];
}

interface Options {
  readonly only: ReadonlySet<string>;
  readonly runs: number;
  readonly quick: boolean;
  readonly profile?: string | undefined;
}

/** The two sidecars of an arm. */
interface Pair {
  readonly port: number;
  readonly caller: Running;
  readonly engine: Running;
}

export async function benchEngines(options: Options, say: (line: string) => void): Promise<EngineFigures> {
  const { only, quick, runs, profile } = options;
  if (profile !== undefined) mkdirSync(profile, { recursive: true });
  const before = new Set(profile === undefined ? [] : profilesIn(profile));
  const load = await AskedProcess.start<EngineLoad, number>(new URL('load-process.js', import.meta.url), {
    core: LOAD_CORE,
  });
  const certs = await writeCertificates();
  const pairs = new Map<Arm, Pair>();
  const rows: EngineFigures['rows'][number][] = [];
  try {
    for (const arm of ARMS) pairs.set(arm, await startPair(arm, certs, load.ready, profilingFlags(profile)));
    const loads = ENGINE_LOADS.filter(({ name }) => only.size === 0 || only.has(name));
    for (const { name, what, ...shape } of loads) {
      const found = new Map<Arm, EngineResult[]>(ARMS.map((arm) => [arm, []]));
      for (let run = 0; run < runs; run++) {
        say(`${name}, run ${run + 1} of ${runs}`);
        // Forth and back, so that what changes with time meets both alike.
        for (const arm of run % 2 === 0 ? ARMS : [...ARMS].reverse()) {
          const { port, caller, engine } = pairs.get(arm)!;
          const pids = [caller.pids()[0]!, engine.pids()[0]!];
          found.get(arm)!.push(await load.ask({ ...shape, ...(quick ? QUICK : FULL), port, pids }));
        }
      }
      rows.push({ name, what, ...rowOf(found.get('plain')!, found.get('engine')!) });
    }
  } finally {
    for (const { caller, engine } of pairs.values()) {
      await caller.stop();
      await engine.stop();
    }
    load.stop();
  }
  if (profile !== undefined)
    for (const name of profilesIn(profile)) if (!before.has(name)) say(renderProfile(profile, name));
  return { machine: describeMachine(), runs, rows };
}

/** The figures of both, and what their medians come to. */
export function rowOf(plain: readonly EngineResult[], engine: readonly EngineResult[]) {
  const [alone, read] = [costOf(plain), costOf(engine)];
  const problems = [
    ...plain.map(({ problem }) => (problem === '' ? '' : `plain: ${problem}`)),
    ...engine.map(({ problem }) => (problem === '' ? '' : `engine: ${problem}`)),
  ].filter((problem) => problem !== '');
  return { plain: alone, engine: read, ratio: read.both.median / alone.both.median, problems };
}

function costOf(results: readonly EngineResult[]): TokenCost {
  const us = (ns: number, { messages }: EngineResult): number => ns / 1_000 / Math.max(1, messages);
  const spread = (of: (result: EngineResult) => number): Spread =>
    spreadOf(results.map((result) => us(of(result), result)));
  return {
    caller: spread(({ cpuNs }) => cpuNs[0]!),
    engine: spread(({ cpuNs }) => cpuNs[1]!),
    both: spread(({ cpuNs }) => cpuNs[0]! + cpuNs[1]!),
    perSecond: spreadOf(results.map(({ perSecond }) => perSecond)).median,
    loadUs: spread(({ loadCpuNs }) => loadCpuNs).median,
  };
}

/** Whether each figure is one, and reaches the goal where it is asked for. */
export function reachesGoal({ rows }: EngineFigures, isFull: boolean): boolean {
  return rows.every(({ ratio, problems }) => problems.length === 0 && (!isFull || ratio < GOAL));
}

export function renderEngines({ machine, runs, rows }: EngineFigures): string {
  const cell = (text: string): string => text.padStart(22);
  const us = ({ median, min, max }: Spread): string =>
    `${median.toFixed(1)} (${min.toFixed(1)}–${max.toFixed(1)})`;
  const lines = rows.flatMap(({ name, what, plain, engine, ratio, problems }) => [
    `${name}: ${what}`,
    ...[['plain', plain] as const, ['engine: vllm', engine] as const].map(
      ([arm, cost]) =>
        `  ${arm.padEnd(14)}${[us(cost.caller), us(cost.engine), us(cost.both), cost.perSecond.toFixed(0), cost.loadUs.toFixed(1)].map(cell).join('')}`,
    ),
    `  ratio of the medians ${ratio.toFixed(3)}, goal < ${GOAL}${ratio < GOAL ? '' : ': missed'}`,
    ...problems.map((problem) => `  INVALID: ${problem}`),
  ]);
  return [
    `${machine.cpu}, ${machine.cores} cores, node ${machine.node}; medians of ${runs} runs, and the least and the most`,
    'CPU µs a token',
    `  ${''.padEnd(14)}${['caller', "engine's", 'both', 'tokens/s', 'load'].map(cell).join('')}`,
    ...lines,
  ].join('\n');
}

async function startPair(arm: Arm, certs: string, local: number, flags: readonly string[]): Promise<Pair> {
  const engine = arm === 'engine' ? { engine: 'vllm' } : {};
  const endpoint = await freePort();
  const inner = await startSidecar('echo', endpoint, flags, {
    ...identityBlock(certs, 'echo'),
    inbound: {
      listen: `127.0.0.1:${endpoint}`,
      mtls: 'strict',
      local: `127.0.0.1:${local}`,
      reflection: false,
      default_intention: 'deny',
      intentions: [{ from: 'caller', to: 'echo', action: 'allow' }],
      queue: { concurrency: 256, max_waiting: 1024 },
      routes: [{ methods: [GENERATE], kind: 'streaming' }],
      ...engine,
    },
  });
  const port = await freePort();
  const echo = {
    listen: `127.0.0.1:${port}`,
    tls: 'mesh',
    endpoints: [`127.0.0.1:${endpoint}`],
    routes: [{ methods: [GENERATE], kind: 'streaming', idempotent: true, retry: { on: ['unavailable'] } }],
    ...engine,
  };
  try {
    const outer = await startSidecar('caller', port, flags, {
      ...identityBlock(certs, 'caller'),
      outbound: { upstreams: { echo } },
    });
    return { port, caller: outer, engine: inner };
  } catch (error) {
    await inner.stop();
    throw error;
  }
}
