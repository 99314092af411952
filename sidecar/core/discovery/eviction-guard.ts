/** Status of an instance as the registry reports it. */
export type Health = 'passing' | 'warning' | 'critical';

/** An instance as the registry lists it. */
export interface Listed {
  /** Address; unique in an answer. */
  readonly key: string;
  readonly status: Health;
  /** An operator took it out of service on purpose, which is no doubt: it is never retained. */
  readonly isMaintained?: boolean;
}

/** How a guard ended: the registry lists enough again, the grace time is over, or no retained instance answers any more. */
export type GuardEnd = 'recovered' | 'expired' | 'silent';

interface Retained<I> {
  /** As last listed while usable. */
  readonly item: I;
  /** When it stopped answering calls, monotonic ms; undefined while it answers. */
  readonly silentSinceMs: number | undefined;
  /** The registry listed it as critical before it vanished, as a drain does. */
  readonly wasCalledCritical: boolean;
}

/** A sudden loss that is not believed yet: the instances that it concerns stay usable for a grace time. */
export interface EvictionGuard<I> {
  readonly sinceMs: number;
  /** Fixed while the guard lasts, monotonic ms. */
  readonly untilMs: number;
  /** Usable instances before the loss. */
  readonly size: number;
  /** Instances in maintenance at that time. */
  readonly maintained: number;
  readonly retained: ReadonlyMap<string, Retained<I>>;
}

/**
 * The instances that count, from the registry's answers and from our own calls. A registry may remove instances one by one or
 * replace them, and is believed at once. An answer that leaves fewer than half of what was usable up to SUDDEN_MS ago is
 * guarded: instances that it removes and that still answer our calls are retained for a grace time. After the outages
 * at Slack (2022) and AWS (2025), in which registries lost healthy instances.
 */
export interface Registry<I extends Listed> {
  /** The registry's last answer. */
  readonly answer: readonly I[];
  /** The answer, with retained instances as they were. Includes critical ones, for when there are no others. */
  readonly members: readonly I[];
  /** Members that are not critical. */
  readonly usable: number;
  readonly guard: EvictionGuard<I> | undefined;
  /** Set by the step that ended a guard. */
  readonly ended: GuardEnd | undefined;
  /** The largest recent answers: a loss in several steps within SUDDEN_MS counts as one. */
  readonly peaks: readonly Peak[];
}

/** What an answer had. */
interface Peak {
  readonly atMs: number;
  readonly usable: number;
  readonly maintained: number;
}

/** Whether an instance answered calls of ours lately. */
export type IsAnswering<I> = (item: I) => boolean;

/** Losses within this time count as one, ms. */
export const SUDDEN_MS = 10_000;
/** A retained instance may be without a connection for this long, ms. */
export const SILENT_MS = 3_000;

/**
 * The registry after an answer. @param graceMs 0 believes every answer at once.
 */
export function apply<I extends Listed>(
  before: Registry<I> | undefined,
  answer: readonly I[],
  isAnswering: IsAnswering<I>,
  nowMs: number,
  graceMs: number,
): Registry<I> {
  const usable = countUsable(answer);
  const maintained = countMaintained(answer);
  const accepted = (peaks: Registry<I>['peaks'], ended?: GuardEnd): Registry<I> => {
    const kept = [...peaks.filter((peak) => peak.usable > usable), { atMs: nowMs, usable, maintained }];
    return { answer, members: answer, usable, guard: undefined, ended, peaks: kept };
  };
  if (before === undefined) return accepted([]);
  const guard = before.guard ?? guardFor(before, answer, { usable, maintained }, nowMs, graceMs);
  if (guard === undefined) return accepted(recentPeaks(before, nowMs));
  if (usable * 2 >= expectedOf(guard.size, guard.maintained, maintained)) return accepted([], 'recovered');
  if (nowMs >= guard.untilMs) return accepted([], 'expired');
  const retained = retain(before, guard, answer, isAnswering, nowMs);
  if (retained.size === 0) return accepted([], before.guard === undefined ? undefined : 'silent');
  return guarded(answer, { ...guard, retained });
}

