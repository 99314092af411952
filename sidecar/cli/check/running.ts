/**
 * What running sidecars say of themselves. A file can be right and the mesh still not work: a model that does not start, an
 * endpoint that is ejected, a certificate that is not renewed. Each of them is in the report of a sidecar (`/endpoints` of its
 * admin port), with the reason, which is repeated here beside the next step.
 */
import type { StatusReport } from '../../admin/status.js';
import type { SidecarStatus } from '../status/sidecar-table.js';
import { timeText } from './certificates.js';
import { aboutCall } from './fallbacks.js';
import { type Finding, failed, ok, warning } from './finding.js';

/** A certificate of a running sidecar is renewed long before this, s. */
const SOON_S = 600;

/** States of a model in which it will not be served without help. */
const BROKEN: readonly string[] = ['failed', 'given-up', 'unresponsive'];

/** What running sidecars say of themselves, and whether they are of one version, which is this program's. */
export function checkRunning(seen: readonly SidecarStatus[], ownVersion: string): Finding[] {
  const reports = seen.flatMap((each) => ('report' in each ? [each.report] : []));
  return [...seen.flatMap(checkSidecar), ...versionFindings(reports, ownVersion)];
}

/** The upstreams to which a running sidecar has an endpoint for calls. */
export function reachedCalls(
  seen: readonly SidecarStatus[],
): { readonly from: string; readonly to: string }[] {
  const reports = seen.flatMap((each) => ('report' in each ? [each.report] : []));
  return reports.flatMap(({ service, endpoints }) =>
    endpoints.flatMap(({ upstream, state }) =>
      state === 'eligible' ? [{ from: service, to: upstream }] : [],
    ),
  );
}

/** One sidecar, by its own report, or by the catalogue where it was not asked. One that does not answer is the worst case. */
function checkSidecar(seen: SidecarStatus): Finding[] {
  const { name } = seen;
  if ('catalog' in seen) {
    const { status, why } = seen.catalog;
    if (status === 'passing') return [ok('sidecar', `${name} passes in Consul`)];
    return [
      failed('sidecar', `${name} is ${status} in Consul: ${why}`, `outrider explain "${why.slice(0, 60)}"`),
    ];
  }
  if (!('report' in seen))
    return [
      failed(
        'sidecar',
        `${name} does not answer: ${seen.problem}`,
        'start it, or look why it hangs; its log says why it ended',
      ),
    ];
  const { report } = seen;
  const own = report.ready
    ? ok('sidecar', `${report.instance} is ready`)
    : failed(
        'sidecar',
        `${report.instance} is not ready: ${report.notReady.join('; ')}`,
        '`outrider status`, and the log of the sidecar',
      );
  return [
    own,
    ...modelFindings(report),
    ...unreachedFindings(report),
    ...endpointFindings(report),
    ...certificateFindings(report),
    ...registryFindings(report),
  ];
}

/** Models that will not be served without help; one that starts is not among them, as it may just take its time. */
function modelFindings({
  instance,
  model,
  models = model === undefined ? [] : [model],
}: StatusReport): Finding[] {
  return models
    .filter(({ state }) => BROKEN.includes(state))
    .map(({ name = '', state, why }) =>
      failed(
        'model',
        `${instance}: ${name} ${state}: ${why}`.replaceAll('  ', ' '),
        'look at the log of the model process; `outrider explain model-unavailable`',
      ),
    );
}

/** Upstreams that readiness does not wait for: calls to those that are needed fail, though the sidecar may be ready. */
function unreachedFindings({
  service,
  instance,
  ready,
  unreached = [],
  unreachedNeeded = [],
}: StatusReport): Finding[] {
  const withoutIt = ready ? '; the sidecar is ready without it' : '';
  return unreached.flatMap((reason) => {
    const what = `${instance}: ${reason}`;
    const finding = unreachedNeeded.includes(reason)
      ? failed('upstream', what, `start what serves it, or take it out of the file${withoutIt}`)
      : warning(
          'upstream',
          what,
          `start what serves it, unless it is meant to have no replica now${withoutIt}`,
        );
    return aboutCall(service, /^upstream ([^\s:]+):/.exec(reason)?.[1] ?? '', [finding]);
  });
}

