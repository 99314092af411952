import { ResponseShapes } from '../../core/outlier/invalid-output.js';
import { areReadOnly } from '../../core/routing/method.js';
import { headerViewOf } from '../../http2/header-view.js';
import type { Attempt } from '../../relay/attempt.js';
import type { Call } from '../../relay/call.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import { SizeCounts } from '../../telemetry/size-counts.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { DataPlaneContext } from '../../transport/context.js';
import { ResponseTee } from '../../transport/response-tee.js';
import type { Endpoint } from '../endpoint.js';
import { ANSWER_READERS } from './answer-readers.js';
import { PeerCheck, type PeerCounts } from './peer-check.js';
import { isCounted, type Sample } from './sample.js';
import { SampleRate } from './sample-rate.js';
import { Suspects } from './suspects.js';

/** Answers that may wait to be looked at. */
const MAX_WAITING = 8;
const PAUSE_MS = 4;

/** `inOrder`: nothing to see. */
export interface OutputCounts extends PeerCounts {
  inOrder: number;
  unreadable: number;
  /** Of methods whose answers have no form that is known here: none of them was looked at. */
  unknownFormat: number;
}

/**
 * Samples answers of inference (`ANSWER_READERS`) and looks at them later, a few per second and one at a time, so that no call waits for it.
 * What it looks at is kept by reference: an answer that is held as it is, a longer one as it passes by (`ResponseTee`). A
 * suspicious one is charged to its endpoint only when a peer answers the same request properly. That takes a request
 * that may be sent again: of routes that are not idempotent, nothing is ever charged.
 */
export class OutputInspector extends WheelEntry {
  readonly counts: OutputCounts = {
    inOrder: 0,
    charged: 0,
    acquitted: 0,
    unproven: 0,
    unreadable: 0,
    unknownFormat: 0,
  };
  /** What it could not look at, or not put to a peer. */
  readonly unseen = new SizeCounts();
  private readonly forms = new ResponseShapes<Endpoint>();
  /** How many answers are looked at. */
  readonly rate: SampleRate<Endpoint>;
  private readonly suspects = new Suspects<Endpoint>();
  private readonly waiting: Sample[] = [];
  private readonly peers: PeerCheck;

  constructor(
    private readonly relay: DataPlaneContext,
    private readonly peerOf: (endpoint: Endpoint) => Endpoint | undefined,
    /** An endpoint was charged: there may be enough against it now. */
    onCharge: () => void,
  ) {
    super();
    const { counts, suspects } = this;
    this.rate = new SampleRate(suspects, relay.random);
    this.peers = new PeerCheck(relay, { counts, suspects, onCharge, onAnswer: () => this.goOn() });
  }

  /** The response of a unary call is longer than what is held: it is kept as it passes by, if this is one to look at. */
  follow(call: Call, endpoint: Endpoint, isIdempotent: boolean): void {
    if (!this.isChosen(call, endpoint)) return;
    // A mirror may have begun to keep it already; both read the same.
    call.tee ??= new ResponseTee(this.relay.memory, call.plan.sampleBytes);
    call.tee.isInspected = true;
    const request = isIdempotent ? this.requestOf(call) : null;
    if (request !== null && !call.tee.keepRequest(request)) this.unseen.memory++;
  }

  /** A unary call was answered with OK by `attempt`, which still holds its answer, or has passed it on. */
  offer(call: Call, attempt: Attempt, endpoint: Endpoint, isIdempotent: boolean): void {
    const { tee } = call;
    if (tee !== null) {
      if (tee.isInspected) this.offerPassed(call, attempt, endpoint, tee);
      return;
    }
    const answer = attempt.heldResponse;
    if (answer === null || call.isCommitted || !this.isChosen(call, endpoint)) return;
    const body = isIdempotent ? this.requestOf(call) : null;
    const bytes = answer.pinnedBytes + (body === null ? 0 : body.pinnedBytes);
    if (!this.relay.memory.reserveAside(bytes)) {
      this.unseen.memory++;
      return;
    }
    this.add({ call, attempt, endpoint, answer, body, bytes });
  }

  /**
   * Whether the answer of a trial is like those for which its endpoint was ejected. Looked at before the trial counts, as the status
   * says OK. It is charged by no peer's word: that was given, and an endpoint that is out has to show that it is well.
   */
  isSuspicious(call: Call, { heldResponse }: Attempt, endpoint: Endpoint): boolean {
    const read = ANSWER_READERS.get(headerViewOf(call.block).path);
    if (read === undefined || heldResponse === null) return false;
    const inspection = read(heldResponse, Math.floor(this.relay.random() * 2 ** 31));
    return inspection !== undefined && this.forms.suspicion(endpoint, inspection) !== '';
  }

