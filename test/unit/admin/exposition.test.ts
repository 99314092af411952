import assert from 'node:assert/strict';
import { expose } from '../../../sidecar/admin/exposition.js';

describe('exposition', () => {
  it('writes counters and gauges with their labels', async () => {
    const text = await expose([
      {
        kind: 'counter',
        name: 'outrider_calls_total',
        help: 'Calls.',
        samples: [{ labels: { upstream: 'digits' }, value: 7 }],
      },
      { kind: 'gauge', name: 'outrider_up', help: 'Up.', samples: [{ labels: {}, value: 1 }] },
    ]);
    assert.match(text, /^# HELP outrider_calls_total Calls\.$/m);
    assert.match(text, /^# TYPE outrider_calls_total counter$/m);
    assert.match(text, /^outrider_calls_total\{upstream="digits"\} 7$/m);
    assert.match(text, /^# TYPE outrider_up gauge$/m);
    assert.match(text, /^outrider_up 1$/m);
  });

  it('writes a histogram as cumulative buckets that end in +Inf and equal the count', async () => {
    const text = await expose([
      {
        kind: 'histogram',
        name: 'outrider_seconds',
        help: 'Time.',
        samples: [{ labels: { upstream: 'a' }, bounds: [0.1, 1], counts: [3, 5, 6], sum: 4.5 }],
      },
    ]);
    const lines = text.split('\n').filter((line) => !line.startsWith('#') && line !== '');
    assert.deepEqual(lines, [
      'outrider_seconds_bucket{upstream="a",le="0.1"} 3',
      'outrider_seconds_bucket{upstream="a",le="1"} 5',
      'outrider_seconds_bucket{upstream="a",le="+Inf"} 6',
      'outrider_seconds_sum{upstream="a"} 4.5',
      'outrider_seconds_count{upstream="a"} 6',
    ]);
  });

  it('escapes quotes, backslashes and line ends in label values', async () => {
    const text = await expose([
      { kind: 'gauge', name: 'g', help: 'h', samples: [{ labels: { a: 'x"y\\z\nw' }, value: 0 }] },
    ]);
    assert.ok(text.includes('g{a="x\\"y\\\\z\\nw"} 0'), text);
  });

  it('keeps the first of two families with one name instead of failing the scrape', async () => {
    const family = { kind: 'gauge', name: 'g', help: 'h', samples: [{ labels: {}, value: 1 }] } as const;
    const text = await expose([family, { ...family, samples: [{ labels: {}, value: 2 }] }]);
    assert.match(text, /^g 1$/m);
    assert.doesNotMatch(text, /^g 2$/m);
  });
});
