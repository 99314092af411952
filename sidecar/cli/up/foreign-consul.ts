/** The Consul agent of a mesh that does not bring its own, asked once beforehand, so that a wrong address is one line at once. */

import type { ConsulConfig } from '../../config/model.js';
import { ConsulAgent } from '../../discovery/consul/client/client.js';
import { agentSettings, type Environment } from '../../discovery/consul/client/settings.js';
import { systemTimers } from '../../runtime/time/timers.js';
import { CommandFailure, oneLine } from '../failure.js';

const QUESTION = { timeoutMs: 2_000, maxBytes: 65_536 };

export interface ForeignConsul {
  /** For people: `http://127.0.0.1:8500`. */
  readonly where: string;
  /** It is no failure, because an agent may come later; one line. */
  readonly problem?: string;
}

/** Throws a CommandFailure for settings that cannot be used, such as a certificate that is not there. */
export async function askForeignConsul(config: ConsulConfig, env: Environment): Promise<ForeignConsul> {
  const agent = agentFor(config, env);
  const { where } = agent;
  try {
    await agent.leader(QUESTION);
    return { where };
  } catch (error) {
    const problem = `no Consul agent at ${where} (${oneLine(error)}): sidecars wait for it; --consul dev brings one along`;
    return { where, problem };
  } finally {
    agent.close();
  }
}

function agentFor(config: ConsulConfig, env: Environment): ConsulAgent {
  try {
    return new ConsulAgent(agentSettings(config, env), systemTimers);
  } catch (error) {
    throw new CommandFailure(`consul: ${oneLine(error)}`);
  }
}
