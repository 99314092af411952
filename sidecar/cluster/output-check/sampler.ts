import { EjectionState } from '../../core/outlier/ejection.js';
import { isBlamed, ResponseShapes } from '../../core/outlier/invalid-output.js';
import { areReadOnly } from '../../core/routing/method.js';
import { headerViewOf } from '../../http2/header-view.js';
import { Meter } from '../../http2/limits.js';
import type { Attempt } from '../../relay/attempt.js';
import type { Call } from '../../relay/call.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import { SizeCounts } from '../../telemetry/size-counts.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { DataPlaneContext } from '../../transport/context.js';
import { ResponseTee } from '../../transport/response-tee.js';
import type { Endpoint } from '../endpoint.js';
import { ANSWER_READERS, type AnswerReader } from './answer-readers.js';
import type { Inspection, RestSearch } from './inspect.js';
import { Replay, type ReplayRequest } from './replay.js';
import { ReplayRate } from './replay-rate.js';
import { Suspects } from './suspects.js';

/** Answers looked at in a second, and those that may wait. */
const PER_SECOND = 40;
/**
 * So many are looked at whatever the ratio: large calls are few, and a share of few shows nothing for long. Of many calls one each
 * 100 ms, so that one that breaks in the middle of a second need not wait for the next.
 */
const LEAST = { burst: 10, perSecond: 10 };
const MAX_WAITING = 8;
const PAUSE_MS = 4;
/** Questions to peers under way at once. */
const MAX_REPLAYS = 4;

/** `inOrder`: nothing to see. `charged`: a peer does better. `acquitted`: a peer does the same. `unproven`: no peer said anything. */
export interface OutputCounts {
  inOrder: number;
  charged: number;
  acquitted: number;
  unproven: number;
  unreadable: number;
  /** Of methods whose answers have no form that is known here: none of them was looked at. */
  unknownFormat: number;
}

interface Sample {
  readonly endpoint: Endpoint;
  readonly startMs: number;
  readonly read: AnswerReader;
  readonly answer: ChunkList;
  readonly request: ReplayRequest | null;
  /** Octets of the memory budget that it takes. */
  readonly bytes: number;
  /** Where in its numbers the sample falls. */
  readonly seed: number;
}

/** The answer of a peer of which only a sample was read. The same may be wrong elsewhere in it: all of it is read before a charge. */
interface Search {
  readonly sample: Sample;
  readonly suspicion: string;
  readonly rest: RestSearch;
  /** Octets of the memory budget that the answer takes. */
  readonly bytes: number;
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
  private readonly suspects = new Suspects<Endpoint>();
  private readonly waiting: Sample[] = [];
  private readonly replays = new Set<Replay>();
  private readonly rate = new ReplayRate();
  private readonly searches: Search[] = [];
  private readonly least = new Meter(LEAST);
  private left = PER_SECOND;
  private second = 0;

  constructor(
    private readonly relay: DataPlaneContext,
    public ratio: number,
    private readonly peerOf: (endpoint: Endpoint) => Endpoint | undefined,
    /** An endpoint was charged: there may be enough against it now. */
    private readonly onCharge: () => void,
  ) {
    super();
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
    if (this.searches.length > 0) this.goOnSearching();
    else if (this.mayReplay) this.examineNext();
    this.goOn();
  }

  forget(endpoint: Endpoint): void {
    this.forms.forget(endpoint);
    this.suspects.clear(endpoint);
  }

  stop(): void {
    for (const { bytes } of this.waiting.splice(0)) this.relay.memory.release(bytes);
    for (const replay of [...this.replays]) replay.stop();
    for (const search of this.searches.splice(0)) this.endSearch(search);
    this.relay.wheel.cancel(this);
  }

  /** Whether the answer of a call is one of the few that are looked at. */
  private isChosen(call: Call, endpoint: Endpoint): boolean {
    const { nowMs } = this.relay;
    if (!ANSWER_READERS.has(headerViewOf(call.block).path)) {
      this.passUnread(call);
      return false;
    }
    this.beginSecond(nowMs);
    const isSuspect = this.suspects.has(endpoint, nowMs);
    if (!isSuspect && !this.least.take(nowMs) && this.relay.random() >= this.ratio) return false;
    if (this.waiting.length >= MAX_WAITING) return false;
    return this.hasRoom(nowMs, isSuspect);
  }

