import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asPlainQuery, boardJson } from '../../../../tools/observe/board-json.js';
import { BOARDS } from '../../../../tools/observe/files.js';
import type { Board, Panel } from '../../../../tools/observe/panel.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { promtool } from '../../../kit/observe/prometheus.js';
import { toolOrSkip } from '../../../kit/process/tools.js';

interface PanelJson {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly refId: string }[];
}

interface BoardJson {
  readonly uid: string;
  readonly panels: readonly PanelJson[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string }[] };
}

const boards = BOARDS.map((board) => JSON.parse(JSON.stringify(boardJson(board))) as BoardJson);
/** What Grafana has without a plugin. */
const CORE = ['row', 'timeseries', 'stat', 'table', 'state-timeline', 'bargauge'];

const aBoard = (expr: string, over: Partial<Board> = {}): Board => {
  const panel: Panel = { title: 'A', kind: 'stat', about: 'A.', targets: [[expr, 'a']] };
  return {
    name: 'a',
    title: 'A',
    about: 'A.',
    variables: [],
    rows: [{ title: 'R', panels: [panel] }],
    ...over,
  };
};

describe('boards of Grafana', () => {
  const scratch = scratchForEach();

  it('have ids of their own, panels without plugins, and queries in each', () => {
    assert.equal(new Set(boards.map(({ uid }) => uid)).size, BOARDS.length);
    for (const { uid, panels } of boards) {
      assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length, uid);
      for (const { type, title, targets = [] } of panels) {
        assert.ok(CORE.includes(type), `${uid}: ${type}`);
        assert.equal(targets.length > 0, type !== 'row', `${uid}: ${title}`);
        assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length);
      }
    }
  });

  it('have panels that lie beside and below each other, never over one another', () => {
    for (const { uid, panels } of boards)
      for (const [i, { gridPos: a, title }] of panels.entries()) {
        assert.ok(a.x >= 0 && a.x + a.w <= 24, `${uid}: ${title}`);
        for (const { gridPos: b, title: other } of panels.slice(i + 1)) {
          const isApart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
          assert.ok(isApart, `${uid}: ${title} lies over ${other}`);
        }
      }
  });

  it('have only queries that Prometheus understands', async function () {
    const program = await toolOrSkip(this, 'prometheus');
    const queries = boards.flatMap(({ panels, annotations }) => [
      ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
      ...annotations.list.map(({ expr }) => expr),
    ]);
    assert.ok(queries.length > 80, `${queries.length} queries`);
    const rules = queries.map((expr, i) => ({ record: `q:${i}`, expr: asPlainQuery(expr) }));
    writeFileSync(join(scratch.path, 'q.yml'), JSON.stringify({ groups: [{ name: 'q', rules }] }));
    const said = await promtool(program, ['check', 'rules', 'q.yml'], scratch.path);
    assert.match(said, new RegExp(`SUCCESS: ${queries.length} rules found`));
  });

  it('cannot be made of a metric, a label or a variable that there is not', () => {
    assert.throws(() => boardJson(aBoard('outrider_gone_total')), /there is no metric outrider_gone_total/);
    assert.throws(() => boardJson(aBoard('outrider_info{colour="x"}')), /has no label colour/);
    const of = 'outrider_endpoint_ejected{upstream=~"$upstream"}';
    assert.throws(() => boardJson(aBoard(of)), /the board has no variable upstream/);
    const variables = [{ name: 'upstream', metric: 'outrider_endpoint_ejected', label: 'upstream' }];
    boardJson(aBoard(of, { variables }));
    const wrong = [{ name: 'upstream', metric: 'outrider_info', label: 'upstream' }];
    assert.throws(
      () => boardJson(aBoard('outrider_info', { variables: wrong })),
      /reads upstream of outrider_info/,
    );
  });
});
