/** Writes ZIP archives as engines send them: the files of a tokenizer. Checksums are 0, which no reader here looks at. */
import { deflateRawSync } from 'node:zlib';

const u16 = (value: number): Buffer => Buffer.from(Uint16Array.of(value).buffer);
const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);

export interface ZippedFile {
  readonly name: string;
  readonly content: Uint8Array;
  /** Default: true. */
  readonly isDeflated?: boolean;
  /** The size that the archive claims, if it is not the true one. */
  readonly claimedBytes?: number;
}

export function zipArchive(files: readonly ZippedFile[], comment = ''): Buffer {
  const locals: Buffer[] = [];
  const entries: Buffer[] = [];
  let offset = 0;
  for (const { name, content, isDeflated = true, claimedBytes = content.length } of files) {
    const packed = isDeflated ? deflateRawSync(content) : Buffer.from(content);
    const path = Buffer.from(name);
    const sizes = Buffer.concat([u32(0), u32(packed.length), u32(claimedBytes), u16(path.length)]);
    const shared = Buffer.concat([u16(20), u16(0), u16(isDeflated ? 8 : 0), u16(0), u16(0), sizes]);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), shared, u16(0), path, packed]);
    const rest = Buffer.concat([u16(0), u16(0), u16(0), u16(0), u32(0), u32(offset)]);
    entries.push(Buffer.concat([Buffer.from('PK\x01\x02'), u16(20), shared, rest, path]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(entries);
  const counts = Buffer.concat([u16(0), u16(0), u16(files.length), u16(files.length)]);
  const end = Buffer.concat([u32(directory.length), u32(offset), u16(comment.length), Buffer.from(comment)]);
  return Buffer.concat([...locals, directory, Buffer.from('PK\x05\x06'), counts, end]);
}
