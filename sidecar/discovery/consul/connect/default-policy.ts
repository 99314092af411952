import type { Action } from '../../../core/authorization/intentions.js';
import { AgentError, type AgentReader, type GetOptions, type Query } from '../client/response.js';
import { fieldIn } from '../parser/json-fields.js';

/**
 * `refused`: the token may not read the intentions of this service, so that a list of them may have holes; `untold`: it
 * may, and the default is not given.
 */
export type DefaultAnswer =
  | { readonly kind: 'known'; readonly action: Action }
  | { readonly kind: 'untold' }
  | { readonly kind: 'refused' | 'failed'; readonly problem: string };

/** A source no intention names. */
export const PROBE_SOURCE = 'outrider-asks-for-the-default';

/** For each of the three reads. */
const TIMEOUT_MS = 5_000;

/**
 * What applies to a caller that no intention names: Consul's ACL default policy, and allow where there are no ACLs. The
 * servers are asked by `/v1/connect/intentions/check` about `PROBE_SOURCE`, which takes no more rights than a sidecar has.
 * While a wildcard covers every source that does not work; then the agent's own configuration is read, if the token may.
 * @param isCovered an intention covers `PROBE_SOURCE`, so that the answer is not the default.
 */
export async function askDefault(
  agent: AgentReader,
  maxBytes: number,
  service: string,
  isCovered: boolean,
): Promise<DefaultAnswer> {
  const options = { timeoutMs: TIMEOUT_MS, maxBytes };
  // Of the endpoints about intentions only this one refuses what the token may not read (Consul 1.8).
  const match = await read(agent, options, '/connect/intentions/match', { by: 'destination', name: service });
  if ('problem' in match) return { kind: match.isRefusal ? 'refused' : 'failed', problem: match.problem };
  const query = { source: PROBE_SOURCE, destination: service };
  const check = await read(agent, options, '/connect/intentions/check', query);
  if ('problem' in check) return { kind: check.isRefusal ? 'refused' : 'failed', problem: check.problem };
  const allowed = fieldIn(check.value, 'Allowed');
  if (typeof allowed !== 'boolean')
    return { kind: 'failed', problem: 'the check of intentions gives no Allowed' };
  if (!isCovered) return { kind: 'known', action: allowed ? 'allow' : 'deny' };
  const self = await read(agent, options, '/agent/self', {});
  const action = 'problem' in self ? undefined : configuredAction(fieldIn(self.value, 'DebugConfig'));
  return action === undefined ? { kind: 'untold' } : { kind: 'known', action };
}

/** From `DebugConfig` of `/v1/agent/self`, whose fields moved with the versions. */
export function configuredAction(debug: unknown): Action | undefined {
  // 1.17 and later: apart from the ACLs.
  const own = fieldIn(debug, 'DefaultIntentionPolicy');
  if (own === 'allow' || own === 'deny') return own;
  const resolver = fieldIn(debug, 'ACLResolverSettings');
  const enabled = fieldIn(debug, 'ACLsEnabled') ?? fieldIn(resolver, 'ACLsEnabled');
  const policy = fieldIn(debug, 'ACLDefaultPolicy') ?? fieldIn(resolver, 'ACLDefaultPolicy');
  if (enabled === false) return 'allow';
  if (enabled !== true) return undefined;
  // `extend-cache` and whatever else is not `allow`.
  return policy === undefined ? undefined : policy === 'allow' ? 'allow' : 'deny';
}

type Reading = { readonly value: unknown } | { readonly problem: string; readonly isRefusal: boolean };

/** One JSON answer, or why there is none; a 403 is a refusal and not a fault. */
async function read(agent: AgentReader, options: GetOptions, path: string, query: Query): Promise<Reading> {
  try {
    const { body } = await agent.get(path, query, options);
    return { value: JSON.parse(body.toString('utf8')) as unknown };
  } catch (error) {
    if (!(error instanceof AgentError))
      return { problem: `${path}: the answer is not JSON`, isRefusal: false };
    return { problem: error.message, isRefusal: error.status === 403 };
  }
}
