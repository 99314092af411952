/**
 * What the sidecar knows of one endpoint: its connections, its load, its ejection and its counts. It outlives the
 * snapshots of discovery that name it, so a re-read of the registry forgets nothing.
 */

import type { Address, EndpointConfig } from '../config/model.js';
import { EndpointLoad } from '../core/balance.js';
import { Ejection } from '../core/ejection.js';
import type { Pool } from '../relay/pool.js';

/** An ejection that knows whose it is. */
export class EndpointEjection extends Ejection {
  constructor(readonly endpoint: Endpoint) {
    super();
  }
}

export class Endpoint extends EndpointLoad {
  readonly address: Address;
  readonly label: string;
  id: string;
  readonly ejection: EndpointEjection = new EndpointEjection(this);
  /** Set right after construction: the pool reports to the upstream, which owns both. */
  pool!: Pool;
  attempts = 0;
  /** By `Outcome`. */
  readonly outcomes = new Float64Array(6);
  availableSinceMs = 0;
  /** Why the last fault was one; for people. */
  lastFault = '';

  constructor(config: EndpointConfig) {
    super();
    this.address = config.address;
    this.label = labelOf(config.address);
    this.id = config.id;
    this.weight = config.weight;
  }
}

export function labelOf(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
