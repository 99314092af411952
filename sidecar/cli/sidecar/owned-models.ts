import type { OwnedModel, RunningSidecar } from '../../app/running-sidecar.js';
import type { SidecarConfig } from '../../config/model.js';
import type { Logger } from '../../runtime/log/logger.js';
import { systemRandom } from '../../runtime/random.js';
import { systemClock } from '../../runtime/time/clock.js';
import { systemTimers } from '../../runtime/time/timers.js';
import type { Guardian } from '../../supervise/guardian/guardian.js';
import { modelProcess } from '../../supervise/model-process.js';
import type { Supervisor } from '../../supervise/supervisor.js';
import type { ModelReport } from '../../telemetry/reports.js';
import { ownsModel } from './command-override.js';
import { IDENTITY_MARK, PARENT_MARK, RESTARTS_MARK } from './parent-channel.js';

/**
 * Starts and supervises the model processes that the configuration has a command for, also those of models that are loaded
 * later. Returned are the ones that are there, at any time; none when the model server is started by something else.
 */
export function startModels(
  config: SidecarConfig,
  sidecar: RunningSidecar,
  logger: Logger,
  guardian: Guardian,
): ReadonlySet<Supervisor> {
  const running = new Set<Supervisor>();
  if (!ownsModel(config)) return running;
  const onWithheld = logWithheldOnce(logger);
  const upstreams = () => sidecar.addresses.upstreams;
  sidecar.ownModels((host) => {
    const onLeak = (why: string) => sidecar.suspect(host, why);
    const model = startModel(config.model!, { host, logger, guardian, onWithheld, onLeak, upstreams });
    running.add(model);
    const stop = () => model.stop().finally(() => running.delete(model));
    host.superviseBy({
      report: () => model.report(),
      stop,
      strike: (blow) => model.strike(blow),
      thaw: (pid) => model.thaw(pid),
    });
    model.start();
  });
  return running;
}

interface StartModelInput {
  readonly host: OwnedModel;
  readonly logger: Logger;
  readonly guardian: Guardian;
  onWithheld(names: readonly string[]): void;
  onLeak(why: string): void;
  upstreams(): RunningSidecar['addresses']['upstreams'];
}

function startModel(
  config: NonNullable<SidecarConfig['model']>,
  { host, logger, guardian, onWithheld, onLeak, upstreams }: StartModelInput,
): Supervisor {
  const {
    [PARENT_MARK]: parent,
    [IDENTITY_MARK]: _identity,
    [RESTARTS_MARK]: _restarts,
    ...env
  } = process.env;
  const model = modelProcess(config, host.address, {
    clock: systemClock,
    random: systemRandom,
    timers: systemTimers,
    env,
    stdout: parent === undefined ? 1 : 2, // with a parent, standard output carries events
    stderr: 2,
    guardian,
    model: host.model,
    version: host.version,
    wasGivenUp: host.wasGivenUp,
    upstreams,
    activity: () => host.activity(),
    onChange: (report) => {
      host.processChanged(report);
      logChange(report, host, logger);
    },
    onEnd: (end) => host.processEnded(end),
    onMemorySuspicion: (suspicion) => {
      const why = suspicion?.why ?? '';
      if (why !== '')
        logger.warn({ ...nameOf(host), why }, 'the memory of a model process grows without end');
      onLeak(why);
    },
    onWithheld,
  });
  return model;
}

/**
 * Logs the withheld variables of the first model; all models of a sidecar get the same environment.
 */
function logWithheldOnce(logger: Logger): (names: readonly string[]) => void {
  let isLogged = false;
  return (names) => {
    if (isLogged) return;
    isLogged = true;
    logger.info(
      { names },
      'environment variables that the model does not get; `inherit` names those it should',
    );
  };
}

function logChange(report: ModelReport, host: Named, logger: Logger): void {
  const { state, why, pid, restarts } = report;
  const isBad = state === 'backoff' || state === 'unresponsive';
  const level = state === 'given-up' ? 'error' : isBad ? 'warn' : 'info';
  logger[level]({ ...nameOf(host), state, why, modelPid: pid, restarts }, `model ${state}`);
}

type Named = Pick<OwnedModel, 'model' | 'version' | 'instance'>;

function nameOf({ model, version, instance }: Named): Record<string, unknown> {
  const name = model === undefined ? {} : { model, version };
  return instance === undefined ? name : { ...name, instance };
}
