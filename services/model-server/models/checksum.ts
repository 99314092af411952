import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/**
 * Reads the whole file. Rejects with an Error that has both sums where it is another file than the card was written for; without an
 * expected sum only where it cannot be read.
 */
export async function requireChecksum(path: string, expected: string | undefined): Promise<void> {
  const found = await checksumOf(path);
  if (expected !== undefined && found !== expected) {
    throw new Error(
      `model.onnx has sha256 ${found}, expected ${expected} of model.yaml: put the right file back, or \`outrider golden\` takes this one`,
    );
  }
}

/** The sha256 of a file in hex. Rejects with an Error of one line where it cannot be read. */
export async function checksumOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (error) {
    throw new Error(`model.onnx cannot be read: ${(error as NodeJS.ErrnoException).code} ${path}`);
  }
  return hash.digest('hex');
}