  /** An answer in a form that is not known, counted where it is one of inference. */
  passUnread(call: Call): void {
    if (!areReadOnly([headerViewOf(call.block).path])) this.counts.unknownFormat++;
  }

  private beginSecond(nowMs: number): void {
    const second = Math.floor(nowMs / 1_000);
    if (second !== this.second) this.left = PER_SECOND;
    this.second = second;
  }

  /** While there are suspects, half of what is looked at is theirs. */
  private hasRoom(nowMs: number, isSuspect: boolean): boolean {
    // A suspect may have all of it: its verdict is what the others gain from.
    const kept = isSuspect || !this.suspects.isAny(nowMs) ? 0 : PER_SECOND / 2;
    if (this.left <= kept) return false;
    this.left--;
    return true;
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

  /** Whether one more request may go to a peer, should the next answer ask for it. */
  private get mayReplay(): boolean {
    return this.replays.size < MAX_REPLAYS && this.rate.isOpen(this.relay.clock.now());
  }

  private goOn(): void {
    const isMore = this.searches.length > 0 || (this.waiting.length > 0 && this.replays.size < MAX_REPLAYS);
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
    const suspicion = this.forms.suspicion(endpoint, inspection);
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
    this.ask(peer, sample, inspection, suspicion);
  }

  /** Puts the same request to a peer. */
  private ask(peer: Endpoint, sample: Sample, suspect: Inspection, suspicion: string): void {
    const request = sample.request!;
    this.rate.take(request.body.bytes, this.relay.clock.now());
    const replay = new Replay(request, peer, this.relay, (body) => {
      this.replays.delete(replay);
      this.judge(sample, suspect, suspicion, body);
      this.goOn();
    });
    this.replays.add(replay);
    replay.start();
  }

  private judge(sample: Sample, suspect: Inspection, suspicion: string, body: ChunkList | null): void {
    // The same places as in the suspect's answer: what is wrong in both is the input's doing, or the model's way.
    const peer = body === null ? undefined : sample.read(body, sample.seed);
    if (peer === undefined) this.counts.unproven++;
    else if (!isBlamed(suspect, peer)) this.counts.acquitted++;
    else if (peer.rest === null) this.charge(sample, suspicion);
    else return this.search({ sample, suspicion, rest: peer.rest, bytes: body!.pinnedBytes });
    this.done(sample);
  }

  private search(search: Search): void {
    this.relay.memory.force(search.bytes);
    this.searches.push(search);
  }

  private goOnSearching(): void {
    const search = this.searches[0]!;
    const isOdd = search.rest.step();
    // In the next turn of the timer it goes on.
    if (isOdd === undefined) return;
    if (isOdd) this.counts.acquitted++;
    else this.charge(search.sample, search.suspicion);
    this.searches.shift();
    this.endSearch(search);
  }

  private endSearch({ sample, bytes }: Search): void {
    this.relay.memory.release(bytes);
    this.done(sample);
  }

  /** The peer's answer is clean, all of it: the endpoint is to blame. */
  private charge(sample: Sample, suspicion: string): void {
    const { endpoint } = sample;
    const now = this.relay.clock.now();
    this.counts.charged++;
    endpoint.lastFlaw = suspicion;
    // What it answered before says nothing about what it answers now: the share is of the time in which it is suspect.
    if (!this.suspects.has(endpoint, now)) endpoint.ejection.outputs?.clear();
    this.suspects.add(endpoint, now);
    if (!isCounted(sample)) return;
    endpoint.ejection.outputs?.fault(now);
    this.onCharge();
  }

  /** Nothing reads it any more. */
  private done({ bytes }: Sample): void {
    this.relay.memory.release(bytes);
  }
}

/** What began before an ejection ended is history. */
function isCounted({ endpoint: { ejection }, startMs }: Sample): boolean {
  return ejection.state === EjectionState.admitted && startMs >= ejection.sinceMs;
}
