/** Octets of payload that wait to be written, of all connections that share the count; changed per frame. */
export class OctetCount {
  octets = 0;
}

/** Memory of an open stream of a peer besides payload, octets: records of the stream and of its call. */
export const STREAM_BYTES = 4096;
