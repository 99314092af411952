import type { Timer, Timers } from '../../runtime/time/timers.js';

/** One try to follow a sidecar. */
export interface Followed {
  /** Resolves when it has answered; never where it does not. */
  readonly opened: Promise<unknown>;
  /** Resolves when it is over, with why, as a part of a sentence. Never rejects. */
  readonly done: Promise<string>;
  close(): void;
}

/** What following takes from its surroundings. */
export interface FollowDeps<Target> {
  open(target: Target): Followed;
  /** A line for the operator: a sidecar went, or is back. */
  say(line: string): void;
  readonly timers: Timers;
}

/** All sidecars that are followed. */
export interface FollowedAll {
  /** Resolves once none answers any more, with what the first one said; `wasOpen`: one had answered before. */
  readonly gone: Promise<{ readonly name: string; readonly why: string; readonly wasOpen: boolean }>;
  close(): void;
}

/** Between two tries of a sidecar that does not answer, ms: one that restarts is back in about that time. */
const AGAIN_MS = 1_000;

/**
 * Follows sidecars at once, as long as one of them answers: one that hangs or restarts is what an operator looks for, and must not end
 * the look at the others. It is said once when one goes, and when it is back.
 */
export function followAll<Target extends { readonly name: string }>(
  targets: readonly Target[],
  { open, say, timers }: FollowDeps<Target>,
): FollowedAll {
  const away = new Map<Target, string>();
  const current = new Map<Target, Followed | Timer>();
  let wasOpen = false;
  let isClosed = false;
  const stop = (): void => {
    isClosed = true;
    for (const each of current.values()) 'close' in each ? each.close() : each.cancel();
  };
  const gone = new Promise<{ name: string; why: string; wasOpen: boolean }>((resolve) => {
    const onGone = (target: Target, why: string): void => {
      if (isClosed) return;
      const isNew = !away.has(target);
      away.set(target, why);
      if (away.size === targets.length) {
        const [first = target] = away.keys();
        return resolve({ name: first.name, why: away.get(first)!, wasOpen });
      }
      if (isNew) say(`${target.name}: ${why}; it is asked again`);
      current.set(
        target,
        timers.after(AGAIN_MS, () => begin(target)),
      );
    };
    const begin = (target: Target): void => {
      const followed = open(target);
      current.set(target, followed);
      void followed.opened.then(() => {
        wasOpen = true;
        if (away.delete(target)) say(`${target.name}: is there again`);
      });
      void followed.done.then((why) => onGone(target, why));
    };
    for (const target of targets) begin(target);
  });
  return { gone, close: stop };
}
