/** One stream in so many of an endpoint is counted to its end, so that the others are passed on unread. */
const EVERY = 8;
/** Weight of a sample in the average. */
const WEIGHT = 0.2;

/** How fast the streams of an endpoint flow, in messages per second of one stream. It is for people: nothing acts on it. */
export class StreamPace {
  /** Average of recent samples; 0: there was none. */
  messagesPerSecond = 0;
  private streams = 0;

  /** Whether the stream that has just had its first message is one that is counted. */
  takes(): boolean {
    return this.streams++ % EVERY === 0;
  }

  record(messages: number, elapsedMs: number): void {
    const found = (messages * 1_000) / elapsedMs;
    const before = this.messagesPerSecond;
    this.messagesPerSecond = before === 0 ? found : before + (found - before) * WEIGHT;
  }
}
