import { type Action, IntentionTable } from '../../../core/authorization/intentions.js';
import type { Timer } from '../../../runtime/time/timers.js';
import { compileRe2 } from '../../re2-pattern.js';
import type { AgentReader } from '../client/response.js';
import type { QueryRegistry, Watch } from '../query/query-registry.js';
import { cachedIn, type QuerySpec, type ServiceDeps } from '../query/query-spec.js';
import { askDefault, askMatch, type DefaultAnswer, PROBE_SOURCE, type Unread } from './default-policy.js';
import { parseIntentionsAnswer, type Rules, readIntentions } from './intention-parser.js';

/** New intentions wait this long for the default; then they hold with the last known one. */
const HOLD_MS = 1_000;
/** After so many failures to learn the default, it is deny. */
const FAILURES_UNTIL_DENY = 3;
/** The default changes only with the configuration of the servers. */
const ASK_AGAIN_MS = 60_000;
const ASK_AFTER_FAILURE_MS = 2_000;
/** Different sentences that one process logs; the answers of Consul could make more without end. */
const MAX_SAID = 100;
/** Name of the query. */
const QUERY = 'intentions';
const UNTOLD =
  'Consul does not tell the default policy while a wildcard covers every source; calls that no permission matches are denied';

interface Kept {
  readonly answer: unknown;
  readonly defaultAction: Action;
}

/**
 * The intentions for this service and for `*`, as Consul has them, and the default for all other callers. A blocking query
 * of the list tells that something has changed. What has is read from the endpoint made for proxies,
 * `/v1/connect/intentions/match`: it gives no index (Consul 1.8), so that it cannot be waited for, but refuses what the
 * token may not read, where the list leaves it out and looks complete. A list whose holes are closed again, because the token
 * has its rights back, says nothing of that. Nothing is allowed until intentions and default are known. After that the last
 * known intentions stay in force, whatever Consul answers.
 */
export class ConnectIntentions {
  private current = IntentionTable.notLoaded(0);
  /** Without holes: as matched, or as kept. */
  private rules: Rules | undefined;
  /** The query has answered once. */
  private isListed = false;
  /** As last answered; undefined: never, or not since a wildcard covers every source. */
  private defaultAction: Action | undefined;
  private problem: string | undefined;
  private failures = 0;
  /** What is in force, to tell a change. */
  private fingerprint = '';
  private round = 0;
  private askTimer: Timer | undefined;
  private holdTimer: Timer | undefined;
  private readonly warned = new Set<string>();
  /** Of the present trouble, as the log has named it. */
  private readonly saidProblems = new Set<string>();
  private readonly watch: Watch;
  private isClosed = false;

  /** @param onChange called with each table that differs from the one before, perhaps before this returns. */
  constructor(
    watches: QueryRegistry,
    private readonly agent: AgentReader,
    private readonly deps: ServiceDeps,
    private readonly onChange: (table: IntentionTable) => void,
  ) {
    this.watch = this.begin(watches);
  }

  /** Whether list and default have been known once. */
  loaded(): boolean {
    return this.current.isLoaded;
  }

  /** What is not held to as written, one sentence each. */
  unsupported(): readonly string[] {
    return this.rules?.notes ?? [];
  }

  /** Why what is in force may not be what Consul has, by the name of the query, whose own answers look whole; empty: it is. */
  problems(): ReadonlyMap<string, string> {
    return new Map(this.problem === undefined ? [] : [[QUERY, this.problem]]);
  }

  /** Ends the query and the timers; the table stays as it is. */
  close(): void {
    this.isClosed = true;
    this.askTimer?.cancel();
    this.holdTimer?.cancel();
    this.watch.close();
  }

  private begin(watches: QueryRegistry): Watch {
    const { service, cache } = this.deps;
    const filter = filterFor(service);
    const path = '/connect/intentions';
    const spec: QuerySpec<Rules> = {
      key: `${path}?filter=${filter}`,
      name: QUERY,
      path,
      query: { filter },
      parse: (body: Buffer) => parseIntentionsAnswer(body, service),
      ...cachedIn(cache, sectionOf(service), (kept) => this.fromCache(kept)),
    };
    return watches.watch(spec, (rules, from) => this.onRules(rules, from === 'cache'));
  }

  private onRules(rules: Rules, isCached: boolean): void {
    this.isListed = true;
    if (isCached) this.take(rules);
    if (isCached && this.defaultAction !== undefined) this.publish();
    void this.askNow();
  }

  private take(rules: Rules): void {
    this.rules = rules;
    for (const note of rules.notes) this.warnOnce(note);
  }

  /** The default is late: it is what it was, most probably. Where it was not known, the table waits. */
  private onHeld(): void {
    this.holdTimer = undefined;
    if (this.defaultAction !== undefined) this.publish();
  }

