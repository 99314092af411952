/**
 * `consul.adopt`: this sidecar is the proxy of a registration that something else has made (Nomad, `consul services
 * register` with `sidecar_service`). What that says stands in for what the file leaves out; see ../../file/adopted.ts.
 */
import type { Address } from '../../codecs/address.js';
import { block, option, rules } from '../option.js';
import { plainText } from '../values.js';

const id = (what: string) => plainText(what).min(1, { error: what }).max(512, { error: what });

/** `adopt` of the block `consul` in a sidecar file. */
export const adopt = block({
  proxy: option(id('the id of a proxy in the agent').optional(), {
    meaning: 'The id of the registration, which is a `connect-proxy`.',
    otherwise: 'the one proxy of the service in `sidecar_for`',
    why: 'One of `proxy` and `sidecar_for` has to say which it is.',
  }),
  sidecar_for: option(id('the id of a service in the agent').optional(), {
    meaning:
      'The id of a service that has exactly one proxy registered with the agent, as `consul connect proxy -sidecar-for` takes it.',
    otherwise: 'absent: `proxy` says it',
    why: 'Nomad and `sidecar_service` make up the id of the proxy.',
  }),
}).check(
  rules(({ proxy, sidecar_for: service }, report) => {
    if (proxy !== undefined && service !== undefined)
      report(['sidecar_for'], 'found beside proxy; expected only one of them');
    if (proxy === undefined && service === undefined)
      report([], 'found neither proxy nor sidecar_for; expected one of them');
  }),
);

/** What the registration of a proxy says, as far as a sidecar goes by it. */
export interface AdoptedProxy {
  /** Of the registration in the agent. */
  readonly id: string;
  /** The service that it speaks for (`DestinationServiceName`). */
  readonly service: string;
  /** Where it is to listen for peers. */
  readonly listen: Address;
  /** Where the service listens; absent where the registration does not say it. */
  readonly local?: Address;
  readonly upstreams: readonly AdoptedUpstream[];
  /** What of the registration is not applied, each in one sentence. */
  readonly unapplied: readonly string[];
}

/** What such a registration says of the calls to an upstream; absent: nothing. */
export interface AdoptedLimits {
  readonly connectTimeoutMs?: number;
  /** Connections to all endpoints together, calls that wait for one, and calls in flight. */
  readonly maxConnections?: number;
  readonly maxPending?: number;
  readonly maxInFlight?: number;
  /** Faults in a row after which an endpoint is ejected, and for how long at first, ms. */
  readonly consecutiveFaults?: number;
  readonly ejectionMs?: number;
}

/** An upstream of such a registration. */
export interface AdoptedUpstream extends AdoptedLimits {
  /** Its name in the file: the service, with the datacenter where two have the same service. */
  readonly name: string;
  readonly service: string;
  readonly datacenter?: string;
  readonly listen: Address;
}
