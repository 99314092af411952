/**
 * The engine against a peer that speaks mostly valid HTTP/2 and sometimes lies, in both roles. The judge, the onlooker
 * and the peer share nothing with the engine; see test/kit/http2/fuzz. The long run is `npm run fuzz`.
 */
import assert from 'node:assert/strict';
import { noFigures, Session } from '../../kit/http2/fuzz/session.js';
import { runs } from '../../kit/mocha/effort.js';

const SESSIONS = runs(80);
const STEPS = 300;

describe('the engine under a fuzzer', () => {
  it(`throws nothing in ${SESSIONS} sessions, bounds its memory, and answers an error as the RFC says`, () => {
    const figures = noFigures();
    for (let seed = 1; seed <= SESSIONS; seed++) new Session(seed, figures).run(STEPS);
    assert.ok(figures.framesIn > 60 * SESSIONS, `${figures.framesIn} frames`);
    const { streamErrors, connectionErrors, canaries } = figures;
    assert.ok(streamErrors > SESSIONS / 2 && connectionErrors > SESSIONS / 4 && canaries > SESSIONS / 8);
  }).timeout(60_000);
});
