import { INFERENCE_SERVICE } from '../../core/routing/method.js';
import type { ServerLife } from '../../health/model/server-life.js';
import { headerViewOf } from '../../http2/header-view.js';
import type { Attempt } from '../../relay/attempt.js';
import { resumeAt } from '../../relay/call-timer.js';
import { sendLocalReply } from '../../relay/response.js';
import type { DataPlaneContext } from '../../transport/context.js';
import type { InboundCall } from '../call.js';
import { targetOf } from '../model-methods.js';

/** Longest wait of an answer for what the server says of itself, ms. */
const LONGEST_WAIT_MS = 250;
/** A server that did not answer is not asked again for so long, ms. */
const SILENT_MS = 5_000;
const ENDING = 'its server is shutting down';

/** Asks the server of a model whether it is ending; `onLife` is called once. */
export type AskServerLife = (timeoutMs: number, onLife: (life: ServerLife) => void) => void;

/** What is known of the process without asking it. */
export interface ServerFacts {
  /** Why it takes no calls any more; null: it does. */
  readonly whyAway: string | null;
  readonly isConnected: boolean;
}

/**
 * Tells a model that does not exist from a server that has unloaded it to shut down. Triton answers NOT_FOUND, "has no available
 * versions", to calls that come after SIGTERM, and keeps its connections open meanwhile. Such an answer is held, for 250 ms at most,
 * until the server has said whether it is ending. The answer goes to the caller as it is unless there is evidence: the server says so,
 * its process has ended or does not serve any more, or it has said GOAWAY and takes no connection.
 */
export class EndingServer {
  /** Null: the server cannot be asked, so that only the facts count. */
  ask: AskServerLife | null = null;
  /** Held answers: those that the question under way is about, and those that came after it was asked. */
  private asked: InboundCall[] = [];
  private readonly next = new Set<InboundCall>();
  private isAsking = false;
  private silentUntilMs = 0;

  constructor(
    private readonly facts: ServerFacts,
    private readonly context: DataPlaneContext,
  ) {}

  /** The model has answered NOT_FOUND. True: the call was taken over; false: the answer stands. */
  holds(call: InboundCall, attempt: Attempt, nowMs: number): boolean {
    const { path } = headerViewOf(call.block);
    if (call.failure?.isAnswerKept === true || call.isCommitted) return false;
    if (attempt.heldBytes > 0 || !isAboutModel(path)) return false;
    const { whyAway } = this.facts;
    if (whyAway !== null) {
      move(call, whyAway);
      return true;
    }
    if (this.ask === null || nowMs < this.silentUntilMs || !path.startsWith(INFERENCE_SERVICE)) return false;
    this.next.add(call);
    resumeAt(call, nowMs + LONGEST_WAIT_MS);
    if (!this.isAsking) this.askNow(this.ask);
    return true;
  }

  /** The wait of the call is over, or its deadline has come: the answer stands. False: none was held. */
  onTimeout(call: InboundCall): boolean {
    if (!this.forget(call)) return false;
    keep(call);
    return true;
  }

  /** The process has ended, or does not serve any more. */
  onAway(why: string): void {
    for (const call of [...this.asked, ...this.next]) if (this.forget(call)) this.settle(call, why);
  }

  /** The call has ended meanwhile. Returned is whether its answer was held. */
  forget(call: InboundCall): boolean {
    if (this.next.delete(call)) return true;
    const at = this.asked.indexOf(call);
    if (at < 0) return false;
    this.asked.splice(at, 1);
    return true;
  }

  private askNow(ask: AskServerLife): void {
    this.isAsking = true;
    this.asked = [...this.next];
    this.next.clear();
    ask(LONGEST_WAIT_MS, (life) => this.onLife(ask, life));
  }

  private onLife(ask: AskServerLife, life: ServerLife): void {
    const { context, facts } = this;
    context.nowMs = context.clock.now();
    if (life === 'silent') this.silentUntilMs = context.nowMs + SILENT_MS;
    const answered = this.asked;
    this.asked = [];
    this.isAsking = false;
    for (const call of answered) {
      const isGone = life === 'silent' && !facts.isConnected && call.attempt?.session?.isRetiring === true;
      this.settle(call, life === 'ending' || isGone ? ENDING : null);
    }
    if (this.next.size > 0 && !this.isAsking) this.askNow(ask);
  }

  /** @param why the server is ending; null: it is not, as far as is known. */
  private settle(call: InboundCall, why: string | null): void {
    try {
      if (why === null) keep(call);
      else move(call, why);
    } catch (error) {
      this.context.containment.contain(call, error);
    }
  }
}

/** The answer goes to the caller. */
function keep(call: InboundCall): void {
  call.ensureFailure().isAnswerKept = true;
  call.handler.onAttemptEnd(call, call.attempt!);
}

/** The model did not run the call: another instance of it does, or another replica. */
function move(call: InboundCall, why: string): void {
  const { backend } = call;
  call.attempt!.isRefused = true;
  if (!backend!.repeat(call)) sendLocalReply(call, backend!.unavailable(why));
}

/** Of the methods that name a model, NOT_FOUND says that the model is not there. Of others it may be what they are for. */
function isAboutModel(path: string): boolean {
  const target = targetOf(path);
  return target.kind === 'named' && !target.isHealth;
}