  private async askNow(): Promise<void> {
    this.round += 1;
    const { round } = this;
    if (!this.isListed || this.isClosed) return;
    this.askTimer?.cancel();
    this.askTimer = undefined;
    const { service, config } = this.deps;
    const maxBytes = config.maxAnswerBytes;
    const match = await askMatch(this.agent, service, { maxBytes });
    // A newer list has asked anew.
    if (this.isClosed || round !== this.round) return;
    if (match.kind !== 'whole') {
      this.onUnread(match);
      return this.askAgain(ASK_AFTER_FAILURE_MS);
    }
    this.take(match.rules);
    this.holdTimer ??= this.deps.timers.after(HOLD_MS, () => this.onHeld());
    const probe = new IntentionTable(match.rules.intentions, 'deny', 0);
    const isCovered = probe.explain(PROBE_SOURCE, service) !== undefined;
    const answer = await askDefault(this.agent, service, { isCovered, maxBytes });
    if (this.isClosed || round !== this.round) return;
    this.onDefault(answer);
    const isGood = answer.kind === 'known' || answer.kind === 'untold';
    this.askAgain(isGood ? ASK_AGAIN_MS : ASK_AFTER_FAILURE_MS);
  }

  private askAgain(aboutMs: number): void {
    const afterMs = aboutMs * (0.9 + 0.2 * this.deps.random());
    this.askTimer = this.deps.timers.after(afterMs, () => void this.askNow(), { unref: true });
  }

  /** The intentions could not be read whole: what is in force stays, whatever the list says. */
  private onUnread({ kind, problem }: Unread): void {
    const what =
      kind === 'refused'
        ? `Consul does not let us read the intentions of ${this.deps.service}`
        : `the intentions of ${this.deps.service} could not be read`;
    this.onProblem(`${what}: ${problem}`);
  }

  private onProblem(problem: string): void {
    this.problem = problem;
    if (this.saidProblems.has(problem) || this.saidProblems.size >= MAX_SAID) return;
    this.saidProblems.add(problem);
    this.deps.logger.warn({ problem }, 'intentions from Consul');
  }

  /** What is in force is what Consul has. The same trouble is news when it comes again. */
  private onRecovered(): void {
    this.problem = undefined;
    if (this.saidProblems.size === 0) return;
    this.saidProblems.clear();
    this.deps.logger.info({}, 'intentions from Consul can be read again');
  }

  private onDefault(answer: DefaultAnswer): void {
    this.failures = answer.kind === 'known' || answer.kind === 'untold' ? 0 : this.failures + 1;
    switch (answer.kind) {
      case 'known':
        this.defaultAction = answer.action;
        this.onRecovered();
        return this.publish();
      case 'untold':
        this.defaultAction = undefined;
        this.onRecovered();
        if (this.rules!.intentions.some(({ permissions }) => permissions !== undefined))
          this.warnOnce(UNTOLD);
        return this.publish();
      default:
        this.onProblem(`the default of intentions is not known: ${answer.problem}`);
        if (this.defaultAction !== undefined || this.failures >= FAILURES_UNTIL_DENY) this.publish();
    }
  }

  private publish(): void {
    this.holdTimer?.cancel();
    this.holdTimer = undefined;
    const rules = this.rules!;
    const action = this.defaultAction ?? 'deny';
    const fingerprint = JSON.stringify([action, rules.intentions]);
    if (fingerprint === this.fingerprint && this.current.isLoaded) return;
    this.fingerprint = fingerprint;
    this.current = new IntentionTable(rules.intentions, action, this.current.version + 1, {
      compile: compileRe2,
    });
    const { cache, service, logger } = this.deps;
    cache?.save(sectionOf(service), { answer: rules.raw, defaultAction: action } satisfies Kept);
    logger.info(
      { intentions: rules.intentions.length, otherwise: action },
      'intentions from Consul are in force',
    );
    this.onChange(this.current);
  }

  private fromCache(kept: unknown): Rules | undefined {
    const { answer, defaultAction } = (kept ?? {}) as Partial<Kept>;
    if (defaultAction !== 'allow' && defaultAction !== 'deny') return undefined;
    const rules = readIntentions(answer, this.deps.service);
    this.defaultAction ??= defaultAction;
    return rules;
  }

  private warnOnce(problem: string): void {
    if (this.warned.has(problem) || this.warned.size >= MAX_SAID) return;
    this.warned.add(problem);
    this.deps.logger.warn({ problem }, 'intentions from Consul');
  }
}

/** The section of the cache file. */
function sectionOf(service: string): string {
  return `intentions-${service}`;
}

/** Consul's filter language has quotes without escapes, of two kinds. A name with both is not asked for by name. */
function filterFor(service: string): string {
  const quoted = /["\\]/.test(service) ? `\`${service}\`` : `"${service}"`;
  return service.includes('`') ? '' : `DestinationName == ${quoted} or DestinationName == "*"`;
}
