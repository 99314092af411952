/**
 * Features that belong together: what one of them does shows where the others are. More than half of the runs have the features of one theme, and few
 * of the others, so that little else explains what is seen.
 */
import type { Dice } from '../dice.js';
import { FEATURES, type Feature } from './features.js';
import { HARMS } from './plan.js';

/** How many calls a run has. `steady`: many a second, for 8 s at least, beside few places at each replica. */
export type Load = 'steady' | 'usual';

interface Theme {
  readonly features: readonly Feature[];
  /** A run has all of its features, and this load: what they do together shows in no other. */
  readonly load?: Load;
}

/** Which replica gets a call. Without its load, about one run in thirty has enough calls beside few enough long ones. */
const OF_LOAD: readonly Theme[] = [
  { features: ['mixed-durations'], load: 'steady' },
  { features: ['mixed-durations', 'retry'], load: 'steady' },
  // Too many calls for a replica, and room at another one. The retry budget is soon used up.
  { features: ['short-queue', 'slow-model', 'round-robin', 'small-budget'], load: 'steady' },
  { features: ['short-queue', 'mixed-durations', 'round-robin', 'small-budget', 'retry'], load: 'steady' },
  // Replicas that fail now and then.
  { features: ['failing-model', 'retry', 'several-callers', 'streams'], load: 'steady' },
];

