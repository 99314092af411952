/** One event of a stream of server-sent events. */
export interface StreamEvent {
  /** `message` where it has no name. */
  readonly name: string;
  readonly data: string;
}

/** An event that grows beyond this is none of ours. */
const MAX_EVENT_CHARS = 256 * 1024;

/** Reads server-sent events (WHATWG HTML, section 9.2) out of text that comes in pieces; comments and other fields are passed over. */
export class EventReader {
  private rest = '';

  /** The events that are complete with this piece. @throws Error for one that does not end. */
  read(piece: string): StreamEvent[] {
    const blocks = (this.rest + piece).split('\n\n');
    this.rest = blocks.pop() ?? '';
    if (this.rest.length > MAX_EVENT_CHARS) throw new Error('an event without an end');
    return blocks.flatMap((block) => {
      const lines = block.split('\n');
      const fieldsOf = (field: string) =>
        lines.filter((line) => line.startsWith(`${field}: `)).map((line) => line.slice(field.length + 2));
      const data = fieldsOf('data');
      return data.length === 0 ? [] : [{ name: fieldsOf('event')[0] ?? 'message', data: data.join('\n') }];
    });
  }
}
