import { endpointReason, endpointState, endpointTone } from '../../admin/endpoint-state.js';
import type { StatusReport } from '../../admin/status.js';
import { modelTitle } from '../../telemetry/model-title.js';
import type { EndpointReport } from '../../telemetry/reports.js';
import { tableOf } from '../columns.js';
import { fold, type Palette } from '../terminal.js';
import { type Rates, type SidecarStatus, sidecarTable } from './sidecar-table.js';

/** What goes beyond the reports. */
export interface Shown {
  /** Calls per second by the names of the sidecars, of those with two reports. Absent: they are not shown. */
  readonly rates?: Rates;
  /** Every method that is known of is listed too. */
  readonly isDetailed?: boolean;
}

/**
 * The tables of `outrider status`: sidecars, models, endpoints, mirrors, size limits, methods, Consul, DNS and Kubernetes, each only where
 * it has rows.
 */
export function statusTables(
  seen: readonly SidecarStatus[],
  palette: Palette,
  { rates, isDetailed = false }: Shown = {},
): string {
  const reports = seen.flatMap((each) => ('report' in each ? [each.report] : []));
  const tables = [
    sidecarTable(seen, palette, rates),
    modelTable(reports, palette),
    lifeTable(reports, palette),
    endpointTable(reports, palette),
    mirrorTable(reports, palette),
    sizeTable(reports, palette),
    isDetailed ? methodTable(reports, palette) : '',
    registryTable(reports, palette),
    dnsTable(reports, palette),
    kubernetesTable(reports, palette),
  ];
  const notes = reports.flatMap(({ instance, registry }) =>
    (registry?.unsupported ?? []).map((note) => `${instance}: ${note}`),
  );
  return [...tables, fold(notes.join('\n'), palette.width)].filter((text) => text !== '').join('\n\n');
}

/** Each model of sidecars that serve several. */
function modelTable(reports: readonly StatusReport[], palette: Palette): string {
  const rows = rowsOf(reports, ({ models }) => models);
  const shown = (state: string): string => {
    if (state === 'ready' || state === 'foreign') return palette.green(state);
    return state === 'starting' ? palette.yellow(state) : palette.red(state);
  };
  return tableOf(palette, rows, [
    { title: 'sidecar', cell: ({ sidecar }) => sidecar },
    { title: 'model', cell: (model) => modelTitle(model) },
    { title: 'state', cell: ({ state }) => shown(state) },
    { title: 'process', cell: ({ pid }) => String(pid ?? ''), giveUp: 1 },
    { title: 'restarts', cell: ({ restarts }) => String(restarts) },
    { title: 'why', cell: ({ why }) => why, isSentence: true },
  ]);
}

/** Versions that do not just serve: what they do instead, and why. */
function lifeTable(reports: readonly StatusReport[], palette: Palette): string {
  const rows = rowsOf(reports, ({ lives }) => lives?.filter(({ state }) => state !== 'serving'));
  const shown = (state: string): string => {
    if (state === 'stopped' || state === 'shadow') return state;
    const isBad = ['rejected', 'given-up', 'backing-off', 'suspect'].includes(state);
    return isBad ? palette.red(state) : palette.yellow(state);
  };
  return tableOf(palette, rows, [
    { title: 'sidecar', cell: ({ sidecar }) => sidecar },
    { title: 'model version', cell: (life) => modelTitle(life) },
    { title: 'state', cell: ({ state }) => shown(state) },
    { title: 'since', cell: ({ since }) => since.slice(11, 19), giveUp: 1 },
    { title: 'why', cell: ({ why }) => why, isSentence: true },
  ]);
}

