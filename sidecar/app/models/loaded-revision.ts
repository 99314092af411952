import type { LifeFacts } from '../../core/models/life-facts.js';
import { type InstanceFact, type LoadState, nextLoadState } from '../../core/models/load-state.js';
import type { HeldRevision } from '../../core/models/repository-plan.js';
import type { Revision } from '../../core/models/settled-listing.js';
import type { ModelBackend } from '../../inbound/model-backend.js';
import type { ModelHost } from '../model-host.js';
import { processFactOf } from './life/process-fact.js';

/**
 * One version of a model with its processes, from its load to its unload: the files that it had when it was loaded, the
 * backend that its calls go to, and a model server for each instance.
 */
export class LoadedRevision implements HeldRevision {
  readonly name: string;
  readonly version: string;
  readonly fingerprint: string;
  state: LoadState = { kind: 'loading' };
  /** Another version answers its calls, and it gets none. */
  isHeld = false;
  /** Its golden input has passed, for a candidate of a rollout. */
  isProven = false;
  /** How often its processes had been started again by then. */
  private restartsBefore = 0;
  /** Why a rollout has decided against it; empty: none has. */
  rejection = '';
  /** What speaks against its processes while they serve, by who has found it. */
  private readonly suspicions = new Map<string, string>();
  private hasServed = false;

  constructor(
    revision: Revision,
    readonly backend: ModelBackend,
    readonly hosts: readonly ModelHost[],
    /** It was there at the start: the sidecar waits for it, and its processes are started again however often they fail. */
    readonly isInitial: boolean,
  ) {
    this.name = revision.name;
    this.version = revision.version;
    this.fingerprint = revision.fingerprint;
  }

  /** Takes over the states of its processes. True: its own has changed. */
  update(): boolean {
    const facts: InstanceFact[] = this.backend.instances.map(({ state }) => state);
    const next = nextLoadState(this.state, facts, this.isInitial);
    const before = this.state;
    this.state = next;
    this.hasServed ||= next.kind === 'ready' && !this.isHeld;
    return next.kind !== before.kind || whyOf(next) !== whyOf(before);
  }

  /** Its golden input has passed at the processes that run now. */
  prove(): void {
    this.isProven = true;
    this.restartsBefore = this.restarts;
  }

  /** How often one of its processes has ended since `prove`, and another one was started in its place. */
  get deaths(): number {
    return this.isProven ? this.restarts - this.restartsBefore : 0;
  }

  private get restarts(): number {
    return this.hosts.reduce((sum, host) => sum + host.report().restarts, 0);
  }

  /** Calls go to it from now on, this share of them. */
  releaseTraffic(share: number): void {
    this.isHeld = false;
    this.hasServed = true;
    this.backend.share = share;
  }

  /** Another version answers the calls, as before `releaseTraffic`. */
  hold(): void {
    this.isHeld = true;
    this.hasServed = false;
    this.backend.share = 0;
  }

  /** It belongs to this instance, also while its processes are started again, until it is unloaded or could not be loaded. */
  get isServed(): boolean {
    const { kind } = this.state;
    return (this.isInitial || this.hasServed) && kind !== 'failed' && kind !== 'unloading';
  }

  /** Why it is not served; empty: it is, or will be. */
  get why(): string {
    return whyOf(this.state);
  }

  /** `by` finds that this speaks against it; empty: nothing does any more. */
  suspect(by: string, cause: string): void {
    if (cause === '') this.suspicions.delete(by);
    else this.suspicions.set(by, cause);
  }

  /** What was found first of what speaks against it; empty: nothing does. */
  get suspicion(): string {
    for (const cause of this.suspicions.values()) return cause;
    return '';
  }

  /** What its state in `LifeLog` follows from. */
  get lifeFacts(): LifeFacts {
    const { state, isHeld, isProven, rejection, doubt: suspicion, hosts } = this;
    const processes = hosts.map((host) => processFactOf(host.report().state, host.isWarming));
    return { load: state.kind, processes, isHeld, isProven, rejection, suspicion };
  }

  /** Why it is in that state, in one sentence. */
  get lifeWhy(): string {
    const { state, isHeld, rejection, doubt } = this;
    if (rejection !== '') return rejection;
    if (state.kind === 'ready' && doubt !== '') return doubt;
    if (state.kind === 'ready') return isHeld ? 'another version answers the calls' : 'ready';
    if (state.kind === 'unloading') return 'another version has taken over, or it is unloaded';
    const said = this.hosts.map((host) => host.report().why).find((why) => why !== '');
    return this.why || (said ?? 'its processes start');
  }

  /** What a detector holds against it, or that each of its processes that serve is on probation; empty: nothing. */
  private get doubt(): string {
    if (this.suspicion !== '') return this.suspicion;
    const serving = this.hosts.filter((host) => host.report().state === 'ready');
    return serving.every(({ suspicion }) => suspicion !== '') ? (serving[0]?.suspicion ?? '') : '';
  }

  /** Ends its processes. Resolves when they have ended. */
  async stop(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.end()));
  }
}

/** The reason of a state that has one. */
function whyOf(state: LoadState): string {
  return 'why' in state ? state.why : '';
}
