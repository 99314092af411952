import { defined } from '../../../config/present.js';
import type { Identity, IdentitySource, IdentityStatus } from '../../../identity/identity.js';
import { assembleIdentity } from '../../../identity/sources/assemble-identity.js';
import {
  type AgeReport,
  ageReport,
  nextCheckMs,
  phaseEndsInMs,
  validityPhase,
} from '../../../identity/sources/expiry.js';
import { type IdentityProblem, isProblem } from '../../../identity/spiffe.js';
import type { Timer } from '../../../runtime/time/timers.js';
import type { QueryRegistry, Watch } from '../query/query-registry.js';
import { cachedIn, type ServiceDeps, smallQuery } from '../query/query-spec.js';
import {
  type ConnectLeaf,
  type ConnectRoots,
  cachedLeaf,
  cachedRoots,
  parseLeafAnswer,
  parseRootsAnswer,
} from './ca-response.js';

/** What an identity from Connect is made with. */
export interface ConnectIdentityDeps extends ServiceDeps {
  /** Called once for each new problem, in words for the log. */
  onProblem(problem: string): void;
}

/** How long leaf and roots may not fit each other before that is a problem and not a change under way. */
const SETTLE_MS = 5_000;
/** The wall clock may jump, so the certificate's age is checked this often at least. */
const CHECK_MS = 60_000;

const ROOTS_SECTION = 'connect-roots';

/**
 * The sidecar's identity from Connect's CA: the agent gives leaf and roots by blocking query, and renews the leaf by
 * itself. Both are put together here; a pair that does not fit is one half of a change, and waits for the other. The
 * last good identity serves until it expires, whatever Consul answers. From half of the leaf's life on it is read
 * again now and then, in case the watch has stalled (consul#10871).
 */
export class ConnectIdentity implements IdentitySource {
  private roots: ConnectRoots | undefined;
  private leaf: ConnectLeaf | undefined;
  private identity: Identity | undefined;
  /** Why the latest leaf and roots are not in use. */
  private mismatch: string | undefined;
  private lastReported: string | undefined;
  private settleTimer: Timer | undefined;
  private checkTimer: Timer | undefined;
  /** On the monotonic clock. */
  private nextReadMs = Number.POSITIVE_INFINITY;
  private readonly watches: readonly Watch[];
  private readonly listeners = new Set<(identity: Identity) => void>();
  private isClosed = false;

  constructor(
    watches: QueryRegistry,
    private readonly deps: ConnectIdentityDeps,
  ) {
    const { service, cache, config } = deps;
    if (config.cache?.keys !== true) cache?.remove(leafSection(service));
    this.watches = [this.watchRoots(watches), this.watchLeaf(watches)];
  }

  /** The identity in use; undefined before the first one. */
  current(): Identity | undefined {
    return this.identity;
  }