/** By upstream: all endpoints out is a failure, some are a warning. */
function endpointFindings({ service, instance, endpoints }: StatusReport): Finding[] {
  return [...new Set(endpoints.map(({ upstream }) => upstream))].flatMap((upstream) => {
    const all = endpoints.filter((each) => each.upstream === upstream);
    const out = all.filter(({ state }) => state !== 'eligible' && state !== 'standby');
    if (out.length === 0) return [];
    const what = `${instance}: ${out.length} of ${all.length} endpoints of ${upstream} are out: ${out
      .map(({ endpoint, state, why }) => `${endpoint} ${state}${why === '' ? '' : ` (${why})`}`)
      .join(', ')}`;
    const next = '`outrider status` shows each endpoint';
    const isNoneLeft = out.length === all.length;
    return aboutCall(service, upstream, [(isNoneLeft ? failed : warning)('upstream', what, next)]);
  });
}

/** The certificate in use, which may be another than the one on disk: a file that cannot be read leaves the old one in force. */
function certificateFindings(report: StatusReport): Finding[] {
  const { instance, certificateEndsInS: seconds, certificateWarning: old } = report;
  if (seconds === undefined || (seconds > SOON_S && old === undefined)) return [];
  const next =
    'find out why it is not renewed: Consul, the SPIRE agent, or what writes the files of `identity`';
  if (seconds <= 0) return [failed('certificate', `the certificate of ${instance} has expired`, next)];
  if (old !== undefined) return [warning('certificate', `${instance}: ${old}`, next)];
  return [
    warning('certificate', `the certificate of ${instance} ends in ${timeText(seconds * 1_000)}`, next),
  ];
}

/**
 * What the sidecar says of Consul: its registration, queries that fail, and rules that it does not apply. A query that fails
 * leaves what was known in force, and is a warning only.
 */
function registryFindings({ instance, registry }: StatusReport): Finding[] {
  if (registry === undefined) return [];
  const { registered, problem, queries, unsupported } = registry;
  const failing = queries.filter(({ state }) => state === 'failing' || state === 'waiting');
  return [
    ...(registered === false
      ? [
          failed(
            'consul',
            `${instance} is not registered${problem === undefined ? '' : `: ${problem}`}`,
            '`outrider status`: the table of Consul',
          ),
        ]
      : []),
    ...failing.map(({ name, problem: why = 'no answer yet' }) =>
      warning(
        'consul',
        `${instance}: ${name}: ${why}`,
        'look at the agent; what was known before stays in force',
      ),
    ),
    ...unsupported.map((note) =>
      warning('consul', `${instance}: ${note}`, 'change the config entry, or leave it if it is not needed'),
    ),
  ];
}

/** One version everywhere is right; two are an update that has stopped half-way, or is under way. */
function versionFindings(reports: readonly StatusReport[], ownVersion: string): Finding[] {
  if (reports.length === 0) return [];
  const versions = [...new Set(reports.map(({ version }) => version))];
  const next = 'finish the update: POST /takeover at an admin port replaces a sidecar without a lost call';
  if (versions.length > 1) {
    const each = versions.map(
      (version) =>
        `${version}: ${reports
          .filter((it) => it.version === version)
          .map(({ instance }) => instance)
          .join(', ')}`,
    );
    return [warning('version', `the sidecars are of ${versions.length} versions (${each.join('; ')})`, next)];
  }
  if (versions[0] !== ownVersion)
    return [
      warning('version', `the sidecars are of version ${versions[0]}, this program of ${ownVersion}`, next),
    ];
  return [ok('version', `all sidecars are of version ${ownVersion}`)];
}
