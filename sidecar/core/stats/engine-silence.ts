import { GivenUpAnswers } from './given-up-answers.js';

/** An engine that says nothing for this long hangs, whatever is known of it, ms. */
export const LONGEST_SILENCE_MS = 10_000;
/** Beyond what its longest silence says: a collection of garbage, a busy machine. */
const MARGIN_MS = 1_000;
/** So many times as long as its longest silence. */
const FACTOR = 3;
/** Silences are remembered for one to two of these, ms. */
const WINDOW_MS = 60_000;
/** A message may have been on its way for so long when its front said that it had died, ms. */
const ON_THE_WAY_MS = 50;
const LONGEST_TRIAL_MS = 600_000;
/** A request that tries an engine which may be well again waits so many times as long as the longest one has for its first message. */
const FIRST_FACTOR = 2;
/** From one such request to the next: so many times as long as the first one waited. */
const TRIAL_PAUSE = 8;
/** A request that does not try whether an engine is well again. */
export const NO_TRIAL = 0;
/** So many requests that tried it in vain, each waiting twice as long as the one before, and so long a silence show that it does not come back, ms. */
const LOST_TRIALS = 3;
const LOST_SILENCE_MS = 60_000;
/** Answers that have to have begun in that time before its silence says anything: each had a prompt to be read. */
const LEAST_ANSWERS = 20;
/** A request of more bytes than this many times the largest is one whose prompt may take longer than any before. */
const UNUSUAL_SIZE = 2;

/**
 * What the messages of all answers of one language-model engine say of it: it makes tokens for all of them in turn, so that where none comes
 * for anybody it hangs, or reads a long prompt. How long it is silent while it is well is learned.
 */
export class EngineSilence {
  /** When a message last came, monotonic ms. */
  private lastMs = 0;
  /** Answers that have begun and are not over. */
  private running = 0;
  /** Answers that have not begun, of requests that are larger than all before. */
  private unusual = 0;
  /** When an answer showed that it hangs, and nothing has come since; −1: it is not known to. */
  private suspectMs = -1;
  /** When its front first said that it has died, and nothing has come since; −1: it has not. */
  private diedMs = -1;
  /** When its front last said that it has died, and when an answer from before that got another message all the same. */
  private saidMs = Number.NEGATIVE_INFINITY;
  private aliveMs = Number.NEGATIVE_INFINITY;
  /** How long a request waits that went to it after that, ms: longer each time, as it may be well again, and slow. */
  private trialMs = LONGEST_SILENCE_MS;
  /** When a request may go to it to try that, though others are there. */
  private nextTrialMs = 0;
  /** The last request that did so, by number: only this one says when the next may. */
  private trial = NO_TRIAL;
  /** Requests that did so and brought nothing in their time. */
  private vainTrials = 0;
  /** In the present window and in the one before: the longest silence, the longest time to a first message, the largest request, and the answers that have begun. */
  private readonly longestMs = [0, 0];
  private readonly longestFirstMs = [0, 0];
  private readonly largestBytes = [0, 0];
  private readonly answers = [0, 0];
  private windowEndMs = Number.NEGATIVE_INFINITY;
  /** The answers that it gave up. */
  readonly givenUp = new GivenUpAnswers();
  /** Which process of it this is, of those that are known. */
  processes = 0;

  /** A request of so many bytes has gone to it. True: it is unusual, until its answer begins or it is over. */
  expect(bytes: number): boolean {
    const isUnusual = bytes > UNUSUAL_SIZE * Math.max(this.largestBytes[0]!, this.largestBytes[1]!);
    if (isUnusual) this.unusual++;
    return isUnusual;
  }

  /** An unusual request has got its first message, or is over. */
  settle(): void {
    this.unusual--;
  }

  /** The first message of an answer. */
  begin(bytes: number, sentMs: number, nowMs: number): void {
    this.message(sentMs, nowMs);
    this.running++;
    this.answers[0]!++;
    this.longestFirstMs[0] = Math.max(this.longestFirstMs[0]!, nowMs - sentMs);
    this.largestBytes[0] = Math.max(this.largestBytes[0]!, bytes);
  }

  /** An answer that had begun is over. */
  end(): void {
    this.running--;
  }

  /** Any part of an answer, to a request that was sent at `sentMs`. */
  message(sentMs: number, nowMs: number): void {
    if (sentMs <= this.saidMs && nowMs >= this.saidMs + ON_THE_WAY_MS) this.aliveMs = nowMs;
    if (nowMs >= this.windowEndMs) this.turn(nowMs);
    if (this.running > 0 || this.suspectMs >= 0)
      this.longestMs[0] = Math.max(this.longestMs[0]!, nowMs - this.lastMs);
    this.lastMs = nowMs;
    this.suspectMs = -1;
    this.diedMs = -1;
  }

  /** How long it may be silent, ms. */
  get limitMs(): number {
    if (this.unusual > 0 || this.answers[0]! + this.answers[1]! < LEAST_ANSWERS) return LONGEST_SILENCE_MS;
    const longestMs = Math.max(this.longestMs[0]!, this.longestMs[1]!);
    return Math.min(LONGEST_SILENCE_MS, MARGIN_MS + FACTOR * longestMs);
  }

  /** When its silence is too long, if no message comes, monotonic ms. */
  get dueMs(): number {
    return this.lastMs + this.limitMs;
  }

  /** An answer whose caller reads has waited for longer than that. */
  suspect(nowMs: number): void {
    if (this.suspectMs >= 0) return;
    this.suspectMs = nowMs;
    this.beginTrials(nowMs + this.firstTrialMs);
  }

