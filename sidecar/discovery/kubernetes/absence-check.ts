import type { KubernetesConfig } from '../../config/model.js';
import { readService } from '../../core/discovery/watch-event.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import type { ApiRequest, KubernetesApi } from './api-client.js';
import { type Reply, readBody } from './api-reads.js';
import { placeOf, type ServicePlace } from './slice-list.js';

/** While there are no slices, the Service is looked at this often, ms. */
const PERIOD_MS = 30_000;
/** A Service is a few KiB. */
export const MAX_SERVICE_BYTES = 1024 * 1024;
const OK = 200;
const FORBIDDEN = 403;
const NOT_FOUND = 404;

/**
 * Why a Service has no EndpointSlice: the API lists none for a name that does not exist, too, so the Service itself is read. That takes
 * the right to get it; without it, the reasons that are possible are told.
 */
export class AbsenceCheck {
  /** In one sentence; undefined: there are slices, or it is not known yet. */
  found: string | undefined;
  private request: ApiRequest | undefined;
  private again: Timer | undefined;
  private isAsking = false;

  constructor(
    private readonly deps: { readonly api: KubernetesApi; readonly timers: Timers },
    private readonly onFound: () => void,
  ) {}

  /** There are no slices. Asks now and then, until `end`. */
  begin(config: KubernetesConfig): void {
    if (this.isAsking) return;
    this.isAsking = true;
    this.ask(config);
  }

  /** There are slices, or nobody wants to know. */
  end(): void {
    this.isAsking = false;
    this.found = undefined;
    this.request?.cancel();
    this.again?.cancel();
  }

  private ask(config: KubernetesConfig): void {
    this.again = this.deps.timers.after(PERIOD_MS, () => this.ask(config), { unref: true });
    this.request?.cancel();
    try {
      const place = placeOf(this.deps.api, config);
      const path = servicePath(place);
      this.request = readBody(this.deps, config, { path, maxBytes: MAX_SERVICE_BYTES }, (reply) => {
        const found = whyAbsent(reply, place);
        if (found === undefined || found === this.found) return;
        this.found = found;
        this.onFound();
      });
    } catch {
      // What is missing, the watcher says.
    }
  }
}

/** The path of a Service. */
export function servicePath({ namespace, name }: ServicePlace): string {
  return `/api/v1/namespaces/${namespace}/services/${name}`;
}

/** Undefined: the answer does not tell. */
export function whyAbsent({ status, body }: Reply, { namespace, name }: ServicePlace): string | undefined {
  const which = `Service "${name}" in the namespace "${namespace}"`;
  if (status === NOT_FOUND) return `found no ${which}; expected one of this name`;
  if (status === FORBIDDEN)
    return `found no EndpointSlice of the ${which}; expected that the Service exists and is not of the type ExternalName (a Role with get on services would tell)`;
  if (status !== OK) return undefined;
  let service: ReturnType<typeof readService>;
  try {
    service = readService(body);
  } catch {
    return undefined;
  }
  if (service.type === 'ExternalName')
    return `found the ${which} of the type ExternalName, which has no endpoints; expected another type, or \`dns\` with the external name`;
  if (!service.hasSelector)
    return `found the ${which} without a selector and without an EndpointSlice; expected one that somebody writes for it`;
  return `found no EndpointSlice of the ${which} yet`;
}
