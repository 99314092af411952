/**
 * Documents rot first, so what they promise is checked: commands, links, YAML, and that every option is explained.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { build } from '../../sidecar/cli/program.js';
import { packageRoot } from '../kit/process/package-root.js';
import { type Document, readMarkdown, readYamlComments } from '../kit/source-tree/document.js';
import {
  brokenLinks,
  type Commands,
  missingSources,
  type World,
  wrongCommands,
  wrongYaml,
} from '../kit/source-tree/document-checks.js';
import { none } from '../kit/source-tree/rules.js';
import { filesBelow, read } from '../kit/source-tree/source-file.js';

/** Where documents lie; the root itself without its folders. */
const FOLDERS = ['docs', 'mesh-config', 'services', 'sidecar', 'proto', 'test'];

const documents = [
  ...readdirSync(packageRoot),
  ...FOLDERS.flatMap((folder) => filesBelow(folder, /ml$|\.md$/)),
]
  .filter((path) => path.endsWith('.md') || /^mesh-config\/.*\.ya?ml$/.test(path))
  .map(readDocument);

const world: World = {
  commands: commandsOf(),
  scripts: Object.keys((JSON.parse(read('package.json')) as { scripts: object }).scripts),
  exists: (path) => existsSync(join(packageRoot, path)),
  anchorsOf: (path) => documents.find((document) => document.path === path)?.anchors,
};

function readDocument(path: string): Document {
  return path.endsWith('.md') ? readMarkdown(path, read(path)) : readYamlComments(path, read(path));
}

/** From the program itself, so that a command that is gone is missed at once. */
function commandsOf(): Commands {
  const optionsOf = ({ options }: Command): string[] => [
    ...['--help', '-h'],
    ...options.flatMap(({ long, short }) => [long ?? [], short ?? []].flat()),
  ];
  return new Map(
    build(() => {}).commands.flatMap((command) => [
      [command.name(), optionsOf(command)] as const,
      // `audit verify` and the like.
      ...command.commands.map((part) => [`${command.name()} ${part.name()}`, optionsOf(part)] as const),
    ]),
  );
}

describe('the documents', () => {
  it('are found', () => {
    const paths = documents.map(({ path }) => path);
    const some = [
      'docs/ARCHITECTURE.md',
      'mesh-config/REFERENCE.md',
      'mesh-config/demo.yaml',
      'CHANGELOG.md',
    ];
    for (const path of some) assert.ok(paths.includes(path), path);
    assert.ok(documents.some(({ commands }) => commands.length > 0));
    assert.ok(documents.some(({ links }) => links.length > 0));
    assert.ok(world.commands.size >= 5);
  });

  for (const document of documents) {
    it(`${document.path} names only commands, options and files that exist`, () =>
      none(wrongCommands(document, world)));
    it(`${document.path} has links that lead somewhere`, () => none(brokenLinks(document, world)));
    if (document.yaml.length > 0)
      it(`${document.path} shows YAML that the parser takes`, () => none(wrongYaml(document)));
  }
});

describe('docs/', () => {
  for (const path of filesBelow('docs', /\.md$/))
    it(`${path} names only source files that exist`, () =>
      none(missingSources(path, read(path), world.exists)));
});

describe('docs/OBSERVE.md', () => {
  it('shows what the files of Prometheus beside it have', () => {
    const folder = 'mesh-config/observe';
    const parts = documents.find(({ path }) => path === 'docs/OBSERVE.md')!.yaml;
    const shown = Object.assign({}, ...parts.map(({ text }) => parse(text) as object));
    const { scrape_configs } = parse(read(`${folder}/prometheus-up.yml`));
    assert.deepEqual(shown.scrape_configs, scrape_configs);
    for (const name of shown.rule_files) assert.ok(world.exists(`${folder}/${name}`), name);
  });
});

