import type { ServingStatus } from '../../../proto/messages.js';

/** Called with each state of one service. */
export type Watcher = (status: ServingStatus) => void;

/**
 * grpc.health.v1 as a table of states with watchers: '' for the server as a whole, which serves as soon as loading has
 * ended with one model ready at least, or one is loaded later, and each model by name.
 * It only repeats what it is given: readiness is decided where models load and where draining begins.
 */
export class HealthTable {
  private readonly states = new Map<string, ServingStatus>();
  private readonly watchers = new Map<string, Set<Watcher>>();
  private frozen = false;

  /** undefined: no such service. */
  get(service: string): ServingStatus | undefined {
    return this.states.get(service);
  }

  /** Tells the watchers, if it is a change; nothing after `stop`. */
  set(service: string, status: ServingStatus): void {
    if (this.frozen || this.states.get(service) === status) return;
    this.states.set(service, status);
    for (const watcher of this.watchers.get(service) ?? []) watcher(status);
  }

  /** Tells the watcher the current state now and each change later; returns how to stop. */
  watch(service: string, watcher: Watcher): () => void {
    const set = this.watchers.get(service) ?? new Set();
    this.watchers.set(service, set.add(watcher));
    watcher(this.states.get(service) ?? 'SERVICE_UNKNOWN');
    return () => {
      set.delete(watcher);
      if (set.size === 0) this.watchers.delete(service);
    };
  }

  /** Everything NOT_SERVING, for good. */
  stop(): void {
    for (const service of this.states.keys()) this.set(service, 'NOT_SERVING');
    this.frozen = true;
  }

  /** Watchers of all services together. */
  get watcherCount(): number {
    let count = 0;
    for (const set of this.watchers.values()) count += set.size;
    return count;
  }
}
