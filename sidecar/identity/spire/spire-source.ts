import { Status, statusName } from '../../core/outcome/status.js';
import { exponentialMs, halfJitterMs } from '../../core/retry/backoff.js';
import type { RuntimeDeps } from '../../runtime/deps.js';
import { messageOf } from '../../runtime/log/message-of.js';
import type { Timer } from '../../runtime/time/timers.js';
import { hasSameRoots, type Identity, type IdentitySource, type IdentityStatus } from '../identity.js';
import { expiryWarning, nextCheckMs, phaseEndsInMs, validityPhase } from '../sources/expiry.js';
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

/** An agent sends its first response at once; without one for so long, the call is begun anew, ms. */
const RESPONSE_LIMIT_MS = 10_000;
/** Waits between calls that failed, ms: with half jitter, so that the sidecars of a machine do not all come at once. */
const RETRY_MS = 500;
const RETRY_MAX_MS = 10_000;
/** The wall clock may jump, so the age of the certificate is looked at this often at least. */
const CHECK_MS = 60_000;
/** As `isoTime` writes it. */
const TIME = /\d{4}-\d\d-\d\dT[\d:.]+Z/g;

/**
 * The identity from the Workload API of a SPIRE agent: an open call tells each change. What cannot be used changes nothing: the last SVID that
 * could be used serves until it expires, also while the agent is away or refuses. An agent whose call is open and says nothing when a new
 * SVID is due is asked anew: it may hang.
 */
export class SpireIdentitySource implements IdentitySource {
  private identity: Identity | undefined;
  /** Why there is no newer SVID; undefined while nothing is wrong. */
  private failure: string | undefined;
  /** What is wrong, and how old the certificate is, as last reported. */
  private reportedFailure: string | undefined;
  private reportedAge: string | undefined;
  private failuresInARow = 0;
  private cancelCall: (() => void) | undefined;
  private responseLimit: Timer | undefined;
  private retryTimer: Timer | undefined;
  private checkTimer: Timer | undefined;
  /** When the call is begun anew although it is open, on the monotonic clock. */
  private nextCallMs = Number.POSITIVE_INFINITY;
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
    const problem = this.ageProblem(identity);
    return { notAfterMs: identity.notAfterMs, ...(problem === undefined ? {} : { problem }) };
  }

  close(): void {
    this.isClosed = true;
    this.hangUp();
    this.checkTimer?.cancel();
    this.listeners.clear();
  }

  private ageProblem(identity: Identity): string | undefined {
    const why = this.failure === undefined ? '' : `: ${this.failure}`;
    const want = `the SPIRE agent has given no new one${why}`;
    return expiryWarning(identity, this.options.clock.wallNow(), want);
  }

  // ---- the call ----

  private call(): void {
    this.hangUp();
    if (this.isClosed) return;
    const { api, timers, where } = this.options;
    this.nextCallMs = Number.POSITIVE_INFINITY;
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
    this.responseLimit?.cancel();
    this.retryTimer?.cancel();
  }

  private fail(why: string): void {
    this.hangUp();
    this.failuresInARow += 1;
    const { timers, random } = this.options;
    const waitMs = halfJitterMs(exponentialMs(this.failuresInARow, RETRY_MS, RETRY_MAX_MS), random);
    this.retryTimer = timers.after(waitMs, () => this.call(), { unref: true });
    this.keepOn(why);
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

  private onMessage(bytes: Buffer): void {
    this.responseLimit?.cancel();
    const { where, clock } = this.options;
    const chosen = chooseSvid(bytes, this.options, clock.wallNow());
    if (isProblem(chosen))
      return this.keepOn(`the SPIRE agent at ${where} gives no usable SVID: ${chosen.problem}`);
    this.failuresInARow = 0;
    this.failure = undefined;
    const [leftOut] = chosen.leftOut;
    if (leftOut !== undefined) this.reportFailure(leftOut);
    else this.recovered();
    this.take(chosen.identity);
  }

  private take(next: Identity): void {
    const before = this.identity;
    this.identity = next;
    this.scheduleCheck();
    const isSame = before?.certChainPem === next.certChainPem && hasSameRoots(before, next);
    if (!isSame) for (const listener of [...this.listeners]) listener(next);
  }

  // ---- age ----

  /** Arms the timer for the next event: a new phase of the certificate's life, or another call. */
  private scheduleCheck(): void {
    this.checkTimer?.cancel();
    const { identity } = this;
    if (this.isClosed || identity === undefined) return;
    const { clock, timers, random } = this.options;
    const now = clock.now();
    const dueMs = nextCheckMs(identity, validityPhase(identity, clock.wallNow()), random);
    this.nextCallMs = Math.min(this.nextCallMs, now + dueMs);
    const delayMs = Math.min(this.nextCallMs - now, phaseEndsInMs(identity, clock.wallNow()), CHECK_MS);
    this.checkTimer = timers.after(Math.max(1, delayMs), () => this.check(identity), { unref: true });
  }

  private check(identity: Identity): void {
    this.reportAge(identity);
    // A call that waits for its turn comes by itself.
    if (this.options.clock.now() >= this.nextCallMs && this.cancelCall !== undefined) this.call();
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

  /** Once in each phase of each certificate. */
  private reportAge(identity: Identity): void {
    const problem = this.ageProblem(identity);
    const age = `${identity.serial} ${validityPhase(identity, this.options.clock.wallNow())}`;
    if (problem === undefined || this.reportedAge === age) return;
    this.reportedAge = age;
    this.options.onProblem(problem);
  }

  private recovered(): void {
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
