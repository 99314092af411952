import { CommandFailure } from '../../failure.js';
import { endRequests } from '../../signals.js';

class Ended extends CommandFailure {}

/** Waits that end when the command is asked to end (Ctrl-C, SIGTERM): then what was begun is ended in order. */
export class Ending {
  private readonly requests = endRequests();
  private readonly ended: Promise<never>;
  isAsked = false;

  constructor() {
    const { first, second } = this.requests;
    this.ended = first.then((why) => {
      this.isAsked = true;
      throw new Ended(`ended by ${why}`);
    });
    this.ended.catch(() => {});
    // The second request does not wait; `exit` handlers end what runs.
    void second.then(() => process.exit(1));
  }

  /** Rejects at the first request. */
  sleep(ms: number): Promise<void> {
    return Promise.race([new Promise<void>((resolve) => setTimeout(resolve, ms)), this.ended]);
  }

  /** Signals have their usual effect again. */
  release(): void {
    this.requests.release();
  }
}
