import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildReport, summaryOf } from '../../../sidecar/cli/chaos/report/report.js';
import { adoptedReport, withSurvivalTable, withWholeTable } from '../../../tools/survival-table.js';
import { madeHistory, madeRun } from '../../kit/chaos/made-history.js';
import { packageRoot } from '../../kit/process/package-root.js';
import { constant } from '../../kit/time/seeded-random.js';

const random = constant(0.5);
const SUMMARY = summaryOf(
  buildReport(
    madeHistory([
      madeRun({ random, drill: 'kill|all', degradeForMs: 0 }),
      madeRun({ random, drill: 'kill|all', arm: 'envoy', failForMs: 9_000, degradeForMs: 0 }),
      madeRun({ random, drill: 'nan', degradeForMs: 0 }),
    ]),
  ),
);
const MADE = '<!-- Made by `npm run generate` from docs/chaos/figures.json -->';
const END = '<!-- End of what is made -->';
const PAGE = `# Outrider\n\n${MADE}\nold\n${END}\n\nmore\n`;

describe('the tables of what Outrider survives', () => {
  it('are those that `npm run generate` writes, where a report was adopted', () => {
    for (const { name, write } of adoptedReport(packageRoot)) {
      const page = readFileSync(join(packageRoot, name), 'utf8');
      assert.equal(write(page), page);
    }
  });

  it('have every drill and the pictures on their own page, between two marks', () => {
    const page = withWholeTable(PAGE, SUMMARY, ['nan.outrider.svg']);
    assert.match(page, /^# Outrider\n\n<!-- Made by.* -->\n\nEach row breaks one thing/);
    assert.match(page, /\n<!-- End of what is made -->\n\nmore\n$/);
    assert.match(page, /^\| Fault +\| Outrider +\| Envoy +\|$/m);
    assert.match(page, /^\| Drill kill\\\|all \| \*\*0\*\* of 500, 0 s \| 117 of 500, not recovered \|$/m);
    assert.match(page, /^\| Drill nan +\| \*\*0\*\* of 500, 0 s \| – +\|$/m);
    assert.match(page, /!\[Timeline of nan with outrider\]\(chaos\/nan\.outrider\.svg\)/);
    assert.equal(withWholeTable(page, SUMMARY, ['nan.outrider.svg']), page);
    assert.doesNotMatch(withWholeTable(page, SUMMARY, []), /svg/);
  });

  it('have a few drills in the README, with lost calls alone', () => {
    const page = withSurvivalTable(PAGE, SUMMARY);
    assert.match(page, /^\| Fault +\| gRPC alone \| Envoy \| Outrider +\|$/m);
    assert.match(page, /^\| Drill nan \| – +\| – +\| \*\*0\*\* of 500 \|$/m);
    assert.doesNotMatch(page, /Drill kill/);
    assert.match(page, /^Printed by `/m);
    assert.equal(withSurvivalTable(page, SUMMARY), page);
  });

  it('are refused for a page without a place for them', () => {
    assert.throws(() => withSurvivalTable('# Outrider', SUMMARY), /expected the lines .*Made by/);
    assert.throws(() => withWholeTable(PAGE.replace(END, ''), SUMMARY, []), /expected the lines/);
  });
});
