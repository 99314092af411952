import { messageOf } from '../../../runtime/log/message-of.js';
import type { Queries } from '../catalog/endpoint-watcher.js';
import type { Watch } from '../query/query-registry.js';
import { type ConsulDeps, smallQuery } from '../query/query-spec.js';

/** A config entry by its kind and name. */
export interface EntryName {
  readonly kind: 'service-defaults' | 'proxy-defaults';
  readonly name: string;
}

/**
 * Follows a config entry, which may not be there: then its text is empty. A text that `take` throws at is logged, and the entry before
 * stays in force.
 */
export function watchEntry(
  queries: Queries,
  { logger }: Pick<ConsulDeps, 'logger'>,
  { kind, name }: EntryName,
  take: (text: string) => void,
): Watch {
  const path = `/config/${kind}/${encodeURIComponent(name)}`;
  const spec = smallQuery(path, `${kind} of ${name}`, {
    parse: (body) => body.toString('utf8'),
    absent: () => '',
  });
  return queries.watch(spec, (text) => {
    try {
      take(text);
    } catch (error) {
      const fields = { entry: `${kind} ${name}`, problem: messageOf(error) };
      logger.warn(fields, 'an entry of Consul makes no sense');
    }
  });
}
