/** Calls that one connection carries at a time. A sidecar takes 256 by default; more would wait in the client, where nothing shows them. */
export const CALLS_OF_CHANNEL = 128;

/** A place of a call on a channel. */
export interface Lease<Channel> {
  readonly channel: Channel;
  /** The call is over; to be called once. */
  release(): void;
}

/** As many connections as the calls need that run at a time. The first ones are used first. */
export class Channels<Channel> {
  private readonly used: { readonly channel: Channel; calls: number }[] = [];

  constructor(private readonly make: () => Channel) {}

  /** All that have been made. */
  get all(): readonly Channel[] {
    return this.used.map(({ channel }) => channel);
  }

  take(): Lease<Channel> {
    let use = this.used.find(({ calls }) => calls < CALLS_OF_CHANNEL);
    if (use === undefined) {
      use = { channel: this.make(), calls: 0 };
      this.used.push(use);
    }
    use.calls++;
    const taken = use;
    return { channel: taken.channel, release: () => void taken.calls-- };
  }
}
