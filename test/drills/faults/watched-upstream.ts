/** Options of an upstream of a mesh file with everything on that watches endpoints or acts on them, indented as below its name. */
export const WATCHED_UPSTREAM = `      foresight: { mode: enforce }
      health: { kind: grpc, interval: 2s }
      ejection:
        detectors:
          consecutive: { mode: enforce }
          model_unavailable: { mode: enforce }
          success_ratio: { mode: enforce, below: 0.8, min_calls: 5 }
          latency: { mode: enforce, factor: 3, min_calls: 20 }
          invalid_output: { mode: enforce, above: 0.5, min_samples: 5, sample_ratio: 1 }
      pool: { ping_interval: 1s, ping_timeout: 1s }`;
