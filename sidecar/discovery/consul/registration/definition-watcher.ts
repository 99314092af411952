import type { TimeDeps } from '../../../runtime/deps.js';
import { AgentError } from '../client/response.js';
import type { RegistrationClient } from './agent-client.js';

/** What a watcher is made with. */
export interface DefinitionWatcherDeps extends TimeDeps {
  readonly client: RegistrationClient;
  readonly waitMs: number;
  /** What was registered is gone or different, or that cannot be told. Called at most once for each `start`. */
  onDoubt(): void;
}

/** An agent that does not hold the read open is asked no more often than this. */
const MIN_PERIOD_MS = 1_000;
/** Agents do not hold a read longer. */
const MAX_WAIT_MS = 600_000;

/**
 * Notices at once when the agent no longer has what was registered: by a read that the agent holds open while the
 * definition is the same, and that ends when the definition is changed or removed, or when the agent itself goes
 * away. Without it a restarted agent would not be noticed before the next refresh.
 */
export class DefinitionWatcher {
  private running: AbortController | undefined;

  constructor(private readonly deps: DefinitionWatcherDeps) {}

  /** Watches `id`, which has just been registered; does nothing when a watch runs already. */
  start(id: string): void {
    if (this.running !== undefined) return;
    const running = new AbortController();
    this.running = running;
    void this.run(id, running.signal).then((isInDoubt) => {
      if (this.running !== running) return;
      this.running = undefined;
      if (isInDoubt) this.deps.onDoubt();
    });
  }

  /** Ends the watch without a call of `onDoubt`. */
  stop(): void {
    const { running } = this;
    this.running = undefined;
    running?.abort();
  }

  /** True: what was registered is in doubt. False: the agent cannot be watched this way. Never rejects. */
  private async run(id: string, signal: AbortSignal): Promise<boolean> {
    const { clock, client } = this.deps;
    const waitMs = Math.min(this.deps.waitMs, MAX_WAIT_MS);
    const startedMs = clock.now();
    let known: string | undefined;
    for (;;) {
      const askedMs = clock.now();
      let hash: string | undefined;
      try {
        hash = await client.hashOf(id, known, waitMs, signal);
      } catch (error) {
        if (!isGone(error)) return false;
        // An agent whose answers contradict each other must not cause a loop of reads.
        await this.pause(MIN_PERIOD_MS - (clock.now() - startedMs));
        return true;
      }
      if (hash === undefined || signal.aborted) return false;
      if (known !== undefined && hash !== known) return true;
      if (known !== undefined) await this.pause(MIN_PERIOD_MS - (clock.now() - askedMs));
      if (signal.aborted) return false;
      known = hash;
    }
  }

  private pause(delayMs: number): Promise<void> {
    if (delayMs <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.deps.timers.after(delayMs, resolve, { unref: true });
    });
  }
}

/**
 * Whether a failure means that the definition is gone: 404, or an agent that went away. Another refusal tells
 * nothing.
 */
function isGone(error: unknown): boolean {
  if (!(error instanceof AgentError)) return false;
  return error.fault === 'status' ? error.status === 404 : error.fault === 'unreachable';
}
