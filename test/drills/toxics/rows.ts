/**
 * Faults that another program injects: a real Toxiproxy stands before one of three replicas, or between the sidecar of one replica and
 * its model. Each row makes 1,000 calls with the default routes, and 1,000 with idempotent ones.
 */

import { DETECTOR_NAMES } from '../../../sidecar/core/outlier/detectors.js';
import type { SidecarFile, SidecarProcess } from '../../kit/process/sidecars.js';
import { tool } from '../../kit/process/tools.js';
import { DecisionMesh } from '../decisions/mesh.js';
import { type Load, type SentCall, summarize } from '../faults/load.js';
import { failuresOf, type Row, type Suite, type Trial } from '../faults/row.js';
import { ask, CALLS, DEADLINE_MS, DUE_MS, describeFailure, IDEMPOTENT, PER_SECOND } from './calls.js';
import { type Toxic, type ToxicProxy, Toxiproxy } from './toxiproxy.js';

/** Calls before the toxic is added, each of which has to succeed: one of each kind among them. */
const WARM_CALLS = 40;
/** Of a row with default routes, less than 0.3 % may fail. */
const MOST_FAILED = Math.ceil(0.003 * CALLS) - 1;

/** A toxic, its setting in words, and the directions in which it is tried. */
interface Case {
  readonly name: string;
  readonly fault: string;
  readonly toxics: readonly Toxic[];
}

const toxic = (type: string, attributes: Toxic['attributes'], stream: Toxic['stream']): Toxic => ({
  ...{ type, stream, attributes },
});
/** In both directions. */
const both = (type: string, attributes: Toxic['attributes']): readonly Toxic[] =>
  (['upstream', 'downstream'] as const).map((stream) => toxic(type, attributes, stream));

const CASES: readonly Case[] = [
  { name: 'latency', fault: '500 ms later', toxics: [toxic('latency', { latency: 500 }, 'downstream')] },
  {
    name: 'jitter',
    fault: '0 to 200 ms later',
    toxics: [toxic('latency', { latency: 100, jitter: 100 }, 'downstream')],
  },
  { name: 'slow-close', fault: 'connections close 2 s late', toxics: both('slow_close', { delay: 2_000 }) },
  {
    name: 'timeout',
    fault: 'nothing passes, and each connection ends after 1 s',
    toxics: both('timeout', { timeout: 1_000 }),
  },
  { name: 'silence', fault: 'nothing passes, no connection ends', toxics: both('timeout', { timeout: 0 }) },
  {
    name: 'limit-sent',
    fault: 'each connection ends after 50 KB of requests',
    toxics: [toxic('limit_data', { bytes: 50_000 }, 'upstream')],
  },
  {
    name: 'limit-received',
    fault: 'each connection ends after 50 KB of answers',
    toxics: [toxic('limit_data', { bytes: 50_000 }, 'downstream')],
  },
  {
    name: 'slicer',
    fault: 'pieces of 1,000 bytes, 0.1 ms apart',
    toxics: both('slicer', { average_size: 1_000, size_variation: 500, delay: 100 }),
  },
  {
    name: 'reset-peer',
    fault: 'each connection is reset 500 ms after its first byte',
    toxics: [toxic('reset_peer', { timeout: 500 }, 'downstream')],
  },
  {
    name: 'narrow-sent',
    fault: 'requests at 500 KB/s',
    toxics: [toxic('bandwidth', { rate: 500 }, 'upstream')],
  },
  {
    name: 'narrow-received',
    fault: 'answers at 500 KB/s',
    toxics: [toxic('bandwidth', { rate: 500 }, 'downstream')],
  },
];

const PLACES = {
  sidecar: 'before one replica of three',
  model: 'between the sidecar of one replica of three and its model',
} as const;
type Place = keyof typeof PLACES;

/** What one half of a row found. */
interface Half {
  readonly load: Load;
  readonly calls: readonly SentCall[];
  readonly detected: string;
}

/** 1,000 calls, with the toxics from the first one on. */
async function half(proxy: Toxiproxy, place: Place, { toxics }: Case, upstream: SidecarFile): Promise<Half> {
  let poisoned: ToxicProxy | undefined;
  const mesh = await DecisionMesh.open({
    upstream: { routes: [], ...upstream },
    detour: async (to, replica, port) => {
      if (to !== place || replica !== 0) return port;
      poisoned = await proxy.before(port);
      return poisoned.port;
    },
  });
  try {
    const load = await mesh.load({
      ...{ perSecond: PER_SECOND, deadlineMs: DEADLINE_MS, warmCalls: WARM_CALLS, dueMs: DUE_MS, ask },
      describe: describeFailure,
    });
    for (const each of toxics) await poisoned!.poison(each);
    const calls = await load.whole();
    return { load, calls, detected: await detectedAt(mesh.caller) };
  } finally {
    await mesh.close();
  }
}

/** What the caller's sidecar ejected, by detector, such as `2 consecutive-faults`. */
async function detectedAt(caller: SidecarProcess): Promise<string> {
  const counts = await Promise.all(
    DETECTOR_NAMES.map((detector) => caller.metric('outrider_ejections_total', { detector })),
  );
  const found = counts.flatMap((count, i) => (count > 0 ? `${count} ${DETECTOR_NAMES[i]}` : []));
  return found.length === 0 ? 'none' : found.join(', ');
}

const COLUMNS = {
  default: { failed: 'failed', slowest: 'p99', detected: 'ejections' },
  idempotent: {
    ...{ failed: 'idempotent: failed', slowest: 'idempotent: p99', detected: 'idempotent: ejections' },
  },
} as const;

function note(trial: Trial, kind: keyof typeof COLUMNS, { load, calls, detected }: Half): void {
  trial.check(load, calls);
  const { failed, p99Ms } = summarize(calls);
  const columns = COLUMNS[kind];
  trial.figure(columns.failed, String(failed));
  trial.figure(columns.slowest, `${p99Ms.toFixed(0)} ms`);
  trial.figure(columns.detected, detected);
}

function row(place: Place, each: Case): Row<Toxiproxy> {
  return {
    name: place === 'sidecar' ? each.name : `model-${each.name}`,
    fault: `${PLACES[place]}: ${each.fault}`,
    run: async (proxy, trial) => {
      const fromMs = performance.now();
      const plain = await half(proxy, place, each, {});
      note(trial, 'default', plain);
      const idempotent = await half(proxy, place, each, IDEMPOTENT);
      note(trial, 'idempotent', idempotent);
      trial.disturbed ??= await trial.control?.since(fromMs);
      trial.load = summarize([...plain.calls, ...idempotent.calls]);
      const found = summarize(plain.calls);
      trial.expect(
        'with default routes, less than 0.3 % of the calls fail',
        found.failed <= MOST_FAILED,
        failuresOf(found),
      );
      trial.noneFailed('with idempotent routes, no call fails', idempotent.calls);
    },
  };
}

export const toxicFaults: Suite<Toxiproxy> = {
  name: 'toxics',
  title: `Toxiproxy at one of three replicas: ${CALLS} calls with default routes, then ${CALLS} with idempotent ones`,
  rows: (['sidecar', 'model'] as const).flatMap((place) => CASES.map((each) => row(place, each))),
  columns: Object.values(COLUMNS).flatMap((columns) => Object.values(columns)),
  open: async () => {
    const binary = await tool('toxiproxy');
    if (binary === undefined) throw new Error('Toxiproxy could not be had');
    return Toxiproxy.start(binary);
  },
  close: (proxy) => proxy.stop(),
};
