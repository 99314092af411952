import type { Action } from '../../../core/authorization/intentions.js';
import { messageOf } from '../../../runtime/log/message-of.js';
import { AgentError, type AgentReader, type Query } from '../client/response.js';
import { fieldIn } from '../parser/json-fields.js';
import { type Rules, readIntentions } from './intention-parser.js';

/** `untold`: the default is not given. */
export type DefaultAnswer =
  | { readonly kind: 'known'; readonly action: Action }
  | { readonly kind: 'untold' }
  | Unread;

/** The intentions of a service without holes. */
export type MatchAnswer = { readonly kind: 'whole'; readonly rules: Rules } | Unread;

/** `refused`: the token may not read them. */
export interface Unread {
  readonly kind: 'refused' | 'failed';
  readonly problem: string;
}

/** An answer of any size is not read. */
interface Limits {
  readonly maxBytes: number;
}

/** A source no intention names. */
export const PROBE_SOURCE = 'outrider-asks-for-the-default';

/** For each of the three reads. */
const TIMEOUT_MS = 5_000;

/** One JSON answer, or why there is none; a 403 is a refusal and not a fault. */
async function read(
  agent: AgentReader,
  path: string,
  { query = {}, maxBytes }: Limits & { readonly query?: Query },
): Promise<{ readonly value: unknown } | Unread> {
  try {
    const { body } = await agent.get(path, query, { timeoutMs: TIMEOUT_MS, maxBytes });
    return { value: JSON.parse(body.toString('utf8')) as unknown };
  } catch (error) {
    if (!(error instanceof AgentError)) return { kind: 'failed', problem: `${path}: the answer is not JSON` };
    return { kind: error.status === 403 ? 'refused' : 'failed', problem: error.message };
  }
}

/**
 * The intentions for this service and for `*`. Of the endpoints about intentions only this one refuses what the token may not
 * read; the list leaves it out and looks complete (Consul 1.8 does not say that an answer is filtered).
 */
export async function askMatch(agent: AgentReader, service: string, limits: Limits): Promise<MatchAnswer> {
  const path = '/connect/intentions/match';
  const match = await read(agent, path, { ...limits, query: { by: 'destination', name: service } });
  if ('kind' in match) return match;
  const listed = fieldIn(match.value, service);
  if (listed === undefined)
    return { kind: 'failed', problem: `${path}: the answer does not name ${service}` };
  try {
    return { kind: 'whole', rules: readIntentions(listed ?? [], service) };
  } catch (error) {
    return { kind: 'failed', problem: `${path}: ${messageOf(error)}` };
  }
}

/**
 * What applies to a caller that no intention names: Consul's ACL default policy, and allow where there are no ACLs. The
 * servers are asked by `/v1/connect/intentions/check` about `PROBE_SOURCE`, which takes no more rights than a sidecar has.
 * While a wildcard covers every source that does not work; then the agent's own configuration is read, if the token may.
 * `isCovered`: an intention covers `PROBE_SOURCE`, so that the answer is not the default.
 */
export async function askDefault(
  agent: AgentReader,
  service: string,
  { isCovered, ...limits }: Limits & { readonly isCovered: boolean },
): Promise<DefaultAnswer> {
  const query = { source: PROBE_SOURCE, destination: service };
  const check = await read(agent, '/connect/intentions/check', { ...limits, query });
  if ('kind' in check) return check;
  const allowed = fieldIn(check.value, 'Allowed');
  if (typeof allowed !== 'boolean')
    return { kind: 'failed', problem: 'the check of intentions gives no Allowed' };
  if (!isCovered) return { kind: 'known', action: allowed ? 'allow' : 'deny' };
  const self = await read(agent, '/agent/self', limits);
  const action = 'kind' in self ? undefined : configuredAction(fieldIn(self.value, 'DebugConfig'));
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
