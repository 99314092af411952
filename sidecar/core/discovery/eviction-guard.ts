/**
 * Which instances count, given what the registry says and what our own calls show. The registry informs; it may take
 * instances away one after the other, or replace them, and is believed at once. An answer that leaves fewer than half
 * of what was usable a moment ago is doubted: what it takes away and what still answers us is kept for a grace time,
 * then the registry is believed. After the outages at Slack (2022) and AWS (2025), where registries lost what was well.
 */

export type Health = 'passing' | 'warning' | 'critical';

/** An instance as the registry lists it. */
export interface Listed {
  /** Its address: who is reached, whatever the registry calls it. Unique in an answer. */
  readonly key: string;
  readonly status: Health;
}

/** How a hold ended: the registry came round, the grace time is over, or nothing that it took away answers us any more. */
export type HoldEnd = 'recovered' | 'expired' | 'silent';

interface Kept<I> {
  /** As it was listed while it was usable. */
  readonly item: I;
  /** Since when it has not answered; undefined while it does. */
  readonly silentSinceMs: number | undefined;
  /** The registry called it critical before it vanished, as a drain does: then its going is no surprise. */
  readonly wasCalledCritical: boolean;
}

export interface EvictionGuard<I> {
  readonly sinceMs: number;
  /** Never moved while the hold lasts, whatever the registry says meanwhile. */
  readonly untilMs: number;
  /** Usable instances before the loss. */
  readonly size: number;
  readonly kept: ReadonlyMap<string, Kept<I>>;
}

export interface Registry<I extends Listed> {
  /** As the registry said last. */
  readonly answer: readonly I[];
  /** What counts: the answer, except that those kept are as they were. Critical ones are among them, for when there are no others. */
  readonly members: readonly I[];
  /** Members that are not critical. */
  readonly usable: number;
  readonly hold: EvictionGuard<I> | undefined;
  /** Set by the one step that ended a hold. */
  readonly ended: HoldEnd | undefined;
  /** Answers of the last moments, the larger ones: "at once" covers a loss in several steps. */
  readonly peaks: readonly { readonly atMs: number; readonly usable: number }[];
}

/** Evidence of our own: whether an instance answered lately. */
export type IsAnswering<I> = (item: I) => boolean;

/** Losses within this time count as one. */
export const SUDDEN_MS = 10_000;
/** A kept instance may be between two connections for this long. */
export const SILENT_MS = 3_000;

/**
 * The registry after an answer. Also for looking again at the evidence and the clock, with the answer as it was
 * (`review`). A `graceMs` of 0 believes every answer at once.
 */
export function apply<I extends Listed>(
  before: Registry<I> | undefined,
  answer: readonly I[],
  isAnswering: IsAnswering<I>,
  nowMs: number,
  graceMs: number,
): Registry<I> {
  const usable = countUsable(answer);
  if (before === undefined) return believed(answer, usable, nowMs, []);
  const hold = before.hold ?? doubted(before, answer, usable, nowMs, graceMs);
  if (hold === undefined) return believed(answer, usable, nowMs, recentPeaks(before, nowMs));
  if (usable * 2 >= hold.size) return believed(answer, usable, nowMs, [], 'recovered');
  if (nowMs >= hold.untilMs) return believed(answer, usable, nowMs, [], 'expired');
  const kept = keep(before, hold, answer, isAnswering, nowMs);
  if (kept.size === 0)
    return believed(answer, usable, nowMs, [], before.hold === undefined ? undefined : 'silent');
  return held(answer, { ...hold, kept });
}

/** Looks again at a hold: call it about every second while there is one. */
export function reevaluate<I extends Listed>(
  before: Registry<I>,
  isAnswering: IsAnswering<I>,
  nowMs: number,
  graceMs: number,
): Registry<I> {
  return apply(before, before.answer, isAnswering, nowMs, graceMs);
}

function believed<I extends Listed>(
  answer: readonly I[],
  usable: number,
  nowMs: number,
  peaks: Registry<I>['peaks'],
  ended?: HoldEnd,
): Registry<I> {
  const larger = peaks.filter((peak) => peak.usable > usable);
  return {
    answer,
    members: answer,
    usable,
    hold: undefined,
    ended,
    peaks: [...larger, { atMs: nowMs, usable }],
  };
}

/** What was until now counts from now, however long ago it was said. */
function recentPeaks<I extends Listed>(before: Registry<I>, nowMs: number): Registry<I>['peaks'] {
  const recent = before.peaks.filter(({ atMs }) => nowMs - atMs < SUDDEN_MS);
  return [...recent, { atMs: nowMs, usable: before.usable }];
}

/** The beginning of a hold, when this answer is hard to believe. */
function doubted<I extends Listed>(
  before: Registry<I>,
  answer: readonly I[],
  usable: number,
  nowMs: number,
  graceMs: number,
): EvictionGuard<I> | undefined {
  let size = before.usable;
  for (const peak of recentPeaks(before, nowMs)) size = Math.max(size, peak.usable);
  if (usable * 2 >= size || before.usable === 0 || !(graceMs > 0)) return undefined;
  // The only one is called critical, which is an ordinary thing; nobody else would get its calls by keeping it.
  if (size === 1 && answer.some(({ key }) => key === onlyUsable(before))) return undefined;
  return { sinceMs: nowMs, untilMs: nowMs + graceMs, size, kept: new Map() };
}

function onlyUsable<I extends Listed>({ members }: Registry<I>): string | undefined {
  return members.find(isUsable)?.key;
}

/** Who, of those usable before, stays although the answer does not have them. */
function keep<I extends Listed>(
  before: Registry<I>,
  hold: EvictionGuard<I>,
  answer: readonly I[],
  isAnswering: IsAnswering<I>,
  nowMs: number,
): Map<string, Kept<I>> {
  const listed = new Map(answer.map((item) => [item.key, item]));
  const kept = new Map<string, Kept<I>>();
  const silent: Kept<I>[] = [];
  for (const item of before.members) {
    const now = listed.get(item.key);
    if (!isUsable(item) || (now !== undefined && isUsable(now))) continue;
    const known = hold.kept.get(item.key);
    const silentSinceMs = isAnswering(item) ? undefined : (known?.silentSinceMs ?? nowMs);
    const wasCalledCritical = now !== undefined || known?.wasCalledCritical === true;
    const each = { item, silentSinceMs, wasCalledCritical };
    const isKept = silentSinceMs === undefined || (known !== undefined && nowMs - silentSinceMs < SILENT_MS);
    if (isKept) kept.set(item.key, each);
    else if (!wasCalledCritical) silent.push(each);
  }
  // Nobody would be left, and no evidence is no evidence against them: there may just have been no calls.
  if (kept.size === 0 && answer.length === 0) for (const each of silent) kept.set(each.item.key, each);
  return kept;
}

function held<I extends Listed>(answer: readonly I[], hold: EvictionGuard<I>): Registry<I> {
  const members: I[] = [];
  const unlisted = new Map(hold.kept);
  for (const item of answer) {
    members.push(hold.kept.get(item.key)?.item ?? item);
    unlisted.delete(item.key);
  }
  for (const { item } of unlisted.values()) members.push(item);
  return { answer, members, usable: countUsable(members), hold, ended: undefined, peaks: [] };
}

function isUsable(item: Listed): boolean {
  return item.status !== 'critical';
}

function countUsable(items: readonly Listed[]): number {
  let count = 0;
  for (const item of items) if (isUsable(item)) count += 1;
  return count;
}
