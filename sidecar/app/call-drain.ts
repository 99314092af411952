import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { makeLocalReply } from '../relay/local-reply.js';
import { RelayedCall } from '../relay/relayed-call.js';
import { sendLocalReply } from '../relay/response.js';
import type { Clock } from '../runtime/time/clock.js';
import type { Timers } from '../runtime/time/timers.js';
import type { Session } from '../transport/session.js';

/** How often streams are looked at, ms. */
const LOOK_MS = 250;
/** For the last responses to leave, and connections to close after them, ms. */
const LAST_RESPONSES_MS = 500;

export interface CallDrainOptions {
  /** Ours, for the responses. */
  readonly service: string;
  /** What calls under way may take, ms. */
  readonly drainTimeoutMs: number;
  readonly timers: Timers;
  readonly clock: Clock;
}

/**
 * The end of a drain: streams whose routes give them less time than the drain has are ended after that, and what is left when the drain is
 * over is ended with a status, so that no caller learns of it by a broken connection alone. A call that has only waited is refused as
 * never processed, so that another replica may have it.
 */
export class CallDrain {
  private readonly sinceMs: number;

  constructor(
    private readonly listeners: readonly { readonly sessions: Iterable<Session> }[],
    private readonly options: CallDrainOptions,
  ) {
    this.sinceMs = options.clock.now();
  }

  /** Resolves when `drained` does, and shortly after the drain timeout at the latest. */
  async end(drained: Promise<unknown>): Promise<void> {
    const { timers, drainTimeoutMs } = this.options;
    const look = timers.every(LOOK_MS, () => this.endStreams());
    await new Promise<void>((resolve) => {
      let last = timers.after(drainTimeoutMs, () => {
        this.endAll();
        last = timers.after(LAST_RESPONSES_MS, resolve);
      });
      void drained.then(() => {
        last.cancel();
        resolve();
      });
    });
    look.cancel();
  }

  /** Streams whose time is over. */
  private endStreams(): void {
    const hadMs = this.options.clock.now() - this.sinceMs;
    for (const call of this.calls()) {
      const { drainTimeoutMs } = call.plan;
      if (hadMs >= drainTimeoutMs) this.endCall(call, drainTimeoutMs);
    }
  }

  private endAll(): void {
    for (const call of this.calls()) this.endCall(call, this.options.drainTimeoutMs);
  }

  private endCall(call: RelayedCall, limitMs: number): void {
    const { service } = this.options;
    call.context.nowMs = call.context.clock.now();
    const { draining, drainTimeout } = LocalReplyReasons;
    // A caller that reads slowly gets this after what it has not read; one that reads nothing loses its connection with the process.
    sendLocalReply(call, makeLocalReply(call.isUnprocessed ? draining : drainTimeout, { service, limitMs }));
  }

  /**
   * The calls under way, first those that only wait: the end of another would start them. A copy: each end takes one away.
   */
  private calls(): RelayedCall[] {
    const calls: RelayedCall[] = [];
    const waiting: RelayedCall[] = [];
    for (const { sessions } of this.listeners)
      for (const { connection } of sessions)
        for (const { owner } of connection.state.table.all())
          if (owner instanceof RelayedCall && !owner.isFinished)
            (owner.isUnprocessed ? waiting : calls).push(owner);
    return [...waiting, ...calls];
  }
}
