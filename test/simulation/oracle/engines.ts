/** What sidecars hear of engines and models about their load, and what they make of it. */
import type { FaultKind, Plan } from '../plan/plan.js';
import { isGenerate } from '../world/engine.js';
import type { CallRecord, Execution } from '../world/records.js';
import type { SimModel } from '../world/sim-model.js';
import type { SimSidecar } from '../world/sim-sidecar.js';
import type { World } from '../world/world.js';

interface EngineFile {
  readonly inbound: { readonly engine?: string; readonly engine_model?: string };
}
interface ReportsFile {
  readonly outbound: {
    readonly upstreams: Readonly<Record<string, { readonly load_reports?: { readonly forward: boolean } }>>;
  };
}

/** After these an engine is asked anew. */
const ANEW: readonly FaultKind[] = [
  ...([
    'kill-model',
    'freeze-model',
    'kill-sidecar',
    'freeze-sidecar',
    'drain',
    'takeover',
    'clock-jump',
  ] as const),
];
/** An engine that cannot say how many calls it runs is asked so often, and then once a minute. */
const MOST_ASKED = 5;
/** Between two questions for its load, ms. */
const EVERY_MS = 1_000;
const REPORTS = ['endpoint-load-metrics-bin', 'endpoint-load-metrics'];

export function judgeEngines(world: World): void {
  const { plan } = world;
  for (const { name, file } of plan.replicas) {
    if ((file as EngineFile).inbound.engine !== 'vllm') continue;
    const sidecar = world.sidecars.find((each) => each.name === name)!;
    const model = world.models.find((each) => each.plan.name === name);
    const isAnew = plan.faults.some(({ kind, target }) => target === name && ANEW.includes(kind));
    if (model !== undefined && !isAnew && !model.isOwned) judgeAsked(world, sidecar, model);
  }
  judgeModels(world);
  judgeForwarded(world);
}

/** It is asked how many calls it runs once, and for its load each second; what it says is known. */
function judgeAsked(world: World, { insides, name }: SimSidecar, { plan, asked }: SimModel): void {
  const { slots = 'known', loads = 'known' } = plan;
  const find = (what: string): void => world.find('engines', `${name}: its engine ${what}`);
  const minutes = Math.ceil(world.nowMs / 60_000);
  const [atLeast, atMost] = slots === 'refused' ? [MOST_ASKED, MOST_ASKED + minutes] : [1, 1];
  if (asked.slots < atLeast || asked.slots > atMost)
    find(`was asked ${asked.slots} times how many calls it runs, ${atLeast} to ${atMost} expected`);
  const seconds = world.nowMs / EVERY_MS;
  const [least, mostLoads] = loads === 'unknown' ? [1, 1] : [0.8 * seconds - 2, seconds + 2];
  if (asked.loads < least || asked.loads > mostLoads)
    find(`was asked ${asked.loads} times for its load in ${seconds.toFixed(0)} s`);
  const told = insides?.inbound?.inbound.state.load.engineAt(world.clock.now());
  if (told === undefined) return;
  if ((told !== null) !== (loads === 'known'))
    find(`says its load (${loads}), and ${told === null ? 'none' : 'one'} is known`);
  else if (told !== null && told.running + told.waiting > 0)
    find(`is at rest, and is known to have ${told.running} running and ${told.waiting} waiting calls`);
}

/**
 * An answer goes on at engines of one model only. One whose model its caller does not know may be asked for the rest: it says its model with its
 * answer, and of that nothing goes on.
 */
function judgeModels(world: World): void {
  const modelOf = (replica: string): string =>
    (world.plan.replicas.find(({ name }) => name === replica)!.file as EngineFile).inbound.engine_model ?? '';
  for (const record of world.records) {
    if (!isGenerate(record.plan)) continue;
    const problem = mixtureOf(record, (at) => modelOf(record.executions[at]!.replica));
    if (problem !== '') world.find('engines', `call ${record.plan.id} ${problem}`, [record.plan.id]);
  }
}

/** What an answer has of engines of two models, in words; empty: nothing. */
function mixtureOf(record: CallRecord, modelAt: (execution: number) => string): string {
  const { plan, executions, drawnBy, received, status, isDegraded } = record;
  // These tokens say themselves which engine made them.
  if (plan.isDrawn === true) {
    const models = [...new Set(drawnBy.map(modelAt))];
    return models.length > 1 ? `has tokens of engines of the models ${models.join(' and ')}` : '';
  }
  const begun = executions.flatMap(({ given }, i) => (given === 0 ? [modelAt(i)] : []));
  const others = executions.filter(({ given }, i) => given > 0 && !begun.includes(modelAt(i)));
  const same = executions.filter((each) => !others.includes(each));
  const isAnswered = ({ ended, status: its }: Execution): boolean => ended === 'answered' && its === 0;
  const most = Math.max(received, ...executions.map(({ given }) => given));
  for (const other of others) {
    const { replica, given } = other;
    // The last token that the caller has is to be made again: it is not among those that are given.
    const goesOn = most > given + 1 && !same.some((each) => each.given >= given && each.given <= given + 1);
    const ends = status === 0 && !isDegraded && isAnswered(other) && !same.some(isAnswered);
    if (goesOn || ends) return `went on after ${given} tokens at ${replica}, which has another model`;
  }
  return '';
}

/** Applications get load reports where the file of their sidecar says so of the upstream that answers, and nowhere else. */
function judgeForwarded(world: World): void {
  const { plan } = world;
  for (const { plan: call, trailers, isDegraded, status, answeredBy } of world.records) {
    if (isDegraded || status !== 0) continue;
    // A call that was split is under the options of the upstream that it went to.
    const upstream = plan.replicas.find(({ name }) => name === answeredBy)?.service ?? call.upstream;
    const forwards = forwardsOf(plan, call.caller, upstream);
    const isThere = REPORTS.some((name) => trailers[name] !== undefined);
    if (isThere && !forwards.includes(true))
      world.find('engines', `call ${call.id}: its trailers have a load report that is not for applications`, [
        call.id,
      ]);
  }
}

/** By each file that the sidecar of a caller has in the run. */
function forwardsOf({ callers, faults }: Plan, caller: number, upstream: string): boolean[] {
  const { name, file } = callers[caller]!;
  const reloads = faults.flatMap((each) =>
    each.target === name && each.file !== undefined ? [each.file] : [],
  );
  return [file, ...reloads].map(
    (each) => (each as ReportsFile).outbound.upstreams[upstream]?.load_reports?.forward === true,
  );
}
