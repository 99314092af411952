import type { Cluster } from '../../cluster/cluster.js';
import type { Endpoint } from '../../cluster/endpoint.js';

/** What asks one endpoint something, until it is stopped. */
export interface EndpointWatch {
  readonly cluster: Cluster;
  stop(): void;
}

/** One watch for each endpoint that is asked. Which are, and what for, is decided by the class that extends this. */
export abstract class EndpointWatches<Watch extends EndpointWatch> {
  protected readonly watches = new Map<Endpoint, Watch>();

  /** Stops asking the endpoints of an upstream. */
  removeUpstream(name: string): void {
    this.leaveWhere((_endpoint, cluster) => cluster.name === name);
  }

  stop(): void {
    this.leaveWhere(() => true);
  }

  /** Stops asking those endpoints. */
  protected leaveWhere(isOver: (endpoint: Endpoint, cluster: Cluster) => boolean): void {
    for (const [endpoint, { cluster }] of this.watches) if (isOver(endpoint, cluster)) this.leave(endpoint);
  }

  protected leave(endpoint: Endpoint): void {
    this.watches.get(endpoint)?.stop();
    this.watches.delete(endpoint);
  }
}
