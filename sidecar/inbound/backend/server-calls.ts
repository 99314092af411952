import { LocalReplyReasons } from '../../core/outcome/local-reply-reason.js';
import { type LocalReply, makeLocalReply } from '../../relay/local-reply.js';
import { type InboundCall, isAboutServer, nameOfCaller, Purpose, type ServerPurpose } from '../call.js';

/** So many at once at one model: few enough for a server that has a thread for each, as Python's have. */
export const MAX_SERVER_STREAMS = 8;
export const MAX_SERVER_STREAMS_PER_CALLER = 4;
/** Health checks are short, and so are queries of an engine. Its tokenizer and events are for a few callers, which may be many processes. */
export const MAX_SERVER_CHECKS = 64;
export const MAX_SERVER_CHECKS_PER_CALLER = 32;

/** Calls of one kind that run at the model, by their callers. */
class Running {
  private total = 0;
  private readonly callers = new Map<string, number>();

  constructor(
    private readonly what: string,
    private readonly most: number,
    private readonly mostOfOne: number,
  ) {}

  /** Counts one more. Returned is why it may not run, empty: it may. */
  enter(caller: string): string {
    const { what, total, most, mostOfOne, callers } = this;
    const own = callers.get(caller) ?? 0;
    if (own >= mostOfOne) return `it has ${own} ${what} at the model, the most that one caller may have`;
    if (total >= most) return `${total} ${what} are at the model, the most of all callers`;
    callers.set(caller, own + 1);
    this.total++;
    return '';
  }

  leave(caller: string): void {
    const left = this.callers.get(caller)! - 1;
    if (left === 0) this.callers.delete(caller);
    else this.callers.set(caller, left);
    this.total--;
  }
}

/**
 * Calls about the server that go to the model itself: reflection, health that the sidecar does not know, and what an engine is asked beside
 * tokens. They pass by the queue, so that a busy model answers them, and so each caller has a bounded share of a bounded number.
 */
export class ServerCalls {
  private readonly streams = new Running(
    'streams about the server',
    MAX_SERVER_STREAMS,
    MAX_SERVER_STREAMS_PER_CALLER,
  );
  private readonly queries = new Running(
    'queries of the engine',
    MAX_SERVER_CHECKS,
    MAX_SERVER_CHECKS_PER_CALLER,
  );
  private readonly downloads = new Running(
    'downloads from the engine',
    MAX_SERVER_CHECKS,
    MAX_SERVER_CHECKS_PER_CALLER,
  );
  private readonly checks = new Running('health checks', MAX_SERVER_CHECKS, MAX_SERVER_CHECKS_PER_CALLER);

  constructor(private readonly service: string) {}

  /** Counts the call until `leave`. Returned is the reply where it is one too many. */
  enter(call: InboundCall, kind: ServerPurpose): LocalReply | null {
    const source = nameOfCaller(call);
    const detail = this.of(kind).enter(source);
    if (detail !== '')
      return makeLocalReply(LocalReplyReasons.tooManyStreams, { source, service: this.service, detail });
    call.purpose = kind;
    return null;
  }

  leave(call: InboundCall): void {
    const { purpose } = call;
    if (!isAboutServer(purpose)) return;
    this.of(purpose).leave(nameOfCaller(call));
    call.purpose = Purpose.model;
  }

  private of(kind: ServerPurpose): Running {
    if (kind === Purpose.engineQuery) return this.queries;
    if (kind === Purpose.engineDownload) return this.downloads;
    return kind === Purpose.serverCheck ? this.checks : this.streams;
  }
}
