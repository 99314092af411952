import type { IntentionConfig } from '../../config/model.js';
import { CommandFailure, oneLine } from '../failure.js';
import type { AgentApi } from './agent-api.js';

/** The options of a mesh file that concern intentions. */
export interface MeshIntentions {
  readonly intentions: readonly IntentionConfig[];
  readonly defaultIntention: 'allow' | 'deny';
}

/** Consul's wildcard for any service. */
const ANY = '*';
/** Shown in Consul's UI. */
const DESCRIPTION = 'from the mesh file';

/**
 * The intentions of a mesh file as Consul stores them: one for each pair of services; of two in the
 * file, `deny` wins. An agent without ACLs allows calls without an intention, so
 * `default_intention: deny` becomes `* → *`.
 */
export function intentionsToWrite({ intentions, defaultIntention }: MeshIntentions): IntentionConfig[] {
  const byPair = new Map<string, IntentionConfig>();
  const add = (intention: IntentionConfig) => {
    const pair = `${intention.from} ${intention.to}`;
    if (byPair.get(pair)?.action !== 'deny') byPair.set(pair, intention);
  };
  for (const intention of intentions) add(intention);
  if (defaultIntention === 'deny' && !byPair.has(`${ANY} ${ANY}`))
    add({ from: ANY, to: ANY, action: 'deny' });
  return [...byPair.values()];
}

/**
 * Writes the intentions of a mesh file into an agent.
 * @throws CommandFailure that names the first one it refused, or that is about some models, which Consul cannot say.
 */
export async function writeIntentions(api: AgentApi, mesh: MeshIntentions): Promise<void> {
  const ofModels = mesh.intentions.find(({ models }) => models !== undefined);
  if (ofModels !== undefined)
    throw new CommandFailure(
      `the intention ${ofModels.from} → ${ofModels.to} allows some models only, which Consul cannot say; a block consul with intentions: false lets the file decide`,
    );
  for (const { from, to, action } of intentionsToWrite(mesh)) {
    const failed = (why: string) =>
      new CommandFailure(`consul did not take the intention ${from} → ${to} (${action}): ${why}`);
    const pair = { SourceName: from, DestinationName: to, SourceType: 'consul' };
    const body = { ...pair, Action: action, Description: DESCRIPTION };
    const answer = await api.post('/connect/intentions', body).catch((error: unknown) => {
      throw failed(oneLine(error));
    });
    if (answer.status !== 200) throw failed(`${answer.status} ${answer.body.trim()}`);
  }
}
