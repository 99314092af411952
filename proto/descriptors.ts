/**
 * The .proto files as FileDescriptorProtos, which server reflection hands out. They lie in `descriptors.json`, which `npm run generate` makes:
 * a model server that made them itself, at its start, would take a third longer to start.
 */
import { readFileSync } from 'node:fs';
import { describedDefinitions, protoFile } from './load.js';

/** As they lie in the file. */
export function fileDescriptors(): Buffer[] {
  const files: string[] = JSON.parse(readFileSync(protoFile('descriptors.json'), 'utf8'));
  return files.map((text) => Buffer.from(text, 'base64'));
}

/** What `descriptors.json` has to hold. */
export function madeDescriptors(): string {
  const files = new Set<string>();
  for (const definition of Object.values(describedDefinitions())) {
    const { fileDescriptorProtos: all } = definition as { readonly fileDescriptorProtos?: unknown };
    if (Array.isArray(all)) for (const bytes of all as Buffer[]) files.add(bytes.toString('base64'));
  }
  return `${JSON.stringify([...files], undefined, 2)}\n`;
}