const OTHERS: readonly (readonly Feature[])[] = [
  // Streams that another replica begins again.
  [
    ...(['retry', 'resumable', 'deterministic', 'token-streams', 'large-tokens', 'pieces'] as const),
    ...(['slow-readers', 'kill-model', 'kill-sidecar', 'break-connection'] as const),
  ],
  // Streams that another replica goes on with, or cannot.
  [
    ...(['retry', 'resumable', 'deterministic', 'resuming-models', 'encodings', 'token-streams'] as const),
    'empty-answers',
    ...([
      'kill-model',
      'freeze-model',
      'break-connection',
      'large-tokens',
      'pieces',
      'slow-readers',
    ] as const),
  ],
  // The same where nothing else is in the way.
  ['retry', 'resumable', 'deterministic', 'token-streams', 'kill-model', 'break-connection', 'large-tokens'],
  ['retry', 'resumable', 'token-streams', 'resuming-models', 'pieces', 'kill-model', 'kill-sidecar'],
  // Answers of engines, which another one goes on with.
  [
    ...(['retry', 'engines', 'kill-model', 'freeze-model', 'kill-sidecar'] as const),
    ...(['break-connection', 'slow-readers', 'encodings', 'pieces'] as const),
  ],
  // Answers that are drawn by chance, and go on all the same.
  [
    ...(['retry', 'engines', 'drawn-answers', 'approximate', 'kill-model', 'freeze-model'] as const),
    ...(['kill-sidecar', 'break-connection', 'pieces'] as const),
  ],
  // Answers of engines that are placed by their prompts.
  [
    ...(['engines', 'prefix', 'retry', 'hedge', 'kill-model', 'kill-sidecar', 'break-connection'] as const),
    ...(['pieces', 'reload', 'several-callers'] as const),
  ],
  ['engines', 'ring-hash', 'prompt-hash', 'retry', 'kill-model', 'break-connection', 'pieces', 'reload'],
  // Windows that fill up.
  [
    ...(['large-messages', 'slow-readers', 'stopped-readers', 'deadlines', 'tiny-windows'] as const),
    ...(['small-kernels', 'streams', 'uploads', 'bidi', 'cancels', 'idle-timeout', 'late-credit'] as const),
  ],
  // Who waits, and for how long.
  [
    ...(['short-queue', 'mixed-durations', 'bursts', 'several-callers', 'priority', 'fair'] as const),
    ...(['deadlines', 'cancels', 'adaptive', 'rate-limit'] as const),
  ],
  // Callers and classes that take turns, and streams that give their places away for a while.
  [
    'several-callers',
    'priority',
    'fair',
    'bursts',
    'mixed-durations',
    'bidi',
    'pauses',
    'pieces',
    'short-queue',
  ],
  // Frames and header tables.
  [
    ...(['odd-peers', 'header-tables', 'metadata', 'tiny-windows', 'ragged-links', 'pauses'] as const),
    ...(['small-kernels', 'uploads', 'bidi', 'own-errors', 'cancels'] as const),
  ],
  // Several attempts of a call.
  [
    ...(['retry', 'hedge', 'mirror', 'fallback-upstream', 'last-good', 'attempt-timeout'] as const),
    ...(['failing-model', 'freeze-model', 'small-hold', 'small-replay', 'deadlines'] as const),
  ],
  // Two attempts beside each other, and long answers of either.
  [
    'hedge',
    'attempt-timeout',
    'large-messages',
    'slow-model',
    'failing-model',
    'mixed-durations',
    'kill-model',
  ],
  // The second of which begins while the first is still being sent.
  [
    ...(['hedge', 'attempt-timeout', 'retry', 'stall-connection', 'small-kernels', 'ragged-links'] as const),
    ...(['large-messages', 'slow-links'] as const),
  ],
  // Copies of requests that are still to be sent.
  ['mirror', 'stall-connection', 'small-kernels', 'ragged-links', 'large-messages', 'slow-links', 'retry'],
  // Requests that wait for a stream, or in the socket, when the connection ends.
  [
    ...(['few-streams', 'uploads', 'bidi', 'small-replay', 'large-messages', 'bursts', 'retry'] as const),
    ...(['break-connection', 'kill-sidecar', 'max-age'] as const),
  ],
  [
    ...(['small-kernels', 'slow-links', 'uploads', 'small-replay', 'large-messages', 'bursts'] as const),
    ...(['stall-connection', 'break-connection', 'kill-sidecar'] as const),
  ],
  // Calls that go to another service as theirs fails, and fail there.
  [
    ...(['fallback-upstream', 'small-replay', 'failing-model', 'kill-sidecar', 'kill-model'] as const),
    ...(['short-queue', 'outages'] as const),
  ],
  // Replicas that fail and come back.
  [
    ...(['retry', 'detectors', 'failing-model', 'freeze-sidecar', 'kill-model', 'partition'] as const),
    ...(['slow-start', 'cancels', 'max-age', 'quick-pings'] as const),
  ],
  ['retry', 'failing-model', 'kill-model', 'break-connection', 'cancels', 'deadlines', 'streams'],
  // One is left, and fails.
  ['retry', 'reload', 'fewer-endpoints', 'failing-model', 'kill-model', 'several-callers'],
  // What Consul says, in mid-stream.
  [
    ...(['consul', 'self-registration', 'deregister', 'maintenance', 'flapping-check'] as const),
    ...([
      'deny-intention',
      'consul-lags',
      'consul-breaks',
      'streams',
      'bidi',
      'cold-start',
      'pauses',
    ] as const),
  ],
  // Who may call, while calls go on.
  ['consul', 'deny-intention', 'long-streams', 'streams', 'bidi', 'pauses', 'several-callers'],
  // Versions of a model, and what calls ask of them.
  [
    ...(['consul', 'rollout', 'retry', 'own-errors', 'deadlines', 'several-callers', 'bidi'] as const),
    ...(['small-replay', 'large-messages', 'kill-sidecar', 'power-loss', 'consul-lags'] as const),
  ],
  // What is written, and who takes over.
  [
    ...(['access-log', 'audit', 'disk-full', 'disk-slow', 'disk-ragged', 'takeover', 'drain'] as const),
    ...(['dns', 'dns-fails', 'dns-empty', 'dns-loses', 'certificates', 'roots-change', 'streams'] as const),
  ],
  // Other rules in mid-load.
  [
    ...(['reload', 'other-options', 'fewer-endpoints', 'bursts', 'mixed-durations', 'streams'] as const),
    ...(['retry', 'round-robin', 'ring-hash', 'drain', 'weights'] as const),
  ],
  // Other numbers in mid-load: places at a model, endpoints, names.
  ['reload', 'mixed-durations', 'bursts', 'fewer-endpoints', 'dns', 'streams', 'several-callers'],
  ['reload', 'mixed-durations', 'bursts', 'fewer-endpoints', 'weights', 'streams', 'several-callers'],
  ['reload', 'fewer-endpoints', 'ring-hash', 'retry', 'streams', 'several-callers'],
  // Other rules for the calls of a model.
  ['reload', 'other-options', 'consul', 'rollout', 'mirror', 'retry', 'several-callers'],
  // Certificates and clocks.
  ['certificates', 'identity-expires', 'clock-jump', 'bidi', 'streams', 'mixed-durations', 'quick-pings'],
  // Certificates that are not renewed for longer than a call may go on with them.
  ['certificates', 'identity-expires', 'long-streams', 'bidi', 'streams'],
  // Memory.
  [
    ...(['little-memory', 'large-messages', 'stopped-readers', 'bursts', 'uploads', 'mirror'] as const),
    ...(['small-hold', 'few-streams', 'tiny-windows', 'streams'] as const),
  ],
];

