import {
  type CallTally,
  type PhaseTally,
  RECENT_CALLS,
  type RefusalPairs,
  type ReplicaFacts,
  type RolloutSettings,
} from './rollout.js';

/** What is found of a version: it goes on, fails with a sentence that has the figures, or more has to be seen. */
export type Judgement =
  | { readonly kind: 'passed'; readonly why: string }
  | { readonly kind: 'failed'; readonly why: string }
  | { readonly kind: 'open' };

const OPEN: Judgement = { kind: 'open' };
/** Fewer comparisons than these decide nothing before the window is over. */
const FEW = 10;
/** With fewer than that, or none, comparing goes on for so many windows: a replica may be out of its callers' favour for a while. */
const MOST_WINDOWS = 5;
/** Whether more are still to come: what is looked at again and again has to be clearer than what is looked at once. */
type When = 'early' | 'last';
/** Fewer errors may be chance. At the end three count: callers that have ejected the replica send it no more of them. */
const MIN_ERRORS = { early: 5, last: 3 } as const;
/** The share of errors has to be higher by this at least, and by so many standard deviations. */
const MIN_DIFFERENCE = 0.01;
const DEVIATIONS = { early: 3, last: 2 } as const;
/** The latest calls by themselves are many looks in a window. */
const RECENT_DEVIATIONS = { early: 4, last: 3 } as const;
/** As how many calls at least the version before counts: of a version without calls nothing is known, and it served. */
const LEAST_BEFORE = 100;
/**
 * Refusals (INVALID_ARGUMENT and the like) are usually the caller's mistake, and callers change. They count only where both versions
 * got calls of the same callers in the same phase, by more deviations than errors need.
 */
const REFUSAL_DEVIATIONS = { early: 4, last: 3 } as const;
/** Calls that each version needs in the phase. */
const MIN_PHASE_CALLS = 20;
/** Where the version before gets no calls and no request can be tried at both: the share and number that no caller explains. */
const REFUSES_ALL = 0.9;
const MIN_REFUSED = 20;
/** Answers that differ: one may be a copy that was lost on its way. */
const MIN_DIFFERENT = 2;
/** So many standard deviations the share of answers that agree has to be below what is asked for. */
const AGREEMENT_DEVIATIONS = 2;
/** Calls that the median of the version before needs. `FEW` do for the new one, of which a slow version answers no more by the end. */
const MIN_CALLS = 20;
/** A median that is longer by less than this is noise, ms. */
const LATENCY_NOISE_MS = 5;
/**
 * A process that has just been loaded is slow at first, as its code has not been compiled yet, and a busy machine makes any process
 * slow for a second: before the end of the window, and at its end before so many calls or copies, only a median that is longer than it
 * may be by this factor decides.
 */
const WARM_CALLS = 100;
const WARM_COPIES = 40;
const CLEARLY = 2;

/**
 * Whether the new version answers copies as the old one answers the calls. Decided as soon as no further answer could change
 * it; at the end of the window by what was compared until then, where that is enough to say something. Where there was no call
 * even after `MOST_WINDOWS` of them it passes: no caller wants answers of it.
 */
export function judgeShadow(facts: ReplicaFacts, settings: RolloutSettings, elapsedMs: number): Judgement {
  const { compared } = facts;
  if (settings.samples === 0) return { kind: 'passed', why: 'no answers are compared' };
  const isFew = compared < Math.min(FEW, settings.samples);
  const isOver = elapsedMs >= settings.windowMs * (isFew ? MOST_WINDOWS : 1);
  const disagreement = judgeAgreement(facts, settings, isOver);
  if (disagreement !== undefined) return disagreement;
  const isLast = (isOver || compared >= settings.samples) && facts.after.calls >= WARM_COPIES;
  const slow = judgeLatency(facts, settings, isLast ? 'last' : 'early');
  if (slow !== undefined) return slow;
  if (compared >= settings.samples) return { kind: 'passed', why: agreementOf(facts) };
  if (!isOver) return OPEN;
  return {
    kind: 'passed',
    why: compared === 0 ? 'no call came whose answers could be compared' : agreementOf(facts),
  };
}

