/** Octets of payload that wait to be written, of all connections that share the count. A plain number, changed per frame. */
export class OctetCount {
  octets = 0;
}

/** What an open stream of a peer costs beside its payload: the records of the stream, of its call and of where that goes. */
export const STREAM_BYTES = 4096;