  /** It is known to hang, whether or not a request is to try that. */
  get isSuspect(): boolean {
    return this.suspectMs >= 0;
  }

  /** It is known to hang, and no request is to try whether it still does: others are to go elsewhere, if they can. */
  isToBeLeft(nowMs: number): boolean {
    return this.suspectMs >= 0 && nowMs < this.nextTrialMs;
  }

  /**
   * A request goes to it. Where that is due, it tries whether the engine still hangs, and the next one comes well after its wait.
   * @returns the number of the trial; NO_TRIAL: it is none
   */
  send(nowMs: number): number {
    if (this.suspectMs < 0 || nowMs < this.nextTrialMs) return NO_TRIAL;
    this.nextTrialMs = nowMs + pauseAfter(this.trialMs);
    this.trial++;
    return this.trial;
  }

  /**
   * A trial that was sent at `sentMs` is over. One that brought nothing in its time shows that the engine still hangs. One that ended sooner, as its
   * caller went away, another engine was faster or a front refused it, shows less: the next one comes the sooner.
   */
  endTrial(trial: number, sentMs: number, nowMs: number): void {
    if (trial !== this.trial || this.suspectMs < 0) return;
    const waitedMs = nowMs - sentMs;
    if (waitedMs >= this.trialMs) {
      this.trialMs = Math.min(LONGEST_TRIAL_MS, 2 * this.trialMs);
      this.vainTrials++;
    } else this.nextTrialMs = Math.min(this.nextTrialMs, sentMs + pauseAfter(waitedMs));
  }

  /**
   * When a request that has no answer yet, and was sent at `sentMs`, waits in vain: others showed that the engine hangs. Infinity: nothing
   * says so, and its prompt may take long.
   */
  vainMs(sentMs: number): number {
    if (this.suspectMs < 0) return Number.POSITIVE_INFINITY;
    return sentMs > this.suspectMs ? sentMs + this.trialMs : Math.max(this.dueMs, sentMs + MARGIN_MS);
  }

  /** Its front says that it has died, to a request that was sent at `sentMs`. True: the request may have been in it then. */
  die(sentMs: number, nowMs: number): boolean {
    if (this.diedMs < 0) this.diedMs = nowMs;
    this.saidMs = nowMs;
    return sentMs <= this.diedMs;
  }

  /**
   * There is a connection again, to this process or the next one: that its front said it had died, or that it hangs, may be of the one before. So one
   * request tries it now, and waits no longer than the first one did.
   */
  reconnect(): void {
    this.diedMs = -1;
    this.beginTrials(0);
  }

  /** Another process of it serves now: what its front said, and that it hangs, was of the one before. */
  restart(): void {
    this.reconnect();
    this.suspectMs = -1;
    this.processes++;
  }

  /**
   * It has sent nothing to anybody since `sinceMs`, and for a second at least. A request that was sent at `sentMs` was there as it fell silent, or may
   * have made it so: one that came later found it so.
   */
  hasStalled(sentMs: number, sinceMs: number, nowMs: number): boolean {
    const { lastMs } = this;
    return lastMs <= sinceMs && sentMs <= lastMs + MARGIN_MS && nowMs >= lastMs + MARGIN_MS;
  }

  /** It has sent nothing to anybody for so long that it hangs, whatever is known of it. */
  hasHung(nowMs: number): boolean {
    return nowMs - this.lastMs >= LONGEST_SILENCE_MS;
  }

  /**
   * It hangs, and does not come back: others tried it, again and again, and it sent nothing to anybody. Not while a request that is larger than all before
   * waits for its first token: each of them may wait behind its prompt.
   */
  isLost(nowMs: number): boolean {
    const { suspectMs, vainTrials, unusual, lastMs } = this;
    return suspectMs >= 0 && vainTrials >= LOST_TRIALS && unusual === 0 && nowMs - lastMs >= LOST_SILENCE_MS;
  }

  /** An answer waits in the process that was the one so many: it would get a message if the process went on. */
  isWatched(process: number): boolean {
    return this.processes === process && this.running > 0;
  }

  /** The process that was the one so many has sent something after `sinceMs`: it was slow. */
  hasRecovered(process: number, sinceMs: number): boolean {
    return this.processes === process && this.lastMs > sinceMs;
  }

  /** Its front said after `sinceMs` that it had died, and it had not: an answer went on that was in it then. */
  hasGoneOn(sinceMs: number): boolean {
    return this.aliveMs >= sinceMs;
  }

  /** How long the first request waits that tries whether it still hangs, ms. */
  private get firstTrialMs(): number {
    const firstMs = FIRST_FACTOR * Math.max(this.longestFirstMs[0]!, this.longestFirstMs[1]!);
    return Math.min(LONGEST_SILENCE_MS, Math.max(this.limitMs, MARGIN_MS + firstMs));
  }

  /** What trials before this showed no longer counts. */
  private beginTrials(dueMs: number): void {
    this.vainTrials = 0;
    this.trialMs = this.firstTrialMs;
    this.nextTrialMs = dueMs;
    this.trial++;
  }

  private turn(nowMs: number): void {
    for (const each of [this.longestMs, this.longestFirstMs, this.largestBytes, this.answers]) {
      each[1] = each[0]!;
      each[0] = 0;
    }
    this.windowEndMs = nowMs + WINDOW_MS;
  }
}

/** From a trial that waited so long to the next one, ms. */
function pauseAfter(waitedMs: number): number {
  return Math.min(LONGEST_TRIAL_MS, Math.max(MARGIN_MS, TRIAL_PAUSE * waitedMs));
}