  /** Calls the listener with each later identity. Returns the function that ends that. */
  subscribe(listener: (identity: Identity) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The problem, if any, and the expiry in ms since 1970. */
  status(): IdentityStatus {
    const { identity, mismatch: failure } = this;
    if (identity === undefined) return defined({ problem: this.whyNone(), failure });
    return { ...this.age(identity), ...defined({ failure }), notAfterMs: identity.notAfterMs };
  }

  /** Ends queries, timers and subscriptions. */
  close(): void {
    this.isClosed = true;
    this.settleTimer?.cancel();
    this.checkTimer?.cancel();
    for (const watch of this.watches) watch.close();
    this.listeners.clear();
  }

  private whyNone(): string {
    const { mismatch } = this;
    if (mismatch !== undefined) return mismatch;
    const missing = this.leaf === undefined ? 'leaf' : 'roots';
    const why = this.watches[missing === 'leaf' ? 1 : 0]!.status().problem;
    return `Consul has given no ${missing} yet${why === undefined ? '' : `: ${why}`}`;
  }

  private age(identity: Identity): AgeReport {
    const why = this.mismatch === undefined ? '' : `: ${this.mismatch}`;
    return ageReport(identity, this.deps.clock.wallNow(), `Consul has given no new one${why}`);
  }

  private watchRoots(watches: QueryRegistry): Watch {
    const spec = smallQuery('/agent/connect/ca/roots', 'roots', {
      parse: parseRootsAnswer,
      ...cachedIn(this.deps.cache, ROOTS_SECTION, cachedRoots, (roots) => roots),
    });
    return watches.watch(spec, (roots) => {
      this.roots = roots;
      for (const fault of roots.refused) this.report(`a root that Consul lists is not used: ${fault}`);
      this.tryAssemble();
    });
  }

  private watchLeaf(watches: QueryRegistry): Watch {
    const { service, cache, config } = this.deps;
    const keeps = config.cache?.keys === true ? cache : undefined;
    const spec = smallQuery(`/agent/connect/ca/leaf/${encodeURIComponent(service)}`, 'leaf', {
      parse: parseLeafAnswer,
      ...cachedIn(keeps, leafSection(service), cachedLeaf, (leaf) => leaf),
    });
    return watches.watch(spec, (leaf) => {
      this.leaf = leaf;
      this.tryAssemble();
    });
  }

  /** Takes the latest leaf and roots over when they make an identity. */
  private tryAssemble(): void {
    if (this.isClosed) return;
    const made = this.assemble();
    if (made === undefined) return;
    if (isProblem(made)) return this.awaitCounterpart(made.problem);
    this.settleTimer?.cancel();
    this.settleTimer = undefined;
    this.mismatch = undefined;
    const before = this.identity;
    this.identity = made;
    if (before?.serial !== made.serial) this.nextReadMs = Number.POSITIVE_INFINITY;
    this.reportAge();
    this.scheduleCheck();
    const isSame = before?.certChainPem === made.certChainPem && before.rootsPem === made.rootsPem;
    if (!isSame) for (const listener of [...this.listeners]) listener(made);
  }

  private assemble(): Identity | IdentityProblem | undefined {
    const { roots, leaf } = this;
    if (roots === undefined || leaf === undefined) return undefined;
    const expected = { trustDomain: roots.trustDomain, service: this.deps.service };
    const wallNow = this.deps.clock.wallNow();
    const parts = { certChainPem: leaf.certPem, keyPem: leaf.keyPem, rootsPem: roots.rootsPem };
    const made = assembleIdentity(parts, expected, wallNow);
    if (!isProblem(made) || roots.intermediatesPem === '') return made;
    // Consul puts intermediates behind the leaf; a CA provider that does not lists them with the root.
    const longer = { ...parts, certChainPem: parts.certChainPem + roots.intermediatesPem };
    const second = assembleIdentity(longer, expected, wallNow);
    return isProblem(second) ? made : second;
  }

  private awaitCounterpart(fault: string): void {
    this.settleTimer ??= this.deps.timers.after(SETTLE_MS, () => {
      this.settleTimer = undefined;
      const made = this.assemble();
      if (made === undefined || !isProblem(made)) return this.tryAssemble();
      const kept = this.identity === undefined ? '' : ', the one before stays in use';
      this.mismatch = `the leaf and roots from Consul are not usable${kept}: ${made.problem}`;
      this.report(this.mismatch);
      this.reread('leaf and roots do not fit');
      this.scheduleCheck();
    });
    this.deps.logger.debug({ fault }, 'leaf and roots from Consul do not fit each other yet');
  }

  /** Arms the timer for the next event: a new phase of the leaf's life, or another read. */
  private scheduleCheck(): void {
    this.checkTimer?.cancel();
    if (this.isClosed) return;
    const { clock, timers, random } = this.deps;
    const now = clock.now();
    let delayMs = this.mismatch === undefined ? Number.POSITIVE_INFINITY : SETTLE_MS;
    if (this.identity !== undefined) {
      const phase = validityPhase(this.identity, clock.wallNow());
      const inMs = nextCheckMs(this.identity, phase, random);
      this.nextReadMs = Math.min(this.nextReadMs, now + inMs);
      delayMs = Math.min(delayMs, this.nextReadMs - now, phaseEndsInMs(this.identity, clock.wallNow()));
    }
    this.checkTimer = timers.after(Math.max(1, Math.min(delayMs, CHECK_MS)), () => this.check(), {
      unref: true,
    });
  }

  private check(): void {
    if (!this.reportAge() && this.mismatch === undefined) this.lastReported = undefined;
    if (this.mismatch !== undefined) this.tryAssemble(); // its fault may have been the clock's
    if (this.deps.clock.now() >= this.nextReadMs) {
      this.nextReadMs = Number.POSITIVE_INFINITY;
      this.reread('the certificate is due for renewal');
    }
    this.scheduleCheck();
  }

  /** Once in each phase of each leaf. True when its age is a warning or a problem. */
  private reportAge(): boolean {
    const { identity } = this;
    if (identity === undefined) return false;
    const { problem, warning } = this.age(identity);
    const words = problem ?? warning;
    if (words === undefined) return false;
    this.report(words, `${identity.serial} ${validityPhase(identity, this.deps.clock.wallNow())}`);
    return true;
  }

  private reread(why: string): void {
    for (const watch of this.watches) watch.reread(why);
  }

  /** Reports a problem once for each `key`: a text that holds a time changes while the problem does not. */
  private report(problem: string, key = problem): void {
    if (this.lastReported === key) return;
    this.lastReported = key;
    this.deps.onProblem(problem);
  }
}

function leafSection(service: string): string {
  return `connect-leaf-${service}`;
}
