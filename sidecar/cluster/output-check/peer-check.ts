import { isBlamed } from '../../core/outlier/invalid-output.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { DataPlaneContext } from '../../transport/context.js';
import type { Endpoint } from '../endpoint.js';
import type { Inspection, RestSearch } from './inspect.js';
import { Replay } from './replay.js';
import { ReplayRate } from './replay-rate.js';
import { isCounted, type Sample } from './sample.js';
import type { Suspects } from './suspects.js';

/** Questions to peers under way at once. */
const MAX_REPLAYS = 4;

/** `charged`: a peer does better. `acquitted`: a peer does the same. `unproven`: no peer said anything. */
export interface PeerCounts {
  charged: number;
  acquitted: number;
  unproven: number;
}

/** What verdicts change. */
export interface PeerCheckDeps {
  readonly counts: PeerCounts;
  readonly suspects: Suspects<Endpoint>;
  /** An endpoint was charged: there may be enough against it now. */
  onCharge(): void;
  /** A peer has answered, or will not: there is room for the next question. */
  onAnswer(): void;
}

/** An answer with something in it that no answer may have. */
export interface Suspicion {
  readonly sample: Sample;
  readonly inspection: Inspection;
  /** What it has, in a few words. */
  readonly flaw: string;
}

/** The answer of a peer of which only a sample was read. The same may be wrong elsewhere in it: all of it is read before a charge. */
interface Search {
  readonly suspicion: Suspicion;
  readonly rest: RestSearch;
  /** Bytes of the memory budget that the answer takes. */
  readonly bytes: number;
}

/**
 * Puts the request of a suspicious answer to a peer, and charges the endpoint when the peer answers properly. What is wrong in both
 * answers is the input's doing, or the model's way.
 */
export class PeerCheck {
  private readonly replays = new Set<Replay>();
  private readonly rate = new ReplayRate();
  private readonly searches: Search[] = [];

  constructor(
    private readonly relay: DataPlaneContext,
    private readonly deps: PeerCheckDeps,
  ) {}

  /** Whether fewer questions are under way than may be. */
  get hasRoom(): boolean {
    return this.replays.size < MAX_REPLAYS;
  }

  /** Whether one more request may go to a peer now. */
  get mayAsk(): boolean {
    return this.hasRoom && this.rate.isOpen(this.relay.clock.now());
  }

  /** An answer of a peer has to be read to its end. */
  get isSearching(): boolean {
    return this.searches.length > 0;
  }

  /** Puts the request to `peer`, if both are there. The sample is released in the end, whatever comes of it. */
  ask(peer: Endpoint | undefined, suspicion: Suspicion): void {
    const { request } = suspicion.sample;
    if (peer === undefined || request === null) {
      this.deps.counts.unproven++;
      return this.done(suspicion.sample);
    }
    this.rate.take(request.body.bytes, this.relay.clock.now());
    const replay = new Replay(request, peer, this.relay, (body) => {
      this.replays.delete(replay);
      this.judge(suspicion, body);
      this.deps.onAnswer();
    });
    this.replays.add(replay);
    replay.start();
  }

  /** The next step of the search that was begun first. */
  searchOn(): void {
    const search = this.searches[0]!;
    const isOdd = search.rest.step();
    // In the next turn of the timer it goes on.
    if (isOdd === undefined) return;
    if (isOdd) this.deps.counts.acquitted++;
    else this.charge(search.suspicion);
    this.searches.shift();
    this.endSearch(search);
  }

  /** Ends what is under way, without a verdict. */
  stop(): void {
    for (const replay of [...this.replays]) replay.stop();
    for (const search of this.searches.splice(0)) this.endSearch(search);
  }

  private judge(suspicion: Suspicion, body: ChunkList | null): void {
    const { counts } = this.deps;
    const { sample, inspection } = suspicion;
    // The same places as in the suspect's answer.
    const peer = body === null ? undefined : sample.read(body, sample.seed);
    if (peer === undefined) counts.unproven++;
    else if (!isBlamed(inspection, peer)) counts.acquitted++;
    else if (peer.rest === null) this.charge(suspicion);
    else return this.search({ suspicion, rest: peer.rest, bytes: body!.pinnedBytes });
    this.done(sample);
  }

  private search(search: Search): void {
    this.relay.memory.force(search.bytes);
    this.searches.push(search);
  }

  private endSearch({ suspicion, bytes }: Search): void {
    this.relay.memory.release(bytes);
    this.done(suspicion.sample);
  }

  /** The peer's answer is clean, all of it: the endpoint is to blame. */
  private charge({ sample, flaw }: Suspicion): void {
    const { counts, suspects } = this.deps;
    const { endpoint } = sample;
    const now = this.relay.clock.now();
    counts.charged++;
    endpoint.lastFlaw = flaw;
    // What it answered before says nothing about what it answers now: the share is of the time in which it is suspect.
    if (!suspects.has(endpoint, now)) endpoint.ejection.outputs?.clear();
    suspects.add(endpoint, now);
    if (!isCounted(sample)) return;
    endpoint.ejection.outputs?.fault(now);
    this.deps.onCharge();
  }

  /** Nothing reads it any more. */
  private done({ bytes }: Sample): void {
    this.relay.memory.release(bytes);
  }
}