/** Applies the same answer to the present time and evidence; call it about every second while there is a guard. */
export function reevaluate<I extends Listed>(
  before: Registry<I>,
  isAnswering: IsAnswering<I>,
  nowMs: number,
  graceMs: number,
): Registry<I> {
  return apply(before, before.answer, isAnswering, nowMs, graceMs);
}

/** The recent peaks, with the present number of usable instances as of now. */
function recentPeaks<I extends Listed>(before: Registry<I>, nowMs: number): Registry<I>['peaks'] {
  const recent = before.peaks.filter(({ atMs }) => nowMs - atMs < SUDDEN_MS);
  return [...recent, { atMs: nowMs, usable: before.usable, maintained: countMaintained(before.answer) }];
}

/** How many of `usable` instances are expected now that more of them are in maintenance: those are accounted for. */
function expectedOf(usable: number, maintainedThen: number, maintainedNow: number): number {
  return usable - Math.max(0, maintainedNow - maintainedThen);
}

/** A new guard when this answer is a sudden loss. */
function guardFor<I extends Listed>(
  before: Registry<I>,
  answer: readonly I[],
  { usable, maintained }: Pick<Peak, 'usable' | 'maintained'>,
  nowMs: number,
  graceMs: number,
): EvictionGuard<I> | undefined {
  let size = 0;
  for (const peak of recentPeaks(before, nowMs))
    size = Math.max(size, expectedOf(peak.usable, peak.maintained, maintained));
  if (usable * 2 >= size || before.usable === 0 || !(graceMs > 0)) return undefined;
  // The only instance became critical, which is ordinary; retaining it would give its calls to no other.
  if (size === 1 && answer.some(({ key }) => key === before.members.find(isUsable)?.key)) return undefined;
  return { sinceMs: nowMs, untilMs: nowMs + graceMs, size, maintained, retained: new Map() };
}

/** Instances that were usable before, are not in the answer, and still answer calls. */
function retain<I extends Listed>(
  before: Registry<I>,
  guard: EvictionGuard<I>,
  answer: readonly I[],
  isAnswering: IsAnswering<I>,
  nowMs: number,
): Map<string, Retained<I>> {
  const listed = new Map(answer.map((item) => [item.key, item]));
  const retained = new Map<string, Retained<I>>();
  const silent: Retained<I>[] = [];
  for (const item of before.members) {
    const now = listed.get(item.key);
    if (!isUsable(item) || (now !== undefined && (isUsable(now) || now.isMaintained === true))) continue;
    const known = guard.retained.get(item.key);
    const silentSinceMs = isAnswering(item) ? undefined : (known?.silentSinceMs ?? nowMs);
    const wasCalledCritical = now !== undefined || known?.wasCalledCritical === true;
    const each = { item, silentSinceMs, wasCalledCritical };
    const isRetained =
      silentSinceMs === undefined || (known !== undefined && nowMs - silentSinceMs < SILENT_MS);
    if (isRetained) retained.set(item.key, each);
    else if (!wasCalledCritical) silent.push(each);
  }
  // The answer is empty and none was called lately: no calls are no evidence against them.
  if (retained.size === 0 && answer.length === 0)
    for (const each of silent) retained.set(each.item.key, each);
  return retained;
}

function guarded<I extends Listed>(answer: readonly I[], guard: EvictionGuard<I>): Registry<I> {
  const members: I[] = [];
  const unlisted = new Map(guard.retained);
  for (const item of answer) {
    members.push(guard.retained.get(item.key)?.item ?? item);
    unlisted.delete(item.key);
  }
  for (const { item } of unlisted.values()) members.push(item);
  return { answer, members, usable: countUsable(members), guard, ended: undefined, peaks: [] };
}

function isUsable(item: Listed): boolean {
  return item.status !== 'critical';
}

function countMaintained(items: readonly Listed[]): number {
  let count = 0;
  for (const { isMaintained } of items) if (isMaintained === true) count += 1;
  return count;
}

function countUsable(items: readonly Listed[]): number {
  let count = 0;
  for (const item of items) if (isUsable(item)) count += 1;
  return count;
}
