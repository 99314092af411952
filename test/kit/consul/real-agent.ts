/** The parts of the Consul side on a real agent, with real time. */

import type { ConsulConfig } from '../../../sidecar/config/model.js';
import { present } from '../../../sidecar/config/present.js';
import { ConsulAgent } from '../../../sidecar/discovery/consul/client/client.js';
import { agentSettings } from '../../../sidecar/discovery/consul/client/settings.js';
import { QueryRegistry } from '../../../sidecar/discovery/consul/query/query-registry.js';
import type { ConsulDeps } from '../../../sidecar/discovery/consul/query/query-spec.js';
import { createLogger, type Logger } from '../../../sidecar/runtime/log/logger.js';
import { systemClock } from '../../../sidecar/runtime/time/clock.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { seeded } from '../time/seeded-random.js';
import type { ConsulServer } from './consul.js';
import { CONFIG } from './scripted-agent.js';

export type RealKit = ReturnType<typeof realKit>;

interface RealKitOptions {
  /** Default: the server's own, which may do everything. */
  readonly token?: string | undefined;
  readonly config?: Partial<ConsulConfig>;
  /** In place of the one that writes to `log`. */
  readonly logger?: Logger;
}

export function realKit(
  server: Pick<ConsulServer, 'url'> & { token?: string | undefined },
  options: RealKitOptions = {},
) {
  const { token = server.token } = options;
  /** Lines as they were written, at every level. */
  const log: string[] = [];
  const destination = { write: (line: string) => void log.push(line) };
  const logger = options.logger ?? createLogger({ level: 'debug', destination });
  const config = { ...CONFIG, ...options.config, address: server.url };
  const env = present('CONSUL_HTTP_TOKEN', token);
  const agent = new ConsulAgent(agentSettings(config, env), systemTimers);
  const deps: ConsulDeps = { config, clock: systemClock, timers: systemTimers, random: seeded(7), logger };
  const watches = new QueryRegistry(agent, deps);
  const close = (): void => {
    watches.close();
    agent.close();
  };
  return { agent, watches, deps, log, close };
}

/** A token that may be a service and nothing more, as an operator would give it to a sidecar. */
export async function serviceToken(server: ConsulServer, service: string): Promise<string> {
  const Rules = `service "${service}" { policy = "write" } service_prefix "" { policy = "read" intentions = "deny" } node_prefix "" { policy = "read" }`;
  return tokenFor(server, `only-${service}`, Rules);
}

/** A token with one policy of this name. */
export async function tokenFor(server: ConsulServer, Name: string, Rules: string): Promise<string> {
  await server.api('PUT', '/acl/policy', { Name, Rules });
  const { SecretID } = await server.api<{ SecretID: string }>('PUT', '/acl/token', { Policies: [{ Name }] });
  return SecretID;
}
