import assert from 'node:assert/strict';
import { type SessionLine, terminalSvg } from './terminal-svg.js';

describe('the picture of a terminal session', () => {
  const lines: SessionLine[] = [
    { kind: 'typed', text: 'a <b> & "c"', atMs: 0 },
    { kind: 'printed', text: 'x', atMs: 1000 },
    { kind: 'typed', text: 'd', atMs: 9000 },
  ];
  const svg = terminalSvg(lines, { label: 'a session', longestWaitMs: 2000, restMs: 1000 });

  it('shows each line in its turn, long waits shortened, and says when it really was', () => {
    assert.deepEqual(
      [...svg.matchAll(/@keyframes l(\d)\{0%\{opacity:0\}([\d.]+)%/g)].map(([, i, at]) => [i, at]),
      [
        ['0', '0.00'],
        ['1', '25.00'],
        ['2', '75.00'],
      ],
    );
    assert.match(svg, /step-end infinite/);
    assert.deepEqual(
      [...svg.matchAll(/class="time">([^<]+)</g)].map(([, time]) => time),
      ['0.0 s', '9.0 s'],
    );
  });

  it('escapes what was typed', () => assert.match(svg, /a &lt;b&gt; &amp; &quot;c&quot;/));
});
