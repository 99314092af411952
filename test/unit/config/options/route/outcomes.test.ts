/** What a route says statuses count as: what it means, and what is refused, with the place and the reason. */
import assert from 'node:assert/strict';
import type { RouteConfig } from '../../../../../sidecar/config/model.js';
import {
  IDENTITY,
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
  const cases: readonly (readonly [what: string, outcomes: string, problem: RegExp, more?: string])[] = [
    [
      'a status that does not exist',
      '{fault: [not_fond]}',
      /^routes\[0\]\.outcomes\.fault\[0\]: found "not_fond"; expected one of cancelled, .*; did you mean "not_found"\?/,
    ],
    [
      'a status in the spelling of the protocol',
      '{fault: [RESOURCE_EXHAUSTED]}',
      /fault\[0\]: found "RESOURCE_EXHAUSTED"; .*did you mean "resource_exhausted"\?/,
    ],
    ['a number', '{fault: [8]}', /fault\[0\]: found 8; expected one of cancelled/],
    ['OK', '{fault: [ok]}', /fault\[0\]: found "ok"; expected another status, as ok is always a success$/],
    [
      'an outcome that does not exist',
      '{failure: [internal]}',
      /outcomes\.failure: unknown option; expected one of success, fault, neutral, overload/,
    ],
    ['an outcome misspelled', '{sucess: [not_found]}', /outcomes\.sucess: .*did you mean "success"\?/],
    [
      'a refusal, which only the protocol tells',
      '{refusal: [unavailable]}',
      /outcomes\.refusal: unknown option; expected one of success, fault/,
    ],
    ['no status', '{fault: []}', /outcomes\.fault: found an empty list; expected at least one status/],
    ['a status without a list', '{fault: internal}', /outcomes\.fault: .*did you mean \[internal\]\?/],
    [
      'a status twice as the same',
      '{neutral: [internal, unknown, internal]}',
      /neutral\[2\]: found internal again, as in neutral\[0\]; expected each status to count as one thing/,
    ],
    [
      'a status as two things',
      '{fault: [not_found], success: [not_found]}',
      /fault\[0\]: found not_found again, as in success\[0\]/,
    ],
    [
      'a failure of the endpoint as a success',
      '{success: [unavailable]}',
      /success\[0\]: found unavailable; expected another status, as it says that the endpoint failed; counted as a success it would draw/,
    ],
    [
      'being full as a success',
      '{success: [resource_exhausted]}',
      /success\[0\]: found resource_exhausted; /,
    ],
    [
      'running out of time as a success',
      '{success: [deadline_exceeded]}',
      /success\[0\]: found deadline_exceeded; expected another status, as it says that time ran out/,
    ],
    [
      'giving up as being full',
      '{overload: [cancelled]}',
      /overload\[0\]: found cancelled; .*never that it was ans/,
    ],
    [
      'a success that is tried again',
      '{success: [not_found, aborted]}',
      /outcomes\.success\[1\]: found aborted, which retry\.on\[1\] repeats; .*a success is not tried again/,
      ', retry: {on: [unavailable, aborted]}',
    ],
  ];
  for (const [what, outcomes, problem, more] of cases) {
    it(`refuses ${what}`, () => {
      const problems = upstreamProblems(route(outcomes, more));
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0]!, problem);
    });
  }

  it('on the side of the model, where no endpoint is judged', () => {
    const problems = sidecarProblems(
      `${IDENTITY}\ninbound: {listen: "127.0.0.1:1", local: "unix:/m", routes: [{methods: ["*"], outcomes: {fault: [internal]}}]}`,
    );
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /inbound\.routes\[0\]\.outcomes: unknown option/);
  });
});
