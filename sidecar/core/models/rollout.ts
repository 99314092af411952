import { type PassedOver, passedOverSince } from './passed-over.js';

/**
 * A rollout: one version of a model takes the place of another, one replica after the other. The record is all that a
 * leader needs; whichever sidecar leads next goes on from it.
 */

/** What a rollout asks of a version. Times in ms, shares from 0 to 1. */
export interface RolloutSettings {
  /** How long calls are watched after each change of traffic. */
  readonly windowMs: number;
  /** Least share of answers in which the versions agree. */
  readonly agreement: number;
  /** Answers that are compared before the first call goes to the new version. */
  readonly samples: number;
  /** Share of calls that the new version gets first; 0: it gets all at once. */
  readonly canary: number;
  /** Its median latency may be that of the old version times this. */
  readonly maxLatency: number;
  /** Longest time from the load to the golden output. */
  readonly loadMs: number;
}

/** Where a replica stands. The order is that of a good rollout. */
export const ROLLOUT_PHASES = ['waiting', 'loading', 'shadow', 'canary', 'watching', 'done'] as const;
export type RolloutPhase = (typeof ROLLOUT_PHASES)[number];

/** `rolling-back`: replicas go back to the version before. The last four are ends. */
export const ROLLOUT_STATES = [
  'running',
  'paused',
  'rolling-back',
  'done',
  'rejected',
  'rolled-back',
  'aborted',
] as const;
export type RolloutState = (typeof ROLLOUT_STATES)[number];
/** How a rollout ends that does not go through. */
export type RolloutFailure = Extract<RolloutState, 'rejected' | 'rolled-back' | 'aborted'>;

export interface ReplicaPlace {
  readonly instance: string;
  readonly phase: RolloutPhase;
  /** Wall-clock time since when, ms. */
  readonly sinceMs: number;
}

/** What is stored of a rollout. */
export interface RolloutRecord {
  readonly format: 1;
  readonly id: string;
  readonly service: string;
  readonly model: string;
  readonly version: string;
  /** The version that is served before it; a rollback returns to it. */
  readonly from: string;
  readonly settings: RolloutSettings;
  readonly state: RolloutState;
  /** With `rolling-back`: what the end will be. */
  readonly end?: RolloutFailure;
  /** Why it is in this state, or what was found last, in one sentence. */
  readonly why: string;
  /** In the order in which they take their turns. */
  readonly replicas: readonly ReplicaPlace[];
  readonly startedMs: number;
  /** Wall-clock time since when only replicas that do not answer are left, ms; absent: others have their turn. */
  readonly absentSinceMs?: number;
  /** Versions that earlier rollouts have ended without; absent: there are none. */
  readonly passedOver?: readonly PassedOver[];
}

/** Calls at one version at one replica since the new one was loaded there. */
export interface CallTally {
  readonly calls: number;
  readonly errors: number;
  /** 0: not known. */
  readonly medianMs: number;
  /** Errors among the latest `RECENT_CALLS`. Absent: a sidecar that does not count them. */
  readonly recentErrors?: number;
  /** Calls that ended with a status that is no fault of the server; they are not among the errors. Absent: not counted. */
  readonly refused?: number;
  /** The calls since the current phase began, while both versions get calls from the same callers. Absent: not counted. */
  readonly phase?: PhaseTally;
}

/** Calls of one version in one phase, and those of them that it refused. */
export interface PhaseTally {
  readonly calls: number;
  readonly refused: number;
}

/** Requests that the new version refused and that were then sent to the version before. */
export interface RefusalPairs {
  /** Calls that were sampled in this phase, whatever their end. 0: no call can be copied. */
  readonly sampled: number;
  /** The version before refused the request too. */
  readonly alike: number;
}

/** Calls that are looked at by themselves: what fails only now is not to hide behind what went well before. */
export const RECENT_CALLS = 50;

/** What a replica says of itself. */
export interface ReplicaFacts {
  readonly instance: string;
  /** The rollout that it has heard of; empty: none. */
  readonly id: string;
  /** The version that its calls go to. */
  readonly serving: string;
  /** How far it is with the new version. `proven`: its golden output has passed at this replica. */
  readonly candidate: 'none' | 'missing' | 'loading' | 'proven' | 'failed';
  /** Why it failed. */
  readonly why: string;
  readonly compared: number;
  readonly agreed: number;
  /** What differed last. */
  readonly difference: string;
  readonly before: CallTally;
  readonly after: CallTally;
  /** Absent: a sidecar that does not compare refusals. */
  readonly pairs?: RefusalPairs;
}

/** What came of a command: the rollout as it is stored now, or why it was refused. */
export type RolloutAnswer =
  | { readonly kind: 'done'; readonly record: RolloutRecord }
  | { readonly kind: 'refused'; readonly why: string };

