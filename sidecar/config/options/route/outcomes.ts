/**
 * What the statuses of a service count as on one route, where it means something else by them than gRPC does.
 */
import * as z from 'zod';
import { type Declarable, whyNotDeclarable } from '../../../core/outcome/outcome.js';
import { ANY_STATUSES, type AnyStatus, statusCode, statusSpelling } from '../../codecs/status-code.js';
import { type FoundBlock, list, mapping, texts } from '../found.js';
import { block, inCode, option, type Report, rules, value } from '../option.js';
import { listOf } from '../values.js';

const KINDS: readonly Declarable[] = ['success', 'fault', 'neutral', 'overload'];

/** Each at most once, so that a list cannot be longer than there are statuses. */
function statuses() {
  const status = z.enum(ANY_STATUSES, {
    error: ({ input }) =>
      typeof input === 'string' && input.toLowerCase() === 'ok'
        ? 'another status, as ok is always a success'
        : `one of ${ANY_STATUSES.join(', ')}`,
  });
  const shown = inCode(value(status, { type: 'status in lower case, but `ok`' }), statusCode, statusSpelling);
  return listOf(shown, 'statuses').min(1, { error: 'at least one status' }).optional();
}

const OTHERWISE = 'absent: no others than usual';

const shape = {
  success: option(statuses(), {
    meaning:
      'The call counts as answered: it ends a row of faults, and its time counts. Possible for statuses that are usually neutral.',
    otherwise: OTHERWISE,
    why: 'A lookup that finds nothing (`not_found`) has done its work.',
  }),
  fault: option(statuses(), {
    meaning:
      'The endpoint failed the call: every detector counts it, its time counts as slow, and a fallback may follow.',
    otherwise: OTHERWISE,
    why: 'A replica that says `not_found` of a model it should have, or `resource_exhausted` until it is restarted, is broken.',
  }),
  neutral: option(statuses(), {
    meaning:
      'The call failed, which says nothing about the endpoint: no detector counts it, and no fallback follows.',
    otherwise: OTHERWISE,
    why: 'Servers in Python often say `unknown` or `internal` when only the input was wrong.',
  }),
  overload: option(statuses(), {
    meaning: 'The endpoint is full: less weight for it, and never an ejection.',
    otherwise: OTHERWISE,
    why: 'Some servers, Triton and TensorFlow Serving among them, say `unavailable` when their queue is full.',
  }),
};

/** `outcomes` of a route: statuses that count otherwise than usual. */
export const outcomes = option(
  block(shape)
    .check(
      rules((found, report) => {
        refuseImpossible(found, report);
        refuseRepeated(found, report);
      }),
    )
    .optional(),
  {
    meaning:
      'Statuses that count otherwise than usual, for ejection, balancing, hedging and fallback. It applies to the `grpc-status` that the service itself sends. Timeouts, resets, failed connects, HTTP errors and answers of a sidecar (`outrider-reason`) keep their meaning, and so do `deadline_exceeded` and `cancelled` at the end of the deadline. `retry.on` says what is retried.',
    otherwise:
      'absent: `unavailable`, `internal`, `unknown` and `data_loss` are faults, `deadline_exceeded` too when the time allowed was more than usual; `resource_exhausted` is overload; the others are neutral',
    why: 'Most services mean by a status what gRPC means by it.',
  },
);

function refuseImpossible(found: FoundBlock, report: Report): void {
  eachStatus(found, (status, outcome, i) => {
    const why = whyNotDeclarable(statusCode(status), outcome);
    if (why !== undefined) report([outcome, i], `found ${status}; expected another status, as it ${why}`);
  });
}

function refuseRepeated(found: FoundBlock, report: Report): void {
  const seen = new Map<string, string>();
  eachStatus(found, (status, outcome, i) => {
    const before = seen.get(status);
    if (before === undefined) seen.set(status, `${outcome}[${i}]`);
    else
      report(
        [outcome, i],
        `found ${status} again, as in ${before}; expected each status to count as one thing`,
      );
  });
}

function eachStatus(
  found: FoundBlock,
  visit: (status: AnyStatus, outcome: Declarable, i: number) => void,
): void {
  for (const outcome of KINDS)
    for (const [i, status] of list(found[outcome]).entries())
      if (ANY_STATUSES.includes(status as AnyStatus)) visit(status as AnyStatus, outcome, i);
}

/** For a route: a success needs no second attempt. */
export function refuseRetriedSuccesses(route: FoundBlock, report: Report): void {
  const retried = texts(mapping(route['retry'])['on']);
  for (const [i, status] of list(mapping(route['outcomes'])['success']).entries()) {
    const at = retried.indexOf(status as string);
    if (at === -1) continue;
    report(
      ['outcomes', 'success', i],
      `found ${String(status)}, which retry.on[${at}] repeats; expected it in one of them, as a success is not tried again`,
    );
  }
}
