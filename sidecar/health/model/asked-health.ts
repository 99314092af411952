import { framed } from '../../codec/grpc-message.js';
import { readHealthAnswer, Serving } from '../../codec/health.js';
import { Status } from '../../core/outcome/status.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import type { UnaryAnswer } from './grpc-client.js';

/** Time between two questions about one service, ms. */
const INTERVAL_MS = 2_000;
const TIMEOUT_MS = 5_000;
/** So many services are asked for at once. A server has a few. */
export const MAX_ASKED = 32;

/** Asks the model server for the health of one service. Never rejects. */
export type AskHealth = (service: string, timeoutMs: number) => Promise<UnaryAnswer>;

interface Asked {
  watchers: number;
  /** One of `Serving`; undefined: no answer has said it yet. */
  status: number | undefined;
  timer: Timer | undefined;
}

/**
 * The health of services that only the model server knows, by their names. Each is asked for with `Check` while somebody watches it, once for
 * all who do, so that their streams take nothing from the model.
 */
export class AskedHealth {
  private readonly services = new Map<string, Asked>();

  constructor(
    private readonly ask: AskHealth,
    private readonly timers: Timers,
    /** Nothing is asked for any more. */
    private readonly onIdle: () => void = () => {},
  ) {}

  /** One more watches the service. False: too many services are asked for. */
  begin(service: string): boolean {
    let asked = this.services.get(service);
    if (asked === undefined) {
      if (this.services.size >= MAX_ASKED) return false;
      asked = { watchers: 0, status: undefined, timer: undefined };
      this.services.set(service, asked);
      void this.look(service, asked);
    }
    asked.watchers++;
    return true;
  }

  end(service: string): void {
    const asked = this.services.get(service);
    if (asked === undefined || --asked.watchers > 0) return;
    asked.timer?.cancel();
    this.services.delete(service);
    if (this.services.size === 0) this.onIdle();
  }

  statusOf(service: string): number | undefined {
    return this.services.get(service)?.status;
  }

  private async look(service: string, asked: Asked): Promise<void> {
    const answer = await this.ask(service, TIMEOUT_MS);
    if (this.services.get(service) !== asked) return;
    asked.status = statusIn(answer) ?? asked.status;
    asked.timer = this.timers.after(INTERVAL_MS, () => void this.look(service, asked));
  }
}

/** Undefined: the answer does not say it, as that of a server that is too busy. */
function statusIn(answer: UnaryAnswer): number | undefined {
  if (answer.kind === 'message') return readHealthAnswer(framed(answer.message));
  if (answer.kind === 'silent') return undefined;
  if (answer.status === Status.NOT_FOUND) return Serving.SERVICE_UNKNOWN;
  // Clients take a server without a health service for one that serves (gRFC A17).
  return answer.status === Status.UNIMPLEMENTED ? Serving.SERVING : undefined;
}