/** Whether calls at the new version end as they did at the old one: errors, latency and agreement, for a window. */
export function judgeWatch(facts: ReplicaFacts, settings: RolloutSettings, elapsedMs: number): Judgement {
  const isOver = elapsedMs >= settings.windowMs;
  const when = isOver ? 'last' : 'early';
  const found =
    judgeErrors(facts.before, facts.after, when) ??
    judgeRefusals(facts, when) ??
    judgeLatency(facts, settings, isOver && facts.after.calls >= WARM_CALLS ? 'last' : 'early') ??
    (mayBeChance(facts, settings) ? undefined : judgeAgreement(facts, settings, isOver));
  if (found !== undefined) return found;
  if (!isOver) return OPEN;
  const { calls, errors } = facts.after;
  return { kind: 'passed', why: `${errors} of ${calls} calls failed` };
}

/** Whether so many calls fail that no more have to be seen: the replica takes its calls back before the leader has said so. */
export function failsClearly(before: CallTally, after: CallTally): boolean {
  return judgeErrors(before, after, 'early') !== undefined;
}

/**
 * Too few answers agree, or would if all that are still to come did; undefined: that cannot be said. `isOver`: none are still
 * to come.
 */
function judgeAgreement(
  { compared, agreed, difference }: ReplicaFacts,
  { agreement, samples }: RolloutSettings,
  isOver: boolean,
): Judgement | undefined {
  const missing = isOver ? 0 : Math.max(0, samples - compared);
  const isDecided = isOver || compared >= FEW;
  if (compared === 0 || !isDecided || agreed + missing >= agreement * (compared + missing)) return undefined;
  const ratio = percent(agreed / compared);
  const last = difference === '' ? '' : `; the last one: ${difference}`;
  const figures = `${ratio} of ${compared} answers agree (${agreed}), expected ${percent(agreement)}`;
  return { kind: 'failed', why: `${figures}${last}` };
}

/**
 * Whether the answers that differ are no more than chance explains. A version that serves already has agreed before it did:
 * to take it back needs more than one lost copy. Before it serves, doubt is enough.
 */
function mayBeChance({ compared, agreed }: ReplicaFacts, { agreement }: RolloutSettings): boolean {
  if (compared - agreed < MIN_DIFFERENT) return true;
  const share = agreed / compared;
  const deviation = Math.sqrt((share * (1 - share)) / compared);
  return share + AGREEMENT_DEVIATIONS * deviation >= agreement;
}

/** Failed calls of both versions as two proportions: more at the new one than chance explains, in all or among the latest. */
function judgeErrors(before: CallTally, after: CallTally, when: When): Judgement | undefined {
  const calls = Math.min(after.calls, RECENT_CALLS);
  const recent = { calls, errors: after.recentErrors ?? 0 };
  const isAll = areMore(before, after, { least: MIN_ERRORS[when], deviations: DEVIATIONS[when] });
  const bound = { least: MIN_ERRORS[when], deviations: RECENT_DEVIATIONS[when] };
  if (!isAll && !areMore(before, recent, bound)) return undefined;
  const { errors } = isAll ? after : recent;
  const of = isAll ? `${after.calls} calls` : `the latest ${calls} calls`;
  const share = percent(ratioOf(isAll ? after : recent));
  const than = `${percent(ratioOf(before))} of ${before.calls} at the version before`;
  return { kind: 'failed', why: `${share} of ${of} failed (${errors}), ${than}` };
}

/**
 * Whether the new version refuses what the version before accepts. A caller that makes mistakes makes them at both: only the
 * difference between the versions counts, and only where both were asked.
 */
function judgeRefusals({ before, after, pairs }: ReplicaFacts, when: When): Judgement | undefined {
  const { phase: old = NO_CALLS } = before;
  const { phase: fresh = NO_CALLS } = after;
  if (old.calls < MIN_PHASE_CALLS) return judgeUncompared(before, { after, pairs: pairs ?? NO_PAIRS }, when);
  const bound = { least: MIN_ERRORS[when], deviations: REFUSAL_DEVIATIONS[when], leastBefore: 0 };
  const isWorse = fresh.calls >= MIN_PHASE_CALLS && areMore(triedOf(old), triedOf(fresh), bound);
  if (!isWorse) return undefined;
  const share = percent(ratioOf(triedOf(fresh)));
  const than = `${percent(ratioOf(triedOf(old)))} of ${old.calls} at the version before in the same time`;
  return { kind: 'failed', why: `${share} of ${fresh.calls} calls refused (${fresh.refused}), ${than}` };
}