function endpointTable(reports: readonly StatusReport[], palette: Palette): string {
  const rows = rowsOf(reports, ({ endpoints }) => endpoints);
  return tableOf(palette, rows, [
    { title: 'caller', cell: ({ sidecar }) => sidecar },
    { title: 'upstream', cell: ({ upstream }) => upstream, giveUp: 0 },
    { title: 'cluster', cell: ({ cluster }) => cluster ?? '', isOptional: true, giveUp: 6 },
    { title: 'endpoint', cell: ({ endpoint }) => endpoint },
    // From 1000 on the endpoint is critical in Consul; `why` says so.
    { title: 'priority', cell: ({ priority }) => String(priority ?? ''), isOptional: true, giveUp: 5 },
    { title: 'state', cell: (row) => stateCell(row, palette) },
    { title: 'share', cell: ({ share = 1 }) => percent(share), giveUp: 11 },
    { title: 'suspicion', cell: ({ suspicion }) => percent(suspicion?.value) || NONE, giveUp: 12 },
    { title: 'in flight', cell: ({ inFlight }) => String(inFlight), giveUp: 8 },
    { title: 'load', cell: ({ reportedLoad }) => percent(reportedLoad) || NONE, giveUp: 14 },
    {
      title: 'latency',
      cell: ({ latencyMs: ms }) => (ms === undefined ? NONE : `${ms.toFixed(1)} ms`),
      giveUp: 1,
    },
    { title: 'to peers', cell: ({ latencyRatio }) => times(latencyRatio) || NONE, giveUp: 13 },
    { title: 'success', cell: (row) => success(row), giveUp: 1 },
    { title: 'attempts', cell: ({ attempts }) => String(attempts), giveUp: 9 },
    { title: 'faults', cell: ({ faults }) => String(faults), giveUp: 10 },
    { title: 'ejections', cell: ({ ejections }) => String(ejections), giveUp: 4 },
    { title: 'why', cell: (row) => endpointReason(row), isSentence: true },
  ]);
}

function stateCell(row: EndpointReport, palette: Palette): string {
  const { untilMs } = row;
  const state = endpointState(row);
  const text = untilMs === undefined ? state : `${state}, ${Math.ceil(untilMs / 1000)} s to go`;
  return { good: palette.green, warn: palette.yellow, bad: palette.red }[endpointTone(row)](text);
}

/** Shown for a latency or a success ratio without calls. */
const NONE = '–';

function success({ recentCalls, successRatio }: EndpointReport): string {
  return recentCalls === 0 ? NONE : percent(successRatio) || NONE;
}

function mirrorTable(reports: readonly StatusReport[], palette: Palette): string {
  const rows = rowsOf(reports, ({ mirrors }) => mirrors);
  return tableOf(palette, rows, [
    { title: 'caller', cell: ({ sidecar }) => sidecar },
    { title: 'upstream', cell: ({ upstream }) => upstream },
    { title: 'copied to', cell: ({ to }) => to },
    { title: 'sent', cell: ({ sent }) => String(sent) },
    { title: 'skipped', cell: ({ skipped }) => String(skipped) },
    { title: 'compared', cell: ({ compared }) => String(compared) },
    { title: 'mismatched', cell: ({ mismatched }) => String(mismatched) },
    { title: 'last', cell: ({ last }) => last ?? '', isSentence: true },
  ]);
}

/** Features that could not see some calls for their size. */
function sizeTable(reports: readonly StatusReport[], palette: Palette): string {
  const rows = rowsOf(reports, ({ sizeLimits }) => sizeLimits);
  return tableOf(palette, rows, [
    { title: 'caller', cell: ({ sidecar }) => sidecar },
    { title: 'upstream', cell: ({ upstream }) => upstream },
    { title: 'too large for', cell: ({ feature }) => palette.yellow(feature) },
    { title: 'calls', cell: ({ why }) => why, isSentence: true },
  ]);
}

/** Each method whose kind the file does not say, and how it became known. */
function methodTable(reports: readonly StatusReport[], palette: Palette): string {
  const rows = rowsOf(reports, ({ methods }) => methods);
  return tableOf(palette, rows, [
    { title: 'caller', cell: ({ sidecar }) => sidecar },
    { title: 'upstream', cell: ({ upstream }) => upstream },
    { title: 'method', cell: ({ method }) => method },
    { title: 'kind', cell: ({ kind }) => kind },
    { title: 'known by', cell: ({ from }) => from },
  ]);
}

