/** Reads a ZIP archive in memory (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT), without ZIP64. */
import { inflateRawSync } from 'node:zlib';

const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_LENGTH = 22;
const ENTRY_LENGTH = 46;
const LOCAL_LENGTH = 30;
const MAX_COMMENT = 0xffff;
const STORED = 0;
const DEFLATED = 8;

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly packedBytes: number;
  readonly bytes: number;
  readonly localOffset: number;
}

export interface ZipOptions {
  /** Which entries are read. */
  readonly wanted: (name: string) => boolean;
  /** Of all entries that are read, unpacked. */
  readonly maxBytes: number;
}

/** The wanted entries by name. Throws if the archive is damaged or too large. */
export function readZip(archive: Buffer, { wanted, maxBytes }: ZipOptions): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  let left = maxBytes;
  for (const entry of directory(archive)) {
    if (!wanted(entry.name)) continue;
    left -= entry.bytes;
    if (left < 0) throw new Error(`the archive has more than ${maxBytes} bytes`);
    files.set(entry.name, unpack(archive, entry));
  }
  return files;
}

function directory(archive: Buffer): Entry[] {
  const end = endOffset(archive);
  const entries: Entry[] = [];
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    part(archive, at, ENTRY_LENGTH, ENTRY_SIGNATURE);
    const nameLength = archive.readUInt16LE(at + 28);
    entries.push({
      name: archive.toString('utf8', at + ENTRY_LENGTH, at + ENTRY_LENGTH + nameLength),
      method: archive.readUInt16LE(at + 10),
      packedBytes: archive.readUInt32LE(at + 20),
      bytes: archive.readUInt32LE(at + 24),
      localOffset: archive.readUInt32LE(at + 42),
    });
    at += ENTRY_LENGTH + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return entries;
}

/** The end record is the last thing in the archive, before a comment of any length. */
function endOffset(archive: Buffer): number {
  const first = Math.max(0, archive.length - END_LENGTH - MAX_COMMENT);
  for (let at = archive.length - END_LENGTH; at >= first; at--)
    if (archive.readUInt32LE(at) === END_SIGNATURE) return at;
  throw new Error('this is no ZIP archive');
}

function unpack(archive: Buffer, { name, method, packedBytes, bytes, localOffset }: Entry): Buffer {
  part(archive, localOffset, LOCAL_LENGTH, LOCAL_SIGNATURE);
  const begin =
    localOffset +
    LOCAL_LENGTH +
    archive.readUInt16LE(localOffset + 26) +
    archive.readUInt16LE(localOffset + 28);
  if (begin + packedBytes > archive.length) throw new Error(`the archive is cut off within ${name}`);
  const packed = archive.subarray(begin, begin + packedBytes);
  if (method === STORED) return packed;
  if (method !== DEFLATED) throw new Error(`${name} is packed by method ${method}, which is unknown`);
  // An entry that lies about its size fails here.
  return inflateRawSync(packed, { maxOutputLength: Math.max(1, bytes) });
}

function part(archive: Buffer, at: number, length: number, signature: number): void {
  if (at + length > archive.length || archive.readUInt32LE(at) !== signature)
    throw new Error('the archive is damaged');
}
