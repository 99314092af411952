import type { IntentionConfig } from '../../config/model.js';
import { isPassingFailure } from '../../core/discovery/passing-failure.js';
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
  readonly Action?: string;
  readonly Description?: string;
  /** By path, method and headers, in place of an action: a mesh file cannot say them. */
  readonly Permissions?: readonly unknown[] | null;
}

/** One change in the agent. */
interface Step {
  readonly pair: string;
  /** What is there now; undefined: it is deleted. */
  readonly wanted: IntentionConfig | undefined;
  /** What is there may be of others, and is deleted only where it says that it is of a mesh file. */
  readonly isUnsure: boolean;
  readonly line: string;
}

/** What became of intentions that an agent did not take as a whole. */
export class IntentionsFailure extends CommandFailure {
  constructor(
    message: string,
    /** Changes that the agent has taken, and that could not be put back, one line each. Empty: it has what it had. */
    readonly left: readonly string[],
    /** The agent may take them later, or put back what is left: its servers have no leader, or it does not answer. */
    readonly mayPass: boolean,
  ) {
    super(message);
  }
}

/** An agent did not do what it was asked for. */
class Refusal extends CommandFailure {
  constructor(
    message: string,
    /** It did not answer, or has no leader: it may have done it, and may do it later. */
    readonly mayPass: boolean,
  ) {
    super(message);
  }
}

/**
 * The intentions of a mesh file in an agent, kept in step with the file. Only what the file says differently than before is
 * written or deleted: what others have written or changed in the agent stays.
 */
export class MeshIntentionWriter {
  /** What the agent took, by the pair of services; without an action where it may have taken something else. */
  private readonly taken = new Map<string, Pick<IntentionConfig, 'from' | 'to'> & Partial<IntentionConfig>>();

  constructor(private readonly api: AgentApi) {}

  /**
   * What has been changed, one line each. Where the agent does not take all of it, what it took is put back.
   *
   * @throws CommandFailure about an intention for some models, which Consul cannot say.
   * @throws IntentionsFailure that names the first one it did not take.
   */
  async write(mesh: MeshIntentions): Promise<readonly string[]> {
    const ofModels = mesh.intentions.find(({ models }) => models !== undefined);
    if (ofModels !== undefined)
      throw new CommandFailure(
        `the intention ${ofModels.from} → ${ofModels.to} allows some models only, which Consul cannot say; a block consul with intentions: false lets the file decide`,
      );
    const steps = this.stepsTo(new Map(intentionsToWrite(mesh).map((each) => [pairOf(each), each])));
    if (steps.length === 0) return [];
    let listed: Listing | undefined;
    const begun: Step[] = [];
    try {
      listed = await this.list();
      const due = steps.filter((step) => isDue(step, listed!.get(step.pair)));
      this.refusePermissions(due, listed);
      for (const step of due) {
        begun.push(step);
        await this.bring(step, listed.get(step.pair));
      }
    } catch (error) {
      throw await this.failureOf(error, begun, listed);
    }
    for (const { pair, wanted } of steps) {
      if (wanted === undefined) this.taken.delete(pair);
      else this.taken.set(pair, wanted);
    }
    return begun.map(({ line }) => line);
  }

  /** What a mesh file cannot say could not be put back: it is neither overwritten nor deleted. */
  private refusePermissions(steps: readonly Step[], listed: Listing): void {
    const kept = steps.find(({ pair }) => (listed.get(pair)?.Permissions ?? []).length > 0);
    if (kept === undefined) return;
    throw new Refusal(
      `the intention ${kept.pair.replace(' ', ' → ')} has permissions in Consul, which a mesh file cannot say; delete it in Consul, or leave the file as it was`,
      false,
    );
  }

  private stepsTo(wanted: ReadonlyMap<string, IntentionConfig>): readonly Step[] {
    const changed = [...wanted].filter(([pair, { action }]) => this.taken.get(pair)?.action !== action);
    // Denials go first, so that nothing is open in between.
    changed.sort(([, a], [, b]) => Number(a.action === 'allow') - Number(b.action === 'allow'));
    const gone = [...this.taken].filter(([pair]) => !wanted.has(pair));
    return [
      ...changed.map(([pair, each]) => ({
        ...{ pair, wanted: each, isUnsure: false, line: `${titleOf(each)}: ${each.action}` },
      })),
      ...gone.map(([pair, each]) => ({
        ...{
          pair,
          wanted: undefined,
          isUnsure: each.action === undefined,
          line: `${titleOf(each)}: deleted`,
        },
      })),
    ];
  }

