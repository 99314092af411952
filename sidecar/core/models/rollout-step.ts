import {
  goBack,
  isOver,
  type ReplicaFacts,
  type ReplicaPlace,
  type RolloutPhase,
  type RolloutRecord,
} from './rollout.js';
import { type Judgement, judgeShadow, judgeWatch } from './rollout-judgement.js';

/** A version may come to the directories of different machines at different times, ms. */
const MISSING_MS = 10_000;
/**
 * A rollout ends without replicas that have not answered for so long, ms: a machine that was taken away, or a pod whose
 * replacement has another name, never comes back. One that does loads the version by the end of the record alone.
 */
const ABSENT_MS = 300_000;
/** A load that ends by itself says more than one that is cut off. */
const TOO_SLOW = 'it was not ready';

/**
 * The next state of a rollout by what its replicas say; undefined: nothing changes. `facts` has the replicas that are alive:
 * one that is missing in it has ended, or cannot be heard. It is a function of the record and the facts alone, so that a leader
 * that ends in any state is followed by another one that does the same.
 */
export function nextStep(
  record: RolloutRecord,
  facts: ReadonlyMap<string, ReplicaFacts>,
  nowMs: number,
): RolloutRecord | undefined {
  if (isOver(record) || record.state === 'paused') return undefined;
  if (record.state === 'rolling-back') return whenBack(record, facts);
  const joined = withNewcomers(record, facts, nowMs);
  if (joined !== undefined) return joined;
  const broken = record.replicas.find(
    ({ instance, phase }) => phase === 'done' && facts.get(instance)?.candidate === 'failed',
  );
  if (broken !== undefined) return fail(record, broken, facts.get(broken.instance)!.why);
  const current = record.replicas.find(({ phase }) => phase !== 'waiting' && phase !== 'done');
  if (current === undefined) return beginNext(record, facts, nowMs);
  const own = facts.get(current.instance);
  // Its process may be on its way back: it begins anew when its turn comes.
  if (own === undefined) return place(record, { ...current, phase: 'waiting', sinceMs: nowMs }, LOST);
  // It has not yet read the record.
  if (own.id !== record.id) return undefined;
  return advance(record, current, { facts: own, nowMs });
}

const LOST = 'the replica whose turn it is does not answer; it comes later';

/** Replicas that the record does not know are added to its end. */
function withNewcomers(
  record: RolloutRecord,
  facts: ReadonlyMap<string, ReplicaFacts>,
  nowMs: number,
): RolloutRecord | undefined {
  const known = new Set(record.replicas.map(({ instance }) => instance));
  const fresh = [...facts.keys()].filter((instance) => !known.has(instance)).sort();
  if (fresh.length === 0) return undefined;
  const places = fresh.map((instance): ReplicaPlace => ({ instance, phase: 'waiting', sinceMs: nowMs }));
  return { ...record, replicas: [...record.replicas, ...places] };
}

/** The turn of the next replica that answers; the end where each has had its own, or is away for long. */
function beginNext(
  record: RolloutRecord,
  facts: ReadonlyMap<string, ReplicaFacts>,
  nowMs: number,
): RolloutRecord | undefined {
  const waiting = record.replicas.filter(({ phase }) => phase === 'waiting');
  if (waiting.length === 0) return { ...record, state: 'done', why: 'every replica serves it' };
  const { absentSinceMs, ...rest } = record;
  const next = waiting.find(({ instance }) => facts.has(instance));
  if (next !== undefined)
    return place(rest, { ...next, phase: 'loading', sinceMs: nowMs }, `${next.instance} loads it`);
  const names = waiting.map(({ instance }) => instance).join(', ');
  if (absentSinceMs === undefined) return { ...record, absentSinceMs: nowMs, why: `no answer from ${names}` };
  if (nowMs - absentSinceMs < ABSENT_MS) return undefined;
  const why = `every replica that answers serves it; no answer from ${names} for ${ABSENT_MS / 60_000} min`;
  return { ...rest, state: 'done', why };
}

interface Seen {
  readonly facts: ReplicaFacts;
  readonly nowMs: number;
}

