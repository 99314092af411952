/**
 * Blocks that stand in both kinds of file: names of the mesh, intentions, the queue, the log.
 */
import { z } from 'zod';
import { block, option, value } from './option.js';
import { choice, duration, listenAddress, name, size, trustDomainName, wholeNumber } from './values.js';

const KIB = 1_024;
const GIB = 1_073_741_824;

export const trustDomain = option(trustDomainName().prefault('outrider.local'), {
  meaning: 'The authority part of every SPIFFE id; peers of another trust domain are refused.',
  why: 'A name that cannot be mistaken for a public one.',
});

export const datacenter = option(name('a datacenter').prefault('dc1'), {
  meaning: 'The datacenter part of every SPIFFE id.',
  why: "Consul's own default.",
});

export const drainTimeout = option(duration({ min: 0, max: 3_600_000 }).prefault('30s'), {
  meaning: 'Longest time calls in flight may take to finish once a drain has begun.',
  why: 'Twice the default timeout of a unary call, and what orchestrators wait before they kill.',
});

export const log = option(
  block(
    {
      level: option(choice(['debug', 'info', 'warn', 'error']).prefault('info'), {
        meaning: 'The least grave messages that are written.',
        why: 'Changes of state, never single calls.',
      }),
    },
    'a block with level',
  ).prefault({}),
  { meaning: 'What is written to standard error.', why: 'One line of JSON per event.' },
);

export const admin = option(listenAddress().optional(), {
  meaning:
    'Where `/metrics`, `/live`, `/ready`, `/endpoints`, `/config`, `/drain` and the status page are served, without authentication.',
  otherwise: 'absent: not served',
  why: 'Keep it on loopback: whoever reaches it can drain the sidecar.',
});

const anyone = (what: string) => {
  const error = `${what}, or "*" for all`;
  return value(z.union([z.literal('*'), name(what)], { error }), { type: 'name or `*`' });
};

const intention = block(
  {
    from: option(anyone('the name of a service'), {
      meaning: 'The service that calls.',
      why: 'An intention has two ends.',
    }),
    to: option(anyone('the name of a service'), {
      meaning: 'The service that is called.',
      why: 'An intention has two ends.',
    }),
    action: option(choice(['allow', 'deny']), {
      meaning: 'What happens to the calls.',
      why: 'Said, never assumed, as it is the point of an intention.',
    }),
  },
  'a block such as { from: web, to: digits, action: allow }',
);

export const intentions = option(z.array(intention, { error: 'a list of intentions' }).prefault([]), {
  meaning:
    "Who may call whom, checked for every call. The most specific one decides: a name before `*`, the called service's name first; deny wins a tie.",
  why: 'Nobody is let in by accident.',
});

export const defaultIntention = option(choice(['allow', 'deny']).prefault('deny'), {
  meaning: 'What happens to a caller that no intention names.',
  why: 'Fails closed.',
});

export const queue = option(
  block(
    {
      concurrency: option(wholeNumber({ min: 1, max: 10_000 }).prefault(2), {
        meaning:
          'Calls the local model may hold at once; the others wait here, where they can be bounded and expire.',
        why: 'One runs while the next is ready. With batching: twice the largest batch.',
      }),
      max_waiting: option(wholeNumber({ min: 0, max: 1_000_000 }).prefault(128), {
        meaning: 'Calls that may wait; one more is refused at once with RESOURCE_EXHAUSTED.',
        why: 'At 5 ms a call the last one waits 0.6 s: longer queues only answer the dead.',
      }),
      max_waiting_bytes: option(size({ min: 64 * KIB, max: 64 * GIB }).prefault('64MiB'), {
        meaning: 'Request bytes that may wait.',
        why: 'One message of the largest size, or a hundred images.',
      }),
    },
    'a block with concurrency, max_waiting and max_waiting_bytes',
  ).prefault({}),
  { meaning: 'The queue before the local model.', why: 'A model runs one inference at a time.' },
);
