/** What must hold of a version that takes the place of another. */
import type { RolloutPhase, RolloutRecord } from '../../../sidecar/core/models/rollout.js';
import type { Plan } from '../plan/plan.js';
import type { CallRecord, Execution } from '../world/records.js';
import type { Watch, World } from '../world/world.js';
import { replicasOf } from './evidence.js';
import { isHarm } from './harm.js';

const LOOK_MS = 20;
const KEY = 'outrider/rollout/digits/record';
const NEW = '2';
const NOT_FOUND = 5;
const UNAVAILABLE = 14;
/** Phases in which calls go to the new version. */
const SERVES: readonly RolloutPhase[] = ['canary', 'watching', 'done'];
/** A version that errs is found by so many errors of calls at one replica. */
const CLEAR_ERRORS = 15;
/** A replica follows the last state within this, ms. */
const SETTLED_MS = 12_000;
/** A process that has ended is back within this, ms. */
const STARTING_MS = 5_000;
/** Standard deviations of a share that is drawn. */
const DEVIATIONS = 5;

interface Seen {
  readonly atMs: number;
  readonly record: RolloutRecord | undefined;
}

/** Keeps each state of the rollout that Consul has had. */
export class RolloutHistory implements Watch {
  readonly everyMs = LOOK_MS;
  readonly states: Seen[] = [];
  private index = -1;

  look({ consul, clock }: World): void {
    const entry = consul?.servers.tables.keys.get(KEY);
    if ((entry?.index ?? -1) === this.index) return;
    this.index = entry?.index ?? -1;
    const text = Buffer.from(entry?.value ?? '', 'base64').toString('utf8');
    const record = entry && (JSON.parse(text) as RolloutRecord);
    this.states.push({ atMs: clock.now(), record });
  }

  get last(): RolloutRecord | undefined {
    return this.states.at(-1)?.record;
  }
}

export function judgeRollout(world: World, { states, last }: RolloutHistory): void {
  const { plan } = world;
  if (plan.rollout === undefined) return;
  rightVersion(world);
  if (plan.faults.some(({ kind }) => kind === 'consul-loses-state')) return;
  notBeforeItsTurn(world, states);
  canaryShare(world, states);
  if (plan.faults.some((each) => isHarm(plan, each)) || plan.isOverloaded) return;
  rightEnd(world, last, states.at(-1)?.atMs ?? 0);
}

/** No call reaches another version than it asked for. */
function rightVersion(world: World): void {
  for (const { plan: call, executions } of world.records) {
    const asked = call.model?.version ?? '';
    const other = executions.find(({ version }) => asked !== '' && version !== '' && version !== asked);
    if (other !== undefined)
      world.find(
        'right-version',
        `call ${call.id} asked for version ${asked}, and reached ${other.version}`,
        [call.id],
      );
  }
}

/** The calls that reached a replica of the service, by time. */
function executionsAt(world: World, replica: string): (readonly [CallRecord, Execution])[] {
  return world.records
    .flatMap((record) => record.executions.map((each) => [record, each] as const))
    .filter(([, { replica: name }]) => name === replica)
    .sort(([, a], [, b]) => a.startMs - b.startMs);
}

function phaseOf(record: RolloutRecord | undefined, replica: string): RolloutPhase | undefined {
  if (record?.state === 'done') return 'done';
  return record?.replicas.find(({ instance }) => instance === replica)?.phase;
}

/** The new version gets no call before the replica's turn to serve it. */
function notBeforeItsTurn(world: World, states: readonly Seen[]): void {
  for (const replica of replicasOf(world.plan, 'digits')) {
    const from = states.find(({ record }) => SERVES.includes(phaseOf(record, replica) ?? 'waiting'));
    const early = executionsAt(world, replica).find(
      ([, { version, startMs }]) =>
        version === NEW && startMs < (from?.atMs ?? Number.POSITIVE_INFINITY) - LOOK_MS,
    );
    if (early !== undefined)
      world.find('rollout', `call ${early[0].plan.id} reached version ${NEW} of ${replica} before its turn`, [
        early[0].plan.id,
      ]);
  }
}

