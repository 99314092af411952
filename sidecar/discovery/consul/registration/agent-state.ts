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
  return new Map(
    objectsOf(body, 'services').map(([id, value]) => [id, value as unknown as AgentService] as const),
  );
}

/** Checks by id. Throws an Error of one line when the bytes are no JSON object. */
export function readChecks(body: Buffer): ReadonlyMap<string, AgentCheck> {
  return new Map(
    objectsOf(body, 'checks').map(([id, value]) => {
      const { Status: status, Output: output } = value;
      const check = {
        status: typeof status === 'string' ? status : '',
        output: typeof output === 'string' ? output : '',
      };
      return [id, check] as const;
    }),
  );
}

/** The members of a JSON object that are objects. @param what names the list in the error */
function objectsOf(body: Buffer, what: string): [string, Record<string, unknown>][] {
  let document: unknown;
  try {
    document = JSON.parse(body.toString('utf8'));
  } catch {
    throw new Error(`the agent's list of ${what} is not JSON`);
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw new Error(`the agent's list of ${what} is not an object`);
  return Object.entries(document).filter(
    (entry): entry is [string, Record<string, unknown>] => typeof entry[1] === 'object' && entry[1] !== null,
  );
}
