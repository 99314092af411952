/** W3C Trace Context as the sidecar reads it: what is malformed is none, and never an error. */
import assert from 'node:assert/strict';
import { makeField } from '../../../sidecar/http2/hpack/field.js';
import { HeaderBlock, StableList } from '../../../sidecar/http2/hpack/header-list.js';
import {
  parentOf,
  parseParent,
  requestIdOf,
  traceStateOf,
} from '../../../sidecar/telemetry/trace-context.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const VALID = `00-${TRACE}-${SPAN}-01`;

const blockOf = (...fields: [string, string][]): HeaderBlock => {
  const extras = fields.map(([name, value]) => makeField(name, value));
  return new HeaderBlock(StableList.root(), extras, 0, extras.length, false, false);
};

describe('traceparent', () => {
  it('has a trace, a span and a flag', () => {
    assert.deepEqual(parseParent(VALID), { traceId: TRACE, spanId: SPAN, isSampled: true });
    assert.equal(parseParent(`00-${TRACE}-${SPAN}-00`)?.isSampled, false);
    // Other flags are for others (section 3.2.2.5).
    assert.equal(parseParent(`00-${TRACE}-${SPAN}-fe`)?.isSampled, false);
  });

  it('of a later version may be longer', () => {
    assert.equal(parseParent(`cc-${TRACE}-${SPAN}-01-what-the-future-will-be`)?.traceId, TRACE);
    assert.equal(parseParent(`00-${TRACE}-${SPAN}-01-longer`), undefined);
    assert.equal(parseParent(`cc-${TRACE}-${SPAN}-01${'-x'.repeat(100)}`), undefined);
  });

  for (const [what, value] of [
    ['empty', ''],
    ['of version ff', `ff-${TRACE}-${SPAN}-01`],
    ['with a trace of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['with a span of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['in upper case', VALID.toUpperCase()],
    ['too short', VALID.slice(0, -1)],
    ['with other separators', VALID.replaceAll('-', '_')],
    ['no hexadecimal digits', `00-${'g'.repeat(32)}-${SPAN}-01`],
  ] as const)
    it(`that is ${what} is none`, () => assert.equal(parseParent(value), undefined));

  it('sent twice is none', () => {
    assert.equal(parentOf(blockOf(['traceparent', VALID], ['traceparent', VALID])), undefined);
    assert.equal(parentOf(blockOf(['traceparent', VALID]))?.spanId, SPAN);
    assert.equal(parentOf(blockOf()), undefined);
  });
});

describe('tracestate', () => {
  it('of several fields is one list', () => {
    assert.equal(traceStateOf(blockOf(['tracestate', 'a=1'], ['tracestate', 'b=2'])), 'a=1,b=2');
  });

  it('of more than 512 characters is not passed on', () => {
    assert.equal(traceStateOf(blockOf(['tracestate', `a=${'x'.repeat(510)}`])).length, 512);
    assert.equal(traceStateOf(blockOf(['tracestate', `a=${'x'.repeat(511)}`])), '');
    assert.equal(traceStateOf(blockOf()), '');
  });
});

describe('x-request-id', () => {
  it('is what is printable and not too long', () => {
    assert.equal(requestIdOf(blockOf(['x-request-id', '4711/a'])), '4711/a');
    for (const value of ['', 'a b', 'é', 'x'.repeat(129)])
      assert.equal(requestIdOf(blockOf(['x-request-id', value])), undefined, value);
    assert.equal(requestIdOf(blockOf()), undefined);
  });
});