  fire(): void {
    if (this.peers.isSearching) this.peers.searchOn();
    else if (this.peers.mayAsk) this.examineNext();
    this.goOn();
  }

  forget(endpoint: Endpoint): void {
    this.forms.forget(endpoint);
    this.suspects.clear(endpoint);
  }

  stop(): void {
    for (const { bytes } of this.waiting.splice(0)) this.relay.memory.release(bytes);
    this.peers.stop();
    this.relay.wheel.cancel(this);
  }

  /** Whether the answer of a call is one of the few that are looked at. */
  private isChosen(call: Call, endpoint: Endpoint): boolean {
    const { nowMs } = this.relay;
    if (!ANSWER_READERS.has(headerViewOf(call.block).path)) {
      this.passUnread(call);
      return false;
    }
    if (!this.rate.wants(endpoint, nowMs) || this.waiting.length >= MAX_WAITING) return false;
    return this.rate.take(endpoint, nowMs);
  }

  /** An answer in a form that is not known, counted where it is one of inference. */
  passUnread(call: Call): void {
    if (!areReadOnly([headerViewOf(call.block).path])) this.counts.unknownFormat++;
  }

  /** All of the request, where it may be sent again; null: it is not there. */
  private requestOf(call: Call): ChunkList | null {
    if (call.requestEnded && call.isReplayable) return call.buffered;
    if (call.requestBytes > call.plan.replayBytes) this.unseen.requestTooLarge++;
    return null;
  }

  /** The answer has been passed on; what was kept of it is looked at if it is whole. */
  private offerPassed(call: Call, attempt: Attempt, endpoint: Endpoint, tee: ResponseTee): void {
    if (tee.missing === 'too-large') this.unseen.responseTooLarge++;
    else if (tee.missing === 'memory') this.unseen.memory++;
    const answer = tee.response;
    if (answer === null || this.waiting.length >= MAX_WAITING) return;
    this.add({ call, attempt, endpoint, answer, body: tee.request, bytes: tee.handOver() });
  }

  /** One more to be looked at, a moment after its call. */
  private add(chosen: {
    readonly call: Call;
    readonly attempt: Attempt;
    readonly endpoint: Endpoint;
    readonly answer: ChunkList;
    readonly body: ChunkList | null;
    readonly bytes: number;
  }): void {
    const { call, attempt, endpoint, answer, body, bytes } = chosen;
    const { handler } = call;
    const request =
      body === null
        ? null
        : {
            headers: handler.requestHeaders(call, attempt),
            extras: handler.requestExtras(call, attempt),
            body,
          };
    const seed = Math.floor(this.relay.random() * 2 ** 31);
    const read = ANSWER_READERS.get(headerViewOf(call.block).path)!;
    this.waiting.push({ endpoint, startMs: attempt.startMs, read, answer, request, bytes, seed });
    if (!this.isScheduled) this.relay.wheel.add(this, this.relay.nowMs + PAUSE_MS);
  }

  private goOn(): void {
    const isMore = this.peers.isSearching || (this.waiting.length > 0 && this.peers.hasRoom);
    if (isMore && !this.isScheduled) this.relay.wheel.add(this, this.relay.clock.now() + PAUSE_MS);
  }

  /** Looks at the one that has waited longest. */
  private examineNext(): void {
    const sample = this.waiting.shift();
    if (sample === undefined) return;
    const { endpoint, read, answer, request, seed } = sample;
    const inspection = read(answer, seed);
    // Compressed, say: nothing is known of it.
    if (inspection === undefined) {
      this.counts.unreadable++;
      return this.done(sample);
    }
    const flaw = this.forms.suspicion(endpoint, inspection);
    if (flaw === '') {
      this.counts.inOrder++;
      if (isCounted(sample)) endpoint.ejection.outputs?.success(this.relay.clock.now());
      return this.done(sample);
    }
    const peer = request === null ? undefined : this.peerOf(endpoint);
    this.peers.ask(peer, { sample, inspection, flaw });
  }

  /** Nothing reads it any more. */
  private done({ bytes }: Sample): void {
    this.relay.memory.release(bytes);
  }
}
