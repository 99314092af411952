/**
 * The set of upstreams by name, and the one listener they may share.
 */
import * as z from 'zod';
import { entries, type FoundBlock } from '../found.js';
import { metadataKey } from '../metadata-key.js';
import { block, inCode, option, type Report, rules } from '../option.js';
import { choice, listenAddress, name } from '../values.js';
import { refuseBadNames } from './names.js';

/** By default of `by: metadata`. */
const METADATA_KEY = 'outrider-upstream';

const shared = inCode(
  block({
    listen: option(listenAddress(), {
      meaning: 'Where the application calls every upstream, in plaintext.',
      why: 'Without it the application could not call.',
    }),
    by: option(choice(['authority', 'metadata']).prefault('authority'), {
      meaning:
        '`authority`: the host part of `:authority` names the upstream. `metadata`: the key below does.',
      why: 'Most clients can set the authority of a channel.',
    }),
    metadata_key: option(metadataKey().optional(), {
      meaning: 'With `by: metadata`: the key whose value names the upstream.',
      otherwise: `\`${METADATA_KEY}\``,
      why: 'Everything that begins with `outrider-` stays within the mesh.',
    }),
  }).check(
    rules((found, report) => {
      const { by, metadata_key: key } = found;
      if (key !== undefined && by === 'authority')
        report(
          ['metadata_key'],
          'found with "by: authority", which does not read it; expected "by: metadata"',
        );
    }),
  ),
  (said) => ({ ...said, metadataKey: said.metadataKey ?? METADATA_KEY }),
  ({ metadataKey, ...config }) => (config.by === 'metadata' ? { ...config, metadataKey } : config),
);

/** `shared`: one listener for all upstreams, which routes by `:authority` or by a metadata key. */
export const sharedListener = option(shared.optional(), {
  meaning: 'Present: one listener for all upstreams.',
  otherwise: 'absent: only the listener of each upstream',
  why: 'One listener per upstream is the plain way.',
});

/** A map of upstreams by name. */
export function upstreamsOf<S extends z.ZodType>(upstream: S) {
  return option(upstreamMap(upstream), {
    meaning:
      'The services that may be called, by name. The name is also the identity that their endpoints have to prove.',
    why: 'Without an upstream there is nothing to call.',
  });
}

/** The same without its words in the reference. */
export function upstreamMap<S extends z.ZodType>(upstream: S) {
  return z.record(name('the name of a service'), upstream, {
    error: 'a map of upstreams by the name of their service',
  });
}

/**
 * For a block with `upstreams` and `shared`: each upstream has to be reachable for the application, and to name others
 * that exist.
 */
export function upstreamsRules(found: FoundBlock, report: Report): void {
  const { upstreams, shared: sharedBlock } = found;
  refuseBadNames(upstreams, report);
  const all = entries(upstreams);
  if (upstreams !== undefined && all.length === 0)
    report(['upstreams'], 'found none; expected at least one upstream');
  if (sharedBlock !== undefined) return;
  for (const [upstream, said] of all) {
    if (said['listen'] !== undefined) continue;
    report(
      ['upstreams', upstream, 'listen'],
      'missing; expected an address, or a block shared with a listener for all upstreams',
    );
  }
}
