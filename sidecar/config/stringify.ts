/**
 * Writing a SidecarConfig back as a sidecar file. `outrider up` writes one for each sidecar it starts.
 *
 * Everything is said, defaults included, so that reading the file gives the same configuration whatever the
 * defaults of the reader are.
 */
import { stringify } from 'yaml';
import type { SidecarConfig } from './model.js';
import { toFile } from './names-codec.js';
import { sidecarFile } from './options/sidecar-file.js';

/**
 * Parsing the result gives an equal configuration, provided the given one could have come from a file with
 * absolute paths. Throws RangeError for a number that no file can say, ZodError for a configuration that breaks a rule.
 */
export function stringifySidecar(config: SidecarConfig): string {
  return stringify(toFile(sidecarFile, config), { lineWidth: 0, aliasDuplicateObjects: false });
}
