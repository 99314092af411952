/** What a route says statuses count as: what it means, and what is refused, with the place and the reason. */
import assert from 'node:assert/strict';
import type { RouteConfig } from '../../../../../sidecar/config/model.js';
import {
  IDENTITY,
  refusing,
  sidecarConfig,
  sidecarProblems,
  upstreamProblems,
  upstreamWith,
} from '../../../../kit/config/problems-of.js';

const route = (outcomes: string, more = '') =>
  upstreamWith(`routes: [{methods: ["*"], idempotent: true, outcomes: ${outcomes}${more}}]`);

function routeOf(block: string): RouteConfig {
  return sidecarConfig(`${IDENTITY}\noutbound: {upstreams: {u: ${block}}}`).outbound!.upstreams[0]!
    .routes[0]!;
}

describe('the outcomes of a route', () => {
  it('are the codes of the statuses it names', () => {
    const said =
      '{success: [not_found], fault: [resource_exhausted], neutral: [internal, unknown], overload: [unavailable]}';
    assert.deepEqual(routeOf(route(said)).outcomes, {
      success: [5],
      fault: [8],
      neutral: [13, 2],
      overload: [14],
    });
  });

  it('are absent where nothing is said', () => {
    assert.ok(!('outcomes' in routeOf(upstreamWith('routes: [{methods: ["*"]}]'))));
    assert.deepEqual(routeOf(route('{}')).outcomes, {});
  });

  it('go with a retry of what is no success', () => {
    const { outcomes, retry } = routeOf(route('{overload: [unavailable]}', ', retry: {}'));
    assert.deepEqual([outcomes, retry!.on], [{ overload: [14] }, [14]]);
  });
});

describe('outcomes that are refused', () => {
  const refused = refusing((outcomes) => upstreamProblems(route(outcomes)));
  refused('a status that does not exist', '{fault: [not_fond]}').because(
    /^routes\[0\]\.outcomes\.fault\[0\]: found "not_fond"; expected one of cancelled, .*; did you mean "not_found"\?/,
  );
  refused('a status in the spelling of the protocol', '{fault: [RESOURCE_EXHAUSTED]}')
    .because(/fault\[0\]: found "RESOURCE_EXHAUSTED"; .*did you mean "resource_exhausted"\?/)
    .also('OK', '{fault: [ok]}')
    .because(/fault\[0\]: found "ok"; expected another status, as ok is always a success$/)
    .also('an outcome that does not exist', '{failure: [internal]}')
    .because(/outcomes\.failure: unknown option; expected one of success, fault, neutral, overload/)
    .also('an outcome misspelled', '{sucess: [not_found]}')
    .because(/outcomes\.sucess: .*did you mean "success"\?/)
    .also('a refusal, which only the protocol tells', '{refusal: [unavailable]}')
    .because(/outcomes\.refusal: unknown option; expected one of success, fault/)
    .also('no status', '{fault: []}')
    .because(/outcomes\.fault: found an empty list; expected at least one status/)
    .also('a status without a list', '{fault: internal}')
    .because(/outcomes\.fault: .*did you mean \[internal\]\?/)
    .also('a status as two things', '{fault: [not_found], success: [not_found]}')
    .because(/fault\[0\]: found not_found again, as in success\[0\]/)
    .also('being full as a success', '{success: [resource_exhausted]}')
    .because(/success\[0\]: found resource_exhausted; /)
    .also('running out of time as a success', '{success: [deadline_exceeded]}')
    .because(/success\[0\]: found deadline_exceeded; expected another status, as it says that time ran out/)
    .also('giving up as being full', '{overload: [cancelled]}')
    .because(/overload\[0\]: found cancelled; .*never that it was ans/);
  refused('a number', '{fault: [8]}').because(/fault\[0\]: found 8; expected one of cancelled/);
  refused('a status twice as the same', '{neutral: [internal, unknown, internal]}').because(
    /neutral\[2\]: found internal again, as in neutral\[0\]; expected each status to count as one thing/,
  );
  refused('a failure of the endpoint as a success', '{success: [unavailable]}').because(
    /success\[0\]: found unavailable; expected another status, as it says that the endpoint failed; counted as a success it would draw/,
  );
  refused(
    'a success that is tried again',
    '{success: [not_found, aborted]}, retry: {on: [unavailable, aborted]}',
  ).because(
    /outcomes\.success\[1\]: found aborted, which retry\.on\[1\] repeats; .*a success is not tried again/,
  );

  it('on the side of the model, where no endpoint is judged', () => {
    const problems = sidecarProblems(
      `${IDENTITY}\ninbound: {listen: "127.0.0.1:1", local: "unix:/m", routes: [{methods: ["*"], outcomes: {fault: [internal]}}]}`,
    );
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /inbound\.routes\[0\]\.outcomes: unknown option/);
  });
});
