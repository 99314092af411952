/** Rules between the parts of a sidecar file. */
import { sidecarConsulRules } from './consul/rules.js';
import { upstreamEngineRules } from './engine.js';
import { address, entries, type FoundBlock, list, mapping, text, texts } from './found.js';
import { identityRules } from './identity-rules.js';
import { callListeners, listeners, refuseCallingItself, refuseSharedPlaces } from './listener-conflicts.js';
import { mappedIdRules } from './mapped-ids.js';
import { refuseOtherControl } from './model-process.js';
import { below, type Report } from './option.js';
import { requireScaled } from './scaler.js';
import { refuseSharedVariables } from './upstream/service-upstreams.js';

/** Reports what parts of a sidecar file contradict, or leave without effect, in each other. */
export function sidecarRules(file: FoundBlock, report: Report): void {
  const own = [
    ...listeners(
      [['admin'], file['admin']],
      [['observe'], file['observe']],
      [['scaler', 'listen'], mapping(file['scaler'])['listen']],
      [['inbound', 'listen'], mapping(file['inbound'])['listen']],
    ),
    ...callListeners(['outbound'], file['outbound']),
  ];
  refuseSharedPlaces(own, report);
  refuseCallingItself(own, ['inbound', 'local'], address(mapping(file['inbound'])['local']), report);
  for (const [upstream, { endpoints }] of entries(mapping(file['outbound'])['upstreams'])) {
    for (const [i, item] of list(endpoints).entries()) {
      const target = address(mapping(item)['address']);
      refuseCallingItself(own, ['outbound', 'upstreams', upstream, 'endpoints', i], target, report);
    }
  }
  sidecarConsulRules(file, own, report);
  upstreamEngineRules(mapping(file['outbound'])['upstreams'], ['outbound', 'upstreams'], report);
  requireWork(file, report);
  requireScaled(file['scaler'], mapping(file['outbound'])['upstreams'], report);
  requireModels(file, report);
  requireOwnService(file, report);
  requireIdentity(file, report);
  if (file['admin_token_file'] !== undefined && file['admin'] === undefined)
    report(
      ['admin_token_file'],
      'found without admin; expected the address of the port that asks for the token',
    );
  identityRules(file, report);
  mappedIdRules(file, report);
  if (file['model'] !== undefined)
    refuseSharedVariables(mapping(file['outbound'])['upstreams'], ['outbound', 'upstreams'], report);
}

/** An intention about another service has no effect here. Of a deny with a mistyped name, the caller would get in; others are warned of. */
function requireOwnService(file: FoundBlock, report: Report): void {
  const service = text(file['service']);
  if (service === undefined) return;
  for (const [i, intention] of list(mapping(file['inbound'])['intentions']).entries()) {
    const { to: said, action } = mapping(intention);
    const to = text(said);
    if (to === undefined || to === '*' || to === service || action !== 'deny') continue;
    report(
      ['inbound', 'intentions', i, 'to'],
      `found "${to}"; expected "${service}" or "*", as this file is of ${service} alone`,
    );
  }
}

/** Processes by model need their names, and each a place of its own. */
function requireModels(file: FoundBlock, report: Report): void {
  const model = mapping(file['model']);
  const { isolation, command } = model;
  const { golden, local } = mapping(file['inbound']);
  if (isolation !== 'process')
    for (const key of ['instances', 'versions', 'repository', 'rollout', 'recycle'])
      if (model[key] !== undefined)
        report(
          ['model', key],
          `found without isolation: process; expected it, for ${key} are of processes of single models`,
        );
  if (isolation === undefined) {
    if (texts(command).some((word) => word.includes('{model}')))
      report(['model', 'command'], 'found {model} without isolation: process, which fills it');
    return;
  }
  if (golden === undefined)
    report(
      ['model', 'isolation'],
      'found without inbound.golden; expected with it, for its models are meant',
    );
  if (isolation !== 'process') return;
  if (address(local)?.kind === 'tcp')
    report(
      ['inbound', 'local'],
      'found a port; expected a socket ("unix:/PATH") with isolation: process, for each model has one beside it',
    );
  const isVersioned = ['versions', 'repository', 'rollout', 'recycle'].some(
    (key) => model[key] !== undefined,
  );
  refuseOtherControl(model, below(['model'], report));
  if (isVersioned && command !== undefined && !texts(command).some((word) => word.includes('{version}')))
    report(
      ['model', 'command'],
      'found without {version}; expected it with versions or repository, or a process could not know its version',
    );
  if (command !== undefined && !texts(command).some((word) => word.includes('{model}')))
    report(
      ['model', 'command'],
      'found without {model}; expected it with isolation: process, or a process could not know its model',
    );
}

function requireWork(file: FoundBlock, report: Report): void {
  if (file['inbound'] === undefined && file['outbound'] === undefined)
    report([], 'found neither inbound nor outbound; expected at least one, or the sidecar has nothing to do');
  if (file['inbound'] === undefined && file['model'] !== undefined)
    report(
      ['model'],
      'found a model process without inbound; expected inbound, or the model could not be called',
    );
}

function requireIdentity(file: FoundBlock, report: Report): void {
  if (file['identity'] !== undefined || file['consul'] !== undefined) return;
  const { mtls } = mapping(file['inbound']);
  if (mtls === 'strict' || mtls === 'permissive')
    report(
      ['inbound', 'mtls'],
      `found ${mtls} without an identity; expected a block identity, a block consul, or mtls off`,
    );
  for (const [upstream, { tls }] of entries(mapping(file['outbound'])['upstreams'])) {
    if (tls !== 'mesh') continue;
    report(
      ['outbound', 'upstreams', upstream, 'tls'],
      'found mesh without an identity; expected a block identity, a block consul, or tls plaintext',
    );
  }
}
