/**
 * `/faults`: faults put in for drills, switched by hand. A fault is described by query parameters, so that a line of curl
 * is enough; every mistake is named, and nothing is half applied.
 */

import { readDuration, writeDuration } from '../config/codecs/duration.js';
import { quoted } from '../config/codecs/parse-result.js';
import { nearest } from '../config/file/suggest.js';
import { parseStatus, Status } from '../core/outcome/status.js';
import type { FaultRule } from '../core/routing/fault-rule.js';
import { isValidPattern } from '../core/routing/method.js';

/** One fault that is on. */
export interface FaultReport {
  readonly id: number;
  readonly side: 'inbound' | 'outbound';
  /** At most one of them; none: everyone. */
  readonly caller?: string;
  readonly upstream?: string;
  readonly method: string;
  readonly ratio: number;
  readonly delayMs?: number;
  /** Name of the status. */
  readonly abort?: string;
  /** It ends by itself. */
  readonly leftMs: number;
  /** Calls it has struck. */
  readonly injected: number;
}

export type SwitchedOn =
  | { readonly kind: 'on'; readonly fault: FaultReport }
  | { readonly kind: 'refused'; readonly why: string };

export interface FaultAdmin {
  /** `fault_injection: true` is in the file. */
  readonly isAllowed: boolean;
  /** What an outbound fault may be about. */
  readonly upstreams: readonly string[];
  list(): readonly FaultReport[];
  switchOn(rule: FaultRule, forMs: number): SwitchedOn;
  /** One of them, or all. Returns how many went. */
  switchOff(id?: number): number;
}

/** What is answered: a sentence or an object. */
export interface FaultAnswer {
  readonly status: number;
  readonly body: string | object;
}

