import { injected, Reasons } from '../core/outcome/local-reply-reason.js';
import type { Fault } from '../core/routing/fault-rule.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { StableList } from '../http2/hpack/header-list.js';
import type { Call, CallHandler } from './call.js';
import { resumeAt } from './call-timer.js';
import { makeLocalReply } from './local-reply.js';
import { sendLocalReply } from './response.js';

/** `goOn`: what comes next for a call that is only delayed. Its plan and its deadline are set. */
export function injectFault(call: Call, fault: Fault, faults: ActiveFaults, goOn: () => void): void {
  const { delayMs, abort } = fault.rule;
  const then =
    abort === undefined
      ? goOn
      : () => {
          faults.count(fault, 'abort');
          const reason = injected(abort);
          sendLocalReply(call, makeLocalReply(reason));
        };
  if (delayMs === 0) return then();
  faults.count(fault, 'delay');
  new DelayedCall(call, then).start(delayMs);
}

/** Has a call while it waits; then the call is whose it was. */
class DelayedCall implements CallHandler {
  private readonly handler: CallHandler;

  constructor(
    private readonly call: Call,
    private readonly onward: () => void,
  ) {
    this.handler = call.handler;
  }

  start(delayMs: number): void {
    this.call.handler = this;
    resumeAt(this.call, this.call.context.nowMs + delayMs);
  }

  onResume(call: Call): void {
    call.handler = this.handler;
    this.onward();
  }

  onRequestReady(): void {}

  onDeadline(call: Call): void {
    const limitMs = Math.round(call.deadlineMs - call.startMs);
    sendLocalReply(call, makeLocalReply(Reasons.deadlineExceeded, { limitMs }));
  }

  onIdle(call: Call): void {
    const limitMs = call.plan.idleTimeoutMs;
    sendLocalReply(call, makeLocalReply(Reasons.idleTimeout, { limitMs }));
  }

  onCancelled(): void {}

  onFinish(call: Call, status: number): void {
    this.handler.onFinish(call, status);
  }

  // Nothing has been sent anywhere.

  requestHeaders(): StableList {
    return StableList.root();
  }

  requestExtras(): HeaderBlock['extras'] {
    return [];
  }

  onAttemptEnd(): void {}

  onAttemptTimeout(): void {}
}

export type FaultKind = 'delay' | 'abort';

/** What calls are struck by; each side has its own. */
export interface ActiveFaults {
  readonly inbound: readonly Fault[];
  readonly outbound: readonly Fault[];
  count(fault: Fault, kind: FaultKind): void;
}
