/**
 * Rows: an agent that answers, and answers response. Calls must not notice; and neither may the machine: CPU, memory
 * and requests stay bounded as long as that lasts.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Fault } from '../../kit/consul/fault-proxy.js';
import type { Row, Trial } from '../faults/row.js';
import { measure, seconds } from '../faults/times.js';
import { startUsage, type Usage } from '../faults/usage.js';
import { busiestQueryOf } from './query-counts.js';
import { areCurrent, problemsOf, type SidecarNode } from './sidecar-node.js';
import type { ConsulWorld } from './world.js';

/** What useless answers may cost a sidecar beyond what calls cost it: percent of one core, over seconds and over one, and MB. */
interface Cost {
  readonly cpu: number;
  readonly cpuShort: number;
  readonly rssMb: number;
}

const LITTLE: Cost = { cpu: 5, cpuShort: 20, rssMb: 64 };
/** Of the answer that lists instances, 32 MiB have to be read before it can be called too large, at each try. */
const READING: Cost = { cpu: 20, cpuShort: 60, rssMb: 128 };
/** Reads of one query: these at once, then so many a second. */
const BURST = 5;
const PER_SECOND = 1;
/** The longest pause between two tries, and time to answer. */
const RECOVERY_MS = 32_000;
const RECOVERY_LIMIT_MS = 45_000;

/** Longer than a blocking query may take: its wait, a sixteenth of it, and some slack. */
const HANG_MS = 45_000;

type BadResponse = readonly [name: string, fault: string, spoil: Fault, cost?: Cost];

const status = (code: number, body: string): Fault => ({ kind: 'status', status: code, body });
const BLOCKING = 'every blocking query returns at once with';

const BAD_RESPONSES: readonly BadResponse[] = [
  ['status-500', 'every answer is 500, as without a leader', status(500, 'No cluster leader')],
  ['status-403', 'every answer is 403', status(403, 'Permission denied')],
  ['status-429', 'every answer is 429', status(429, 'Your IP is issuing too many concurrent connections')],
  ['garbage', 'every answer is 200 and no JSON', { kind: 'garbage' }],
  ['huge', 'every answer is a body of 50 MB', { kind: 'bytes', bytes: 50_000_000 }, READING],
  ['hanging', 'no answer ever comes', { kind: 'hang' }],
  ['index-looping', `${BLOCKING} another index`, { kind: 'index', index: 'rising' }],
  ['index-falling', `${BLOCKING} an index gone backwards`, { kind: 'index', index: 'falling' }],
  ['index-zero', `${BLOCKING} index 0`, { kind: 'index', index: 'zero' }],
];

export const badResponses: readonly Row<ConsulWorld>[] = BAD_RESPONSES.map(([name, fault, spoil, cost]) => ({
  name,
  fault,
  run: (world, trial) => runBadResponse(world, trial, { spoil, cost: cost ?? LITTLE }),
}));

async function runBadResponse(
  world: ConsulWorld,
  trial: Trial,
  { spoil, cost }: { readonly spoil: Fault; readonly cost: Cost },
): Promise<void> {
  await trial.unharmed(world.load, async () => {
    const calm = await usageOver(world.nodes, trial.pick(200, 5_000));
    const fromMs = performance.now();
    await world.injectFault(spoil);
    // What hangs anyway would not notice an agent that has gone silent before its wait is over.
    if (spoil.kind === 'hang') for (const { proxy } of world.nodes) proxy.cut();
    const busy = await usageOver(world.nodes, trial.pick(800, spoil.kind === 'hang' ? HANG_MS : 12_000));
    const lastedMs = performance.now() - fromMs;
    judgeUsage(trial, cost, calm, busy);
    judgeRequests(trial, world.nodes, fromMs, lastedMs);
    await world.injectFault({ kind: 'none' });
    const backMs = await measure(() => areCurrent(world.nodes), RECOVERY_LIMIT_MS);
    trial.within('once it is over, every sidecar has everything again', RECOVERY_MS, backMs);
    if (backMs === undefined) throw new Error(await problemsOf(world.nodes));
    trial.figure('lasted', seconds(lastedMs));
    trial.figure('over after', seconds(backMs));
  });
  const leaks = world.leaks();
  trial.expect('no token in any log', leaks.length === 0, leaks.join(', ') || 'none');
}

async function usageOver(nodes: readonly SidecarNode[], ms: number): Promise<Usage[]> {
  const usages = nodes.map(({ pid }) => startUsage(pid));
  await delay(ms);
  return usages.map((read) => read());
}

function judgeUsage(trial: Trial, cost: Cost, calm: readonly Usage[], busy: readonly Usage[]): void {
  const most = (of: (usage: Usage) => number) =>
    Math.max(...busy.map((usage, i) => of(usage) - of(calm[i]!)));
  const cpu = most(({ cpuPercent }) => cpuPercent);
  const rss = most(({ rssMb }) => rssMb);
  const bound = trial.pick(cost.cpuShort, cost.cpu);
  const signed = (value: number) => (value > 0 ? `+${value.toFixed(1)}` : value.toFixed(1));
  trial.expect(`no sidecar needs ${bound} % of a core more`, cpu < bound, `${signed(cpu)} %`);
  trial.expect(`nor ${cost.rssMb} MB more`, rss < cost.rssMb, `${signed(rss)} MB`);
  trial.figure('CPU', `${signed(cpu)} %`);
  trial.figure('RSS', `${signed(rss)} MB`);
}

/** Each sidecar has a proxy of its own, so what is counted there is one sidecar's. */
function judgeRequests(trial: Trial, nodes: readonly SidecarNode[], fromMs: number, lastedMs: number): void {
  const allowed = Math.ceil(BURST + (PER_SECOND * 1.1 * lastedMs) / 1_000);
  const busiest = busiestQueryOf(nodes, fromMs);
  const found = `${busiest.reads} reads of ${busiest.query} in ${seconds(lastedMs)}`;
  const promise = `no query is read more than ${BURST} times and then once a second`;
  trial.expect(promise, busiest.reads <= allowed, found);
  trial.figure('busiest query', `${busiest.reads} reads`);
}
