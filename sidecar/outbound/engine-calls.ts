import type { Endpoint } from '../cluster/endpoint.js';
import { abortRequestOf } from '../codec/engines/abort-request.js';
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
import { abortedIdsOf, requestIdOf } from './engine-ids.js';
import { EngineRequests } from './engine-requests.js';
import { abortedReply } from './replies.js';

/** The calls that the application sends to one upstream and that generate tokens. */
export class EngineCalls {
  /** By the ids that their clients gave them; also those that a split or a fallback has sent to another upstream. */
  readonly byId = new EngineRequests<OutboundCall>();
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
    const engineCall = new EngineCall(codec, body, stats, isApproximate ? this.ends : null);
    call.engineCall = engineCall;
    if (engineCall.clientId === '') {
      engineCall.clientId = requestIdOf(call, codec);
      engineCall.requestId = engineCall.clientId;
    }
    const { clientId } = engineCall;
    const { engineRequests } = call.home;
    if (clientId !== '' && engineRequests.add(clientId, call)) engineCall.table = engineRequests;
    return Next.continue;
  }

  /**
   * The other upstream that has the first of the requests which an Abort names and which run: a split or a fallback has sent it there. Undefined:
   * the Abort is where it belongs.
   */
  otherUpstreamFor(call: OutboundCall): UpstreamHandler | undefined {
    const { plan, home, handler, session } = call;
    if (plan.engine?.method !== 'abort') return undefined;
    for (const id of abortedIdsOf(call, plan.engine.codec)) {
      const named = home.engineRequests.meantBy(id, session).find(isRunning);
      if (named === undefined) continue;
      return named.handler === handler ? undefined : (named.handler as UpstreamHandler);
    }
    return undefined;
  }

  /**
   * The engine that has the first of the requests that an Abort names, and of which a call runs. Where that has another id at its present
   * engine, the request is written anew. Undefined: none is known, as it came through another sidecar. No request that is named goes to another
   * engine from here on. One whose engine has not said anything yet ends, as it may wait in front of the engine, and so does one at another engine,
   * which gets no Abort.
   */
  endpointFor(call: OutboundCall): Endpoint | undefined {
    const { plan, home, session } = call;
    if (plan.engine?.method !== 'abort') return undefined;
    if (call.aborting?.endpoint !== undefined) return call.aborting.endpoint;
    const { codec } = plan.engine;
    const ids = abortedIdsOf(call, codec);
    const meant = ids.map((id) => home.engineRequests.meantBy(id, session));
    const first = meant.flat().find((each) => each.handler === call.handler && isRunning(each));
    const endpoint = (first?.attempt as OutboundAttempt | undefined)?.endpoint;
    const isThere = (each: OutboundCall): boolean =>
      isRunning(each) && (each.attempt as OutboundAttempt).endpoint === endpoint;
    const own = new Set<string>();
    for (const [i, id] of ids.entries()) {
      const there = meant[i]!.filter(isThere);
      if (there.length === 0) own.add(id);
      for (const each of there) own.add(each.engineCall!.requestId);
    }
    const unknown = ids.length === 0 ? 1 : meant.filter(({ length }) => length === 0).length;
    call.aborting = { endpoint, unknown };
    for (const each of meant.flat()) endAborted(each, isThere(each));
    if (endpoint === undefined) return undefined;
    if (own.size !== ids.length || ids.some((id) => !own.has(id))) {
      const request = abortRequestOf(codec, [...own]);
      call.buffered = new ChunkList();
      call.buffered.add(request, 0, request.length);
    }
    return endpoint;
  }
}

/** The call is over. */
export function leaveEngineCalls(call: OutboundCall): void {
  const { table, clientId } = call.engineCall!;
  call.engineCall!.takeHeld();
  call.engineCall!.usage.finish();
  table?.remove(clientId, call);
}

/** @param isAsked its engine gets the Abort, and ends the answer */
function endAborted(call: OutboundCall, isAsked: boolean): void {
  if (call.engineCall === null) return;
  call.engineCall.isAborted = true;
  if (!isAsked || !call.attempt!.isHeard) sendLocalReply(call, abortedReply());
}

function isRunning({ attempt }: OutboundCall): boolean {
  return attempt !== null && !attempt.isOver;
}
