import { type Command, Option } from 'commander';
import type { InjectFlags } from './inject.js';
import type { PolicyFlags } from './policy.js';

/** Commands of an installation: health checks of containers, Kubernetes manifests, ACL policies. */
export function addDeployCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command('probe')
    .description('health check of a container: exit code 0 if the sidecar works')
    .argument('[WHAT]', 'live: the process answers; ready: it takes calls', 'live')
    .option(
      '--at <ADDR>',
      '`observe` or `admin` address of the sidecar; default: $OUTRIDER_PROBE or 127.0.0.1:9464',
    )
    .action(async (what: string, { at }: { at?: string }) => {
      const { probeCommand } = await import('./probe.js');
      done(await probeCommand(what, at));
    });
  program
    .command('inject')
    .description(
      'add sidecars to the Deployments, Pods and other workloads of a Kubernetes file; prints the result',
    )
    .argument('<FILE>', 'YAML of Kubernetes; - is standard input')
    .addOption(
      new Option(
        '--as <KIND>',
        'native: an init container that keeps running (Kubernetes 1.29 or newer); container: an ordinary container',
      )
        .choices(['native', 'container'])
        .default('native'),
    )
    .option('--image <IMAGE>', 'image of the sidecar; default: localhost/outrider of this version')
    .option(
      '--config <NAME>',
      'ConfigMap with the key sidecar.yaml; default: outrider- and the name of the workload',
    )
    .addOption(
      new Option(
        '--consul-agent <WHERE>',
        'where the Consul agent is, for a file with `consul` and no address; node: on the node of the pod, at port 8500',
      ).choices(['node']),
    )
    .option(
      '--identity-secret <NAME>',
      'Secret with the certificate: tls.crt, tls.key and ca.crt; {name} in it is the name of the workload',
    )
    .option(
      '--identity-csi <ID>',
      "SPIFFE id of the certificate that cert-manager's CSI driver asks for; {name} in it is the name of the workload",
    )
    .option('--issuer <NAME>', 'issuer of --identity-csi, or ClusterIssuer/NAME; default: outrider')
    .option(
      '--grace-period <SECONDS>',
      'the least that a pod gets to end, longer than `drain_timeout`; a longer one stays; default: 40',
    )
    .option(
      '--endpointslices',
      'the sidecar file has an upstream with `kubernetes`: give the sidecar the token of its service account, and add a Role',
    )
    .option(
      '--endpoints-in <NAMESPACE>',
      'with --endpointslices: namespace of the services, where the Role goes; may be repeated; default: that of the workload',
      (value: string, before: readonly string[] = []) => [...before, value],
    )
    .action(async (file: string, flags: InjectFlags) => {
      const { injectCommand } = await import('./inject.js');
      done(await injectCommand(file, flags));
    });
  program
    .command('consul')
    .description('prepare a Consul cluster')
    .command('policy')
    .description('print the ACL rules that a sidecar needs in Consul')
    .argument('<FILE>', 'sidecar file, or mesh file for the token of `up`')
    .option('--node <NAME>', 'allow registration only at the agent of this node; default: any node')
    .option(
      '--consul <ADDR>',
      'agent to ask for the services that rules in Consul lead calls to, and for the registration of `consul.adopt`; default: none; with `adopt` that of the file, or CONSUL_HTTP_ADDR',
    )
    .action(async (file: string, flags: PolicyFlags) => {
      const { policyCommand } = await import('./policy.js');
      done(await policyCommand(file, flags));
    });
}