describe('the documents test, on a document that lies', () => {
  it('complains about a source file in code type that is neither there nor in sidecar/, placeholders apart', () => {
    const text =
      '`relay/call.ts` and `sidecar/relay/call.ts` `relay/gone.ts`, `relay/NAME.ts`\n`test/` `gone/x.ts` `call`';
    const exists = (path: string): boolean => path === 'sidecar/relay/call.ts';
    assert.deepEqual(missingSources('docs/a.md', text, exists), [
      'docs/a.md:1: names relay/gone.ts, which is not there',
      'docs/a.md:2: names gone/x.ts, which is not there',
    ]);
  });

  const tiny: World = {
    commands: new Map([['up', ['--json', '-c']]]),
    scripts: ['build', 'demo', 'test'],
    exists: (path) => ['mesh-config/demo.yaml', 'docs/a.md', 'README.md'].includes(path),
    anchorsOf: (path) => (path === 'docs/a.md' ? ['there'] : undefined),
  };
  const lines = (complaints: readonly string[]): string[] =>
    complaints.map((complaint) => complaint.replace('README.md:', ''));
  const commands = (source: string): string[] =>
    lines(wrongCommands(readMarkdown('README.md', source), tiny));
  const links = (source: string): string[] => lines(brokenLinks(readMarkdown('README.md', source), tiny));

  const judged: readonly [string, (source: string) => string[], string, string[]][] = [
    [
      'complains about commands, options, files and scripts that do not exist',
      commands,
      'Run `outrider down` now,\nor `outrider up --fast`,\nor `outrider up mesh-config/gone.yaml`,\nor `npm run fly`, or `npm start`.',
      [
        '1: there is no command "outrider down"',
        '2: "outrider up" has no option --fast',
        '3: there is no file mesh-config/gone.yaml',
        '4: there is no script "fly" in package.json',
        '4: there is no script "start" in package.json',
      ],
    ],
    [
      'reads shell blocks line by line, with prompts, comments and chains',
      commands,
      '```sh\n# outrider nonsense\n$ npm ci && npm run fly\noutrider up \\\n  --fast # comment\n```\n',
      ['3: there is no script "fly" in package.json', '4: "outrider up" has no option --fast'],
    ],
    [
      'is content with what exists, with placeholders, and with a command after two dashes',
      commands,
      '`outrider up mesh-config/demo.yaml --json`, `outrider up -c FILE -- python3 --port 1`, `npm run demo -- --long`, `npm test`, `outrider --version`, `outrider COMMAND`, `npx outrider up`',
      [],
    ],
    [
      'does not take other words for commands',
      commands,
      'outrider down\n\n```yaml\ncommand: outrider down\n```\n`outrider-reason` and `outrider`',
      [],
    ],
    [
      'complains about links to files and headings that do not exist',
      links,
      '# One & two\n[a](docs/gone.md)\n![b](pictures/b.svg "title")\n[c](#one--two) [d](#three)\n[e](docs/a.md#there) [f](docs/a.md#not)\n<img src="gone.png">\n[g]: gone.txt',
      [
        '2: the link docs/gone.md leads to nothing',
        '3: the link pictures/b.svg leads to nothing',
        '4: the link #three leads to no heading',
        '5: the link docs/a.md#not leads to no heading',
        '6: the link gone.png leads to nothing',
        '7: the link gone.txt leads to nothing',
      ],
    ],
    [
      'leaves links to elsewhere and links in code alone',
      links,
      '[a](https://example.com/x) [b](mailto:x@example.com) `[c](gone.md)`\n\n```\n[d](gone.md)\n```',
      [],
    ],
  ];
  for (const [title, judge, source, expected] of judged)
    it(title, () => assert.deepEqual(judge(source), expected));

  it('complains about YAML that is none, and about whole files that are wrong', () => {
    const yaml = (text: string): string[] =>
      wrongYaml(readMarkdown('README.md', `text\n\n\`\`\`yaml\n${text}\n\`\`\`\n`));
    assert.match(yaml('a: [1')[0]!, /^README\.md:4: .*not valid YAML/);
    assert.match(yaml('services: {}\ncaller: {}').join('\n'), /services: found none/);
    assert.deepEqual(yaml('observe: 127.0.0.1:9464'), [], 'a part of a file');
    assert.deepEqual(yaml('# in a mesh file\naudit: { directory: /var/log }'), []);
    assert.match(
      yaml('# in a sidecar file\naudit: { directory: /var/log }').join('\n'),
      /directory: unknown/,
    );
    assert.match(yaml('upstreams: { a: { lisen: "127.0.0.1:1" } }').join('\n'), /did you mean "?listen/);
    assert.match(yaml('observ: 127.0.0.1:9464').join('\n'), /did you mean "?observe/);
    assert.match(yaml('golden: { inputs: 5 }').join('\n'), /inputs/, 'a model.yaml');
  });

  it('reads commands in the comments of a YAML file', () => {
    const text = '# `outrider up`\na: "# `outrider no`" # see `outrider down`\nb: c#d\n';
    const complaints = wrongCommands(readYamlComments('mesh-config/x.yaml', text), tiny);
    assert.deepEqual(complaints, ['mesh-config/x.yaml:2: there is no command "outrider down"']);
  });
});
