/** Other model services, called through the upstreams of the own sidecar. */

import type { ModelRequest, Tensors, Upstream, UpstreamAnswer } from './model-code.js';
import type { UpstreamClient } from './upstream-client.js';

const PREFIX = 'OUTRIDER_UPSTREAM_';

/** The environment variable with the address of an upstream: `find-text` is OUTRIDER_UPSTREAM_FIND_TEXT. */
function upstreamVariable(name: string): string {
  return PREFIX + name.toUpperCase().replace(/[^A-Z0-9]/g, '_');
}

/** Clients by upstream, one connection each. Throws an Error that names the variable which is not set. */
export class Upstreams {
  private readonly clients = new Map<string, LoadedUpstream>();

  constructor(private readonly environment: Readonly<Record<string, string | undefined>>) {}

  get(name: string): Upstream {
    let client = this.clients.get(name);
    if (client === undefined) {
      const variable = upstreamVariable(name);
      const target = this.environment[variable];
      if (!target)
        throw new Error(
          `upstream '${name}': ${variable} is not set; expected the address of the sidecar's upstream`,
        );
      client = new LoadedUpstream(name, target);
      this.clients.set(name, client);
    }
    return client;
  }

  close(): void {
    for (const client of this.clients.values()) client.close();
    this.clients.clear();
  }
}

/** The library that calls it is loaded with the first upstream: most model services have none. */
class LoadedUpstream implements Upstream {
  private readonly client: Promise<UpstreamClient>;

  constructor(name: string, target: string) {
    this.client = import('./upstream-client.js').then((module) => new module.UpstreamClient(name, target));
  }

  async infer(model: string, inputs: Tensors, within: ModelRequest): Promise<UpstreamAnswer> {
    return (await this.client).infer(model, inputs, within);
  }

  close(): void {
    void this.client.then((client) => client.close());
  }
}
