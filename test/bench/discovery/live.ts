/**
 * Live traffic through a real sidecar while the service it calls changes a thousand times a minute: the same paced load
 * with and without the changes, in turn. Every instance is another loopback address of one backend.
 */

import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { YOUNG_HEAP_FLAG } from '../../../sidecar/runtime/process/v8-tuning.js';
import { AskedProcess } from '../../kit/process/asked-process.js';
import { freePort } from '../../kit/process/free-port.js';
import { PATHS, SMALL_MESSAGE_BYTES } from '../load/protocol.js';
import type { LoadResult } from '../load/run.js';
import { type LoadProcess, startLoad } from '../load-process.js';
import type { BenchOptions } from '../options.js';
import { type Spread, spreadOf } from '../relay/results.js';
import { LOAD_CORE, type Running, scratch, startProcess } from '../subjects/subject.js';
import type { AgentCounts, AgentRequest } from './protocol.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '../../../sidecar/main.js');
const SERVICE = 'echo';
const PER_MINUTE = 1_000;
const RATE = 500;
/** Short ones, in turn: what else happens on the machine falls on both alike. */
const SEGMENTS_PER_RUN = 5;

/** Latency of live traffic without and with changes. */
export interface LiveResult {
  readonly endpoints: number;
  readonly ratePerSecond: number;
  readonly quietP99Us: Spread;
  /** A quarter of the segments without changes was above it. */
  readonly quietUpperUs: number;
  readonly churnP99Us: Spread;
  readonly quietP50Us: Spread;
  readonly churnP50Us: Spread;
  readonly changes: number;
  readonly calls: number;
  /** Empty: every call was answered with OK. */
  readonly problem: string;
}

type Agent = AskedProcess<AgentRequest, number>;

/** The processes of a measurement. */
interface Live {
  readonly agent: Agent;
  readonly load: LoadProcess;
  readonly sidecar: Running;
}

/** Measures live traffic over endpoints that the agent lists. */
export async function measureLive(
  options: BenchOptions,
  agent: Agent,
  say: (line: string) => void,
): Promise<LiveResult> {
  const endpoints = options.quick ? 100 : 1_000;
  say(`live traffic, ${endpoints.toLocaleString('en')} endpoints`);
  const url = new URL('backend.js', import.meta.url);
  const backend = await AskedProcess.start<never, number>(url, { core: LOAD_CORE });
  await agent.ask({ do: 'set', service: SERVICE, count: endpoints, port: backend.ready });
  const load = await startLoad();
  let sidecar: Running | undefined;
  try {
    sidecar = await startSidecar(agent.ready);
    return await compare({ agent, load, sidecar }, options, endpoints);
  } finally {
    await sidecar?.stop();
    load.stop();
    backend.stop();
  }
}

async function compare(
  { agent, load, sidecar }: Live,
  options: BenchOptions,
  endpoints: number,
): Promise<LiveResult> {
  const quiet: LoadResult[] = [];
  const churned: LoadResult[] = [];
  let changes = 0;
  const counted = async () => (await agent.ask<AgentCounts>({ do: 'counts' })).changes;
  const run = (seed: number) => runLoad({ load, sidecar }, options.quick ? 3_000 : 4_000, seed);
  await run(0);
  const pairs = options.quick ? 1 : options.runs * SEGMENTS_PER_RUN;
  for (let i = 0; i < pairs; i += 1) {
    quiet.push(await run(2 * i + 1));
    const before = await counted();
    await agent.ask({ do: 'churn', service: SERVICE, perMinute: PER_MINUTE });
    churned.push(await run(2 * i + 2));
    await agent.ask({ do: 'churn', service: SERVICE, perMinute: 0 });
    changes += (await counted()) - before;
    await sleep(500);
  }
  const all = [...quiet, ...churned];
  return {
    endpoints,
    ratePerSecond: RATE,
    quietP99Us: spreadOf(quiet.map(({ p99Us }) => p99Us)),
    quietUpperUs: upperQuartile(quiet.map(({ p99Us }) => p99Us)),
    churnP99Us: spreadOf(churned.map(({ p99Us }) => p99Us)),
    quietP50Us: spreadOf(quiet.map(({ p50Us }) => p50Us)),
    churnP50Us: spreadOf(churned.map(({ p50Us }) => p50Us)),
    changes,
    calls: all.reduce((sum, { issued }) => sum + issued, 0),
    problem: [...new Set(all.map(problemOf))].filter((each) => each !== '').join('; ') || sidecar.lastWords(),
  };
}

function upperQuartile(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.75) - 1]!;
}

function runLoad(
  { load, sidecar }: Omit<Live, 'agent'>,
  measureMs: number,
  seed: number,
): Promise<LoadResult> {
  return load.run({
    port: sidecar.port,
    kind: 'unary',
    connections: 4,
    inFlight: 64,
    requestBytes: SMALL_MESSAGE_BYTES,
    varyingHeaders: true,
    warmMs: 1_000,
    measureMs,
    ratePerSecond: RATE,
    seed: 0x5eed + seed,
    pids: sidecar.pids(),
  });
}

function problemOf({ failures, measured, ok, issued }: LoadResult): string {
  const failed = Object.entries(failures).map(([what, times]) => `${times} × ${what}`);
  if (failed.length > 0) return failed.join(', ');
  if (measured === 0) return 'nothing was measured';
  return ok === issued ? '' : `${issued} calls, ${ok} OK`;
}

async function startSidecar(agentPort: number): Promise<Running> {
  if (!existsSync(MAIN)) throw new Error('run `npm run build`');
  const port = await freePort();
  const dir = scratch();
  const file = join(dir, 'caller.yaml');
  writeFileSync(
    file,
    `service: caller
log: { level: warn }
consul: { address: "http://127.0.0.1:${agentPort}", rules: false, intentions: false }
outbound:
  upstreams:
    ${SERVICE}:
      listen: 127.0.0.1:${port}
      tls: plaintext
      consul: {}
      routes:
        - { methods: ["${PATHS.unary}"], kind: unary, idempotent: true, timeout: 15s, retry: { attempts: 2, on: [unavailable] } }
`,
  );
  const command = [process.execPath, YOUNG_HEAP_FLAG, MAIN, 'sidecar', '-c', file];
  return startProcess({ command, port, dir });
}
