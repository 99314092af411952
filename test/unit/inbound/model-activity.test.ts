import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type InboundCall, type LimitsOfCall, Ticket } from '../../../sidecar/inbound/call.js';
import { ModelActivity } from '../../../sidecar/inbound/model-activity.js';

/** The entry of a call that started then, as far as its model's activity reads it. */
function ticketOf(startedMs: number): Ticket {
  const facts = { attempt: null, lastResponseMs: 0, isCommitted: false, deadlineMs: startedMs + 1000 };
  const ticket = new Ticket(facts as unknown as InboundCall, {} as LimitsOfCall);
  ticket.queueStartedMs = startedMs;
  return ticket;
}

describe('the activity of a model', () => {
  it('has a call once, however often it begins', () => {
    const activity = new ModelActivity();
    const ticket = ticketOf(10);
    activity.begin(ticket);
    activity.begin(ticket);
    assert.equal(activity.inFlight, 1);
    assert.equal(activity.end(ticket), true);
    assert.equal(activity.end(ticket), false);
    assert.equal(activity.inFlight, 0);
  });

  it('does not know a call that runs at another instance', () => {
    const [here, there] = [new ModelActivity(), new ModelActivity()];
    const [own, other] = [ticketOf(10), ticketOf(20)];
    here.begin(own);
    there.begin(other);
    assert.equal(here.end(other), false);
    assert.equal(here.suspend(other), false);
    assert.deepEqual([here.inFlight, there.inFlight], [1, 1]);
  });

  it('tells the oldest start and the latest deadline of those that run, in whatever order they come and go', () => {
    const moves = fc.array(fc.record({ at: fc.nat(7), begins: fc.boolean() }), { maxLength: 60 });
    fc.assert(
      fc.property(moves, (steps) => {
        const activity = new ModelActivity();
        const tickets = Array.from({ length: 8 }, (_, i) => ticketOf(100 + i));
        const running = new Set<number>();
        for (const { at, begins } of steps) {
          if (begins) activity.begin(tickets[at]!);
          else assert.equal(activity.suspend(tickets[at]!), running.has(at));
          if (begins) running.add(at);
          else running.delete(at);
          const { inFlight, oldestStartMs, lastDeadlineMs } = activity.report();
          assert.equal(inFlight, running.size);
          if (running.size === 0) continue;
          assert.equal(oldestStartMs, 100 + Math.min(...running));
          assert.equal(lastDeadlineMs, 1100 + Math.max(...running));
        }
      }),
    );
  });
});
