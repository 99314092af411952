/**
 * `retry` of a route: Envoy's `retry_policy`, gRPC's `retryPolicy`.
 */
import { areReadOnly } from '../../../core/routing/method.js';
import { RETRYABLE_STATUSES, retryableName, statusCode } from '../../codecs/status-code.js';
import type { CodeOf } from '../../names.js';
import { present } from '../../present.js';
import { READ_ONLY_RETRY } from '../../route-defaults.js';
import { type FoundBlock, mapping, texts } from '../found.js';
import { block, inCode, option, type Report, rules } from '../option.js';
import { choice, duration, listOf, refuseMaxBelowBase, wholeNumber, yesOrNo } from '../values.js';
import { mayRepeat } from './rules.js';

/** `retry` of a route. */
export const retry = block({
  attempts: option(wholeNumber({ min: 2, max: 5 }).prefault(2), {
    meaning: 'Attempts in all, the first one included.',
    why: 'A second endpoint answers almost everything a third would; gRPC itself stops at 5.',
  }),
  on: option(
    listOf(
      inCode(choice(RETRYABLE_STATUSES), (name): number => statusCode(name), retryableName),
      'status codes',
    ).prefault(['unavailable']),
    {
      meaning:
        'The status codes that are retried. With `[]` only calls that no endpoint has begun to process are.',
      why: '`unavailable` is what gRPC says when the endpoint is the problem and not the call.',
    },
  ),
  backoff: option(
    block({
      base: option(duration({ min: 1, max: 60_000 }).prefault('25ms'), {
        meaning:
          'Upper bound of the random wait before the second attempt; it doubles with each further one.',
        why: 'Below what a person or a batch job notices, above the time a broken connection takes to be seen.',
      }),
      max: option(duration({ min: 1, max: 600_000 }).prefault('250ms'), {
        meaning: 'The wait never exceeds this.',
        why: 'Ten times the base, as in Envoy.',
      }),
    })
      .check(rules(refuseMaxBelowBase))
      .prefault({}),
    {
      meaning: 'The wait between attempts, drawn evenly from zero to a bound that doubles.',
      why: 'Full jitter keeps callers from coming back in step.',
    },
  ),
  final: option(yesOrNo().optional(), {
    meaning:
      'True: if a call failed and the sidecar may not retry it (attempts, budget or circuit breaker), the application is told to make no retries either (`grpc-retry-pushback-ms: -1`, gRFC A6). A gRPC client with retries of its own then does not multiply them. It is not told if no endpoint was reached, or if the endpoint has said when to come back.',
    otherwise: '`false`',
    why: 'An application that retries more slowly may outlast a fault for which the attempts here were too quick.',
  }),
});

/** What a route may repeat: methods that only read need not say so. */
export function repeatsOf(said: {
  readonly methods: readonly string[];
  readonly idempotent?: boolean;
  readonly retry?: CodeOf<typeof retry>;
}) {
  const isReading = said.idempotent === undefined && areReadOnly(said.methods);
  const implied: CodeOf<typeof retry> | undefined = isReading ? READ_ONLY_RETRY : undefined;
  return {
    idempotent: said.idempotent ?? isReading,
    ...present('retry', said.retry ?? implied),
  };
}

/** Retries of what an endpoint may have done already, where the route does not say that doing it twice is harmless. */
export function refuseUnsafeRetries(route: FoundBlock, report: Report): void {
  if (route['retry'] === undefined || mayRepeat(route)) return;
  const codes = texts(mapping(route['retry'])['on']);
  if (codes.length === 0) return;
  report(
    ['retry', 'on'],
    `found ${codes.join(', ')} on a route that is not idempotent; expected "idempotent: true" if doing it twice is harmless, or "on: []" to repeat only what was never begun`,
  );
}
