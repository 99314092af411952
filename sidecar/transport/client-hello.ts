/** Longest beginning of a connection that is read to find its ClientHello, with the headers of its records, bytes. */
export const MAX_HELLO_BYTES = 16 * 1024;

/** Content type of a TLS record with handshake messages (RFC 8446 section 5.1). */
export const TLS_HANDSHAKE = 22;
const RECORD_HEADER_BYTES = 5;
/** Of a handshake message (RFC 8446 section 4): type and length. */
const MESSAGE_HEADER_BYTES = 4;
const CLIENT_HELLO = 1;
const FIRST_BUFFER_BYTES = 512;

/** What the beginning of a connection is. */
export type HelloState = 'incomplete' | 'complete' | 'no-hello';

/**
 * Collects the beginning of a TLS connection until its ClientHello is complete. The message may be spread over several records
 * (RFC 8446 section 5.1) and reads. Work and memory are linear in what has come, however small the reads are.
 */
export class ClientHello {
  state: HelloState = 'incomplete';
  /** Bytes that have come. */
  length = 0;
  private bytes = Buffer.alloc(0);
  /** Where the record begins that is looked at next. */
  private at = 0;
  /** Bytes of the message in the records before. */
  private messageBytes = 0;
  /** Length of the message with its header; 0: it is not known yet. */
  private wanted = 0;
  /** The header of the message as far as it has come. */
  private readonly header = Buffer.alloc(MESSAGE_HEADER_BYTES);

  /** Memory that it holds, bytes. */
  get heldBytes(): number {
    return this.bytes.length;
  }

  /** All that has come. */
  get read(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  add(chunk: Buffer): HelloState {
    this.grow(this.length + chunk.length);
    chunk.copy(this.bytes, this.length);
    this.length += chunk.length;
    while (this.state === 'incomplete' && this.takeRecord());
    // What follows a complete one is for TLS.
    if (this.state === 'incomplete' && this.length > MAX_HELLO_BYTES) this.state = 'no-hello';
    return this.state;
  }

  private grow(bytes: number): void {
    if (bytes <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * this.bytes.length, FIRST_BUFFER_BYTES));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  /** Reads the record at `at`; false: it is not all here, or there is nothing more to read. */
  private takeRecord(): boolean {
    const { bytes, at } = this;
    const here = this.length - at;
    if (here >= 1 && bytes[at] !== TLS_HANDSHAKE) return this.end('no-hello');
    // Every version from SSL 3 on has the major number 3.
    if (here >= 2 && bytes[at + 1] !== 3) return this.end('no-hello');
    if (here < RECORD_HEADER_BYTES) return false;
    const payload = bytes.readUInt16BE(at + 3);
    if (payload === 0 || payload > MAX_HELLO_BYTES) return this.end('no-hello');
    const start = at + RECORD_HEADER_BYTES;
    const come = Math.min(payload, this.length - start);
    if (this.wanted === 0 && !this.readHeader(start, come)) return false;
    const wanted = this.wanted === 0 ? Number.POSITIVE_INFINITY : this.wanted;
    if (this.messageBytes + come >= wanted) return this.end('complete');
    if (come < payload) return false;
    this.messageBytes += payload;
    this.at = start + payload;
    return true;
  }

  /** Takes the header of the message from this record as far as it is here; false: it is of no ClientHello. */
  private readHeader(start: number, come: number): boolean {
    const { header, messageBytes } = this;
    const upTo = Math.min(MESSAGE_HEADER_BYTES - messageBytes, come);
    if (upTo > 0) this.bytes.copy(header, messageBytes, start, start + upTo);
    const have = messageBytes + Math.max(0, upTo);
    if (have >= 1 && header[0] !== CLIENT_HELLO) return this.end('no-hello');
    if (have < MESSAGE_HEADER_BYTES) return true;
    this.wanted = MESSAGE_HEADER_BYTES + header.readUIntBE(1, 3);
    return this.wanted <= MAX_HELLO_BYTES || this.end('no-hello');
  }

  private end(state: HelloState): false {
    this.state = state;
    return false;
  }
}
