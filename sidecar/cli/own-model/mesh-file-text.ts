/** What a mesh file of one model says. */
export interface MeshFileFacts {
  /** Of the service, and of its upstream. */
  readonly service: string;
  /** Directory of models, as the file says it. */
  readonly models: string;
  readonly caller: string;
  /** Where the application calls, and the admin pages: `127.0.0.1:PORT`. */
  readonly listen: string;
  readonly admin: string;
}

/** A mesh file that `outrider up` takes as it is: the service, a caller with an upstream for it, and an intention. */
export function meshFileText({ service, models, caller, listen, admin }: MeshFileFacts): string {
  return `# Made by \`outrider init\`: a mesh of one model, for \`outrider up\`. Every option: mesh-config/REFERENCE.md of Outrider.

services:
  ${service}:
    # Relative to this file. DIR/NAME/VERSION/model.onnx, with a model.yaml beside it; every model of the directory is served.
    models: ${JSON.stringify(models)}
    # Each replica is a model process with a sidecar of its own.
    replicas: 1

caller:
  name: ${caller}
  # A page for the browser; Prometheus reads /metrics.
  admin: ${admin}
  upstreams:
    ${service}:
      # Call this address with any gRPC client, in plaintext and without retries of its own.
      listen: ${listen}
      # If running a call twice does no harm, let the sidecar retry it:
      # routes:
      #   - methods: [/inference.GRPCInferenceService/ModelInfer]
      #     idempotent: true
      #     retry: { attempts: 3, on: [unavailable] }

intentions:
  - { from: ${caller}, to: ${service}, action: allow }
default_intention: deny
`;
}
