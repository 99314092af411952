/**
 * Memory over many small calls while connections come and go (one in four abruptly, with calls in flight) and a share
 * of the calls is reset. What must hold: resident memory stays below the bound and does not grow with the calls.
 */

import { residentBytes } from '../kit/process/processes.js';
import { type LoadSpec, SMALL_MESSAGE_BYTES } from './load/protocol.js';
import type { LoadProcess } from './load-process.js';
import { type BenchOptions, chosen } from './options.js';
import { allSubjects } from './relay/main.js';
import { problemOf } from './relay/measure.js';
import { slopeOf } from './relay/results.js';
import type { Subject } from './subjects/subject.js';

const TRAFFIC: Omit<LoadSpec, 'port' | 'calls' | 'pids'> = {
  ...{ kind: 'unary', connections: 16, inFlight: 8, requestBytes: SMALL_MESSAGE_BYTES, varyingHeaders: true },
  ...{ warmMs: 2000, measureMs: Number.POSITIVE_INFINITY, seed: 0x5eed },
  churn: { callsPerConnection: 200, resetRatio: 0.02 },
};
const RSS_BOUND_MB = 200;
/** Growth over 100,000 calls that is noise of the collector and not a leak. */
const SLOPE_BOUND_MB = 0.5;

/** Soaks each subject that is installed; by default ours only. */
export async function benchSoak(
  options: BenchOptions,
  load: LoadProcess,
  say: (line: string) => void,
): Promise<SoakResult[]> {
  const only = options.only.size > 0 ? options.only : new Set(['outrider']);
  const results: SoakResult[] = [];
  for (const subject of chosen(allSubjects(), only)) {
    if ('missing' in subject.version) {
      say(`${subject.name} is not here: ${subject.version.missing}`);
      continue;
    }
    say(`${subject.name}: ${options.calls.toLocaleString('en')} calls`);
    results.push(await soak(subject, load, options.calls));
  }
  return results;
}

/** Memory of one subject over the calls of a soak. */
type SoakResult = Awaited<ReturnType<typeof soak>>;

async function soak(subject: Subject, load: LoadProcess, calls: number) {
  const { unary, aside } = load.ports;
  const running = await subject.start({ backendPort: unary, asidePort: aside, kind: 'unary', certs: '' });
  const pids = running.pids();
  const result = await load.run({ ...TRAFFIC, port: running.port, calls, pids });
  const peakMb = residentBytes(pids, 'VmHWM') / 1e6;
  await running.stop();
  const mb = result.rssSamples.map((s) => ({ x: s.calls / 100_000, y: s.bytes / 1e6 }));
  const slopeMb = slopeOf(mb.slice(mb.length >> 1));
  return {
    name: subject.name,
    calls: result.issued,
    ok: result.ok,
    abandoned: result.abandoned,
    seconds: result.seconds,
    startMb: mb[0]?.y ?? 0,
    endMb: mb[mb.length - 1]?.y ?? 0,
    peakMb,
    /** Growth per 100,000 calls in the second half, by least squares. */
    slopeMb,
    isFlat: slopeMb <= SLOPE_BOUND_MB,
    holds: peakMb <= RSS_BOUND_MB && slopeMb <= SLOPE_BOUND_MB,
    problem: problemOf(result),
  };
}

/** The results as text. */
export function renderSoak(results: readonly SoakResult[]): string {
  return results
    .map((r) =>
      [
        `${r.name}: ${r.calls.toLocaleString('en')} calls in ${r.seconds.toFixed(1)} s, ${r.ok.toLocaleString('en')} OK, ${r.abandoned.toLocaleString('en')} given up by the caller`,
        `  RSS ${r.startMb.toFixed(1)} MB at the start, ${r.endMb.toFixed(1)} MB at the end, ${r.peakMb.toFixed(1)} MB at most; ` +
          `${r.slopeMb >= 0 ? '+' : ''}${r.slopeMb.toFixed(2)} MB per 100,000 calls in the second half`,
        `  at most ${RSS_BOUND_MB} MB and flat: ${r.problem !== '' ? `INVALID: ${r.problem}` : r.holds ? 'pass' : 'MISSED'}`,
      ].join('\n'),
    )
    .join('\n');
}
