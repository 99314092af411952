/** What an onlooker knows of a connection from the frames that pass by. `we`: the engine under test; `they`: the fuzzer. */
import { createHash, type Hash } from 'node:crypto';
import type { Role } from '../../../../sidecar/http2/connection-state.js';
import type { LocalSettings } from '../../../../sidecar/http2/settings.js';
import { HpackDecoder } from '../hpack-lite.js';

/** How a stream came to be closed. */
export type Closed = '' | 'ended' | 'reset by us' | 'reset by them';

export class View {
  closed: Closed = '';
  theyEnded = false;
  weEnded = false;
  /** Their request, or their final response, has been seen; ours. */
  theirHeaders = false;
  ourHeaders = false;
  informational = 0;
  /** Bytes announced by content-length, −1 = not; bytes of payload seen. */
  expected = -1;
  received = 0;
  /** Of the payload we sent. */
  readonly ours: Hash = createHash('md5');
  /** Several frames were under way at once, and the engine took for open what the onlooker had not: nothing is known of it. */
  isGuess = false;

  /** What they may send, and we. */
  constructor(
    readonly id: number,
    public theirWindow: number,
    public ourWindow: number,
  ) {}
}

export class WireState {
  readonly views = new Map<number, View>();
  openCount = 0;
  lastTheirId = 0;
  nextOurId = 1;

  theirWindow = 65_535;
  ourWindow = 65_535;
  readonly them = { initialWindow: 65_535, maxFrame: 16_384, maxStreams: 0xffffffff };
  saidSettings = false;
  gotSettings = false;
  settingsAcked = false;
  acksOwed = 0;
  readonly pongsOwed: string[] = [];
  goawaySaid = 0x7fffffff;
  goawayHeard = false;
  /** We said GOAWAY with an error: nothing may follow. */
  isOver = false;

  readonly theirTable = new HpackDecoder();
  readonly ourTable = new HpackDecoder();
  /** Highest closed id by place in the engine's memory of 1,024. */
  private readonly remembered = new Map<number, number>();

  constructor(
    readonly role: Role,
    readonly limits: LocalSettings,
  ) {}

  /** Their first acknowledgement: what they could count on before is not theirs any more. */
  acknowledge(): void {
    const { role, limits } = this;
    const more = role === 'server' && !this.settingsAcked ? 65_535 - limits.initialWindow : 0;
    this.settingsAcked = true;
    if (more > 0) for (const view of this.openViews()) view.theirWindow -= more;
  }

  open(id: number): View {
    const floor = this.settingsAcked || this.role === 'client' ? 0 : 65_535;
    const view = new View(id, Math.max(this.limits.initialWindow, floor), this.them.initialWindow);
    this.views.set(id, view);
    this.openCount++;
    return view;
  }

  openView(id: number): View | null {
    const view = this.views.get(id);
    return view !== undefined && view.closed === '' ? view : null;
  }

  /** All that are open, oldest first. */
  openViews(): View[] {
    return [...this.views.values()].filter((view) => view.closed === '');
  }

  close(id: number, how: Closed): void {
    const view = this.views.get(id) ?? this.open(id);
    if (view.closed === '') this.openCount--;
    view.closed = how;
    const place = (id >>> 1) & 1023;
    this.remembered.set(place, Math.max(id, this.remembered.get(place) ?? 0));
  }

  closeIfDone(view: View): void {
    if (view.closed === '' && view.theyEnded && view.weEnded) this.close(view.id, 'ended');
  }

  /** Whether the engine has room to remember how `id` was closed; if not it must be lenient. */
  isForgotten(id: number): boolean {
    return (this.remembered.get((id >>> 1) & 1023) ?? 0) > id;
  }

  isIdle(id: number): boolean {
    if (id % 2 === 0) return true;
    return this.role === 'server' ? id > this.lastTheirId : id >= this.nextOurId;
  }
}
