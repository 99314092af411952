import { MODEL_INFER } from '../../codec/inference.js';
import { EjectionState } from '../../core/outlier/ejection.js';
import { type InspectedResponse, isBlamed, ResponseShapes } from '../../core/outlier/invalid-output.js';
import { headerViewOf } from '../../http2/header-view.js';
import type { Attempt } from '../../relay/attempt.js';
import type { Call } from '../../relay/call.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { DataPlaneContext } from '../../transport/context.js';
import type { Endpoint } from '../endpoint.js';
import { inspectAnswer } from './inspect.js';
import { Replay, type ReplayRequest } from './replay.js';

/** Answers looked at in a second, and those that may wait. */
const PER_SECOND = 20;
const MAX_WAITING = 8;
const PAUSE_MS = 4;
/** Larger requests are not sent again. Larger answers are not held, and so not looked at. */
const MAX_REQUEST_BYTES = 256 * 1024;

/** `inOrder`: nothing to see. `charged`: a peer does better. `acquitted`: a peer does the same. `unproven`: no peer said anything. */
export interface OutputCounts {
  inOrder: number;
  charged: number;
  acquitted: number;
  unproven: number;
  unreadable: number;
}

interface Sample {
  readonly endpoint: Endpoint;
  readonly startMs: number;
  readonly answer: Buffer;
  readonly request: ReplayRequest | null;
  readonly bytes: number;
}

/**
 * Samples answers of ModelInfer and looks at them later, a few per second and one at a time, so that no call waits for it.
 * A suspicious one is charged to its endpoint only when a peer answers the same request properly. That takes a request
 * that may be sent again: of routes that are not idempotent, nothing is ever charged.
 */
export class OutputInspector extends WheelEntry {
  readonly counts: OutputCounts = { inOrder: 0, charged: 0, acquitted: 0, unproven: 0, unreadable: 0 };
  private readonly forms = new ResponseShapes<Endpoint>();
  private readonly waiting: Sample[] = [];
  private replay: Replay | null = null;
  private left = PER_SECOND;
  private second = 0;

  constructor(
    private readonly relay: DataPlaneContext,
    public ratio: number,
    private readonly peerOf: (endpoint: Endpoint) => Endpoint | undefined,
  ) {
    super();
  }

  /** A unary call was answered with OK by `attempt`, which still holds its answer. */
  offer(call: Call, attempt: Attempt, endpoint: Endpoint, isIdempotent: boolean): void {
    if (this.relay.random() >= this.ratio || this.waiting.length >= MAX_WAITING) return;
    const { heldResponse } = attempt;
    if (heldResponse === null || call.isCommitted || headerViewOf(call.block).path !== MODEL_INFER) return;
    if (!this.hasRoom(this.relay.nowMs)) return;
    const isSendable = isIdempotent && call.requestEnded && call.isReplayable;
    const held =
      isSendable && call.buffered !== null && call.buffered.bytes <= MAX_REQUEST_BYTES ? call.buffered : null;
    const bytes = heldResponse.bytes + (held?.bytes ?? 0);
    if (!this.relay.memory.reserve(bytes)) return;
    const request = held === null ? null : requestOf(call, attempt, held);
    const answer = Buffer.from(heldResponse.whole());
    this.waiting.push({ endpoint, startMs: attempt.startMs, answer, request, bytes });
    if (!this.isScheduled) this.relay.wheel.add(this, this.relay.nowMs + PAUSE_MS);
  }

  fire(): void {
    // One replay at a time: what waits meanwhile is looked at after it.
    if (this.replay !== null) return;
    const sample = this.waiting.shift();
    if (sample === undefined) return;
    this.examine(sample);
    if (this.replay === null) this.goOn();
  }

  forget(endpoint: Endpoint): void {
    this.forms.forget(endpoint);
  }

  stop(): void {
    this.relay.wheel.cancel(this);
    for (const { bytes } of this.waiting.splice(0)) this.relay.memory.release(bytes);
    this.replay?.stop();
    this.relay.wheel.cancel(this);
  }

  private goOn(): void {
    if (this.waiting.length > 0 && !this.isScheduled)
      this.relay.wheel.add(this, this.relay.clock.now() + PAUSE_MS);
  }

  private hasRoom(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1_000);
    if (second !== this.second) this.left = PER_SECOND;
    this.second = second;
    if (this.left === 0) return false;
    this.left--;
    return true;
  }

  private examine(sample: Sample): void {
    const { endpoint, answer, request } = sample;
    const inspected = inspectAnswer(answer);
    if (inspected === undefined) {
      this.counts.unreadable++;
      return this.done(sample);
    }
    const suspicion = this.forms.suspicion(endpoint, inspected);
    if (suspicion === '') {
      this.counts.inOrder++;
      if (isCounted(sample)) endpoint.ejection.outputs?.success(this.relay.clock.now());
      return this.done(sample);
    }
    const peer = request === null ? undefined : this.peerOf(endpoint);
    if (peer === undefined) {
      this.counts.unproven++;
      return this.done(sample);
    }
    this.replay = new Replay(request!, peer, this.relay, (body) => {
      this.replay = null;
      this.judge(sample, inspected, suspicion, body);
      this.done(sample);
      this.goOn();
    });
    this.replay.start();
  }

  private judge(sample: Sample, suspect: InspectedResponse, suspicion: string, body: Buffer | null): void {
    const peer = body === null ? undefined : inspectAnswer(body);
    if (peer === undefined) {
      this.counts.unproven++;
    } else if (isBlamed(suspect, peer)) {
      this.counts.charged++;
      sample.endpoint.lastFlaw = suspicion;
      if (isCounted(sample)) sample.endpoint.ejection.outputs?.fault(this.relay.clock.now());
    } else {
      this.counts.acquitted++;
    }
  }

  private done({ bytes }: Sample): void {
    this.relay.memory.release(bytes);
  }
}

/** What began before an ejection ended is history. */
function isCounted({ endpoint: { ejection }, startMs }: Sample): boolean {
  return ejection.state === EjectionState.admitted && startMs >= ejection.sinceMs;
}

function requestOf(call: Call, attempt: Attempt, held: ChunkList): ReplayRequest {
  return {
    headers: call.handler.requestHeaders(call, attempt),
    extras: call.handler.requestExtras(call, attempt),
    body: Buffer.from(held.whole()),
  };
}