/** A row for each sidecar with Consul, and one for each of its queries that is not current. */
function registryTable(reports: readonly StatusReport[], palette: Palette): string {
  const rows = reports.flatMap(({ instance, registry }) => {
    if (registry === undefined) return [];
    const { where, registered, problem = '', queries } = registry;
    const current = queries.filter(({ state }) => state === 'current').length;
    const state = registered === false ? palette.red('not registered') : registered ? 'registered' : '';
    const answered = `${current} of ${queries.length}`;
    const own = { sidecar: instance, where, state, answered, why: problem };
    const stale = queries
      .filter((query) => query.state !== 'current')
      .map(({ name, state: how, problem: why = '' }) => {
        const shown = how === 'failing' ? palette.red(how) : palette.yellow(how);
        return { sidecar: instance, where: name, state: shown, answered: '', why };
      });
    return [own, ...stale];
  });
  return tableOf(palette, rows, [
    { title: 'sidecar', cell: ({ sidecar }) => sidecar },
    { title: 'Consul', cell: ({ where }) => where },
    { title: 'state', cell: ({ state }) => state },
    { title: 'answered', cell: ({ answered }) => answered },
    { title: 'why', cell: ({ why }) => why, isSentence: true },
  ]);
}

/** Each upstream that is found by a DNS name. */
function dnsTable(reports: readonly StatusReport[], palette: Palette): string {
  const shown = sourceState(palette);
  return tableOf(
    palette,
    rowsOf(reports, ({ dns }) => dns),
    [
      { title: 'caller', cell: ({ sidecar }) => sidecar },
      { title: 'upstream', cell: ({ upstream }) => upstream },
      { title: 'DNS', cell: ({ name }) => name },
      { title: 'found', cell: ({ found = '' }) => found, isOptional: true },
      { title: 'state', cell: ({ state }) => shown(state) },
      { title: 'addresses', cell: ({ addresses }) => String(addresses) },
      { title: 'kept', cell: ({ kept }) => (kept === 0 ? '' : String(kept)), isOptional: true },
      { title: 'why', cell: ({ problem = '' }) => problem, isSentence: true },
    ],
  );
}

/** Each upstream that is found by a Service of Kubernetes. */
function kubernetesTable(reports: readonly StatusReport[], palette: Palette): string {
  const shown = sourceState(palette);
  const unlessNone = (count: number): string => (count === 0 ? '' : String(count));
  return tableOf(
    palette,
    rowsOf(reports, ({ kubernetes }) => kubernetes),
    [
      { title: 'caller', cell: ({ sidecar }) => sidecar },
      { title: 'upstream', cell: ({ upstream }) => upstream },
      { title: 'Kubernetes', cell: ({ service }) => service },
      { title: 'state', cell: ({ state }) => shown(state) },
      { title: 'ready', cell: ({ endpoints }) => String(endpoints) },
      { title: 'not ready', cell: ({ unready }) => unlessNone(unready), isOptional: true },
      { title: 'terminating', cell: ({ terminating }) => unlessNone(terminating), isOptional: true },
      { title: 'kept', cell: ({ kept }) => unlessNone(kept), isOptional: true },
      { title: 'why', cell: ({ problem = '' }) => problem, isSentence: true },
    ],
  );
}

/** How the source of an upstream's endpoints stands. */
function sourceState(palette: Palette): (state: string) => string {
  return (state) => {
    if (state === 'current') return palette.green(state);
    return state === 'waiting' || state === 'held' ? palette.yellow(state) : palette.red(state);
  };
}

function times(ratio: number | undefined): string {
  return ratio === undefined ? '' : `${ratio.toFixed(1)} ×`;
}

function percent(ratio: number | undefined): string {
  return ratio === undefined ? '' : `${Math.round(ratio * 100)} %`;
}

/** What each report lists, with the name of the sidecar that lists it. */
function rowsOf<Row>(
  reports: readonly StatusReport[],
  read: (report: StatusReport) => readonly Row[] | undefined,
): (Row & { readonly sidecar: string })[] {
  return reports.flatMap((each) => (read(each) ?? []).map((row) => ({ ...row, sidecar: each.instance })));
}