/** A rollout as one replica sees it. */
export interface RolloutView {
  /** The place that the replicas share. */
  readonly where: string;
  /** Absent: there was none. */
  readonly record?: RolloutRecord;
  /** What the replicas say that answer; empty once it is over. */
  readonly replicas: readonly ReplicaFacts[];
  /** Why the place cannot be reached; empty: it can. */
  readonly problem: string;
}

const ENDS: readonly RolloutState[] = ['done', 'rejected', 'rolled-back', 'aborted'];

/** Whether nothing is left to do. */
export function isOver({ state }: Pick<RolloutRecord, 'state'>): boolean {
  return ENDS.includes(state);
}

/** One line for people: what is rolled out, and where it stands. */
export function describeRollout(record: RolloutRecord): string {
  const { model, from, version, state, replicas } = record;
  const current = replicas.find(({ phase }) => phase !== 'waiting' && phase !== 'done');
  const place = current === undefined ? '' : `, ${current.instance} ${current.phase}`;
  return `${model} from version ${from} to ${version}: ${state}${place}`;
}

/** What a rollout begins with. */
export type RolloutPlan = Pick<RolloutRecord, 'service' | 'model' | 'version' | 'from' | 'settings'> & {
  readonly instances: readonly string[];
  /** The files of the version that is served have changed. */
  readonly isChanged?: boolean;
  /** It begins by itself, as the directory or the version policy has changed. */
  readonly isFollowed?: boolean;
  /** The models that are served here. */
  readonly models?: readonly string[];
};

/** A new rollout, or why there is none; `before`: what is stored. */
export function beginRollout(
  before: RolloutRecord | undefined,
  { instances, isChanged = false, isFollowed = false, models = [], ...plan }: RolloutPlan,
  nowMs: number,
): { readonly record: RolloutRecord } | { readonly refused: string } {
  if (before !== undefined && !isOver(before))
    return { refused: `a rollout is under way: ${describeRollout(before)} (${before.id})` };
  if (plan.from === '')
    return { refused: `${plan.model} is not served here; models here: ${models.join(', ') || 'none'}` };
  if (plan.version === plan.from && !isChanged)
    return { refused: `version ${plan.version} of ${plan.model} is served already` };
  const replicas = instances.map((instance) => ({ instance, phase: 'waiting', sinceMs: nowMs }) as const);
  const id = `${plan.model}-${plan.version}-${nowMs.toString(36)}`;
  const passedOver = passedOverSince(before, { ...plan, isFollowed });
  const begun = {
    format: 1,
    id,
    ...plan,
    state: 'running',
    why: 'begun',
    replicas,
    startedMs: nowMs,
  } as const;
  return { record: passedOver.length === 0 ? begun : { ...begun, passedOver } };
}

/**
 * A command of an operator, or why it cannot be followed. `abort` goes back, and a second one ends a way back that does not end.
 * After `resume` the time limits of the phase begin anew: a replica does nothing while the rollout is paused.
 *
 * @param nowMs wall-clock time, ms.
 */
export function commandRollout(
  record: RolloutRecord | undefined,
  command: 'pause' | 'resume' | 'abort',
  nowMs: number,
): { readonly record: RolloutRecord } | { readonly refused: string } {
  if (record === undefined) return { refused: 'there was no rollout' };
  const { state } = record;
  // A replica may never come back, as when the files of the version before are gone. The others go on going back.
  if (state === 'rolling-back' && command === 'abort') {
    const why = `${record.why}; ended by command before every replica was back`;
    return { record: { ...record, state: record.end ?? 'aborted', why } };
  }
  if (isOver(record) || state === 'rolling-back')
    return { refused: `nothing to ${command}: ${describeRollout(record)}` };
  if (command === 'abort') return { record: goBack(record, 'aborted', 'aborted by command') };
  if (command === 'pause') {
    if (state === 'paused') return { refused: 'it is paused already' };
    return { record: { ...record, state: 'paused', why: 'paused by command' } };
  }
  if (state !== 'paused') return { refused: 'it is not paused' };
  return { record: { ...timedAnew(record, nowMs), state: 'running', why: 'resumed by command' } };
}

/** The time in each phase counts from now: while it was paused, or the clock was set, none was spent there. */
export function timedAnew(record: RolloutRecord, nowMs: number): RolloutRecord {
  const { absentSinceMs: _, ...rest } = record;
  return { ...rest, replicas: record.replicas.map((each) => ({ ...each, sinceMs: nowMs })) };
}

/** Replicas return to the version before; then `end` is the state. */
export function goBack(record: RolloutRecord, end: RolloutFailure, why: string): RolloutRecord {
  return { ...record, state: 'rolling-back', end, why };
}
