import type { Timers } from '../../runtime/time/timers.js';
import { type FileWatcher, watchFile } from './file-watcher.js';

/** What asks a long-running command to read its file again. Each is told of what came before too. */
export interface ReloadFollower {
  onChange(): void;
  onHangup(): void;
  /** The file is gone. */
  onGone(): void;
  /** The file cannot be watched. */
  onProblem(error: Error): void;
}

type Request =
  | { readonly kind: 'change' }
  | { readonly kind: 'hangup' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'problem'; readonly error: Error };

/**
 * Changes of a file and SIGHUP, from before the file is read for the first time: a command that starts keeps them, and follows them
 * once it has started.
 */
export class ReloadRequests {
  private readonly waiting = new Map<Request['kind'], Request>();
  private follower: ReloadFollower | undefined;
  private readonly watcher: FileWatcher;

  /** Watches from now on. SIGHUP is passed in by `hangUp`. */
  constructor(file: string, timers: Timers) {
    this.watcher = watchFile({
      file,
      timers,
      onChange: () => this.pass({ kind: 'change' }),
      onGone: () => this.pass({ kind: 'gone' }),
      onProblem: (error) => this.pass({ kind: 'problem', error }),
    });
  }

  readonly hangUp = (): void => {
    this.watcher.isRead();
    this.pass({ kind: 'hangup' });
  };

  /** What was kept comes at once, each kind once. */
  follow(follower: ReloadFollower): void {
    this.follower = follower;
    const kept = [...this.waiting.values()];
    this.waiting.clear();
    for (const request of kept) this.pass(request);
  }

  /** Nothing is kept or told any more. */
  close(): void {
    this.watcher.close();
    this.follow({ onChange: () => {}, onHangup: () => {}, onGone: () => {}, onProblem: () => {} });
  }

  private pass(request: Request): void {
    const { follower } = this;
    if (follower === undefined) this.waiting.set(request.kind, request);
    else if (request.kind === 'change') follower.onChange();
    else if (request.kind === 'hangup') follower.onHangup();
    else if (request.kind === 'problem') follower.onProblem(request.error);
    else follower.onGone();
  }
}
