/**
 * The messages of the SPIFFE Workload API that a sidecar needs (SPIFFE_Workload_API.md, section 5.1): X509SVIDRequest, which is empty, and
 * X509SVIDResponse. Certificates and keys are DER.
 */
import { type Field, fieldsOf } from './protobuf.js';

/** Path of the call whose responses are all SVIDs of the caller, anew after each change. */
export const FETCH_X509_SVID = '/SpiffeWorkloadAPI/FetchX509SVID';
/** Metadata without which a Workload API refuses a call (SPIFFE_Workload_Endpoint.md, section 3). */
export const SECURITY_HEADER = 'workload.spiffe.io';

/** SVIDs and bundles of one response that are read: this many of each. */
export const MAX_ENTRIES = 100;

/** One X.509-SVID: concatenated certificates, leaf first, and a PKCS#8 key. */
export interface WorkloadSvid {
  readonly spiffeId: string;
  readonly chainDer: Buffer;
  readonly keyDer: Buffer;
  /** Concatenated roots of its trust domain. */
  readonly bundleDer: Buffer;
  /** What it is for, in the words of the operator; empty: nothing is said. */
  readonly hint: string;
}

/** All that the caller has now. */
export interface WorkloadSvids {
  readonly svids: readonly WorkloadSvid[];
  /** Concatenated roots of other trust domains, by their SPIFFE ids, in the order of these. */
  readonly federated: ReadonlyMap<string, Buffer>;
  /** How many the response has beyond `MAX_ENTRIES`; they are not read. */
  readonly unread: { readonly svids: number; readonly federated: number };
}

/** Reads an X509SVIDResponse. @throws RangeError when the bytes are no message. */
export function readSvids(bytes: Buffer): WorkloadSvids {
  const svids: Buffer[] = [];
  const federated = new Map<string, Buffer>();
  for (const { number, type, value } of fieldsOf(bytes)) {
    if (type !== 'bytes') continue;
    if (number === 1) svids.push(value);
    if (number !== 3) continue;
    const entry = byNumber(value);
    federated.set(textOf(entry.get(1)), bytesOf(entry.get(2)));
  }
  // The order of a map is random on the wire: the same bundles have to count each time.
  const sorted = [...federated].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    svids: svids.slice(0, MAX_ENTRIES).map(readSvid),
    federated: new Map(sorted.slice(0, MAX_ENTRIES)),
    unread: {
      svids: Math.max(0, svids.length - MAX_ENTRIES),
      federated: Math.max(0, federated.size - MAX_ENTRIES),
    },
  };
}

function readSvid(bytes: Buffer): WorkloadSvid {
  const fields = byNumber(bytes);
  return {
    spiffeId: textOf(fields.get(1)),
    chainDer: bytesOf(fields.get(2)),
    keyDer: bytesOf(fields.get(3)),
    bundleDer: bytesOf(fields.get(4)),
    hint: textOf(fields.get(5)),
  };
}

/** The last one of each field, as proto3 has it. */
function byNumber(bytes: Buffer): ReadonlyMap<number, Field> {
  return new Map([...fieldsOf(bytes)].map((field) => [field.number, field]));
}

function bytesOf(field: Field | undefined): Buffer {
  return field?.type === 'bytes' ? field.value : Buffer.alloc(0);
}

function textOf(field: Field | undefined): string {
  return bytesOf(field).toString('utf8');
}
