/** The audit log: decisions that are asked about later, in a chain that shows each change. */
import { block, option } from './option.js';
import { filePath, size, wholeNumber } from './values.js';

const MIB = 1024 * 1024;

const shared = {
  rotate_at: option(size({ min: 64 * 1024, max: 1024 * MIB }).prefault('10MiB'), {
    meaning:
      'Size from which the file is moved to `PATH.1`, and a new one begun; older files are `PATH.2` and so on.',
    why: 'A line has about 300 bytes: tens of thousands of decisions in a file.',
  }),
  keep: option(wholeNumber({ min: 1, max: 1_000 }).prefault(10), {
    meaning: 'Older files that stay. A line of the log says when one is removed.',
    why: 'A bound that a disk can be planned by: 110 MiB with the size above.',
  }),
};

const PRESENT =
  'Present: ejections, denials, configurations, injected faults, drains, certificates and model versions are written as lines of JSON. Each line has the hash of the line before, and the log is signed once a minute with the key of the identity. `outrider audit verify` names the first line that was changed, removed or moved. With Consul, the end of the chain is also stored in its KV store at `outrider/audit/SERVICE/INSTANCE`; the ACL policy needs `key_prefix "outrider/audit/SERVICE/"` with `write`.';

/** In a sidecar file. */
export const audit = option(
  block({
    path: option(filePath('a file'), {
      meaning: 'File that lines are added to, by this sidecar alone.',
      why: 'Two writers would break the chain.',
    }),
    ...shared,
  }).optional(),
  { meaning: PRESENT, otherwise: 'absent: no such log', why: 'It is kept where it is asked for.' },
);

/** In a mesh file. */
export const meshAudit = option(
  block({
    directory: option(filePath('a directory'), {
      meaning: 'Where each sidecar has its file, `INSTANCE.jsonl`.',
      why: 'Two writers would break the chain.',
    }),
    ...shared,
  }).optional(),
  {
    meaning: `${PRESENT} For every sidecar of the mesh.`,
    otherwise: 'absent: no such log',
    why: 'It is kept where it is asked for.',
  },
);
