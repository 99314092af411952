import { quoted } from '../config/codecs/parse-result.js';
import { present } from '../config/present.js';
import { nearest } from '../config/suggest.js';
import { parseStatus, Status } from '../core/outcome/status.js';
import type { FaultRule } from '../core/routing/fault-rule.js';
import { isValidPattern } from '../core/routing/method.js';
import { addProcessFault, type ProcessFaultAdmin } from './process-faults.js';
import { durationOf, Mistake, mistakeAnswer, numberOf, refuseRepeated, refuseUnknown } from './query.js';
import type { Reply } from './reply.js';

/** One active fault in the JSON of `/faults`. */
export interface FaultReport extends Pick<FaultRule, 'side' | 'method' | 'ratio'> {
  readonly id: number;
  /** Calls of this caller, or to this upstream; without either: all calls of the side. */
  readonly caller?: string;
  readonly upstream?: string;
  readonly delayMs?: number;
  /** Name of the gRPC status. */
  readonly abort?: string;
  /** Time until the fault ends by itself, ms. */
  readonly leftMs: number;
  /** Calls it was injected into. */
  readonly injected: number;
}

/** Result of `switchOn`. */
export type SwitchedOn =
  | { readonly kind: 'on'; readonly fault: FaultReport }
  | { readonly kind: 'refused'; readonly why: string };

/** The active faults, as `/faults` reads and changes them. */
export interface FaultAdmin {
  /** `fault_injection: true` or `processes` is in the file. */
  readonly isAllowed: boolean;
  /** Names of the upstreams, for `?upstream`. */
  readonly upstreams: readonly string[];
  /** The active faults. */
  list(): readonly FaultReport[];
  /** Faults of model processes. */
  readonly processes: ProcessFaultAdmin;
  /** Injects a fault for `forMs`; refused when faults are not allowed, or too many are active. */
  switchOn(rule: FaultRule, forMs: number): SwitchedOn;
  /** Ends one fault, or all. Returns how many ended. */
  switchOff(id?: number): number;
}

const DEFAULT_FOR_MS = 60_000;
const LONGEST_FOR_MS = 3_600_000;
const LONGEST_DELAY_MS = 60_000;
const SERVICE = /^[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?$/i;
const PARAMETERS = ['side', 'caller', 'upstream', 'method', 'ratio', 'delay', 'abort', 'for'] as const;
const EXAMPLE = 'POST /faults?upstream=digits&abort=unavailable&ratio=0.1&for=60s';

/** `GET /faults` */
export function listFaults(admin: FaultAdmin): Reply {
  const { isAllowed: allowed, processes } = admin;
  const body = {
    ...{ allowed, faults: admin.list() },
    ...{ processesAllowed: processes.isAllowed, processes: processes.list() },
  };
  return { status: 200, body };
}

/**
 * `POST /faults`: injects the fault that the query parameters describe, so that one line of curl is
 * enough. Every mistake names the parameter, what was found and what is expected; nothing is
 * applied in part. With `process` it is about a model process.
 */
export function addFault(admin: FaultAdmin, query: URLSearchParams): Reply {
  if (query.has('process')) return addProcessFault(admin.processes, query);
  return changed(admin, () => {
    const { rule, forMs } = readFault(query, admin.upstreams);
    const done = admin.switchOn(rule, forMs);
    return done.kind === 'on' ? { status: 201, body: done.fault } : { status: 409, body: `${done.why}\n` };
  });
}

/** `DELETE /faults`: ends all faults and lets what is frozen go on, or with `?id` ends one. */
export function clearFaults(admin: FaultAdmin, query: URLSearchParams): Reply {
  return changed(admin, () => {
    refuseUnknown(query, ['id']);
    refuseRepeated(query);
    const given = query.get('id');
    if (given !== null && !/^\d{1,9}$/.test(given))
      throw new Mistake(`id: found ${quoted(given)}; expected a number as GET /faults shows it`);
    const thawed = given === null ? admin.processes.thaw() : 0;
    const cleared = thawed + admin.switchOff(given === null ? undefined : Number(given));
    return given !== null && cleared === 0
      ? { status: 404, body: `id: no fault ${given} is on\n` }
      : { status: 200, body: { cleared } };
  });
}

/** What `work` answers; 403 where faults are not allowed, 400 for a wrong parameter. */
function changed(admin: FaultAdmin, work: () => Reply): Reply {
  if (!admin.isAllowed) {
    const body = 'faults may not be injected here: say fault_injection: true in the file and start again\n';
    return { status: 403, body };
  }
  try {
    return work();
  } catch (error) {
    return mistakeAnswer(error);
  }
}

function readFault(query: URLSearchParams, upstreams: readonly string[]) {
  refuseUnknown(query, PARAMETERS);
  refuseRepeated(query);
  const side = sideOf(query);
  const peer = side === 'inbound' ? callerOf(query) : upstreamOf(query, upstreams);
  const delayMs = durationOf(query, 'delay', LONGEST_DELAY_MS) ?? 0;
  const abort = abortOf(query);
  if (delayMs === 0 && abort === undefined)
    throw new Mistake(`found neither delay nor abort; expected one of them, or both: ${EXAMPLE}`);
  const rule: FaultRule = {
    side,
    method: methodOf(query),
    ratio: numberOf(query, 'ratio', 1) ?? 1,
    delayMs,
    ...present('peer', peer),
    ...present('abort', abort),
  };
  return { rule, forMs: durationOf(query, 'for', LONGEST_FOR_MS) ?? DEFAULT_FOR_MS };
}

function sideOf(query: URLSearchParams): FaultRule['side'] {
  const given = query.get('side');
  if (given !== null && given !== 'inbound' && given !== 'outbound')
    throw new Mistake(`side: found ${quoted(given)}; expected inbound or outbound`);
  const isInbound = query.has('caller') || given === 'inbound';
  const isOutbound = query.has('upstream') || given === 'outbound';
  if (isInbound && isOutbound)
    throw new Mistake(
      'found caller and upstream; expected one: calls that come in have a caller, others an upstream',
    );
  if (!isInbound && !isOutbound)
    throw new Mistake(
      'found neither side, caller nor upstream; expected one of them, so that it is known whose calls are meant',
    );
  return isInbound ? 'inbound' : 'outbound';
}

function callerOf(query: URLSearchParams): string | undefined {
  const given = query.get('caller') ?? undefined;
  if (given !== undefined && !SERVICE.test(given))
    throw new Mistake(`caller: found ${quoted(given)}; expected the name of a service`);
  return given;
}

function upstreamOf(query: URLSearchParams, upstreams: readonly string[]): string | undefined {
  const given = query.get('upstream') ?? undefined;
  if (given === undefined || upstreams.includes(given)) return given;
  const near = nearest(given, upstreams);
  const hint =
    near === undefined
      ? `one of ${upstreams.join(', ') || 'none: there is no upstream'}`
      : `${quoted(near)} perhaps`;
  throw new Mistake(`upstream: found ${quoted(given)}; expected ${hint}`);
}

function methodOf(query: URLSearchParams): string {
  const given = query.get('method') ?? '*';
  if (isValidPattern(given)) return given;
  throw new Mistake(
    `method: found ${quoted(given)}; expected "/package.Service/Method", "/package.Service/*" or "*"`,
  );
}

function abortOf(query: URLSearchParams): Status | undefined {
  const given = query.get('abort');
  if (given === null) return undefined;
  const status = parseStatus(given);
  if (status !== undefined && status !== Status.OK) return status;
  throw new Mistake(
    `abort: found ${quoted(given)}; expected a gRPC status other than OK, such as unavailable or 14`,
  );
}