/** The next phase of the replica whose turn it is, or the rollback. */
function advance(record: RolloutRecord, current: ReplicaPlace, seen: Seen): RolloutRecord | undefined {
  const { facts, nowMs } = seen;
  const { settings } = record;
  // Clocks of two leaders may differ.
  const elapsedMs = Math.max(0, nowMs - current.sinceMs);
  if (facts.candidate === 'failed') return fail(record, current, facts.why);
  // Its sidecar has started again since, where what it has seen of the version is gone with its processes; or the model lapsed.
  if (current.phase !== 'loading' && facts.candidate !== 'proven')
    return enter(record, current, { phase: 'loading', nowMs, why: RESTARTED });
  switch (current.phase) {
    case 'loading': {
      if (facts.candidate === 'proven')
        return enter(record, current, { phase: 'shadow', nowMs, why: PROVEN });
      if (servesAlready(record, facts)) return enter(record, current, { phase: 'done', nowMs, why: SERVED });
      if (facts.candidate === 'missing' && elapsedMs > MISSING_MS) return fail(record, current, facts.why);
      if (elapsedMs <= settings.loadMs) return undefined;
      return fail(record, current, `${TOO_SLOW} within ${settings.loadMs / 1000} s`);
    }
    case 'shadow': {
      const phase = settings.canary > 0 ? 'canary' : 'watching';
      return judged(record, current, { judgement: judgeShadow(facts, settings, elapsedMs), phase, nowMs });
    }
    case 'canary':
      return judged(record, current, {
        ...{ judgement: judgeWatch(facts, settings, elapsedMs), phase: 'watching', nowMs },
      });
    default:
      return judged(record, current, {
        ...{ judgement: judgeWatch(facts, settings, elapsedMs), phase: 'done', nowMs },
      });
  }
}

/**
 * A replica that was added meanwhile begins with the highest version in its directory, and has no other files of that to load. Where
 * the files of one version have changed, its number says nothing of them.
 */
function servesAlready({ version, from }: RolloutRecord, { candidate, serving }: ReplicaFacts): boolean {
  return candidate === 'missing' && serving === version && version !== from;
}

const PROVEN = 'its golden output has passed';
const SERVED = 'it serves the version already';
const RESTARTED = 'its sidecar has started again, or it is not ready any more; it begins anew';

/** The phase that a replica goes on to. */
interface Onward {
  readonly phase: RolloutPhase;
  readonly nowMs: number;
}

/** Goes on, back, or waits, as the judgement says. */
function judged(
  record: RolloutRecord,
  current: ReplicaPlace,
  { judgement, phase, nowMs }: Onward & { readonly judgement: Judgement },
): RolloutRecord | undefined {
  if (judgement.kind === 'open') return undefined;
  if (judgement.kind === 'failed') return fail(record, current, judgement.why);
  return enter(record, current, { phase, nowMs, why: judgement.why });
}

function enter(
  record: RolloutRecord,
  current: ReplicaPlace,
  { phase, nowMs, why }: Onward & { readonly why: string },
): RolloutRecord {
  return place(record, { ...current, phase, sinceMs: nowMs }, `${current.instance}: ${why}`);
}

/** What failed before any call went to it is rejected; otherwise calls return to the version before. */
function fail(record: RolloutRecord, { instance }: ReplicaPlace, why: string): RolloutRecord {
  const hadCalls = record.replicas.some(({ phase }) => ['canary', 'watching', 'done'].includes(phase));
  return goBack(record, hadCalls ? 'rolled-back' : 'rejected', `${instance}: ${why}`);
}

/**
 * The end of a rollback: no replica that answers serves the new version, or has it beside another one. What a replica serves instead is
 * not looked at: it may have another version than the others, or none.
 */
function whenBack(
  record: RolloutRecord,
  facts: ReadonlyMap<string, ReplicaFacts>,
): RolloutRecord | undefined {
  const { id, version, from, end = 'rolled-back' } = record;
  // Where only the files of a version have changed, its number says nothing of them.
  const isBack = [...facts.values()].every(
    (each) => each.id === id && each.candidate === 'none' && (each.serving !== version || version === from),
  );
  return isBack ? { ...record, state: end } : undefined;
}

function place(record: RolloutRecord, next: ReplicaPlace, why: string): RolloutRecord {
  const replicas = record.replicas.map((each) => (each.instance === next.instance ? next : each));
  return { ...record, replicas, why };
}
