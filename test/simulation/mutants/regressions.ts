/** Defects that were there once and were found from outside: the simulator has to find each of them by chance. */
import type { Mutant } from './mutant.js';

export const REGRESSIONS: readonly Mutant[] = [
  {
    name: 'mirror-rewrites-shared-reads',
    area: 'buffers and ownership',
    file: 'sidecar/relay/request-buffer.ts',
    find: 'const owned = buffered.takeOwned(i);',
    replace: 'const owned = buffer as OwnedBuffer;',
    harm: 'A copy rewrites frame headers that are still queued on the socket of the primary.',
  },
  {
    name: 'resumption-by-count',
    area: 'resumption',
    file: 'sidecar/relay/stream/resumable-stream.ts',
    find: 'return this.passed === null || this.passed.equals(this.repeats!);',
    replace: 'return true;',
    harm: 'A repeated stream with other message boundaries loses tokens and ends OK.',
    needs: ['retry', 'resumable', 'deterministic', 'token-streams'],
  },
  {
    name: 'resumption-in-another-encoding',
    area: 'resumption',
    file: 'sidecar/relay/stream/resumable-stream.ts',
    find: 'if (!this.encoding.isSameIn(head)) return OTHER_ENCODING;',
    replace: '',
    harm: 'A stream goes on with messages of another `grpc-encoding` than its headers say.',
    needs: ['retry', 'resumable', 'token-streams', 'encodings'],
  },
  {
    name: 'deadline-behind-a-full-window',
    area: 'hedging, deadlines and timers',
    file: 'sidecar/relay/response.ts',
    find: 'if (call.session.cannotSend(call.stream)) resetCall(call, reply, ErrorCode.cancel);\n  else sendLocalReply(call, reply);',
    replace: 'sendLocalReply(call, reply);',
    also: [
      {
        file: 'sidecar/relay/response.ts',
        find: 'return status === Status.DEADLINE_EXCEEDED && session.cannotSend(stream);',
        replace: 'return false;',
      },
      {
        file: 'sidecar/transport/session.ts',
        find: 'this.unreadResponses.watch();',
        replace: '',
      },
    ],
    harm: 'A passed deadline does not end a stream whose reader is blocked.',
  },
  {
    name: 'long-error-is-a-broken-protocol',
    area: 'HPACK state',
    file: 'sidecar/http2/settings.ts',
    find: 'RESPONSE_HEADER_BYTES = 1024 * 1024;',
    replace: 'RESPONSE_HEADER_BYTES = 16 * 1024;',
    also: [
      {
        file: 'sidecar/relay/attempt.ts',
        find: 'if (block.overLimit && !ended && facts.status === 200) return this.refuseHeaders(block);',
        replace: 'if (block.overLimit) return this.finish(AttemptEnd.protocolError, -1);',
      },
    ],
    harm: 'A stack trace in `grpc-message` becomes INTERNAL, and a fault of the endpoint.',
  },
  {
    name: 'long-call-keeps-others-away',
    area: 'balancing',
    file: 'sidecar/core/balancing/peak-ewma.ts',
    find: 'return sampleMs <= this.peakMs ? sampleMs : Math.min(sampleMs, MOST_SUDDEN * this.secondMs());',
    replace: 'return sampleMs;',
    also: [
      {
        file: 'sidecar/core/balancing/peak-ewma.ts',
        find: 'return nowMs - this.confirmedMs >= STALE_MS;',
        replace: 'return nowMs - this.updatedMs >= STALE_MS;',
      },
      {
        file: 'sidecar/core/balancing/least-loaded.ts',
        find: 'this.isAnswering(endpoint, nowMs) ? reported.longOf(calls) : 0',
        replace: '0',
      },
      {
        file: 'sidecar/core/balancing/least-loaded.ts',
        find: 'this.starved = this.findStarved(endpoints, nowMs);',
        replace: 'this.starved = null;',
      },
    ],
    harm: 'One long call keeps all others away from its endpoint for ten seconds.',
  },
  {
    name: 'refused-call-stays-where-it-was-refused',
    area: 'balancing',
    file: 'sidecar/core/retry/rules/unprocessed-refusal.ts',
    find: 'if (state.refusals > 0 && !isOtherFree) return PASS;',
    replace: 'if (state.refusals > 0) return PASS;',
    also: [
      {
        file: 'sidecar/core/retry/rules/unprocessed-refusal.ts',
        find: 'if (!isOtherFree && !budget.withdraw(nowMs)) return NoRetry.overBudget;',
        replace: 'if (!budget.withdraw(nowMs)) return NoRetry.overBudget;',
      },
    ],
    harm: 'Calls that a full endpoint refuses are lost beside an idle one, once the retry budget is used up.',
  },
  {
    name: 'primary-after-a-fallback-without-the-request',
    area: 'retries and commit points',
    file: 'sidecar/outbound/call-end.ts',
    find: 'if (call.hasCrashed || !call.isWhole) call.fallback.failure ??= failure;',
    replace: 'if (call.hasCrashed) call.fallback.failure ??= failure;',
    harm: 'A call that its fallback could not keep is sent to the primary without its body.',
    needs: ['fallback-upstream'],
  },
  {
    name: 'fallback-of-what-was-begun',
    area: 'retries and commit points',
    file: 'sidecar/outbound/fallback/other-upstream.ts',
    find: 'return match.plan.config.idempotent || !call.mayBeProcessed;',
    replace: 'return true;',
    harm: 'A call that must not be made twice runs at its own service, and once more at the one that it falls back to.',
    needs: ['fallback-upstream'],
  },
];
