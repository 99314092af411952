/** Bytes on their way to the caller of a resumed stream that its present endpoint did not send: they give that one no credit. */
export class ForeignBytes {
  private waiting = 0;

  /** Another endpoint goes on. @param waiting what of the endpoints before is on its way. */
  restart(waiting: number): void {
    this.waiting = waiting;
  }

  add(bytes: number): void {
    this.waiting += bytes;
  }

  /** Of bytes that have gone to the caller, those of the present endpoint. */
  own(bytes: number): number {
    const foreign = Math.min(bytes, this.waiting);
    this.waiting -= foreign;
    return bytes - foreign;
  }
}
