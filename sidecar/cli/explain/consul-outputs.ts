/** Outputs of the two checks of an instance in Consul. */
export interface ConsulOutput {
  /** How it begins, or a pattern. */
  readonly pattern: RegExp;
  /** As it is shown in lists. */
  readonly shown: string;
  /** What the check, or Consul itself, says by it. */
  readonly meaning: string;
  /** What to do, one sentence. */
  readonly remedy: string;
}

/** What the checks of the sidecar say, and what Consul itself writes into them. The first that fits counts. */
export const CONSUL_OUTPUTS: readonly ConsulOutput[] = [
  {
    pattern: /^starting$/i,
    shown: 'starting',
    meaning: 'The sidecar runs, and the first probe of its model has no result yet.',
    remedy: 'Wait; after `start_timeout` the output says more.',
  },
  {
    pattern: /^draining$/i,
    shown: 'draining',
    meaning: 'The sidecar takes no new calls and finishes those in flight.',
    remedy: 'None in a deployment. POST /takeover at its admin port brings it back.',
  },
  {
    pattern: /^the sidecar can take calls$/i,
    shown: 'the sidecar can take calls',
    meaning: 'Good: this is the output of a passing check.',
    remedy: 'None.',
  },
  {
    pattern: /^the model does not answer/i,
    shown: 'the model does not answer',
    meaning: 'The probe of the model gets no answer.',
    remedy: '`outrider status` and the log of the model process; see `outrider explain model-unavailable`.',
  },
  {
    pattern: /^TTL expired/i,
    shown: 'TTL expired',
    meaning: 'Written by Consul: the sidecar has not reported for longer than the TTL of its check.',
    remedy:
      'The process is gone or stopped, or cannot reach its agent. Look at its log. Consul removes the entry after `deregister_after`.',
  },
  {
    pattern: /golden/i,
    shown: '… golden …',
    meaning: 'The model answers its golden input differently than model.yaml expects.',
    remedy: 'If the model was changed on purpose, run `outrider golden`. Otherwise the wrong file is served.',
  },
];

/** The entry that an output of a check in Consul fits. */
export function consulOutput(text: string): ConsulOutput | undefined {
  return CONSUL_OUTPUTS.find(({ pattern }) => pattern.test(text.trim()));
}
