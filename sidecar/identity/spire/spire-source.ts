import { createHash } from 'node:crypto';
import { Status, statusName } from '../../core/outcome/status.js';
import { exponentialMs, halfJitterMs } from '../../core/retry/backoff.js';
import type { RuntimeDeps } from '../../runtime/deps.js';
import { messageOf } from '../../runtime/log/message-of.js';
import type { Timer } from '../../runtime/time/timers.js';
import { hasSameRoots, type Identity, type IdentitySource, type IdentityStatus } from '../identity.js';
import { type AgeReport, ageReport, nextCheckMs, phaseEndsInMs, validityPhase } from '../sources/expiry.js';
import { isProblem } from '../spiffe.js';
import { isoTime } from '../x509/chain.js';
import { chooseSvid, type WantedSvid } from './choose-svid.js';
import type { WorkloadApi, WorkloadEnd } from './workload-api.js';

export interface SpireIdentityOptions extends WantedSvid, RuntimeDeps {
  readonly api: WorkloadApi;
  /** The socket, for messages. */
  readonly where: string;
  /** Called once for each new problem, in one line. */
  readonly onProblem: (problem: string) => void;
  /** Called when the agent gives a usable SVID after a problem. */
  readonly onRecovery?: () => void;
}

/** Without a first response for so long, the call is begun anew, ms. SPIRE's attestor for Kubernetes may ask the kubelet for this long. */
const RESPONSE_LIMIT_MS = 30_000;
/** Waits between calls that failed, ms: with half jitter, so that the sidecars of a machine do not all come at once. */
const RETRY_MS = 500;
const RETRY_MAX_MS = 10_000;
/** A call that stays open for so long after a good response is a recovery, ms: what ends sooner counts as one more failure. */
const STEADY_MS = RETRY_MAX_MS;
/** The wall clock may jump, so the age of the certificate is looked at this often at least. */
const CHECK_MS = 60_000;
/** Bundles that one line of the log names at most. */
const MAX_NAMED = 10;
/** As `isoTime` writes it. */
const TIME = /\d{4}-\d\d-\d\dT[\d:.]+Z/g;

/**
 * The identity from the Workload API of a SPIRE agent: an open call tells each change. What cannot be used changes nothing: the last SVID that
 * could be used serves until it expires, also while the agent is away or refuses. An agent whose call is open and says nothing when a new
 * SVID is due is asked anew: it may hang. So is one whose response cannot be used: the clock of this machine may have been wrong.
 */
export class SpireIdentitySource implements IdentitySource {
  private identity: Identity | undefined;
  /** Why there is no newer SVID; undefined while nothing is wrong. */
  private failure: string | undefined;
  /** What is wrong, and how old the certificate is, as last reported. */
  private reportedFailure: string | undefined;
  private reportedAge: string | undefined;
  private reportedLeftOut = '';
  /** Failed calls and unusable responses since a call was last steady. */
  private failuresInARow = 0;
  private cancelCall: (() => void) | undefined;
  /** Whether the open call has given a response. */
  private hasResponse = false;
  private responseLimit: Timer | undefined;
  private steadyTimer: Timer | undefined;
  private retryTimer: Timer | undefined;
  private checkTimer: Timer | undefined;
  /** When the call is begun anew although it is open, on the monotonic clock. */
  private nextCallMs = Number.POSITIVE_INFINITY;
  /** Digest of the response that `identity` is from. */
  private usedDigest: string | undefined;
  private readonly listeners = new Set<(identity: Identity) => void>();
  private isClosed = false;

  constructor(private readonly options: SpireIdentityOptions) {
    this.call();
  }

  current(): Identity | undefined {
    return this.identity;
  }

