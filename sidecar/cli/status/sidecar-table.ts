import type { StatusReport } from '../../admin/status.js';
import { type Column, tableOf } from '../columns.js';
import type { Palette } from '../terminal.js';
import type { CatalogInstance } from './catalog.js';

/** One sidecar: its own report, what Consul has of it where it was not asked itself, or why there is none of both. */
export type SidecarStatus = {
  readonly name: string /** Log file of a sidecar of `up`. */;
  readonly log?: string;
} & (
  | { readonly report: StatusReport }
  | { readonly catalog: CatalogInstance }
  | { readonly problem: string }
);

/** Calls per second by the names of sidecars; one that is missing is not known. */
export type Rates = ReadonlyMap<string, number>;

/** A row of the table, each cell as text; empty: not known. */
interface Row {
  /** Name of the instance; of one that does not answer, the name it was asked by. */
  readonly sidecar: string;
  readonly service: string;
  /** Of the program; two in one mesh mean that an update is under way. */
  readonly version: string;
  /** In colour: ready, not ready, no answer, or the status in Consul. */
  readonly state: string;
  /** What is against readiness, in whole sentences. */
  readonly why: string;
  /** Of the sidecar itself, by its parent. */
  readonly restarts?: string;
  /** State of the one model, or how many of several are ready. */
  readonly model?: string;
  /** Of all model processes together. */
  readonly modelRestarts?: string;
  /** Calls in the model, and before it. */
  readonly running?: string;
  readonly waiting?: string;
  /** Eligible ones of all, over all upstreams. */
  readonly endpoints?: string;
  /** Ended since the start, both directions together, and per second. */
  readonly calls?: string;
  readonly rate?: string;
  /** Time until the certificate in use ends. */
  readonly certificate?: string;
}

/** A certificate that ends before this is shown in yellow, s; those of Consul and of `up` are renewed long before. */
const SOON_S = 600;

/**
 * One line for each sidecar: is it ready, of which version, with how many endpoints, and until when its certificate holds.
 *
 * @param rates absent: calls per second have no column.
 */
export function sidecarTable(seen: readonly SidecarStatus[], palette: Palette, rates?: Rates): string {
  const rows = seen.map((each) => rowOf(each, palette, rates ?? new Map()));
  // A column is there by what is shown, and not by what it says now: a table that is drawn again keeps its columns.
  const live = seen.some((each) => 'report' in each);
  const isListed = seen.some((each) => 'catalog' in each);
  const columns: readonly (Column<Row> | false)[] = [
    { title: 'sidecar', cell: ({ sidecar }) => sidecar },
    (live || isListed) && { title: 'service', cell: ({ service }) => service, giveUp: 2 },
    (live || isListed) && { title: 'version', cell: ({ version }) => version, giveUp: 11 },
    { title: 'state', cell: ({ state }) => state },
    live && { title: 'restarts', cell: ({ restarts = '' }) => restarts, giveUp: 4 },
    (live || isListed) && { title: 'model', cell: ({ model = '' }) => model, giveUp: 1 },
    live && { title: 'model restarts', cell: ({ modelRestarts = '' }) => modelRestarts, giveUp: 3 },
    live && { title: 'running', cell: ({ running = '' }) => running, giveUp: 7 },
    live && { title: 'waiting', cell: ({ waiting = '' }) => waiting, giveUp: 6 },
    live && { title: 'calls', cell: ({ calls = '' }) => calls, giveUp: 9 },
    live && rates !== undefined && { title: 'calls/s', cell: ({ rate = '' }) => rate, giveUp: 8 },
    live && { title: 'endpoints', cell: ({ endpoints = '' }) => endpoints, giveUp: 5 },
    live && { title: 'certificate', cell: ({ certificate = '' }) => certificate, giveUp: 10 },
    { title: 'why', cell: ({ why }) => why, isSentence: true },
  ];
  return tableOf(
    palette,
    rows,
    columns.filter((column) => column !== false),
  );
}

/** The cells of one sidecar; what its report does not say stays empty. */
function rowOf(seen: SidecarStatus, palette: Palette, rates: Rates): Row {
  const { name } = seen;
  if ('catalog' in seen) return catalogRow(name, seen.catalog, palette);
  if (!('report' in seen))
    return { sidecar: name, service: '', version: '', state: palette.red('no answer'), why: seen.problem };
  const { instance, service, version, ready, notReady, restarts, model, models, queue } = seen.report;
  const { endpoints, calls, certificateEndsInS, certificateWarning = '', unreached = [] } = seen.report;
  const eligible = endpoints.filter(({ state }) => state === 'eligible').length;
  const rate = rates.get(name);
  return {
    sidecar: instance,
    service,
    version,
    state: ready ? palette.green('ready') : palette.yellow('not ready'),
    why: [...notReady, ...unreached, certificateWarning].filter((each) => each !== '').join('; '),
    restarts: text(restarts),
    model: models === undefined ? (model?.state ?? '') : readyOf(models),
    modelRestarts: text(model?.restarts),
    running: text(queue?.running),
    waiting: text(queue?.waiting),
    endpoints: endpoints.length === 0 ? '' : `${eligible} of ${endpoints.length}`,
    calls: text(calls && calls.inbound + calls.outbound),
    rate: rate === undefined ? '' : rate.toFixed(rate < 10 ? 1 : 0),
    certificate: certificateEndsInS === undefined ? '' : left(certificateEndsInS, palette),
  };
}

/** What the catalogue says: the state is that of the worst check. */
function catalogRow(
  sidecar: string,
  { service, version, status, models, why }: CatalogInstance,
  palette: Palette,
): Row {
  const paint = { passing: palette.green, warning: palette.yellow, critical: palette.red }[status];
  return { sidecar, service, version, state: paint(status), model: models.join(', '), why };
}

/** Of several models, how many are served; which are not is in the table of models. */
function readyOf(models: NonNullable<StatusReport['models']>): string {
  const ready = models.filter(({ state }) => state === 'ready' || state === 'foreign').length;
  return `${ready} of ${models.length} ready`;
}

/** Until a certificate ends, in its largest unit. */
function left(seconds: number, palette: Palette): string {
  if (seconds <= 0) return palette.red('expired');
  const shown =
    seconds >= 2 * 86_400
      ? `${Math.floor(seconds / 86_400)} d`
      : seconds >= 2 * 3_600
        ? `${Math.floor(seconds / 3_600)} h`
        : `${Math.ceil(seconds / 60)} min`;
  return seconds < SOON_S ? palette.yellow(shown) : shown;
}

/** A number that may not be known. */
function text(value: number | undefined): string {
  return value === undefined ? '' : String(value);
}
