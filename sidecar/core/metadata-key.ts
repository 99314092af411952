/** Keys of the metadata that sidecars add. */
export const MetadataKey = {
  /** Trailer of a local reply: the name of its reason. */
  reason: 'outrider-reason',
  /** Trailer: nothing has begun to process the call. */
  unprocessed: 'outrider-unprocessed',
  /** Response header: what answers instead of what was asked for. */
  degraded: 'outrider-degraded',
  /** Request header: `no` where a degraded answer is no use. */
  acceptDegraded: 'outrider-accept-degraded',
  /** Trailer of a sidecar that serves several models: the one its answer is about. */
  model: 'outrider-model',
  /**
   * Trailer of the sidecar beside a model: the call failed because of a service that the model calls, named here, and all retries
   * that help have been made there (`grpc-retry-pushback-ms: -1` comes with it).
   */
  failedUpstream: 'outrider-failed-upstream',
  /** Request header for the model: the service name of the caller. */
  caller: 'outrider-caller',
  /** Request header of a copy for a shadow. */
  mirrored: 'outrider-mirrored',
  /** Request header between sidecars: the time left of the call where `grpc-timeout` is that of one attempt. */
  deadline: 'outrider-deadline',
  /** Request header between sidecars: the timeout of an attempt where no point in time says it. */
  attemptTimeout: 'outrider-attempt-timeout',
  /** Response header or trailer between sidecars: how long the call waited in queues at the endpoint. */
  queueTime: 'outrider-queue-ms',
  /** Response header between sidecars: what the language-model engine runs that answers. */
  engineModel: 'outrider-engine-model',
  /** Request header between sidecars: that of the caller reads what the engine runs, and tells no client. */
  acceptEngineModel: 'outrider-accept-engine-model',
  /** Request header: the caller has so many messages of the answer; the service is to go on after them. */
  resumeAfter: 'outrider-resume-after',
  /** Response header of a service that does so: the same number. */
  resumedFrom: 'outrider-resumed-from',
  /** Trailer: `approximate` where another engine went on with an answer, and the first one might have made other tokens. */
  resumed: 'outrider-resumed',
  /** Request header between sidecars: calls are traced here. */
  traces: 'outrider-traces',
} as const;
