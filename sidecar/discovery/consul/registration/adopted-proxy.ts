import type { Address, AdoptedProxy, AdoptedUpstream } from '../../../config/model.js';
import { present } from '../../../config/present.js';
import {
  decodeJson,
  isObject,
  isSet,
  type Json,
  listIn,
  objectIn,
  quote,
  textIn,
} from '../parser/json-fields.js';
import { readUpstreamSettings } from './upstream-settings.js';

/** More are not read: a bound on what one registration can open. */
const MAX_UPSTREAMS = 256;
/** Of the proxy's `Config` what is applied, or is so in any case. */
const KNOWN_CONFIG = new Set(['bind_address', 'bind_port', 'protocol']);
const LOOPBACK = '127.0.0.1';
const EVERYWHERE = '0.0.0.0';

/**
 * The registration of a proxy as `/v1/agent/service/ID` has it; a text says why it is none that a sidecar can be. Where it
 * listens is what Envoy goes by: `bind_address` and `bind_port` of the proxy's configuration, else its address and port.
 * Sockets (`LocalServiceSocketPath`, `LocalBindSocketPath`; Consul 1.10 and later) are read as documented.
 * @throws Error for what is no JSON.
 */
export function readAdoptedProxy(body: Buffer): AdoptedProxy | string {
  const service = decodeJson(body.toString('utf8'), "the agent's answer is not JSON");
  const id = textIn(service, 'ID');
  const title = `the registration ${quote(id)}`;
  const kind = textIn(service, 'Kind');
  if (kind !== 'connect-proxy') {
    const found = kind === '' ? 'a service, no proxy' : `of the kind ${quote(kind)}`;
    return `${title} is ${found}; expected a connect-proxy`;
  }
  const proxy = objectIn(service, 'Proxy');
  const destination = textIn(proxy, 'DestinationServiceName');
  if (destination === '')
    return `${title} has no Proxy.DestinationServiceName; expected the name of a service`;
  const config = objectIn(proxy, 'Config');
  const port = portIn(config, 'bind_port') ?? portIn(service as Json, 'Port');
  if (port === undefined) return `${title} has no port; expected one from 1 to 65535`;
  const reader = new UpstreamReader(title);
  return {
    id,
    service: destination,
    listen: {
      kind: 'tcp',
      host: textIn(config, 'bind_address') || textIn(service, 'Address') || EVERYWHERE,
      port,
    },
    ...present('local', localOf(proxy)),
    upstreams: reader.read(listIn(proxy, 'Upstreams')),
    unapplied: [...unappliedOf(title, proxy, config), ...reader.unapplied],
  };
}

/** The ids of proxies of a service, from `/v1/agent/services`. @throws Error for what is no JSON. */
export function proxiesOf(serviceId: string, body: Buffer): string[] {
  const services = decodeJson(body.toString('utf8'), "the agent's list of services is not JSON");
  if (!isObject(services)) throw new Error("the agent's list of services is not an object");
  return Object.entries(services)
    .filter(([, each]) => textIn(each, 'Kind') === 'connect-proxy')
    .filter(([, each]) => textIn(objectIn(each, 'Proxy'), 'DestinationServiceID') === serviceId)
    .map(([id]) => id)
    .sort();
}

/** Where the service listens; undefined where it is not said. */
function localOf(proxy: Json | undefined): Address | undefined {
  const path = textIn(proxy, 'LocalServiceSocketPath');
  if (path !== '') return { kind: 'unix', path };
  const port = portIn(proxy, 'LocalServicePort');
  const host = textIn(proxy, 'LocalServiceAddress') || LOOPBACK;
  return port === undefined ? undefined : { kind: 'tcp', host, port };
}

/** Parts of the proxy itself that a sidecar does not go by. */
function unappliedOf(title: string, proxy: Json | undefined, config: Json | undefined): string[] {
  const keys = Object.keys(config ?? {}).filter((key) => !KNOWN_CONFIG.has(key));
  const parts = keys.map((key) => `Proxy.Config.${key.slice(0, 80)}`);
  const mode = textIn(proxy, 'Mode');
  if (mode !== '' && mode !== 'direct') parts.push('Proxy.Mode');
  if (isSet(objectIn(proxy, 'MeshGateway')?.['Mode'])) parts.push('Proxy.MeshGateway');
  const expose = objectIn(proxy, 'Expose');
  if (isSet(expose?.['Checks']) || isSet(expose?.['Paths'])) parts.push('Proxy.Expose');
  return parts.map((part) => `${title}: ${part} is not applied.`);
}

/** Reads the upstreams of one registration, each under a name of its own. */
class UpstreamReader {
  readonly unapplied: string[] = [];
  private readonly names = new Set<string>();

  constructor(private readonly title: string) {}

  /** In the order of the registration; what cannot be called is left out, with a sentence in `unapplied`. */
  read(found: readonly unknown[]): AdoptedUpstream[] {
    if (found.length > MAX_UPSTREAMS)
      this.refuse(`Proxy.Upstreams has ${found.length} entries; those after ${MAX_UPSTREAMS} are left out`);
    return found.slice(0, MAX_UPSTREAMS).flatMap((each) => this.one(each) ?? []);
  }

  /** One upstream; undefined for a prepared query, for one without a listener, and for one that comes again. */
  private one(upstream: unknown): AdoptedUpstream | undefined {
    const service = textIn(upstream, 'DestinationName');
    const where = `the upstream ${quote(service)}`;
    const type = textIn(upstream, 'DestinationType');
    if (type !== '' && type !== 'service') {
      this.refuse(`${where} is a ${quote(type)} and is left out`);
      return undefined;
    }
    const listen = listenerOf(upstream);
    if (service === '' || listen === undefined) {
      this.refuse(`${where} has no ${service === '' ? 'name' : 'port'} and is left out`);
      return undefined;
    }
    const datacenter = textIn(upstream, 'Datacenter');
    // Consul takes an upstream of the same service once for each datacenter.
    const name = this.names.has(service) && datacenter !== '' ? `${service}-${datacenter}` : service;
    if (this.names.has(name)) {
      this.refuse(`${where} is there twice; the first counts`);
      return undefined;
    }
    this.names.add(name);
    const { limits, refused } = readUpstreamSettings(objectIn(upstream, 'Config'));
    for (const what of refused) this.refuse(`${where}: ${what}`);
    if (isSet(objectIn(upstream, 'MeshGateway')?.['Mode']))
      this.refuse(`${where}: MeshGateway is not applied`);
    return {
      name,
      service,
      ...(datacenter === '' ? {} : { datacenter }),
      listen,
      ...limits,
    };
  }

  /** One more sentence, which names the registration. */
  private refuse(what: string): void {
    this.unapplied.push(`${this.title}: ${what}.`);
  }
}

/** Where the application calls an upstream; undefined where that is not said. */
function listenerOf(upstream: unknown): Address | undefined {
  const path = textIn(upstream, 'LocalBindSocketPath');
  if (path !== '') return { kind: 'unix', path };
  const port = portIn(upstream, 'LocalBindPort');
  const host = textIn(upstream, 'LocalBindAddress') || LOOPBACK;
  return port === undefined ? undefined : { kind: 'tcp', host, port };
}

/** A port above 0, or undefined. */
function portIn(value: unknown, field: string): number | undefined {
  const found = isObject(value) ? value[field] : undefined;
  const isPort = typeof found === 'number' && Number.isInteger(found) && found > 0 && found <= 65_535;
  return isPort ? found : undefined;
}