/** While the new version is tried it gets its share of the calls, and no more than chance explains. */
function canaryShare(world: World, states: readonly Seen[]): void {
  for (const replica of replicasOf(world.plan, 'digits'))
    for (const [i, { atMs, record }] of states.entries()) {
      if (record === undefined || phaseOf(record, replica) !== 'canary' || record.state !== 'running')
        continue;
      const untilMs = states[i + 1]?.atMs ?? Number.POSITIVE_INFINITY;
      const inPhase = executionsAt(world, replica).filter(
        ([{ plan: call }, { startMs }]) =>
          startMs > atMs && startMs < untilMs && (call.model?.version ?? '') === '',
      );
      const { canary } = record.settings;
      const fresh = inPhase.filter(([, { version }]) => version === NEW).length;
      const spread = DEVIATIONS * Math.sqrt(inPhase.length * canary * (1 - canary));
      if (fresh > inPhase.length * canary + spread + 2)
        world.find(
          'rollout',
          `${fresh} of ${inPhase.length} calls went to version ${NEW} of ${replica}, which was to get ${canary}`,
        );
    }
}

/** A good version is served in the end, whatever its callers do wrong; one that is not is gone. */
function rightEnd(world: World, last: RolloutRecord | undefined, lastMs: number): void {
  const { plan } = world;
  const { candidate } = plan.rollout!;
  const state = last?.state ?? 'not begun';
  const why = last?.why ?? '';
  if (candidate === 'good' && state !== 'done')
    world.find('rollout', `a good version is ${state} at the end: ${why}`);
  if (candidate === 'unproven' && state !== 'rejected')
    world.find('rollout', `a version whose golden output differs is ${state} at the end: ${why}`);
  if (candidate === 'erring' && state === 'done' && clearErrors(world) >= CLEAR_ERRORS)
    world.find('rollout', `a version that erred ${clearErrors(world)} times at one replica is done: ${why}`);
  const end = state === 'done' ? NEW : state === 'rejected' || state === 'rolled-back' ? '1' : undefined;
  if (end === undefined) return;
  for (const { plan: call, executions } of world.records) {
    const other = executions.find(
      ({ version, startMs }) => version !== '' && version !== end && startMs > lastMs + SETTLED_MS,
    );
    if (other !== undefined)
      world.find(
        'rollout',
        `call ${call.id} reached version ${other.version} of ${other.replica}: ${state}`,
        [call.id],
      );
  }
}

/** Calls that the new version has failed at one replica. */
function clearErrors(world: World): number {
  const { plan } = world;
  const counts = replicasOf(plan, 'digits').map(
    (replica) =>
      executionsAt(world, replica).filter(
        ([, { version, status }]) => version === NEW && status === plan.rollout!.status,
      ).length,
  );
  return Math.max(0, ...counts);
}

/** A call that met a version which is not good. */
export function metBadVersion({ rollout }: Plan, { executions }: CallRecord): boolean {
  if (rollout === undefined || rollout.candidate === 'good') return false;
  return executions.some(
    ({ version, ended, status }) => version === NEW && !(ended === 'answered' && status === 0),
  );
}

/** Calls of a moment ago have ended processes of the version: replicas may all be starting again. */
export function diedLately({ plan, records }: World, { endMs }: CallRecord): boolean {
  return (
    plan.rollout?.candidate === 'dying' &&
    records.some(({ executions }) =>
      executions.some(
        ({ version, ended, endMs: diedMs }) =>
          version === NEW && ended === 'killed' && diedMs <= endMs && diedMs > endMs - STARTING_MS,
      ),
    )
  );
}

/** A version that is not good has come through: too few calls had shown it. */
export function isBadServed({ plan, sidecars }: World): boolean {
  if (plan.rollout === undefined || plan.rollout.candidate === 'good') return false;
  return sidecars.some(
    ({ insides }) => insides?.inbound?.repository?.repository.pins.versions['digits'] === NEW,
  );
}

/** A call that asked for a version which is not served at the time, or for one whose process ends again and again. */
export function mayBeUnknown({ rollout }: Plan, { plan: call, status }: CallRecord): boolean {
  const version = call.model?.version ?? '';
  if (status === UNAVAILABLE) return version === NEW && rollout?.candidate === 'dying';
  return status === NOT_FOUND && version !== '';
}
