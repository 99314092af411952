/** Rules between the options of `identity`: files or a SPIRE agent, and all that belongs to either. */
import { type FoundBlock, mapping } from './found.js';
import type { Report } from './option.js';

/** The options that name files, and what is in them. */
export const IDENTITY_FILES = {
  cert: 'a certificate chain',
  key: 'a private key',
  roots: 'the root certificates',
} as const;

/** For a whole sidecar file. */
export function identityRules(file: FoundBlock, report: Report): void {
  if (file['identity'] === undefined) return;
  const identity = mapping(file['identity']);
  const hasSpire = identity['spire'] !== undefined;
  for (const [key, what] of Object.entries(IDENTITY_FILES)) {
    const isThere = identity[key] !== undefined;
    if (!hasSpire && !isThere) report(['identity', key], `missing; expected the path of ${what}`);
    if (hasSpire && isThere)
      report(['identity', key], 'found beside spire, which gives it; expected one of the two');
  }
  for (const key of ['spire_owner', 'hint'])
    if (!hasSpire && identity[key] !== undefined)
      report(['identity', key], 'found without spire; expected the socket of a SPIRE agent');
}
