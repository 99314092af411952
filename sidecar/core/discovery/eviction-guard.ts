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
  /** Keys of the instances that were usable before the loss, without those that have left from maintenance. */
  readonly expected: ReadonlySet<string>;
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

/** What an answer had: the keys of its usable instances, without those that have left from maintenance since. */
interface Peak {
  readonly atMs: number;
  readonly usable: ReadonlySet<string>;
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
  const usable = usableKeys(answer);
  const accepted = (peaks: Registry<I>['peaks'], ended?: GuardEnd): Registry<I> => {
    const kept = [...peaks.filter((peak) => peak.usable.size > usable.size), { atMs: nowMs, usable }];
    return { answer, members: answer, usable: usable.size, guard: undefined, ended, peaks: kept };
  };
  if (before === undefined) return accepted([]);
  const maintained = maintainedKeys(answer);
  const left = leftFromMaintenance(before.answer, answer);
  const peaks = recentPeaks(before, left, nowMs);
  const guard =
    before.guard === undefined
      ? guardFor(before, answer, { usable: usable.size, maintained, peaks }, nowMs, graceMs)
      : { ...before.guard, expected: without(before.guard.expected, left) };
  if (guard === undefined) return accepted(peaks);
  if (usable.size * 2 >= countExpected(guard.expected, maintained)) return accepted([], 'recovered');
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

/** The recent peaks, with the usable instances of the last answer as of now. */
function recentPeaks<I extends Listed>(
  before: Registry<I>,
  left: ReadonlySet<string>,
  nowMs: number,
): Registry<I>['peaks'] {
  const recent = before.peaks.filter(({ atMs }) => nowMs - atMs < SUDDEN_MS);
  const all = [...recent, { atMs: nowMs, usable: usableKeys(before.answer) }];
  return left.size === 0 ? all : all.map(({ atMs, usable }) => ({ atMs, usable: without(usable, left) }));
}

/** An operator has taken them out of service, and then away: they are missed no more, however many of the others are lost after that. */
function leftFromMaintenance(before: readonly Listed[], answer: readonly Listed[]): ReadonlySet<string> {
  const left = maintainedKeys(before);
  if (left.size > 0) for (const { key } of answer) left.delete(key);
  return left;
}

function without(keys: ReadonlySet<string>, left: ReadonlySet<string>): ReadonlySet<string> {
  return left.size === 0 ? keys : new Set([...keys].filter((key) => !left.has(key)));
}

/** How many of these are expected while some are in maintenance: those are accounted for. */
function countExpected(keys: ReadonlySet<string>, maintained: ReadonlySet<string>): number {
  let count = keys.size;
  for (const key of maintained) if (keys.has(key)) count -= 1;
  return count;
}

/** What an answer is compared with. */
interface Loss {
  readonly usable: number;
  readonly maintained: ReadonlySet<string>;
  readonly peaks: readonly Peak[];
}

/** A new guard when this answer is a sudden loss. */
function guardFor<I extends Listed>(
  before: Registry<I>,
  answer: readonly I[],
  { usable, maintained, peaks }: Loss,
  nowMs: number,
  graceMs: number,
): EvictionGuard<I> | undefined {
  let size = 0;
  let expected: ReadonlySet<string> = new Set();
  for (const peak of peaks) {
    const count = countExpected(peak.usable, maintained);
    if (count <= size) continue;
    size = count;
    expected = peak.usable;
  }
  if (usable * 2 >= size || before.usable === 0 || !(graceMs > 0)) return undefined;
  // The only instance became critical, which is ordinary; retaining it would give its calls to no other.
  if (size === 1 && answer.some(({ key }) => key === before.members.find(isUsable)?.key)) return undefined;
  return { sinceMs: nowMs, untilMs: nowMs + graceMs, expected, retained: new Map() };
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

function maintainedKeys(items: readonly Listed[]): Set<string> {
  const keys = new Set<string>();
  for (const { key, isMaintained } of items) if (isMaintained === true) keys.add(key);
  return keys;
}

function usableKeys(items: readonly Listed[]): Set<string> {
  const keys = new Set<string>();
  for (const item of items) if (isUsable(item)) keys.add(item.key);
  return keys;
}

function countUsable(items: readonly Listed[]): number {
  let count = 0;
  for (const item of items) if (isUsable(item)) count += 1;
  return count;
}
