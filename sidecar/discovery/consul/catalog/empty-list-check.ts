import { defined } from '../../../config/present.js';
import { isPassingFailure } from '../../../core/discovery/passing-failure.js';
import { messageOf } from '../../../runtime/log/message-of.js';
import type { Timer } from '../../../runtime/time/timers.js';
import { AgentError, type AgentReader } from '../client/response.js';
import type { ConsulDeps } from '../query/query-spec.js';
import { type Target, titleOf } from './target.js';

/** What a check is made with. */
export interface EmptyListDeps extends Pick<ConsulDeps, 'config' | 'clock' | 'timers' | 'random'> {
  readonly agent: AgentReader;
}

/** What a check says to its owner, and asks it. Not called before `begin` has returned. */
export interface EmptyListEvents {
  /** Consul has confirmed it: the token may read the service, and the list is empty. */
  believed(): void;
  /** Consul hides the instances from the token. Called once, until `returned`. */
  refused(problem: string): void;
  /** Consul does not say whether it hides them. Called once, until `believed` or `refused`. */
  unconfirmed(problem: string): void;
  /** The token has its rights: the list is to be read again. `believed` follows, unless `end` is called before. */
  returned(): void;
  /** Whether the list can be read, and was read at or after this time of the monotonic clock. */
  isReadSince(atMs: number): boolean;
}

/** `refused`: the token may not read it. `unknown`: why Consul did not say. */
type Right = 'granted' | { readonly refused: string } | { readonly unknown: string };

/** For each of the two reads. */
const TIMEOUT_MS = 2_000;
/** While an empty list is not confirmed, it is asked this often whether the token may read the instances. */
const ASK_AGAIN_MS = 10_000;
/** The list is read again within this time. */
const REREAD_MS = 10_000;
/** What an agent says with 403 to everybody where its configuration blocks an endpoint. */
const BLOCKED = /blocked by agent configuration/;

/**
 * Tells an empty list from a list that the token may not read. Consul answers `200 []` to a token without `service:read`, as it
 * does for a service without instances; Consul before 1.11 does not say that an answer is filtered. The discovery chain
 * of the same service takes the same right, and refuses with 403. Without `node:read` the list is empty too, and the list of
 * the agent's members, which holds at least the agent. Where the agent cannot tell (no such endpoint, one that is blocked, Connect disabled, a
 * chain that does not compile), the list is believed. Where it does not tell now (no leader, no answer), the list may be of a server that has
 * lost its data: it is asked again.
 */
export class EmptyListCheck {
  /** Why an empty list is not believed; undefined: there is none, or it is. */
  problem: string | undefined;
  /** It is hidden from the token. */
  isRefused = false;
  /** An answer to another question than the last is void. */
  private round = 0;
  private isAsking = false;
  private timer: Timer | undefined;
  /** When the list was to be read again. */
  private returnedAtMs = 0;

  constructor(
    private readonly target: Target,
    private readonly deps: EmptyListDeps,
    private readonly events: EmptyListEvents,
  ) {}

  /** A list is empty. Nothing is done while that is being found out. */
  begin(): void {
    if (this.isAsking || this.problem !== undefined) return;
    void this.ask();
  }

  /** A list with entries came, or nobody is interested any more. */
  end(): void {
    this.round += 1;
    this.isAsking = false;
    this.problem = undefined;
    this.isRefused = false;
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
    if (right !== 'granted')
      return 'refused' in right ? this.onRefused(right.refused) : this.onUnknown(right.unknown);
    if (this.problem !== undefined) return this.onGranted();
    if (this.events.isReadSince(Number.NEGATIVE_INFINITY)) return this.events.believed();
    this.onUnknown(UNREAD);
  }

  private onRefused(why: string): void {
    const isFirst = !this.isRefused;
    this.isRefused = true;
    this.problem = `Consul does not let us read the instances of ${titleOf(this.target)}: ${why}`;
    this.askAgain();
    if (isFirst) this.events.refused(this.problem);
  }

  private onUnknown(why: string): void {
    this.askAgain();
    // What Consul has refused it has to grant.
    if (this.isRefused) return;
    const isFirst = this.problem === undefined;
    this.problem = `Consul lists no instances of ${titleOf(this.target)}, and does not confirm it: ${why}`;
    if (isFirst) this.events.unconfirmed(this.problem);
  }

  private onGranted(): void {
    if (this.isRefused) this.problem = undefined;
    this.isRefused = false;
    this.isAsking = true;
    this.returnedAtMs = this.deps.clock.now();
    this.timer = this.deps.timers.after(REREAD_MS, () => this.onReread(), { unref: true });
    this.events.returned();
  }

  /** No list with entries came: it is empty indeed, if it was read. */
  private onReread(): void {
    this.timer = undefined;
    this.isAsking = false;
    if (!this.events.isReadSince(this.returnedAtMs)) return this.onUnknown(UNREAD);
    this.problem = undefined;
    this.events.believed();
  }

  private askAgain(): void {
    const afterMs = ASK_AGAIN_MS * (0.9 + 0.2 * this.deps.random());
    this.timer = this.deps.timers.after(afterMs, () => void this.ask(), { unref: true });
  }
}

const UNREAD = 'the list could not be read again';

/** What Consul says of the token's rights to the instances of a target. */
async function askRight({ service, datacenter }: Target, deps: EmptyListDeps): Promise<Right> {
  const { agent, config } = deps;
  const limits = { timeoutMs: TIMEOUT_MS, maxBytes: config.maxAnswerBytes };
  try {
    await agent.get(`/discovery-chain/${encodeURIComponent(service)}`, defined({ dc: datacenter }), limits);
  } catch (error) {
    return rightAfter(error);
  }
  if (datacenter !== undefined) return 'granted';
  try {
    const { body } = await agent.get('/agent/members', {}, limits);
    return isEmptyList(body) ? { refused: 'the token has no node:read' } : 'granted';
  } catch (error) {
    return rightAfter(error);
  }
}

/** What a question that failed says. `granted`: the agent cannot tell, or it had too much to say for a token without rights. */
function rightAfter(error: unknown): Right {
  const { fault, status = 0, message } = faultOf(error);
  if (status === 403 && !BLOCKED.test(message)) return { refused: message };
  const isUnknown = fault === 'status' ? isPassingFailure(status, message) : fault !== 'too-large';
  return isUnknown ? { unknown: message } : 'granted';
}

function faultOf(error: unknown): Pick<AgentError, 'fault' | 'status' | 'message'> {
  return error instanceof AgentError ? error : new AgentError('unreachable', messageOf(error));
}

function isEmptyList(body: Buffer): boolean {
  const text = body.subarray(0, 16).toString('utf8').trim();
  return text === '[]' || text === 'null';
}
