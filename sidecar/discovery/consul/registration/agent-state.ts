import { decodeJson, isObject, type Json, textIn } from '../parser/json-fields.js';

/**
 * A service in the agent's own spelling, as far as it is compared. The answer comes from outside: any field may be
 * absent.
 */
export interface AgentService {
  readonly ID?: string;
  readonly Service: string;
  readonly Kind?: string;
  readonly Address?: string;
  readonly Port?: number;
  readonly Tags?: readonly string[] | null;
  readonly Meta?: Readonly<Record<string, string>> | null;
  readonly Weights?: { readonly Passing?: number; readonly Warning?: number } | null;
  readonly Proxy?: AgentProxy | null;
}

/** The `Proxy` of a sidecar. */
export interface AgentProxy {
  readonly DestinationServiceName?: string;
  readonly DestinationServiceID?: string;
  readonly LocalServiceAddress?: string;
  readonly LocalServicePort?: number;
  readonly Upstreams?: readonly AgentUpstream[] | null;
}

/** One upstream of a sidecar. */
export interface AgentUpstream {
  readonly DestinationName?: string;
  readonly Datacenter?: string;
  readonly LocalBindAddress?: string;
  readonly LocalBindPort?: number;
}

/** A check as far as it is compared: `passing`, `warning` or `critical`, and its output. */
export interface AgentCheck {
  readonly status: string;
  readonly output: string;
}

/** Services by id. Throws an Error of one line when the bytes are no JSON object. */
export function readServices(body: Buffer): ReadonlyMap<string, AgentService> {
  return new Map(objectsOf(body, 'services')) as ReadonlyMap<string, unknown> as ReadonlyMap<
    string,
    AgentService
  >;
}

/** Checks by id. Throws an Error of one line when the bytes are no JSON object. */
export function readChecks(body: Buffer): ReadonlyMap<string, AgentCheck> {
  const checks = objectsOf(body, 'checks');
  return new Map(
    checks.map(([id, check]) => [id, { status: textIn(check, 'Status'), output: textIn(check, 'Output') }]),
  );
}

/** The members of a JSON object that are objects. @param what names the list in the error */
function objectsOf(body: Buffer, what: string): [string, Json][] {
  const document = decodeJson(body.toString('utf8'), `the agent's list of ${what} is not JSON`);
  if (!isObject(document)) throw new Error(`the agent's list of ${what} is not an object`);
  return Object.entries(document).filter(
    (entry): entry is [string, Json] => typeof entry[1] === 'object' && entry[1] !== null,
  );
}
