import type { Endpoint } from '../cluster/endpoint.js';
import { abortRequestOf, readAbortedIds } from '../codec/engines/abort-request.js';
import { NEVER } from '../relay/call.js';
import { resumeAt } from '../relay/call-timer.js';
import { Next } from '../relay/next.js';
import { creditRequest } from '../relay/request-buffer.js';
import { sendLocalReply } from '../relay/response.js';
import { EndTokens } from '../relay/stream/end-tokens.js';
import { EngineCall } from '../relay/stream/engine-call.js';
import type { EngineTable } from '../telemetry/engine-stats.js';
import { ChunkList } from '../transport/chunk-list.js';
import type { OutboundAttempt, OutboundCall, UpstreamHandler } from './call.js';
import { abortedReply } from './replies.js';

/** Requests whose engine is known; of more, Abort goes where the load says. */
const MOST_REQUESTS = 4_096;

/** The calls that the application sends to one upstream and that generate tokens. */
export class EngineCalls {
  /** By the ids that their clients gave them; also those that a split or a fallback has sent to another upstream. */
  readonly byId = new Map<string, OutboundCall>();
  private readonly ends = new EndTokens();

  constructor(
    private readonly service: string,
    /** Our own service. */
    private readonly caller: string,
    private readonly table: EngineTable,
  ) {}

  get size(): number {
    return this.byId.size;
  }

  /** Before an attempt. `handled`: the call waits until all of its request is here, and is read. */
  awaitRequest(call: OutboundCall): Next {
    if (call.engineCall !== null || call.isCopy || call.attemptsHere > 0) return Next.continue;
    if (!call.requestEnded && call.isReplayable) {
      call.ensureWait().isForRequest = true;
      resumeAt(call, NEVER);
      // It may have waited for something else with its window full.
      creditRequest(call, call.requestBytes);
      return Next.handled;
    }
    const { codec, method, isApproximate } = call.plan.engine!;
    if (method !== 'generate') return Next.continue;
    const { service, caller, table } = this;
    const stats = table.of({ direction: 'outbound', service, caller, engine: codec.name });
    const body = call.isReplayable ? call.buffered : null;
    call.engineCall = new EngineCall(codec, body, stats, isApproximate ? this.ends : null);
    const { requestId } = call.engineCall;
    const { engineRequests } = call.home;
    if (requestId !== '' && engineRequests.size < MOST_REQUESTS) {
      call.engineCall.table = engineRequests;
      engineRequests.set(requestId, call);
    }
    return Next.continue;
  }

  /**
   * The other upstream that has the first of the requests which an Abort names and which run: a split or a fallback has sent it there. Undefined:
   * the Abort is where it belongs.
   */
  otherUpstreamFor({ plan, buffered, home, handler }: OutboundCall): UpstreamHandler | undefined {
    if (plan.engine?.method !== 'abort' || buffered === null) return undefined;
    for (const id of readAbortedIds(plan.engine.codec, buffered)) {
      const named = home.engineRequests.get(id);
      if (named === undefined || !isRunning(named)) continue;
      return named.handler === handler ? undefined : (named.handler as UpstreamHandler);
    }
    return undefined;
  }

  /**
   * The engine that has the first of the requests that an Abort names, and of which a call runs. Where that has another id at its present
   * engine, the request is written anew. Undefined: none is known, as it came through another sidecar. No request that is named goes to another
   * engine from here on, and one whose engine has not said anything yet ends: it may wait in front of the engine.
   */
  endpointFor(call: OutboundCall): Endpoint | undefined {
    const { plan, buffered } = call;
    if (plan.engine?.method !== 'abort' || buffered === null) return undefined;
    if (call.aborting !== null) return call.aborting;
    const { codec } = plan.engine;
    const ids = readAbortedIds(codec, buffered);
    const running = ids.map((id) => call.home.engineRequests.get(id));
    const isHere = (each: OutboundCall | undefined) =>
      each !== undefined && each.handler === call.handler && isRunning(each);
    const attempt = running.find(isHere)?.attempt;
    const own = ids.map((id, i) => running[i]?.engineCall?.requestId ?? id);
    for (const each of running) if (each !== undefined) endAborted(each);
    if (attempt === null || attempt === undefined) return undefined;
    if (own.some((id, i) => id !== ids[i])) {
      const request = abortRequestOf(codec, own);
      call.buffered = new ChunkList();
      call.buffered.add(request, 0, request.length);
    }
    call.aborting = (attempt as OutboundAttempt).endpoint;
    return call.aborting;
  }
}

/** The call is over. */
export function leaveEngineCalls(call: OutboundCall): void {
  const { table, request } = call.engineCall!;
  call.engineCall!.takeHeld();
  call.engineCall!.usage.finish();
  if (table?.get(request.requestId) === call) table.delete(request.requestId);
}

function endAborted(call: OutboundCall): void {
  if (call.engineCall === null) return;
  call.engineCall.isAborted = true;
  if (!isRunning(call) || !call.attempt!.isHeard) sendLocalReply(call, abortedReply());
}

function isRunning({ attempt }: OutboundCall): boolean {
  return attempt !== null && !attempt.isOver;
}
