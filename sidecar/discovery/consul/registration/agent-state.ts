import { decodeJson, isObject, type Json, textIn } from '../parser/json-fields.js';
import type { ServiceDefinition } from './definition.js';

/** A value that comes from outside: any field may be absent, or null. */
type Foreign<T> = T extends object ? { readonly [P in keyof T]?: Foreign<T[P]> | null } : T;

/** A service in the agent's own spelling, as far as it is compared. */
export type AgentService = Foreign<
  Omit<ServiceDefinition, 'Kind' | 'Name' | 'Checks'> & Readonly<Record<'Kind' | 'Service', string>>
>;

/** A check as far as it is compared: `passing`, `warning` or `critical`, and its output. */
export interface AgentCheck {
  readonly status: string;
  readonly output: string;
}

/** Services by id. Throws an Error of one line when the bytes are no JSON object. */
export function readServices(body: Buffer): ReadonlyMap<string, AgentService> {
  return new Map<string, AgentService>(objectsOf(body, 'services'));
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

/** Whether the agent has exactly this; what Consul adds by itself does not count. */
export function isSame(wanted: ServiceDefinition, found: AgentService): boolean {
  return JSON.stringify(essenceOf({ ...wanted, Service: wanted.Name })) === JSON.stringify(essenceOf(found));
}

/** What of a service is compared, in one order and with Consul's defaults in place of absent fields. */
function essenceOf(service: AgentService): unknown {
  const proxy = service.Proxy;
  const upstreams = (proxy?.Upstreams ?? []).map((each) =>
    [each?.DestinationName, each?.Datacenter ?? '', each?.LocalBindAddress, each?.LocalBindPort].join(' '),
  );
  return [
    service.Service,
    service.Kind ?? '',
    service.Address ?? '',
    service.Port ?? 0,
    [...(service.Tags ?? [])].sort(),
    Object.entries(service.Meta ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    [service.Weights?.Passing ?? 1, service.Weights?.Warning ?? 1],
    [proxy?.DestinationServiceName ?? '', proxy?.DestinationServiceID ?? ''],
    [proxy?.LocalServiceAddress ?? '', proxy?.LocalServicePort ?? 0],
    upstreams.sort(),
  ];
}
