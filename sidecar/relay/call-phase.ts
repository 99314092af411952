/**
 * The phases of a call and what leads from one to the next, as one table. A phase says how many attempts run, whether the response has
 * begun, and whether the call is over. What a call in `waiting` waits for is in records of its side: outbound in `CallWait` and
 * `FallbackState`, inbound in its `Ticket`.
 *
 * Phases and events are integers and the table is a typed array, so a transition costs one load. Objects for states would cost an
 * allocation for each call. A `switch` would cost as little, but neither a document nor a test could list it.
 */

/**
 * Before the response has begun:
 * - `waiting`: no attempt runs. None has begun, or one has ended and what follows is decided.
 * - `trying`: one attempt runs.
 * - `hedged`: two attempts run.
 * - `closed`: the call is over. Its caller got trailers only, a stored response or nothing.
 *
 * After it has begun:
 * - `answering`: it comes from the attempt that runs.
 * - `between`: no attempt runs. The end of the response is sent, or another endpoint is to resume it.
 * - `resuming`: the attempt that is to resume it runs.
 * - `ended`: the call is over.
 *
 * The numbers let `isCommittedIn` and `isFinishedIn` be one comparison each: from 4 on the response has begun, and the last of each four
 * is an end.
 */
export const CallPhase = {
  waiting: 0,
  trying: 1,
  hedged: 2,
  closed: 3,
  answering: 4,
  between: 5,
  resuming: 6,
  ended: 7,
} as const;
export type CallPhase = (typeof CallPhase)[keyof typeof CallPhase];

/**
 * What the sidecar does with a call:
 * - `attempt`: an attempt begins.
 * - `hedge`: a second attempt begins beside the first.
 * - `end`: an attempt ends, or is stopped.
 * - `commit`: the headers of the response go to the caller.
 * - `resume`: another endpoint goes on with the response.
 * - `close`: the call is over.
 *
 * What comes from outside:
 * - `request`: more of the request.
 * - `cancel`: the caller or its connection is gone.
 * - `timer`: one of the call's times is over.
 */
export const CallEvent = {
  attempt: 0,
  hedge: 1,
  end: 2,
  commit: 3,
  resume: 4,
  close: 5,
  request: 6,
  cancel: 7,
  timer: 8,
} as const;
export type CallEvent = (typeof CallEvent)[keyof typeof CallEvent];

export type PhaseName = keyof typeof CallPhase;
export type EventName = keyof typeof CallEvent;

/** The phase that follows; `stays`: the call goes on in this one; `ignored`: nothing happens. */
export type Follows = PhaseName | 'stays' | 'ignored';

const OPEN = { request: 'stays', cancel: 'stays', timer: 'stays' } as const;
const OVER = {
  end: 'ignored',
  close: 'ignored',
  request: 'ignored',
  cancel: 'ignored',
  timer: 'ignored',
} as const;

/** What is not here is impossible. */
export const TRANSITIONS: Readonly<Record<PhaseName, Readonly<Partial<Record<EventName, Follows>>>>> = {
  waiting: { attempt: 'trying', commit: 'between', close: 'closed', ...OPEN },
  trying: { hedge: 'hedged', end: 'waiting', commit: 'answering', close: 'closed', ...OPEN },
  hedged: { end: 'trying', close: 'closed', ...OPEN },
  closed: OVER,
  answering: { end: 'between', close: 'ended', ...OPEN },
  between: { attempt: 'resuming', close: 'ended', ...OPEN },
  resuming: { end: 'between', resume: 'answering', close: 'ended', ...OPEN },
  ended: OVER,
};

const IGNORED = 254;
const IMPOSSIBLE = 255;

/** By phase and event, with room for 16 events: the phase that follows, or one of the above. */
const NEXT = new Uint8Array(Object.keys(CallPhase).length << 4).fill(IMPOSSIBLE);
for (const [phase, events] of Object.entries(TRANSITIONS))
  for (const [event, follows] of Object.entries(events)) {
    const from = CallPhase[phase as PhaseName];
    const next = follows === 'ignored' ? IGNORED : follows === 'stays' ? from : CallPhase[follows];
    NEXT[(from << 4) | CallEvent[event as EventName]] = next;
  }

let isStrict = false;

/** From now on an event that is impossible in the phase of its call throws. Tests turn this on; otherwise the phase stays. */
export function checkPhases(): void {
  isStrict = true;
}

/** Takes the call to the phase that follows. */
export function step(call: { phase: CallPhase }, event: CallEvent): void {
  const next = NEXT[(call.phase << 4) | event]!;
  if (next < 8) call.phase = next as CallPhase;
  else refuse(call.phase, event);
}

function refuse(phase: CallPhase, event: CallEvent): void {
  if (isStrict && takes(phase, event)) throw new Error(describe(phase, event));
}

/** Whether an event is for a call in this phase; false: it is ignored. */
export function takes(phase: CallPhase, event: CallEvent): boolean {
  return NEXT[(phase << 4) | event] !== IGNORED;
}

/** Something of a response has gone to the caller: no attempt from the beginning is possible. */
export function isCommittedIn(phase: CallPhase): boolean {
  return phase > 3;
}

export function isFinishedIn(phase: CallPhase): boolean {
  return (phase & 3) === 3;
}

function describe(phase: CallPhase, event: CallEvent): string {
  return `a call in phase ${nameIn(CallPhase, phase)} gets ${nameIn(CallEvent, event)}`;
}

function nameIn(names: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(names).find((name) => names[name] === value) ?? String(value);
}