const THEMES: readonly Theme[] = [...OF_LOAD, ...OTHERS.map((features) => ({ features }))];

/**
 * Features that show something only where all of them meet: a run has each of them. These are drawn from a source of their own, so that a new one
 * leaves the runs of other themes as they were.
 */
const MEETINGS: readonly Theme[] = [
  // Second attempts beside the first, which ends early: each has a time of its own.
  {
    features: ['hedge', 'attempt-timeout', 'retry', 'mixed-durations', 'kill-model', 'break-connection'],
    load: 'steady',
  },
  // Second attempts answer first, and their answers are long.
  { features: ['hedge', 'large-messages', 'slow-model', 'round-robin'], load: 'steady' },
  // Replicas of which a few calls fail.
  { features: ['failing-model', 'retry'], load: 'steady' },
  { features: ['failing-model', 'retry', 'round-robin', 'several-callers'], load: 'steady' },
  // A reload makes room where calls wait behind long ones.
  { features: ['reload', 'mixed-durations', 'round-robin', 'bursts'], load: 'steady' },
  // A service fails, and then the one that stands in for it.
  {
    features: ['fallback-upstream', 'small-replay', 'outages', 'kill-model', 'failing-model'],
    load: 'steady',
  },
  // Streams longer than any window go on at another replica while their callers still read.
  {
    features: [
      ...(['retry', 'resumable', 'deterministic', 'token-streams', 'large-tokens', 'wide-tokens'] as const),
      ...(['slow-readers', 'kill-model', 'break-connection'] as const),
    ],
  },
  // Replicas end in the middle of what they repeat.
  {
    features: [
      ...(['retry', 'resumable', 'deterministic', 'token-streams', 'large-tokens', 'pieces'] as const),
      ...(['kill-model', 'kill-sidecar', 'break-connection'] as const),
    ],
  },
  // Other names, and other rules for the calls of a model, in mid-load.
  { features: ['dns', 'reload', 'fewer-endpoints', 'streams', 'several-callers'] },
  {
    features: [
      ...(['reload', 'other-options', 'consul', 'rollout', 'retry'] as const),
      ...(['fallback-upstream', 'failing-model'] as const),
    ],
    load: 'steady',
  },
  // Memory gets short while requests are on their way.
  {
    features: [
      ...(['little-memory', 'large-messages', 'uploads', 'bidi', 'stopped-readers', 'slow-links'] as const),
      ...(['bursts', 'slow-readers'] as const),
    ],
  },
];

const THEME_SHARE = 0.6;
/** Of these. */
const MEETING_SHARE = 0.3;
/** Of runs with a theme: those that have a feature of it, and what is left of the share of another one: a third are of nothing else. */
const IN_THEME = [0.65, 0.85, 1];
const BESIDE_THEME = [0, 0.2, 0.4];
/** Of runs without one, that have no fault at all: everything has to go well. */
const CALM_SHARE = 0.35;
/** Runs of few features show what one of them does; runs of many show what they do to each other. */
export const DENSITIES = [0.35, 0.8, 1.2, 1.8];
export const MOST_SHARE = 0.85;

export interface Shares {
  readonly isCalm: boolean;
  readonly load: Load;
  shareOf(feature: Feature): number;
}

/** In which share of runs like this one each feature is. */
export function drawShares(dice: Dice): Shares {
  const isCalm = dice.chance(CALM_SHARE);
  const density = dice.of('density').pick(DENSITIES);
  const focus = dice.of('theme');
  if (!focus.chance(THEME_SHARE))
    return {
      isCalm,
      load: 'usual',
      shareOf: (feature) => Math.min(MOST_SHARE, FEATURES[feature] * density),
    };
  const usual = focus.pick(THEMES);
  const beside = focus.pick(BESIDE_THEME);
  const meeting = focus.of('meeting');
  const isMeeting = meeting.chance(MEETING_SHARE);
  const { features, load = 'usual' } = isMeeting ? meeting.pick(MEETINGS) : usual;
  const theme: ReadonlySet<Feature> = new Set(features);
  const within = isMeeting || load === 'steady' ? 1 : focus.of('within').pick(IN_THEME);
  return {
    isCalm: ![...HARMS, 'identity-expires' as const].some((kind) => theme.has(kind)),
    load,
    shareOf: (feature) => (theme.has(feature) ? within : FEATURES[feature] * beside),
  };
}
