import { cardSchema } from '../services/model-server/models/card.js';
import { RESTART_OPTIONS } from '../sidecar/app/restart-required.js';
import { meshFile } from '../sidecar/config/options/mesh-file.js';
import { sidecarFile } from '../sidecar/config/options/sidecar-file.js';
import { cardJsonSchema } from './card-reference.js';
import { renderReference } from './config-reference.js';
import type { GeneratedFile } from './generated-file.js';
import { jsonSchemaOf } from './json-schema.js';
import { observeFiles } from './observe/files.js';

const MESH = {
  id: 'outrider-mesh',
  title: 'Outrider mesh file',
  description:
    'What `outrider up FILE` runs on one machine: models, their sidecars and the one of the caller.',
};
const SIDECAR = {
  id: 'outrider-sidecar',
  title: 'Outrider sidecar file',
  description: 'One sidecar, as `outrider sidecar -c FILE` reads it.',
};

/**
 * Everything in mesh-config/ that is made from the declarations: the JSON Schemas, the reference page, rules and
 * boards.
 */
export function generatedFiles(): GeneratedFile[] {
  return [
    { name: 'mesh.schema.json', content: jsonSchemaOf(meshFile, MESH) },
    { name: 'sidecar.schema.json', content: jsonSchemaOf(sidecarFile, SIDECAR) },
    { name: 'model.schema.json', content: cardJsonSchema(cardSchema) },
    { name: 'REFERENCE.md', content: reference() },
    ...observeFiles(),
  ];
}

function reference(): string {
  return renderReference(INTRO, [
    {
      title: 'Mesh file',
      about:
        'What `outrider up FILE` runs on one machine: model services, a sidecar for each of their replicas, and one for the caller. It is known by its key `services`. Examples: [demo.yaml](demo.yaml), [consul.yaml](consul.yaml), [foreign-server.yaml](foreign-server.yaml), and [resilient.yaml](resilient.yaml), which shows every decision once.',
      schema: meshFile,
    },
    {
      title: 'Sidecar file',
      about: `What \`outrider sidecar -c FILE\` reads; \`outrider up\` writes one for each sidecar it starts. It is known by its key \`service\`. Examples: [sidecar.yaml](sidecar.yaml), [sidecar-on-consul.yaml](sidecar-on-consul.yaml). The file is read again when it changes and on SIGHUP; a file with a problem changes nothing. These options take effect only after a restart, which the log says: ${RESTART_OPTIONS.map((path) => `\`${path}\``).join(', ')}, and \`listen\` of an upstream.`,
      schema: sidecarFile,
    },
  ]);
}

const INTRO = `# Every option

Made by \`npm run generate\` from the declarations that the parser uses; not written by hand.

How values are spelled:

* A duration is a number and its unit: \`250ms\`, \`1.5s\`, \`5m\`, \`1h\`. A bare number is refused. Where \`none\` is allowed it means no limit.
* A size is a whole number and its unit: \`512B\`, \`64KiB\`, \`64MiB\`, \`1GiB\`.
* An address is \`127.0.0.1:8800\`, \`localhost:8800\`, \`[::1]:8800\` or \`unix:/path/to.sock\`. Where a sidecar listens, port 0 takes any free one.
* A ratio is a number from 0 to 1.
* A name has lower-case letters, digits, \`-\`, \`_\` and \`.\`, at most 63.
* A relative path is relative to the directory of the file it stands in.
* Optional behaviour is switched on by the presence of its block; \`{}\` takes all its defaults.
* An unknown option is an error. \`outrider validate FILE…\` finds everything that is wrong with a file at once.
* A block that is used twice may be written once, as \`&name\`, and used again, as \`*name\`.`;
