import assert from 'node:assert/strict';
import { attentionOf } from '../../../../sidecar/cli/page/attention.js';
import type { Replica } from '../../../../sidecar/cli/page/replicas.js';
import { aStatusReport } from '../../../kit/stack/admin-view.js';

const replica = (name: string, over: Partial<Replica> = {}): Replica => ({
  ...{ name, sidecar: undefined, views: [], state: 'ready', tone: 'good', why: '', strip: [] },
  ...over,
});
const ejected = { state: 'ejected', tone: 'bad', why: 'by web-1 (12 s to go): 5 faults in a row' } as const;

describe('what needs attention', () => {
  it('is nothing where all is well', () => {
    const edges = [{ from: 'web', to: 'digits', now: { perSecond: 9, failedRatio: 0.009 } }];
    const services = new Map([['digits', [replica('digits-1')]]]);
    assert.deepEqual(attentionOf({ edges, sidecars: [] }, services), []);
  });

  it('is what is wrong, the worst first, each with the command that shows more', () => {
    const edges = [
      { from: 'web', to: 'a', now: { perSecond: 100, failedRatio: 0.02 } },
      { from: 'web', to: 'b', now: { perSecond: 100, failedRatio: 0.12 } },
    ];
    const web = { name: 'web-1', report: aStatusReport(), options: '--admin 127.0.0.1:9' };
    const services = new Map([
      ['a', [replica('a-1', { state: 'draining', tone: 'warn', why: 'draining' }), replica('a-2')]],
      ['b', [replica('b-1', ejected)]],
    ]);
    assert.deepEqual(
      attentionOf({ edges, sidecars: [web] }, services).map(({ tone, text, command }) => [
        tone,
        text,
        command,
      ]),
      [
        ['bad', 'no replica of b takes calls (1 of 1)', 'npx outrider check'],
        [
          'bad',
          '12 % of the calls of web to b fail (12 of 100/s)',
          'npx outrider tap upstream=b failed --admin 127.0.0.1:9',
        ],
        ['bad', 'b-1 is ejected by web-1 (12 s to go): 5 faults in a row', 'npx outrider status b'],
        [
          'warn',
          '2 % of the calls of web to a fail (2 of 100/s)',
          'npx outrider tap upstream=a failed --admin 127.0.0.1:9',
        ],
        ['warn', 'a-1 drains: draining', 'npx outrider status a'],
      ],
    );
  });

  it('is a sidecar that has never answered, of which nobody knows whose it is', () => {
    const sidecars = [{ name: '10.0.0.5:8890', problem: 'connect ECONNREFUSED' }];
    const [first] = attentionOf({ edges: [], sidecars }, new Map());
    assert.equal(first!.text, '10.0.0.5:8890 does not answer: connect ECONNREFUSED');
  });

  it('has commands that a shell takes as they are, whatever a name is', () => {
    const services = new Map([["it's; rm -rf", [replica('x', ejected), replica('y')]]]);
    const [first] = attentionOf({ edges: [], sidecars: [] }, services);
    assert.equal(first!.command, "npx outrider status 'it'\\''s; rm -rf'");
  });
});
