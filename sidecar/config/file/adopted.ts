/**
 * Fills what a sidecar file with `consul.adopt` leaves out with what the adopted registration says, before the file is
 * checked: one set of rules judges the result, and what the file says itself stays as it is.
 */
import { writeAddress } from '../codecs/address.js';
import type { AdoptedLimits, AdoptedProxy } from '../options/consul/adopt.js';
import { mapping } from '../options/found.js';
import { defined } from '../present.js';

/** Whether a file, as YAML gives it, asks for an adoption. */
export function asksForAdoption(file: unknown): boolean {
  return mapping(mapping(file)['consul'])['adopt'] !== undefined;
}

/**
 * The file with what the registration says. `service` stays as the file has it: `whyNotFor` tells whether the two agree. The
 * file says whether anything is served: a registration has a port even where its service takes no calls of this kind.
 */
export function withAdopted(file: unknown, proxy: AdoptedProxy): unknown {
  const said = mapping(file);
  const { inbound, outbound } = said;
  const hasOutbound = outbound !== undefined || proxy.upstreams.length > 0;
  return {
    ...said,
    service: said['service'] ?? proxy.service,
    instance: said['instance'] ?? proxy.id,
    ...(inbound === undefined ? {} : { inbound: withInbound(inbound, proxy) }),
    ...(hasOutbound ? { outbound: withUpstreams(outbound, proxy) } : {}),
  };
}

/** Why the registration is not for this file; undefined: it is. */
export function whyNotFor(file: unknown, { id, service }: AdoptedProxy): string | undefined {
  const { service: said } = mapping(file);
  if (said === undefined || said === service) return undefined;
  return `found ${JSON.stringify(said)}, and the adopted registration ${JSON.stringify(id)} is a proxy of ${JSON.stringify(service)}; expected the same service, or service to be left out`;
}

/**
 * Stands for a registration where there is no agent to ask, as in `outrider validate`: what is left out counts as said.
 * Its addresses are none that could be in the way of others.
 */
export function unreadRegistration(file: unknown): AdoptedProxy {
  const { service, consul, inbound } = mapping(file);
  const { proxy, sidecar_for: target } = mapping(mapping(consul)['adopt']);
  const listen = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const named = Object.keys(mapping(mapping(mapping(file)['outbound'])['upstreams']));
  // A file without either side is for a sidecar that only calls.
  if (named.length === 0 && inbound === undefined) named.push('adopted');
  return {
    id: String(proxy ?? target),
    service: typeof service === 'string' ? service : 'adopted',
    listen,
    local: { kind: 'tcp', host: '127.0.0.1', port: 1 },
    upstreams: named.map((name) => ({ name, service: name, listen })),
    unapplied: [],
  };
}

/** Where peers and the service are, below what the block says. */
function withInbound(inbound: unknown, { listen, local }: AdoptedProxy): unknown {
  return {
    listen: writeAddress(listen),
    ...(local === undefined ? {} : { local: writeAddress(local) }),
    ...mapping(inbound),
  };
}

/** The upstreams of the registration, each below what the file says of it, and those that the file alone has. */
function withUpstreams(outbound: unknown, { upstreams }: AdoptedProxy): unknown {
  const said = mapping(mapping(outbound)['upstreams']);
  const all: Record<string, unknown> = { ...said };
  for (const { name, service, datacenter, listen, ...limits } of upstreams) {
    const own = mapping(said[name]);
    const discovery = { service, ...(datacenter === undefined ? {} : { datacenter }) };
    const isFound = ['endpoints', 'dns', 'kubernetes'].every((source) => own[source] === undefined);
    all[name] = {
      listen: writeAddress(listen),
      ...own,
      ...(isFound ? { consul: { ...discovery, ...mapping(own['consul']) } } : {}),
      ...withLimits(own, limits),
    };
  }
  return { ...mapping(outbound), upstreams: all };
}

/** The blocks of an upstream that limits stand in, each below what the file says of it; a block that is none stays for the check. */
function withLimits(own: Readonly<Record<string, unknown>>, limits: AdoptedLimits): Record<string, unknown> {
  const { connectTimeoutMs, maxConnections, maxPending, maxInFlight, consecutiveFaults, ejectionMs } = limits;
  const inMs = (ms: number | undefined) => (ms === undefined ? undefined : `${ms}ms`);
  const blocks = {
    pool: defined({ connect_timeout: inMs(connectTimeoutMs) }),
    breaker: defined({
      max_connections: maxConnections,
      max_pending: maxPending,
      max_in_flight: maxInFlight,
    }),
    ejection: defined({ consecutive_faults: consecutiveFaults, base: inMs(ejectionMs) }),
  };
  return Object.fromEntries(
    Object.entries(blocks)
      .filter(([name, said]) => Object.keys(said).length > 0 && isBlockOrNone(own[name]))
      .map(([name, said]) => [
        name,
        { ...(own[name] === undefined ? UNSAID[name] : {}), ...said, ...mapping(own[name]) },
      ]),
  );
}

/** A registration that says one limit asks for no other: the defaults of these blocks would add some. */
const UNSAID: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  breaker: { max_connections: 'none', max_pending: 'none', max_in_flight: 'none', max_retries: 'none' },
};

function isBlockOrNone(said: unknown): boolean {
  return said === undefined || (typeof said === 'object' && said !== null && !Array.isArray(said));
}
