/** A mesh file's intentions as Consul has them: for an agent that is ours and new. */

import type { IntentionConfig } from '../../config/model.js';
import { CommandFailure, oneLine } from '../failure.js';
import type { AgentApi } from './agent-api.js';

export interface MeshIntentions {
  readonly intentions: readonly IntentionConfig[];
  readonly defaultIntention: 'allow' | 'deny';
}

const ANYONE = '*';
/** Shown in Consul's UI. */
const DESCRIPTION = 'from the mesh file';

/**
 * What is to be written. An agent without ACLs allows what no intention names, so `deny` becomes an intention for
 * everyone, unless the file has one itself. Consul takes one intention for a pair; of two in the file, `deny` holds.
 */
export function intentionsToWrite({ intentions, defaultIntention }: MeshIntentions): IntentionConfig[] {
  const byPair = new Map<string, IntentionConfig>();
  const add = (intention: IntentionConfig) => {
    const pair = `${intention.from} ${intention.to}`;
    if (byPair.get(pair)?.action !== 'deny') byPair.set(pair, intention);
  };
  for (const intention of intentions) add(intention);
  if (defaultIntention === 'deny' && !byPair.has(`${ANYONE} ${ANYONE}`))
    add({ from: ANYONE, to: ANYONE, action: 'deny' });
  return [...byPair.values()];
}

/** Throws a CommandFailure that names the first one that Consul did not take. */
export async function writeIntentions(api: AgentApi, mesh: MeshIntentions): Promise<void> {
  for (const { from, to, action } of intentionsToWrite(mesh)) {
    const failed = (why: string) =>
      new CommandFailure(`consul did not take the intention ${from} → ${to} (${action}): ${why}`);
    const body = {
      SourceName: from,
      DestinationName: to,
      SourceType: 'consul',
      Action: action,
      Description: DESCRIPTION,
    };
    const answer = await api.ask('POST', '/connect/intentions', body).catch((error: unknown) => {
      throw failed(oneLine(error));
    });
    if (answer.status !== 200) throw failed(`${answer.status} ${answer.body.trim()}`);
  }
}