  subscribe(listener: (identity: Identity) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** An agent that is away is no problem while the certificate is young. */
  status(): IdentityStatus {
    const { identity, failure } = this;
    const { where } = this.options;
    if (identity === undefined)
      return { problem: failure ?? `the SPIRE agent at ${where} has not answered yet` };
    return {
      notAfterMs: identity.notAfterMs,
      ...this.age(identity),
      ...(failure === undefined ? {} : { failure }),
    };
  }

  close(): void {
    this.isClosed = true;
    this.hangUp();
    this.checkTimer?.cancel();
    this.listeners.clear();
  }

  private age(identity: Identity): AgeReport {
    const why = this.failure === undefined ? '' : `: ${this.failure}`;
    const want = `the SPIRE agent has given no new one${why}`;
    return ageReport(identity, this.options.clock.wallNow(), want);
  }

  // ---- the call ----

  private call(): void {
    this.hangUp();
    if (this.isClosed) return;
    const { api, timers, where } = this.options;
    try {
      this.cancelCall = api.fetch({
        message: (bytes) => this.onMessage(bytes),
        end: (end) => this.fail(whyEnded(end, where)),
      });
    } catch (error) {
      return this.fail(messageOf(error));
    }
    const silence = `the SPIRE agent at ${where} has not answered within ${RESPONSE_LIMIT_MS / 1_000} s`;
    this.responseLimit = timers.after(RESPONSE_LIMIT_MS, () => this.fail(silence), { unref: true });
  }

  private hangUp(): void {
    this.cancelCall?.();
    this.cancelCall = undefined;
    this.hasResponse = false;
    this.nextCallMs = Number.POSITIVE_INFINITY;
    this.responseLimit?.cancel();
    this.retryTimer?.cancel();
    this.endSteadyTimer();
  }

  private fail(why: string): void {
    this.hangUp();
    const waitMs = this.nextWaitMs(RETRY_MAX_MS);
    this.retryTimer = this.options.timers.after(waitMs, () => this.call(), { unref: true });
    this.keepOn(why);
  }

  /** Counts a failure. */
  private nextWaitMs(maxMs: number): number {
    this.failuresInARow += 1;
    return halfJitterMs(exponentialMs(this.failuresInARow, RETRY_MS, maxMs), this.options.random);
  }

  /** What was known stays in use. */
  private keepOn(why: string): void {
    this.failure = why;
    const { identity } = this;
    const isValid = identity !== undefined && this.options.clock.wallNow() <= identity.notAfterMs;
    const kept = isValid ? `; the certificate stays in use until ${isoTime(identity.notAfterMs)}` : '';
    this.reportFailure(why, `${why}${kept}`);
    this.scheduleCheck();
  }

  private validIdentity(): Identity | undefined {
    const { identity } = this;
    const now = this.options.clock.wallNow();
    return identity !== undefined && identity.notBeforeMs <= now && now <= identity.notAfterMs
      ? identity
      : undefined;
  }

  private onMessage(bytes: Buffer): void {
    this.responseLimit?.cancel();
    this.hasResponse = true;
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (digest === this.usedDigest && this.validIdentity() !== undefined) return this.onUsable();
    const { where, clock } = this.options;
    const chosen = chooseSvid(bytes, this.options, clock.wallNow());
    if (isProblem(chosen))
      return this.onUnusable(`the SPIRE agent at ${where} gives no usable SVID: ${chosen.problem}`);
    this.usedDigest = digest;
    this.reportLeftOut(chosen.leftOut);
    const before = this.identity;
    this.identity = chosen.identity;
    this.onUsable();
    this.tell(chosen.identity, before);
  }

  /** The call stays open, and is begun anew after a while: less often while there is an SVID. */
  private onUnusable(why: string): void {
    this.endSteadyTimer();
    const waitMs = this.nextWaitMs(this.validIdentity() === undefined ? RETRY_MAX_MS : CHECK_MS);
    this.nextCallMs = this.options.clock.now() + waitMs;
    this.keepOn(why);
  }

  private onUsable(): void {
    this.failure = undefined;
    this.nextCallMs = Number.POSITIVE_INFINITY;
    this.scheduleCheck();
    if (this.failuresInARow === 0) return;
    this.steadyTimer ??= this.options.timers.after(STEADY_MS, () => this.recovered(), { unref: true });
  }

  private endSteadyTimer(): void {
    this.steadyTimer?.cancel();
    this.steadyTimer = undefined;
  }

  private tell(next: Identity, before: Identity | undefined): void {
    const isSame = before?.certChainPem === next.certChainPem && hasSameRoots(before, next);
    if (!isSame) for (const listener of [...this.listeners]) listener(next);
  }

  // ---- age ----

  /** Arms the timer for the next event: a new phase of the certificate's life, or another call. */
  private scheduleCheck(): void {
    this.checkTimer?.cancel();
    if (this.isClosed) return;
    const { identity } = this;
    const { clock, timers, random } = this.options;
    const now = clock.now();
    let delayMs = CHECK_MS;
    if (identity !== undefined) {
      const phase = validityPhase(identity, clock.wallNow());
      // A call that waits for its turn, or for its first response, has a timer of its own.
      if (this.hasResponse)
        this.nextCallMs = Math.min(this.nextCallMs, now + nextCheckMs(identity, phase, random));
      delayMs = Math.min(delayMs, phaseEndsInMs(identity, clock.wallNow()));
    } else if (this.nextCallMs === Number.POSITIVE_INFINITY) return;
    delayMs = Math.max(1, Math.min(delayMs, this.nextCallMs - now));
    this.checkTimer = timers.after(delayMs, () => this.check(), { unref: true });
  }

  private check(): void {
    if (this.identity !== undefined) this.reportAge(this.identity);
    if (this.options.clock.now() >= this.nextCallMs) this.call();
    this.scheduleCheck();
  }

  // ---- log ----

  /** Once for as long as it is the same, whatever time it tells. */
  private reportFailure(why: string, text = why): void {
    const key = why.replaceAll(TIME, '');
    if (this.reportedFailure === key) return;
    this.reportedFailure = key;
    this.options.onProblem(text);
  }

  /** Once for as long as they are the same. */
  private reportLeftOut(leftOut: readonly string[]): void {
    const more = leftOut.length > MAX_NAMED ? `; and ${leftOut.length - MAX_NAMED} more` : '';
    const key = leftOut.join('; ').replaceAll(TIME, '');
    if (this.reportedLeftOut === key) return;
    this.reportedLeftOut = key;
    if (leftOut.length > 0) this.options.onProblem(leftOut.slice(0, MAX_NAMED).join('; ') + more);
  }

  /** Once in each phase of each certificate. */
  private reportAge(identity: Identity): void {
    const { problem, warning } = this.age(identity);
    const words = problem ?? warning;
    const age = `${identity.serial} ${validityPhase(identity, this.options.clock.wallNow())}`;
    if (words === undefined || this.reportedAge === age) return;
    this.reportedAge = age;
    this.options.onProblem(words);
  }

  private recovered(): void {
    this.failuresInARow = 0;
    if (this.reportedFailure !== undefined) this.options.onRecovery?.();
    this.reportedFailure = undefined;
  }
}

/** What the end of a call means, and what to do. */
export function whyEnded({ status, message }: WorkloadEnd, where: string): string {
  const agent = `the SPIRE agent at ${where}`;
  if (status === undefined) return `${agent} cannot be reached: ${message}`;
  const said = `${statusName(status)}${message === '' ? '' : `: ${message}`}`;
  if (status === Status.PERMISSION_DENIED)
    return `${agent} has no SVID for this process (${said}); expected a registration entry whose selectors fit it`;
  if (status === Status.UNIMPLEMENTED) return `${where} is no SPIFFE Workload API (${said})`;
  return `${agent} has ended the call (${said})`;
}
