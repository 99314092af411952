import type { NamedVersion } from '../../discovery/consul/registered-models.js';
import type { TimeDeps } from '../../runtime/deps.js';
import type { Timer } from '../../runtime/time/timers.js';

/** Between two changes of what is announced: each is a write to Consul, and news for every caller. */
const MIN_INTERVAL_MS = 5_000;

/**
 * The models of this instance as callers are told: what is there when they are looked at, changed at most once in 5 s. What
 * has come and gone within that time was never announced.
 */
export class AnnouncedModels {
  models: readonly NamedVersion[];
  /** Where each version stands, `NAME:VERSION=STATE …`. */
  states: string;
  private changedMs = Number.NEGATIVE_INFINITY;
  private timer: Timer | undefined;

  /** @param onChange called after each change of `models` or `states`. */
  constructor(
    private readonly read: () => readonly NamedVersion[],
    private readonly deps: TimeDeps,
    private readonly onChange: () => void,
    private readonly readStates: () => string = () => '',
  ) {
    this.models = read();
    this.states = readStates();
  }

  /** They may have changed. */
  look(): void {
    if (this.timer !== undefined) return;
    const models = this.read();
    const states = this.readStates();
    if (keyOf(models) === keyOf(this.models) && states === this.states) return;
    const { clock, timers } = this.deps;
    const nowMs = clock.now();
    const waitMs = this.changedMs + MIN_INTERVAL_MS - nowMs;
    if (waitMs > 0) {
      this.timer = timers.after(waitMs, () => this.lookAgain(), { unref: true });
      return;
    }
    this.models = models;
    this.states = states;
    this.changedMs = nowMs;
    this.onChange();
  }

  private lookAgain(): void {
    this.timer = undefined;
    this.look();
  }
}

function keyOf(models: readonly NamedVersion[]): string {
  return models.map(({ name, version }) => `${name}:${version}`).join(' ');
}
