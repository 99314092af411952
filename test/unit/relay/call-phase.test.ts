/** Every pair of a phase and an event, against a model of what a phase says: attempts that run, a response that has begun, an end. */
import assert from 'node:assert/strict';
import {
  CallEvent,
  CallPhase,
  type EventName,
  isCommittedIn,
  isFinishedIn,
  type PhaseName,
  step,
  takes,
} from '../../../sidecar/relay/call-phase.js';

interface Facts {
  readonly running: 0 | 1 | 2;
  readonly isCommitted: boolean;
  readonly isFinished: boolean;
  /** Another endpoint is to go on with the response, and has not begun to. */
  readonly isResuming: boolean;
}

const facts = (running: 0 | 1 | 2, isCommitted = false, isFinished = false, isResuming = false): Facts => ({
  running,
  isCommitted,
  isFinished,
  isResuming,
});

const MEANING: Readonly<Record<PhaseName, Facts>> = {
  waiting: facts(0),
  trying: facts(1),
  hedged: facts(2),
  closed: facts(0, false, true),
  answering: facts(1, true),
  between: facts(0, true),
  resuming: facts(1, true, false, true),
  ended: facts(0, true, true),
};

const PHASES = Object.keys(CallPhase) as PhaseName[];
const EVENTS = Object.keys(CallEvent) as EventName[];

/** What the event makes of the facts. */
function after(event: EventName, now: Facts): Facts | 'ignored' | 'impossible' {
  const { running, isCommitted, isFinished, isResuming } = now;
  const isFromOutside = event === 'request' || event === 'cancel' || event === 'timer';
  // Closing stops what runs, and whoever is called meanwhile may close once more.
  if (isFinished) return isFromOutside || event === 'end' || event === 'close' ? 'ignored' : 'impossible';
  switch (event) {
    case 'attempt':
      return running === 0 ? { ...now, running: 1, isResuming: isCommitted } : 'impossible';
    case 'hedge':
      return running === 1 && !isCommitted ? { ...now, running: 2 } : 'impossible';
    case 'end':
      if (running === 0) return 'impossible';
      return { ...now, running: running === 2 ? 1 : 0, isResuming: false };
    case 'commit':
      // The other one of two is stopped first.
      return running < 2 && !isCommitted ? { ...now, isCommitted: true } : 'impossible';
    case 'resume':
      return isResuming ? { ...now, isResuming: false } : 'impossible';
    case 'close':
      return { running: 0, isCommitted, isFinished: true, isResuming: false };
    default:
      return now;
  }
}

function nameOf(what: Facts): PhaseName {
  const found = PHASES.find((name) => isSame(MEANING[name], what));
  assert.ok(found, JSON.stringify(what));
  return found;
}

function isSame(one: Facts, other: Facts): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

describe('The phase of a call', () => {
  for (const phase of PHASES)
    for (const event of EVENTS) {
      const expected = after(event, MEANING[phase]);
      const text = typeof expected === 'string' ? `is ${expected}` : `leads to ${nameOf(expected)}`;
      it(`${phase}: ${event} ${text}`, () => {
        const call = { phase: CallPhase[phase] as CallPhase };
        assert.equal(takes(call.phase, CallEvent[event]), expected !== 'ignored');
        if (expected === 'impossible') {
          assert.throws(() => step(call, CallEvent[event]), {
            message: `a call in phase ${phase} gets ${event}`,
          });
          assert.equal(call.phase, CallPhase[phase]);
          return;
        }
        step(call, CallEvent[event]);
        assert.equal(call.phase, CallPhase[expected === 'ignored' ? phase : nameOf(expected)]);
      });
    }

  it('says whether the response has begun, and whether the call is over', () => {
    for (const phase of PHASES) {
      const { isCommitted, isFinished } = MEANING[phase];
      const said = [isCommittedIn(CallPhase[phase]), isFinishedIn(CallPhase[phase])];
      assert.deepEqual(said, [isCommitted, isFinished], phase);
    }
  });
});
