/**
 * Blocks that stand in both kinds of file: names of the mesh, intentions, the queue, the log.
 */
import { z } from 'zod';
import { block, option, value } from './option.js';
import { choice, duration, listenAddress, name, size, trustDomainName, wholeNumber } from './values.js';

const KIB = 1_024;
const GIB = 1_073_741_824;

export const DEFAULT_TRUST_DOMAIN = 'outrider.local';
export const DEFAULT_DATACENTER = 'dc1';

export const trustDomain = option(trustDomainName().optional(), {
  meaning: 'The authority part of every SPIFFE id; peers of another trust domain are refused.',
  otherwise: `\`${DEFAULT_TRUST_DOMAIN}\`; with certificates from Consul, what its cluster says`,
  why: 'A name that cannot be mistaken for a public one.',
});

export const datacenter = option(name('a datacenter').optional(), {
  meaning: 'The datacenter part of every SPIFFE id.',
  otherwise: `\`${DEFAULT_DATACENTER}\`; with certificates from Consul, what its agent says`,
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

const intentionList = z.array(intention, { error: 'a list of intentions' });
const INTENTIONS_MEANING =
  "Who may call whom, checked for every call. The most specific one decides: a name before `*`, the called service's name first; deny wins a tie.";

/** In a mesh file. */
export const intentions = option(intentionList.prefault([]), {
  meaning: INTENTIONS_MEANING,
  why: 'Nobody is let in by accident.',
});

/** In a sidecar file, where Consul may say it instead. */
export const ownIntentions = option(intentionList.optional(), {
  meaning: INTENTIONS_MEANING,
  otherwise: '`[]`; with `consul.intentions`, what Consul says',
  why: 'Nobody is let in by accident.',
});

const ACTIONS = ['allow', 'deny'] as const;
const DEFAULT_INTENTION_MEANING = 'What happens to a caller that no intention names.';

/** In a mesh file. */
export const defaultIntention = option(choice(ACTIONS).prefault('deny'), {
  meaning: DEFAULT_INTENTION_MEANING,
  why: 'Fails closed.',
});

/** In a sidecar file, where Consul may say it instead. */
export const ownDefaultIntention = option(choice(ACTIONS).optional(), {
  meaning: DEFAULT_INTENTION_MEANING,
  otherwise: "`deny`; with `consul.intentions`, the policy of Consul's ACL system",
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
