import { isCounter } from '../../sidecar/telemetry/metric-rows.js';
import { documentedLabels } from '../metrics-reference.js';

/** The labels of series that are no metric of ours: Prometheus's own, and recording rules, by name. */
export type OtherSeries = Readonly<Record<string, readonly string[]>>;

/** What every series has that Prometheus scraped. */
const TARGET_LABELS = ['instance', 'job'];
/** What Prometheus itself records. */
export const OF_PROMETHEUS: OtherSeries = {
  up: [],
  ALERTS: ['alertname', 'alertstate', 'severity', 'service', 'upstream', 'endpoint', 'name', 'model'],
};

const FUNCTIONS = new Set([
  ...[
    'rate',
    'increase',
    'changes',
    'histogram_quantile',
    'ceil',
    'clamp_min',
    'scalar',
    'vector',
    'time',
    'absent',
  ],
  ...['sum', 'min', 'max', 'avg', 'count', 'topk', 'max_over_time', 'min_over_time', 'avg_over_time'],
]);
const TAKES_COUNTER = new Set(['rate', 'increase']);
/** Before a list of labels in parentheses. */
const GROUPING = new Set(['by', 'on', 'ignoring', 'without', 'group_left', 'group_right']);
const OPERATORS = new Set(['and', 'or', 'unless', 'bool', 'offset']);

const TOKEN =
  /\s+|(?<text>"(?:[^"\\]|\\.)*")|(?<range>\[[^\]]*\])|(?<number>\d[\w.]*)|(?<name>[A-Za-z_:][\w:]*)|(?<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},])/y;

interface Token {
  readonly kind: 'text' | 'range' | 'number' | 'name' | 'sign';
  readonly text: string;
}

/**
 * Checks that an expression of PromQL uses only series that there are, labels that these have, and `rate` only of
 * counters. It reads names, not the grammar: promtool, in a test, says whether Prometheus understands the rest.
 *
 * @throws Error that names the expression and what is wrong in it.
 */
export function checkExpression(expression: string, others: OtherSeries): void {
  const fail = (what: string): never => {
    throw new Error(`${expression}: ${what}`);
  };
  const tokens = tokensOf(expression, fail);
  const labels = new Set([...TARGET_LABELS, 'le']);
  const grouped: string[] = [];
  let isCounted = false;
  for (let i = 0; i < tokens.length; i++) {
    const { kind, text } = tokens[i]!;
    if (kind !== 'name' || OPERATORS.has(text)) continue;
    if (GROUPING.has(text)) {
      const end = endOf(tokens, i + 1);
      grouped.push(
        ...tokens.slice(i + 1, end).flatMap((token) => (token.kind === 'name' ? [token.text] : [])),
      );
      i = end;
    } else if (FUNCTIONS.has(text)) {
      isCounted = TAKES_COUNTER.has(text);
    } else {
      const own = labelsOf(text, others) ?? fail(`there is no metric ${text}`);
      if (isCounted && !isCounting(text)) fail(`${text} is no counter, and rate and increase take counters`);
      isCounted = false;
      for (const label of own) labels.add(label);
      const allowed = [...own, ...TARGET_LABELS, ...(text.endsWith('_bucket') ? ['le'] : [])];
      const end = tokens[i + 1]?.text === '{' ? endOf(tokens, i + 1) : i;
      for (const token of tokens.slice(i + 2, end))
        if (token.kind === 'name' && !allowed.includes(token.text))
          fail(`${text} has no label ${token.text}`);
      i = end;
    }
  }
  for (const label of grouped) if (!labels.has(label)) fail(`no metric of it has the label ${label}`);
}

/** The labels of a series, without those of its target; undefined for one that there is not. */
export function labelsOf(name: string, others: OtherSeries): readonly string[] | undefined {
  if (Object.hasOwn(others, name)) return others[name];
  return documentedLabels(name) ?? documentedLabels(name.replace(/_(bucket|sum|count)$/, ''));
}

function isCounting(name: string): boolean {
  return isCounter(name) || /_(bucket|sum|count)$/.test(name);
}

function tokensOf(expression: string, fail: (what: string) => never): Token[] {
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < expression.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(expression);
    if (match === null) return fail(`not read from "${expression.slice(at, at + 10)}" on`);
    for (const [kind, text] of Object.entries(match.groups ?? {}))
      if (text !== undefined) found.push({ kind: kind as Token['kind'], text });
  }
  return found;
}

/** Where the parenthesis or brace ends that opens at `from`; `from - 1` where none does. */
function endOf(tokens: readonly Token[], from: number): number {
  const open = tokens[from]?.text;
  if (open !== '(' && open !== '{') return from - 1;
  const close = open === '(' ? ')' : '}';
  const end = tokens.findIndex(({ text }, i) => i > from && text === close);
  return end < 0 ? tokens.length : end;
}
