import { checkExpression, labelsOf } from './expression.js';
import type { Board, Panel, Row, Variable } from './panel.js';
import { OTHER_SERIES } from './rules-file.js';

const COLUMNS = 24;
const HEIGHT = { stat: 4, table: 9, timeseries: 8, 'state-timeline': 8, bargauge: 8 } as const;
/** Defaults of Grafana that its schema asks for all the same. */
const STAT = {
  justifyMode: 'auto',
  orientation: 'auto',
  wideLayout: true,
  showPercentChange: false,
  percentChangeColorMode: 'standard',
} as const;
const DATASOURCE = { type: 'prometheus', uid: '$datasource' } as const;

/** A variable that Grafana replaces by a duration, as one that promtool reads. */
export function asPlainQuery(expr: string): string {
  return expr.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '1h');
}

/**
 * A board as Grafana imports it (schema 39, Grafana 10 and later): panels from left to right, ids in order.
 *
 * @throws Error for a query with a metric or label that there is not, or with a variable that the board has not.
 */
export function boardJson(board: Board): object {
  for (const variable of board.variables) checkVariable(variable);
  const names = board.variables.map(({ name }) => name);
  let id = 0;
  let y = 0;
  const panels: object[] = [];
  for (const row of board.rows) {
    panels.push({ ...asRow(row, y), id: ++id });
    y += 1;
    for (const { panel, at, height } of placed(row.panels)) {
      for (const [expr] of panel.targets) checkQuery(expr, names);
      panels.push({ ...asPanel(panel, { ...at, y: at.y + y, h: height }), id: ++id });
    }
    y += heightOf(row.panels);
  }
  return {
    uid: `outrider-${board.name}`,
    title: board.title,
    description: board.about,
    tags: ['outrider'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '15s',
    time: { from: 'now-1h', to: 'now' },
    links: [
      {
        type: 'dashboards',
        tags: ['outrider'],
        title: 'Outrider',
        icon: 'external link',
        tooltip: '',
        targetBlank: false,
        asDropdown: true,
        keepTime: true,
        includeVars: true,
      },
    ],
    templating: { list: [DATASOURCE_CHOICE, ...board.variables.map(asVariable)] },
    annotations: { list: MARKS.map(asMark) },
    panels,
  };
}

/** What is marked on the time axis of each board. */
const MARKS = [
  [
    'Ejections',
    'orange',
    'sum by (upstream, endpoint, name) (increase(outrider_ejections_total[1m])) > 0',
    '{{name}} of {{upstream}} ejected',
  ],
  [
    'Restarts of models',
    'red',
    'sum by (instance, model) (increase(outrider_model_restarts_total[1m])) > 0',
    '{{model}} of {{instance}} started again',
  ],
  [
    'Drills',
    'purple',
    'sum by (instance, kind) (increase(outrider_faults_injected_total[1m])) > 0',
    '{{kind}} injected at {{instance}}',
  ],
] as const;

function asMark([name, iconColor, expr, titleFormat]: (typeof MARKS)[number]): object {
  checkExpression(expr, OTHER_SERIES);
  return {
    name,
    iconColor,
    expr,
    titleFormat,
    datasource: DATASOURCE,
    enable: true,
    step: '60s',
    useValueForTime: false,
  };
}

function checkQuery(expr: string, variables: readonly string[]): void {
  for (const [, name] of expr.matchAll(/\$(\w+)/g))
    if (!name!.startsWith('__') && !variables.includes(name!))
      throw new Error(`${expr}: the board has no variable ${name}`);
  checkExpression(asPlainQuery(expr), OTHER_SERIES);
}

function checkVariable({ metric, label }: Variable): void {
  if (label !== 'instance' && labelsOf(metric, OTHER_SERIES)?.includes(label) !== true)
    throw new Error(`a variable reads ${label} of ${metric}, which has none`);
}

const DATASOURCE_CHOICE = {
  name: 'datasource',
  label: 'Prometheus',
  type: 'datasource',
  query: 'prometheus',
  hide: 0,
};

function asVariable({ name, metric, label, where = '' }: Variable): object {
  const query = `label_values(${metric}${where === '' ? '' : `{${where}}`}, ${label})`;
  return {
    name,
    label: name,
    type: 'query',
    datasource: DATASOURCE,
    definition: query,
    query: { query, refId: 'values' },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
  };
}

function asRow({ title }: Row, y: number): object {
  return { type: 'row', title, collapsed: false, gridPos: { x: 0, y, w: COLUMNS, h: 1 }, panels: [] };
}

interface Placed {
  readonly panel: Panel;
  readonly at: { readonly x: number; readonly y: number; readonly w: number };
  readonly height: number;
}

/** From left to right, and on the next line where one does not fit. */
function placed(panels: readonly Panel[]): Placed[] {
  let x = 0;
  let y = 0;
  let tallest = 0;
  return panels.map((panel) => {
    const w = panel.width ?? (panel.kind === 'stat' ? 4 : 12);
    const height = HEIGHT[panel.kind];
    if (x + w > COLUMNS) {
      x = 0;
      y += tallest;
      tallest = 0;
    }
    const at = { x, y, w };
    x += w;
    tallest = Math.max(tallest, height);
    return { panel, at, height };
  });
}

function heightOf(panels: readonly Panel[]): number {
  return Math.max(0, ...placed(panels).map(({ at, height }) => at.y + height));
}

function asPanel(panel: Panel, gridPos: object): object {
  const { title, kind, about, targets, unit = 'short', colours, words, isStacked } = panel;
  const isTable = kind === 'table';
  const isNow = isTable || kind === 'stat' || kind === 'bargauge';
  return {
    type: kind,
    title,
    description: about,
    datasource: DATASOURCE,
    gridPos,
    targets: targets.map(([expr, legendFormat], i) => ({
      refId: String.fromCharCode(65 + i),
      datasource: DATASOURCE,
      expr,
      legendFormat,
      ...(isNow ? { instant: true, range: false } : { instant: false, range: true }),
      ...(isTable ? { format: 'table' } : {}),
    })),
    fieldConfig: {
      defaults: {
        unit,
        ...(kind === 'timeseries' ? { min: 0, custom: lines(isStacked) } : {}),
        ...(colours === undefined ? {} : { thresholds: { mode: 'absolute', steps: colours.map(asStep) } }),
        ...(words === undefined ? {} : { mappings: [{ type: 'value', options: asWords(words, colours) }] }),
      },
      overrides: [],
    },
    ...(isTable ? { transformations: TABLE_LAYOUT } : {}),
    options: optionsOf(kind),
  };
}

function lines(isStacked: true | undefined): object {
  const stacking = { mode: isStacked === true ? 'normal' : 'none', group: 'A' };
  return {
    lineWidth: 1,
    fillOpacity: isStacked === true ? 30 : 8,
    showPoints: 'never',
    spanNulls: false,
    stacking,
  };
}

function asStep([value, color]: NonNullable<Panel['colours']>[number]): object {
  return { value, color };
}

/** A word has the colour that its value has. */
function asWords(words: Readonly<Record<number, string>>, colours: Panel['colours'] = []): object {
  return Object.fromEntries(
    Object.entries(words).map(([value, text]) => {
      const color = colours.findLast(([from]) => from === null || from <= Number(value))?.[1];
      return [value, { text, ...(color === undefined ? {} : { color }) }];
    }),
  );
}

function optionsOf(kind: Panel['kind']): object {
  const legend = { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] };
  const calc = { calcs: ['lastNotNull'], fields: '', values: false };
  switch (kind) {
    case 'stat':
      return { reduceOptions: calc, colorMode: 'value', graphMode: 'none', textMode: 'auto', ...STAT };
    case 'bargauge':
      return { reduceOptions: calc, orientation: 'horizontal', displayMode: 'basic' };
    case 'state-timeline':
      return {
        legend,
        tooltip: { mode: 'single', sort: 'none' },
        showValue: 'auto',
        mergeValues: true,
        rowHeight: 0.8,
      };
    case 'table':
      return { showHeader: true, frameIndex: 0 };
    default:
      return { legend, tooltip: { mode: 'multi', sort: 'desc' } };
  }
}

/** Several queries of one table stand beside each other; the columns of Prometheus's own are left out. */
const TABLE_LAYOUT = [
  { id: 'merge', options: {} },
  {
    id: 'organize',
    options: { excludeByName: { Time: true, __name__: true, job: true }, indexByName: {}, renameByName: {} },
  },
];
