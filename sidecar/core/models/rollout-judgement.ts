import type { CallTally, ReplicaFacts, RolloutSettings } from './rollout.js';

/** What is found of a version: it goes on, fails with a sentence that has the figures, or more has to be seen. */
export type Judgement =
  | { readonly kind: 'passed'; readonly why: string }
  | { readonly kind: 'failed'; readonly why: string }
  | { readonly kind: 'open' };

const OPEN: Judgement = { kind: 'open' };
/** Fewer comparisons than these decide nothing before the window is over. */
const FEW = 10;
/** Where calls come, but fewer than that, comparing goes on for so many windows. */
const MOST_WINDOWS = 5;
/** Errors that may be chance. */
const MIN_ERRORS = 5;
/** The share of errors has to be higher by this at least, and by so many standard deviations. */
const MIN_DIFFERENCE = 0.01;
const DEVIATIONS = 3;
/** Answers that differ: one may be a copy that was lost on its way. */
const MIN_DIFFERENT = 2;
/** So many standard deviations the share of answers that agree has to be below what is asked for. */
const AGREEMENT_DEVIATIONS = 2;
/** Calls that a median needs. */
const MIN_CALLS = 20;
/** A median that is longer by less than this is noise, ms. */
const LATENCY_NOISE_MS = 5;

/**
 * Whether the new version answers copies as the old one answers the calls. Decided as soon as no further answer could change
 * it; at the end of the window by what was compared until then, where that is enough to say something; and without a call by
 * nothing: then there was none to harm.
 */
export function judgeShadow(facts: ReplicaFacts, settings: RolloutSettings, elapsedMs: number): Judgement {
  const { compared } = facts;
  if (settings.samples === 0) return { kind: 'passed', why: 'no answers are compared' };
  const isFew = compared > 0 && compared < Math.min(FEW, settings.samples);
  const isOver = elapsedMs >= settings.windowMs * (isFew ? MOST_WINDOWS : 1);
  const disagreement = judgeAgreement(facts, settings, isOver);
  if (disagreement !== undefined) return disagreement;
  const slow = judgeLatency(facts, settings);
  if (slow !== undefined) return slow;
  if (compared >= settings.samples) return { kind: 'passed', why: agreementOf(facts) };
  if (!isOver) return OPEN;
  return { kind: 'passed', why: compared === 0 ? 'no call came to compare answers of' : agreementOf(facts) };
}

/** Whether calls at the new version end as they did at the old one: errors, latency and agreement, for a window. */
export function judgeWatch(facts: ReplicaFacts, settings: RolloutSettings, elapsedMs: number): Judgement {
  const isOver = elapsedMs >= settings.windowMs;
  const found =
    judgeErrors(facts.before, facts.after) ??
    judgeLatency(facts, settings) ??
    (mayBeChance(facts, settings) ? undefined : judgeAgreement(facts, settings, isOver));
  if (found !== undefined) return found;
  if (!isOver) return OPEN;
  const { calls, errors } = facts.after;
  return { kind: 'passed', why: `${errors} of ${calls} calls failed` };
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

/** Failed calls of both versions as two proportions: more at the new one than chance explains. */
function judgeErrors(before: CallTally, after: CallTally): Judgement | undefined {
  if (after.errors < MIN_ERRORS) return undefined;
  const [old, fresh] = [ratioOf(before), ratioOf(after)];
  const all = (before.errors + after.errors) / (before.calls + after.calls);
  const deviation = Math.sqrt(all * (1 - all) * (1 / Math.max(1, before.calls) + 1 / after.calls));
  if (fresh - old < Math.max(MIN_DIFFERENCE, DEVIATIONS * deviation) && fresh < 1) return undefined;
  if (fresh <= old) return undefined;
  const than = `${percent(old)} of ${before.calls} at the version before`;
  return {
    kind: 'failed',
    why: `${percent(fresh)} of ${after.calls} calls failed (${after.errors}), ${than}`,
  };
}

/** Its median is longer than it may be; undefined: it is not, or too few calls have been seen. */
function judgeLatency(
  { before, after }: ReplicaFacts,
  { maxLatency }: RolloutSettings,
): Judgement | undefined {
  if (before.calls < MIN_CALLS || after.calls < MIN_CALLS) return undefined;
  const most = Math.max(before.medianMs * maxLatency, before.medianMs + LATENCY_NOISE_MS);
  if (after.medianMs <= most) return undefined;
  const figures = `median of ${ms(after.medianMs)} over ${after.calls} calls`;
  return {
    kind: 'failed',
    why: `${figures}, expected at most ${ms(most)}: ${ms(before.medianMs)} at the version before`,
  };
}

function agreementOf({ agreed, compared }: ReplicaFacts): string {
  return `${percent(agreed / compared)} of ${compared} answers agree`;
}

function ratioOf({ errors, calls }: CallTally): number {
  return calls === 0 ? 0 : errors / calls;
}

function percent(ratio: number): string {
  return `${Number((ratio * 100).toFixed(1))} %`;
}

function ms(value: number): string {
  return `${Number(value.toPrecision(3))} ms`;
}