/** The version before gets no calls: a new one that refuses nearly all of them fails, unless the other refused a copy too. */
function judgeUncompared(
  before: CallTally,
  { after, pairs: { sampled, alike } }: { readonly after: CallTally; readonly pairs: RefusalPairs },
  when: When,
): Judgement | undefined {
  const { calls, refused } = after.phase ?? NO_CALLS;
  if (alike > 0 || refused < MIN_REFUSED || refused < calls * REFUSES_ALL) return undefined;
  // What the version before answered shows that its callers know how to ask.
  const accepted = before.calls - (before.refused ?? 0);
  if (accepted < Math.max(MIN_CALLS, before.calls / 2)) return undefined;
  // Copies of such calls decide sooner, and better.
  if (sampled > 0 && when === 'early') return undefined;
  const than = `${before.refused ?? 0} of ${before.calls} at the version before`;
  return { kind: 'failed', why: `${refused} of ${calls} calls refused, ${than}` };
}

const NO_CALLS = { calls: 0, refused: 0 } as const;
const NO_PAIRS = { sampled: 0, alike: 0 } as const;

function triedOf({ calls, refused }: PhaseTally): Tried {
  return { calls, errors: refused };
}

/** Calls and how many of them failed. */
type Tried = Pick<CallTally, 'calls' | 'errors'>;

/** How many errors at least, and how far apart the shares. */
interface Bound {
  readonly least: number;
  readonly deviations: number;
  /** As how many calls the version before counts at least. */
  readonly leastBefore?: number;
}

/** Whether the share of errors is higher by so many deviations, and there are so many at least. */
function areMore(
  before: Tried,
  after: Tried,
  { least, deviations, leastBefore = LEAST_BEFORE }: Bound,
): boolean {
  if (after.errors < least) return false;
  const [old, fresh] = [ratioOf(before), ratioOf(after)];
  const known = Math.max(leastBefore, before.calls);
  const all = (old * known + after.errors) / (known + after.calls);
  const deviation = Math.sqrt(all * (1 - all) * (1 / known + 1 / after.calls));
  if (fresh <= old) return false;
  if (fresh - old >= Math.max(MIN_DIFFERENCE, deviations * deviation)) return true;
  // Of a few calls that all fail deviations say little. Where requests are bad, those of the version before fail in a row, too.
  return fresh === 1 && old ** after.calls < chanceOf(deviations);
}

/** How seldom chance is further out than so many standard deviations, about. */
function chanceOf(deviations: number): number {
  return Math.exp(-(deviations ** 2) / 2) / (deviations * Math.sqrt(2 * Math.PI));
}

/**
 * Its median is longer than it may be; undefined: it is not, or too few calls have been seen. `early`: more are still to come,
 * and only what is clear counts.
 */
function judgeLatency(
  { before, after }: ReplicaFacts,
  { maxLatency }: RolloutSettings,
  when: When,
): Judgement | undefined {
  if (before.calls < MIN_CALLS || after.calls < FEW) return undefined;
  // Streams have no latency, and of too few other calls it is not known.
  if (before.medianMs === 0 || after.medianMs === 0) return undefined;
  const most = Math.max(before.medianMs * maxLatency, before.medianMs + LATENCY_NOISE_MS);
  if (after.medianMs <= (when === 'last' ? most : most * CLEARLY)) return undefined;
  const figures = `median of ${ms(after.medianMs)} over ${after.calls} calls`;
  return {
    kind: 'failed',
    why: `${figures}, expected at most ${ms(most)}: ${ms(before.medianMs)} at the version before`,
  };
}

function agreementOf({ agreed, compared }: ReplicaFacts): string {
  return `${percent(agreed / compared)} of ${compared} answers agree`;
}

function ratioOf({ errors, calls }: Tried): number {
  return calls === 0 ? 0 : errors / calls;
}

function percent(ratio: number): string {
  return `${Number((ratio * 100).toFixed(1))} %`;
}

function ms(value: number): string {
  return `${Number(value.toPrecision(3))} ms`;
}
