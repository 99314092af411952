import { AgentError, type AgentReader, type GetOptions } from '../client/response.js';
import { decodeJson } from '../parser/json-fields.js';

/** There is no such registration, which may still be made. */
export class NotThere extends Error {}

/** The agent refused, or listed nothing, and reaches no server that would know what the token may read. */
export class ServersAway extends Error {
  /** @param said what the agent answered, in one line. */
  constructor(said: string) {
    super(`the agent reaches no Consul server, which would know the token: ${said}`);
  }
}

/** Whether it says nothing of the registration: no agent answers, or one that cannot ask its servers. */
export function isAgentAway(error: unknown): boolean {
  if (error instanceof ServersAway) return true;
  if (!(error instanceof AgentError)) return false;
  const { fault, status = 0 } = error;
  return fault === 'unreachable' || fault === 'timeout' || (fault === 'status' && status >= 500);
}

/** Whether time may heal it: the agent or the registration comes later, or the rights to read it. */
export function isPassing(error: unknown): boolean {
  if (error instanceof NotThere || error instanceof ServersAway) return true;
  return error instanceof AgentError && error.fault !== 'cancelled';
}

/**
 * Whether the agent may know what a token may read. With ACLs, a client agent asks its servers about tokens; while it reaches none it
 * treats each token it has not asked about lately as one without rights (`acl.down_policy`, whose default is `extend-cache`): it answers
 * 403, and lists no services. `/v1/status/leader`, which takes no rights, tells the two apart: it fails, or names no leader
 * (Consul 1.8.7). Only a clear sign counts: an answer of another kind means that it has servers.
 */
export async function hasServers(agent: AgentReader, options: GetOptions): Promise<boolean> {
  try {
    const { body } = await agent.get('/status/leader', {}, options);
    return decodeJson(body.toString('utf8'), 'not JSON') !== '';
  } catch (error) {
    return !isAgentAway(error);
  }
}
