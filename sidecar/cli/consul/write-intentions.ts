import type { IntentionConfig } from '../../config/model.js';
import { CommandFailure, oneLine } from '../failure.js';
import type { HttpAnswer } from '../http-request.js';
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
    const pair = pairOf(intention);
    if (byPair.get(pair)?.action !== 'deny') byPair.set(pair, intention);
  };
  for (const intention of intentions) add(intention);
  if (defaultIntention === 'deny' && !byPair.has(pairOf({ from: ANY, to: ANY })))
    add({ from: ANY, to: ANY, action: 'deny' });
  return [...byPair.values()];
}

/** An intention as an agent lists it. */
interface ListedIntention {
  /** Empty for one that was written by its name, as newer commands of Consul do. */
  readonly ID?: string;
  readonly SourceName: string;
  readonly DestinationName: string;
}

/**
 * The intentions of a mesh file in an agent, kept in step with the file. Only what the file says differently than before is
 * written or deleted: what others have written or changed in the agent stays.
 */
export class MeshIntentionWriter {
  /** What the agent took, by the pair of services. */
  private readonly taken = new Map<string, IntentionConfig>();

  constructor(private readonly api: AgentApi) {}

  /**
   * What has been changed, one line each. What the agent took before it failed counts as taken: the next call does the rest.
   *
   * @throws CommandFailure that names the first one it refused, or that is about some models, which Consul cannot say.
   */
  async write(mesh: MeshIntentions): Promise<readonly string[]> {
    const ofModels = mesh.intentions.find(({ models }) => models !== undefined);
    if (ofModels !== undefined)
      throw new CommandFailure(
        `the intention ${ofModels.from} → ${ofModels.to} allows some models only, which Consul cannot say; a block consul with intentions: false lets the file decide`,
      );
    const wanted = new Map(intentionsToWrite(mesh).map((each) => [pairOf(each), each]));
    const changed = [...wanted.values()].filter(
      (each) => this.taken.get(pairOf(each))?.action !== each.action,
    );
    const gone = [...this.taken.values()].filter((each) => !wanted.has(pairOf(each)));
    if (changed.length + gone.length === 0) return [];
    // Denials go first, so that nothing is open in between.
    changed.sort((a, b) => Number(a.action === 'allow') - Number(b.action === 'allow'));
    const listed = await this.list();
    const lines: string[] = [];
    for (const each of changed) {
      await this.put(each, listed.get(pairOf(each)));
      this.taken.set(pairOf(each), each);
      lines.push(`intention ${each.from} → ${each.to}: ${each.action}`);
    }
    for (const each of gone) {
      const at = listed.get(pairOf(each));
      if (at !== undefined)
        await this.ask(`delete the intention ${each.from} → ${each.to}`, () => this.api.delete(pathOf(at)));
      this.taken.delete(pairOf(each));
      lines.push(`intention ${each.from} → ${each.to}: deleted`);
    }
    return lines;
  }

  private async list(): Promise<ReadonlyMap<string, ListedIntention>> {
    const { body } = await this.ask('list its intentions', () => this.api.get('/connect/intentions'));
    const all = JSON.parse(body) as readonly ListedIntention[] | null;
    return new Map(
      (all ?? []).map((each) => [pairOf({ from: each.SourceName, to: each.DestinationName }), each]),
    );
  }

  private put({ from, to, action }: IntentionConfig, listed: ListedIntention | undefined): Promise<unknown> {
    const pair = { SourceName: from, DestinationName: to, SourceType: 'consul' };
    const body = { ...pair, Action: action, Description: DESCRIPTION };
    return this.ask(`take the intention ${from} → ${to} (${action})`, () =>
      listed === undefined ? this.api.post('/connect/intentions', body) : this.api.put(pathOf(listed), body),
    );
  }

  /** @throws CommandFailure with what the agent did not do, and why. */
  private async ask(what: string, request: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
    const failed = (why: string) => new CommandFailure(`consul did not ${what}: ${why}`);
    const answer = await request().catch((error: unknown) => {
      throw failed(oneLine(error));
    });
    if (answer.status !== 200) throw failed(`${answer.status} ${answer.body.trim()}`);
    return answer;
  }
}

const pairOf = ({ from, to }: Pick<IntentionConfig, 'from' | 'to'>): string => `${from} ${to}`;

/** Consul before 1.9 knows intentions by their ids alone. */
function pathOf({ ID = '', SourceName, DestinationName }: ListedIntention): string {
  if (ID !== '') return `/connect/intentions/${ID}`;
  const pair = `source=${encodeURIComponent(SourceName)}&destination=${encodeURIComponent(DestinationName)}`;
  return `/connect/intentions/exact?${pair}`;
}
