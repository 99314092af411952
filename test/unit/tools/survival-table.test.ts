import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildReport, summaryOf } from '../../../sidecar/cli/chaos/report/report.js';
import { adoptedReport, withSurvivalTable } from '../../../tools/survival-table.js';
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
const PAGE = '# Outrider\n\ntext\n\n## How to\n\nmore\n';

describe("the README's table of what Outrider survives", () => {
  it('is the one that `npm run generate` writes, where a report was adopted', () => {
    const page = readFileSync(join(packageRoot, 'README.md'), 'utf8');
    assert.equal(adoptedReport(packageRoot)?.(page) ?? page, page);
  });

  it('gets a section of its own before the first how-to, and is replaced there', () => {
    const page = withSurvivalTable(PAGE, SUMMARY, ['nan.outrider.svg']);
    assert.match(page, /^# Outrider\n\ntext\n\n## What it survives\n\n<!-- Made by/);
    assert.match(page, /\n<!-- End of what is made -->\n\n## How to\n\nmore\n$/);
    assert.match(page, /^\| what goes wrong +\| Outrider +\| Envoy +\|$/m);
    assert.match(page, /^\| Drill kill\\\|all \| \*\*0\*\* of 500, 0 s \| 117 of 500, not recovered \|$/m);
    assert.match(page, /^\| Drill nan +\| \*\*0\*\* of 500, 0 s \| – +\|$/m);
    assert.match(page, /!\[Timeline of nan with outrider\]\(docs\/chaos\/nan\.outrider\.svg\)/);
    assert.equal(withSurvivalTable(page, SUMMARY, ['nan.outrider.svg']), page);
    assert.doesNotMatch(withSurvivalTable(page, SUMMARY, []), /svg/);
  });

  it('is refused for a page without a place for it', () => {
    assert.throws(() => withSurvivalTable('# Outrider', SUMMARY, []), /there is no heading ## How to/);
    const page = withSurvivalTable(PAGE, SUMMARY, []).replace('<!-- End of what is made -->', '');
    assert.throws(() => withSurvivalTable(page, SUMMARY, []), /the line .* is missing/);
  });
});
