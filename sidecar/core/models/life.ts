/** Where one version of a model stands at one replica, from its first process to its last. */
export const LIFE_STATES = [
  /** Known; none of its processes has been started. */
  'pending',
  'loading',
  /** Loaded, and run for the first time; it serves nothing yet. */
  'warming',
  /** Its processes say that they are ready, and its golden input is compared once more. */
  'golden',
  /** Ready, and held back from callers: it gets copies of calls whose answers another version gives. */
  'shadow',
  'serving',
  /** It serves, and something speaks against it. */
  'suspect',
  /** It gets no new call; those that it has end. */
  'draining',
  'stopped',
  /** Its processes have ended, and are started again after a wait. */
  'backing-off',
  /** They have ended too often: one start now and then. */
  'given-up',
  /** It is not served, and is not tried again until its files change or it is asked for. */
  'rejected',
] as const;

export type LifeState = (typeof LIFE_STATES)[number];

/** What moves a version from one state to another. */
export const LIFE_EVENTS = [
  'start',
  'loaded',
  'warmed',
  'hold',
  'serve',
  'doubt',
  'clear',
  /** A process that serves says that it does not any more, and goes on running. */
  'lapse',
  'die',
  'give-up',
  'reject',
  'drain',
  'stop',
  'retry',
] as const;

export type LifeEvent = (typeof LIFE_EVENTS)[number];

type Row = Readonly<Partial<Record<LifeEvent, LifeState>>>;

/** What may befall a version whose processes run. */
const RUNNING: Row = { die: 'backing-off', 'give-up': 'given-up', reject: 'rejected', drain: 'draining' };

/** What may befall one whose processes have ended. */
const ENDED: Row = { start: 'loading', reject: 'rejected', drain: 'draining', stop: 'stopped' };

/** The state that each event leads to. An event that a state does not name is refused there. */
export const LIFE_TABLE: Readonly<Record<LifeState, Row>> = {
  pending: { start: 'loading', reject: 'rejected', stop: 'stopped' },
  loading: { ...RUNNING, loaded: 'warming' },
  warming: { ...RUNNING, warmed: 'golden', lapse: 'loading' },
  golden: { ...RUNNING, hold: 'shadow', serve: 'serving', lapse: 'loading' },
  shadow: { ...RUNNING, serve: 'serving', lapse: 'loading' },
  serving: { ...RUNNING, doubt: 'suspect', lapse: 'loading' },
  suspect: { ...RUNNING, clear: 'serving', lapse: 'loading' },
  draining: { stop: 'stopped' },
  stopped: { retry: 'pending' },
  'backing-off': { ...ENDED, 'give-up': 'given-up' },
  'given-up': ENDED,
  rejected: { retry: 'pending', stop: 'stopped' },
};

/** The state after an event, or why there is none. */
export type LifeStep =
  | { readonly kind: 'moved'; readonly state: LifeState }
  | { readonly kind: 'refused'; readonly why: string };

/** What becomes of a version in this state by this event. */
export function nextLife(state: LifeState, event: LifeEvent): LifeStep {
  const next = LIFE_TABLE[state][event];
  if (next !== undefined) return { kind: 'moved', state: next };
  const known = Object.keys(LIFE_TABLE[state]).join(', ');
  return { kind: 'refused', why: `found ${event} in the state ${state}; expected ${known}` };
}

/** One step of a life. */
export interface LifeTransition {
  readonly event: LifeEvent;
  readonly from: LifeState;
  readonly to: LifeState;
}

/**
 * The shortest way from one state to another, by events of the table: what is seen of a process may be two steps apart, as
 * several happen between two looks. Empty: it is there. Undefined: there is no way.
 */
export function transitionsTo(from: LifeState, to: LifeState): readonly LifeTransition[] | undefined {
  const ways = new Map<LifeState, readonly LifeTransition[]>([[from, []]]);
  const open: LifeState[] = [from];
  for (let state = open.shift(); state !== undefined; state = open.shift()) {
    const way = ways.get(state)!;
    if (state === to) return way;
    for (const event of LIFE_EVENTS) {
      const step = nextLife(state, event);
      if (step.kind === 'refused' || ways.has(step.state)) continue;
      ways.set(step.state, [...way, { event, from: state, to: step.state }]);
      open.push(step.state);
    }
  }
  return undefined;
}
