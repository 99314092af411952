import { injected } from '../core/outcome/local-reply-reason.js';
import type { ActiveFault } from '../core/routing/fault-rule.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { StableList } from '../http2/hpack/header-list.js';
import type { Call, CallHandler } from './call.js';
import { resumeAt } from './call-timer.js';
import { deadlineReply, idleReply, makeLocalReply } from './local-reply.js';
import { expireCall, sendLocalReply } from './response.js';

/**
 * Injects a fault: the call is aborted with a local reply, delayed, or delayed and then aborted. `onward` continues a call
 * that is only delayed. The call's plan and deadline are set.
 */
export function injectFault(call: Call, fault: ActiveFault, faults: ActiveFaults, onward: () => void): void {
  const { delayMs, abort } = fault.rule;
  const then =
    abort === undefined
      ? onward
      : () => {
          faults.count(fault, 'abort');
          sendLocalReply(call, makeLocalReply(injected(abort)));
        };
  if (delayMs === 0) return then();
  faults.count(fault, 'delay');
  new DelayedCall(call, then).start(delayMs);
}

/** Handles a call while it is delayed; then the call goes back to its handler. */
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
    expireCall(call, deadlineReply(call));
  }

  onIdle(call: Call): void {
    expireCall(call, idleReply(call));
  }

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
}

/** What an injected fault does to a call. */
export type FaultKind = 'delay' | 'abort';

/** The faults that are injected now, in calls of peers and in calls of the application. */
export interface ActiveFaults {
  readonly inbound: readonly ActiveFault[];
  readonly outbound: readonly ActiveFault[];
  count(fault: ActiveFault, kind: FaultKind): void;
}
