/** The next read of a blocking query: its parameters, and how long it may take. */

import type { ConsulConfig } from '../../config/model.js';
import { FRESH, patience, SLACK_MS, SUSPECT_WAIT_MS } from '../../core/discovery/blocking-index.js';
import type { QuerySpec } from './query/query-spec.js';

export interface Circumstances {
  /** The index it waits on; 0: it does not wait. */
  readonly asked: bigint;
  /** It goes to the leader, so that a lagging server cannot confirm what is doubted. */
  readonly isDoubted: boolean;
  /** It does not wait for long. */
  readonly isSuspect: boolean;
}

export function question(
  spec: Pick<QuerySpec<unknown>, 'path' | 'query' | 'timeoutSlackMs'>,
  { asked, isDoubted, isSuspect }: Circumstances,
  config: ConsulConfig,
  random: () => number,
): { readonly query: Record<string, string>; readonly timeoutMs: number } {
  const query: Record<string, string> = { ...spec.query };
  // What the agent answers by itself, under /agent, has no consistency mode.
  const isOwn = spec.path.startsWith('/agent/');
  if (config.stale && !isDoubted && !isOwn && !('consistent' in query)) query['stale'] = '';
  const slackMs = spec.timeoutSlackMs ?? SLACK_MS;
  if (asked === FRESH) return { query, timeoutMs: slackMs };
  const longestMs = isSuspect ? Math.min(config.waitMs, SUSPECT_WAIT_MS) : config.waitMs;
  const { waitMs, timeoutMs } = patience(longestMs, slackMs, random);
  return { query: { ...query, index: String(asked), wait: `${waitMs}ms` }, timeoutMs };
}
