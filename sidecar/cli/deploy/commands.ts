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
    .option(
      '--endpointslices',
      'the sidecar file has an upstream with `kubernetes`: give the sidecar the token of its service account, and add a Role',
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
      'agent that has the registration of `consul.adopt`; default: that of the file, or CONSUL_HTTP_ADDR',
    )
    .action(async (file: string, flags: PolicyFlags) => {
      const { policyCommand } = await import('./policy.js');
      done(await policyCommand(file, flags));
    });
}
