import { CONSUL_OUTPUTS } from '../sidecar/cli/explain/consul-outputs.js';
import { HANDSHAKE_REASONS } from '../sidecar/cli/explain/handshake-reasons.js';
import { REASON_NAMES, reasonNamed } from '../sidecar/cli/explain/lookup.js';

const INTRO = `# Reasons

Made by \`npm run generate\` from [telemetry/reasons](../sidecar/telemetry/reasons/explanations.ts); not written by hand.

A sidecar that answers a call itself says why in the trailer \`outrider-reason\`, in the access log (\`reason\`) and in
\`outrider_local_replies_total\`. An answer without the trailer is the service's own. \`outrider explain REASON\` prints an entry of this
page. *Not processed* means that the model has certainly not seen the call, and \`outrider-unprocessed\` says so. That trailer is missing where an earlier attempt
of the call may have run. [REFERENCE.md](../mesh-config/REFERENCE.md) has the options.
`;

/** The page of all reasons, `docs/REASONS.md`: an index, an entry for each, and what TLS and Consul's checks say. */
export function reasonsReference(): string {
  const entries = REASON_NAMES.map(reasonNamed);
  const index = entries.map(
    ({ name, statuses, meaning }) => `| [\`${name}\`](#${name}) | ${statuses.join(', ')} | ${meaning} |`,
  );
  const handshakes = Object.entries(HANDSHAKE_REASONS).map(
    ([name, [meaning, remedy]]) => `| \`${name}\` | ${meaning} | ${remedy} |`,
  );
  const outputs = CONSUL_OUTPUTS.map(
    ({ shown, meaning, remedy }) => `| \`${shown}\` | ${meaning} | ${remedy} |`,
  );
  return [
    INTRO,
    ['| reason | gRPC status | meaning |', '| --- | --- | --- |', ...index, ''].join('\n'),
    ...entries.map(({ name, statuses, isUnprocessed, meaning, causes, look, remedy, options }) =>
      [
        `## ${name}`,
        `${statuses.join(', ')}${isUnprocessed ? ', not processed' : ''}. ${meaning}`,
        bullets('Likely causes', causes),
        bullets('Where to look', look),
        bullets('Remedy', remedy),
        `Options: ${options.map((each) => `\`${each}\``).join(', ')}\n`,
      ].join('\n\n'),
    ),
    [
      '## Refused certificates',
      'The word is in the log, in the message of `connect-failed`, and in `outrider_handshake_failures_total`.',
      ['| reason | meaning | remedy |', '| --- | --- | --- |', ...handshakes].join('\n'),
      '## Outputs of checks in Consul',
      ['| output | meaning | remedy |', '| --- | --- | --- |', ...outputs, ''].join('\n'),
    ].join('\n\n'),
  ].join('\n');
}

function bullets(title: string, entries: readonly string[]): string {
  return `${title}:\n\n${entries.map((entry) => `- ${entry}`).join('\n')}`;
}
