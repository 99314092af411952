import { defined } from '../../../config/present.js';
import type { Timer } from '../../../runtime/time/timers.js';
import { AgentError, type AgentReader } from '../client/response.js';
import type { ConsulDeps } from '../query/query-spec.js';
import { type Target, titleOf } from './target.js';

/** What a check is made with. */
export interface EmptyListDeps extends Pick<ConsulDeps, 'config' | 'timers' | 'random'> {
  readonly agent: AgentReader;
}

/** What a check says to its owner. Not called before `begin` has returned. */
export interface EmptyListEvents {
  /** The token may read the service, as far as Consul tells: the list is empty. */
  believed(): void;
  /** Consul hides the instances from the token. Called once, until `believed`. */
  refused(problem: string): void;
  /** The token has its rights back: the list is to be read again. `believed` follows, unless `end` is called before. */
  returned(): void;
}

/** `refused`: the token may not read it. `unknown`: Consul did not say. */
type Right = 'granted' | 'unknown' | { readonly refused: string };

/** For each of the two reads. */
const TIMEOUT_MS = 2_000;
/** While the token may not read the instances, it is asked this often whether it may again. */
const ASK_AGAIN_MS = 10_000;
/** The list is read again within this time. */
const REREAD_MS = 10_000;

/**
 * Tells an empty list from a list that the token may not read. Consul answers `200 []` to a token without `service:read`, as it
 * does for a service without instances; Consul before 1.11 does not say that an answer is filtered. The discovery chain
 * of the same service takes the same right, and refuses with 403. Without `node:read` the list is empty too, and the list of
 * the agent's members, which holds at least the agent. An agent that cannot tell (no such endpoint, Connect disabled) leaves
 * the list as it is: believed.
 */
export class EmptyListCheck {
  /** Why the instances cannot be read; undefined while they can. */
  problem: string | undefined;
  /** An answer to another question than the last is void. */
  private round = 0;
  private isAsking = false;
  private timer: Timer | undefined;

  constructor(
    private readonly target: Target,
    private readonly deps: EmptyListDeps,
    private readonly events: EmptyListEvents,
  ) {}

  /** An empty list would replace one with entries. Nothing is done while that is being found out. */
  begin(): void {
    if (this.isAsking || this.problem !== undefined) return;
    void this.ask();
  }

  /** A list with entries came, or nobody is interested any more. */
  end(): void {
    this.round += 1;
    this.isAsking = false;
    this.problem = undefined;
    this.timer?.cancel();
    this.timer = undefined;
  }

  private async ask(): Promise<void> {
    this.timer?.cancel();
    this.timer = undefined;
    this.round += 1;
    const { round } = this;
    this.isAsking = true;
    const right = await askRight(this.target, this.deps);
    if (round !== this.round) return;
    this.isAsking = false;
    if (typeof right === 'object') return this.onRefused(right.refused);
    if (this.problem === undefined) return this.events.believed();
    // What Consul has refused it has to grant.
    if (right === 'unknown') return this.askAgain();
    this.onGranted();
  }

  private onRefused(why: string): void {
    const isFirst = this.problem === undefined;
    this.problem = `Consul does not let us read the instances of ${titleOf(this.target)}: ${why}`;
    this.askAgain();
    if (isFirst) this.events.refused(this.problem);
  }

  private onGranted(): void {
    this.problem = undefined;
    this.isAsking = true;
    this.timer = this.deps.timers.after(REREAD_MS, () => this.onReread(), { unref: true });
    this.events.returned();
  }

  /** No list with entries came: it is empty indeed. */
  private onReread(): void {
    this.timer = undefined;
    this.isAsking = false;
    this.events.believed();
  }

  private askAgain(): void {
    const afterMs = ASK_AGAIN_MS * (0.9 + 0.2 * this.deps.random());
    this.timer = this.deps.timers.after(afterMs, () => void this.ask(), { unref: true });
  }
}

/** What Consul says of the token's rights to the instances of a target. */
async function askRight({ service, datacenter }: Target, deps: EmptyListDeps): Promise<Right> {
  const { agent, config } = deps;
  const limits = { timeoutMs: TIMEOUT_MS, maxBytes: config.maxAnswerBytes };
  try {
    await agent.get(`/discovery-chain/${encodeURIComponent(service)}`, defined({ dc: datacenter }), limits);
  } catch (error) {
    const status = error instanceof AgentError ? error.status : undefined;
    if (status === 403) return { refused: messageOfRefusal(error) };
    // A 404: an agent without discovery chains.
    return status === 404 ? 'granted' : 'unknown';
  }
  if (datacenter !== undefined) return 'granted';
  try {
    const { body } = await agent.get('/agent/members', {}, limits);
    return isEmptyList(body) ? { refused: 'the token has no node:read' } : 'granted';
  } catch {
    // The list may be too long, which says enough.
    return 'granted';
  }
}

function messageOfRefusal(error: unknown): string {
  return error instanceof AgentError ? error.message : '403';
}

function isEmptyList(body: Buffer): boolean {
  const text = body.subarray(0, 16).toString('utf8').trim();
  return text === '[]' || text === 'null';
}