const DEFAULT_FOR_MS = 60_000;
const LONGEST_FOR_MS = 3_600_000;
const LONGEST_DELAY_MS = 60_000;
const SERVICE = /^[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?$/i;
const PARAMETERS = ['side', 'caller', 'upstream', 'method', 'ratio', 'delay', 'abort', 'for'] as const;
const EXAMPLE = 'POST /faults?upstream=digits&abort=unavailable&ratio=0.1&for=60s';

class Mistake extends Error {}

export function listFaults(desk: FaultAdmin): FaultAnswer {
  return { status: 200, body: { allowed: desk.isAllowed, faults: desk.list() } };
}

export function addFault(desk: FaultAdmin, query: URLSearchParams): FaultAnswer {
  if (!desk.isAllowed) return notAllowed();
  return orMistake(() => {
    const { rule, forMs } = readFault(query, desk.upstreams);
    const done = desk.switchOn(rule, forMs);
    return done.kind === 'on' ? { status: 201, body: done.fault } : { status: 409, body: `${done.why}\n` };
  });
}

/** With `?id=`: that one. */
export function clearFaults(desk: FaultAdmin, query: URLSearchParams): FaultAnswer {
  if (!desk.isAllowed) return notAllowed();
  return orMistake(() => {
    refuseStrangers(query, ['id']);
    const said = query.get('id');
    if (said !== null && !/^\d{1,9}$/.test(said))
      throw new Mistake(`id: found ${quoted(said)}; expected a number as GET /faults shows it`);
    const cleared = desk.switchOff(said === null ? undefined : Number(said));
    return said !== null && cleared === 0
      ? { status: 404, body: `id: no fault ${said} is on\n` }
      : { status: 200, body: { cleared } };
  });
}

function notAllowed(): FaultAnswer {
  return {
    status: 403,
    body: 'faults may not be injected here: say fault_injection: true in the file and start again\n',
  };
}

function orMistake(work: () => FaultAnswer): FaultAnswer {
  try {
    return work();
  } catch (error) {
    if (error instanceof Mistake) return { status: 400, body: `${error.message}\n` };
    throw error;
  }
}

function readFault(
  query: URLSearchParams,
  upstreams: readonly string[],
): { readonly rule: FaultRule; readonly forMs: number } {
  refuseStrangers(query, PARAMETERS);
  const side = sideOf(query);
  const peer = side === 'inbound' ? callerOf(query) : upstreamOf(query, upstreams);
  const delayMs = durationOf(query, 'delay', LONGEST_DELAY_MS) ?? 0;
  const abort = abortOf(query);
  if (delayMs === 0 && abort === undefined)
    throw new Mistake(`found neither delay nor abort; expected one of them, or both: ${EXAMPLE}`);
  const rule: FaultRule = {
    side,
    method: methodOf(query),
    ratio: ratioOf(query),
    delayMs,
    ...(peer === undefined ? {} : { peer }),
    ...(abort === undefined ? {} : { abort }),
  };
  return { rule, forMs: durationOf(query, 'for', LONGEST_FOR_MS) ?? DEFAULT_FOR_MS };
}

function refuseStrangers(query: URLSearchParams, known: readonly string[]): void {
  for (const name of new Set(query.keys())) {
    if (!known.includes(name)) {
      const near = nearest(name, known);
      const hint = near === undefined ? `; expected ${known.join(', ')}` : `; did you mean ${near}?`;
      throw new Mistake(`found the parameter ${quoted(name)}${hint}`);
    }
    if (query.getAll(name).length > 1) throw new Mistake(`${name}: found it twice; expected it once`);
  }
}

function sideOf(query: URLSearchParams): FaultRule['side'] {
  const said = query.get('side');
  if (said !== null && said !== 'inbound' && said !== 'outbound')
    throw new Mistake(`side: found ${quoted(said)}; expected inbound or outbound`);
  const isInbound = query.has('caller') || said === 'inbound';
  const isOutbound = query.has('upstream') || said === 'outbound';
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
  const said = query.get('caller') ?? undefined;
  if (said !== undefined && !SERVICE.test(said))
    throw new Mistake(`caller: found ${quoted(said)}; expected the name of a service`);
  return said;
}

function upstreamOf(query: URLSearchParams, upstreams: readonly string[]): string | undefined {
  const said = query.get('upstream') ?? undefined;
  if (said === undefined || upstreams.includes(said)) return said;
  const near = nearest(said, upstreams);
  const hint =
    near === undefined
      ? `one of ${upstreams.join(', ') || 'none: there is no upstream'}`
      : `${quoted(near)} perhaps`;
  throw new Mistake(`upstream: found ${quoted(said)}; expected ${hint}`);
}

function methodOf(query: URLSearchParams): string {
  const said = query.get('method') ?? '*';
  if (isValidPattern(said)) return said;
  throw new Mistake(
    `method: found ${quoted(said)}; expected "/package.Service/Method", "/package.Service/*" or "*"`,
  );
}

function ratioOf(query: URLSearchParams): number {
  const said = query.get('ratio') ?? '1';
  const ratio = /^\d{0,3}(\.\d{1,9})?$/.test(said) && said !== '' ? Number(said) : Number.NaN;
  if (ratio > 0 && ratio <= 1) return ratio;
  throw new Mistake(`ratio: found ${quoted(said)}; expected a number above 0, at most 1`);
}

function abortOf(query: URLSearchParams): Status | undefined {
  const said = query.get('abort');
  if (said === null) return undefined;
  const status = parseStatus(said);
  if (status !== undefined && status !== Status.OK) return status;
  throw new Mistake(
    `abort: found ${quoted(said)}; expected a gRPC status other than OK, such as unavailable or 14`,
  );
}

function durationOf(query: URLSearchParams, name: 'delay' | 'for', longestMs: number): number | undefined {
  const said = query.get(name);
  if (said === null) return undefined;
  const read = readDuration(said);
  if (!read.ok) throw new Mistake(`${name}: ${read.problem}`);
  if (read.value > 0 && read.value <= longestMs) return read.value;
  throw new Mistake(
    `${name}: found ${quoted(said)}; expected at least 1ms and at most ${writeDuration(longestMs)}`,
  );
}
