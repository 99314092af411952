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
    find: 'this.passed = isDeterministic ? new MessageHash() : null;',
    replace: 'this.passed = null;',
    harm: 'A repeated stream with other message boundaries loses tokens and ends OK.',
  },
  {
    name: 'deadline-behind-a-full-window',
    area: 'hedging, deadlines and timers',
    file: 'sidecar/relay/response.ts',
    find: 'if (call.session.cannotSend(call.stream)) resetCall(call, reply, ErrorCode.cancel);\n  else sendLocalReply(call, reply);',
    replace: 'sendLocalReply(call, reply);',
    harm: 'A passed deadline does not end a stream whose reader is blocked.',
  },
];
