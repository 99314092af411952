/** Why parts of the call path do not run in simulations, for `--coverage`. docs/SIMULATION.md has the reasons. */
export interface UnreachedReason {
  /** Files and folders, from `sidecar` on. */
  readonly files: readonly string[];
  /** Absent: all in these files. */
  readonly functions?: readonly string[];
  readonly why: string;
}

export const UNREACHED: readonly UnreachedReason[] = [
  {
    files: ['cluster/sweep-config.ts', 'cluster/picking.ts', 'inbound/load-reporter.ts'],
    functions: ['peerOf', 'onSuspicion', 'onProbation', 'mayProbe', 'LoadReporter.onFault'],
    why: 'No plan switches on suspicion of slow faults, endpoints with different models, or load reports of models',
  },
  {
    files: ['core/routing/method-kinds.ts', 'inbound/inbound-state.ts', 'outbound/upstream-state.ts'],
    functions: [
      'MethodKinds.onChange',
      'InboundState.kinds.onChange',
      'UpstreamState.kinds.onChange',
      'cluster.onDescribed',
    ],
    why: 'No model of a simulation describes its methods (reflection), and none is found to be a stream',
  },
  {
    files: ['inbound/inbound-state.ts', 'inbound/model-router.ts'],
    functions: ['InboundState.onReadiness', 'random'],
    why: 'A default that a whole sidecar replaces before the first call',
  },
  {
    files: ['http2/hpack/'],
    functions: ['get table', 'get usage', 'setMaxTableBytes'],
    why: 'Read by tests and metrics; a sidecar announces one size of its own header table',
  },
  {
    files: ['http2/hpack/', 'inbound/model-routed-call.ts'],
    functions: ['trimmed', '#addTrimmed', 'reserve'],
    why: 'No peer of a simulation sends blanks at the end of a value, or compresses',
  },
];