  /** Puts back what was begun. What that does not reach is not known any more: the next call writes it. */
  private async failureOf(
    error: unknown,
    begun: readonly Step[],
    before: Listing | undefined,
  ): Promise<Error> {
    if (!(error instanceof Refusal)) return error as Error;
    const { mayPass, message } = error;
    // What it refused it has not done.
    const left = new Set(mayPass ? begun : begun.slice(0, -1));
    let isAgain = mayPass;
    try {
      const now = left.size === 0 ? undefined : await this.list();
      for (const step of [...left].reverse()) {
        await this.putBack(step.pair, before!.get(step.pair), now!.get(step.pair));
        left.delete(step);
      }
    } catch (second) {
      // The failure that came first says why. What the agent does not put back for good is not tried for ever: each time, the others change twice.
      isAgain ||= second instanceof Refusal && second.mayPass;
    }
    for (const { pair } of left) {
      const [from = '', to = ''] = pair.split(' ');
      this.taken.set(pair, { from, to });
    }
    const isSure = (step: Step): boolean => !mayPass || step !== begun.at(-1);
    const lines = [...left].map((step) =>
      isSure(step) ? step.line : `${step.line}, unless it was not taken`,
    );
    return new IntentionsFailure(message, lines, isAgain);
  }

  private async putBack(
    pair: string,
    before: ListedIntention | undefined,
    now: ListedIntention | undefined,
  ): Promise<void> {
    if (before?.Action === now?.Action && before?.Description === now?.Description) return;
    const what = `put back the intention ${pair.replace(' ', ' → ')}`;
    if (before === undefined) await this.ask(what, () => this.api.delete(pathOf(now!)));
    // What was written by its name, and deleted, is written by its name again: not every agent takes it otherwise.
    else await this.ask(what, () => this.store(before, now ?? (before.ID ? undefined : before)));
  }

  /** Makes one pair what is wanted. */
  private async bring({ pair, wanted }: Step, at: ListedIntention | undefined): Promise<void> {
    if (wanted === undefined) {
      await this.ask(`delete the intention ${pair.replace(' ', ' → ')}`, () => this.api.delete(pathOf(at!)));
      return;
    }
    const { from, to, action } = wanted;
    const next = { SourceName: from, DestinationName: to, Action: action, Description: DESCRIPTION };
    await this.ask(`take the ${titleOf(wanted)} (${action})`, () => this.store(next, at));
  }

  /** @param at where the agent has another one for this pair */
  private store(
    { SourceName, DestinationName, Action, Description = '' }: ListedIntention,
    at: ListedIntention | undefined,
  ): Promise<HttpAnswer> {
    const body = { SourceName, DestinationName, SourceType: 'consul', Action, Description };
    return at === undefined ? this.api.post('/connect/intentions', body) : this.api.put(pathOf(at), body);
  }

  private async list(): Promise<Listing> {
    const { body } = await this.ask('list its intentions', () => this.api.get('/connect/intentions'));
    const all = JSON.parse(body) as readonly ListedIntention[] | null;
    return new Map(
      (all ?? []).map((each) => [pairOf({ from: each.SourceName, to: each.DestinationName }), each]),
    );
  }

  /** @throws Refusal with what the agent did not do, and why. */
  private async ask(what: string, request: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
    const failed = (why: string, mayPass: boolean) => new Refusal(`consul did not ${what}: ${why}`, mayPass);
    const answer = await request().catch((error: unknown) => {
      throw failed(oneLine(error), true);
    });
    const { status, body } = answer;
    if (status !== 200) throw failed(`${status} ${body.trim()}`, isPassingFailure(status, body));
    return answer;
  }
}

type Listing = ReadonlyMap<string, ListedIntention>;

/** Whether a step changes the agent. What is to go may have gone, or be of others. */
function isDue({ wanted, isUnsure }: Step, at: ListedIntention | undefined): boolean {
  if (wanted !== undefined) return true;
  return at !== undefined && (!isUnsure || at.Description === DESCRIPTION);
}

const titleOf = ({ from, to }: Pick<IntentionConfig, 'from' | 'to'>): string => `intention ${from} → ${to}`;

const pairOf = ({ from, to }: Pick<IntentionConfig, 'from' | 'to'>): string => `${from} ${to}`;

/** Consul before 1.9 knows intentions by their ids alone. */
function pathOf({ ID = '', SourceName, DestinationName }: ListedIntention): string {
  if (ID !== '') return `/connect/intentions/${ID}`;
  const pair = `source=${encodeURIComponent(SourceName)}&destination=${encodeURIComponent(DestinationName)}`;
  return `/connect/intentions/exact?${pair}`;
}
