/**
 * Command lines of pages about a mesh that runs, as they are written and in their order: DEBUGGING.md, OBSERVE.md, OPERATE.md,
 * AUDIT.md, PERFORMANCE.md and TROUBLESHOOT.md, beside one mesh, that of DEBUGGING.md with the blocks that the other pages add to a mesh file.
 */
import assert from 'node:assert/strict';
import { blocksOf, IS_UP, pageText, shellLines } from '../kit/process/page-lines.js';
import { until } from '../kit/process/processes.js';
import { ScratchDirectory } from '../kit/process/scratch-directory.js';

/** Lines that need a Consul agent, a packet filter, or something that runs elsewhere, with how they begin. */
const ELSEWHERE: Readonly<Record<string, readonly (readonly [start: string, where: string])[]>> = {
  'AUDIT.md': [['npx outrider audit verify digits-1.jsonl --seen', 'audit.test.ts, with Consul']],
  'DEBUGGING.md': [
    ['npm ci', 'this build'],
    ["curl -s '127.0.0.1:8500", 'consul.test.ts'],
    ['curl -s 127.0.0.1:8500', 'consul.test.ts'],
    ['sudo tcpdump', 'by hand'],
    ['NODE_OPTIONS=', 'by hand'],
    ['tshark', 'by hand'],
  ],
  'OBSERVE.md': [],
  'PERFORMANCE.md': [['npm run bench', 'measurements']],
  'OPERATE.md': [
    ['npx outrider page --consul', 'page.test.ts'],
    ['source <(npx outrider completion', 'completion.test.ts'],
  ],
  'TROUBLESHOOT.md': [
    ['outrider validate mesh.yaml', 'DEBUGGING.md'],
    ['outrider tap slow=500ms', 'the filter: open-taps.test.ts'],
    ['outrider status', 'DEBUGGING.md, and the README'],
    ['outrider check', 'the README, and check.test.ts'],
  ],
};

/** The lines of a page, each given once. */
class Page {
  private readonly left: string[];

  constructor(private readonly name: string) {
    this.left = shellLines(pageText(name).replaceAll(/\\\n\s*/g, ' '));
  }

  /** The next line that begins so. */
  line(start: string): string {
    const at = this.left.findIndex((line) => line.startsWith(start));
    assert.ok(at >= 0, `${this.name} has no further line ${start}…`);
    return this.left.splice(at, 1)[0]!;
  }

  /** Fails where a line was given to no test and is not run elsewhere. */
  requireAll(): void {
    const elsewhere = ELSEWHERE[this.name]!;
    const unknown = this.left.filter((line) => !elsewhere.some(([start]) => line.startsWith(start)));
    assert.deepEqual(unknown, [], this.name);
    const needless = elsewhere.filter(([start]) => !this.left.some((line) => line.startsWith(start)));
    assert.deepEqual(needless, [], this.name);
  }
}

describe('the lines of pages about a mesh that runs', function () {
  this.timeout(120_000);

  let place: ScratchDirectory;
  const pages = {
    audit: new Page('AUDIT.md'),
    debugging: new Page('DEBUGGING.md'),
    observe: new Page('OBSERVE.md'),
    operate: new Page('OPERATE.md'),
    performance: new Page('PERFORMANCE.md'),
    troubleshoot: new Page('TROUBLESHOOT.md'),
  };
  before(() => {
    place = new ScratchDirectory();
  });
  after(() => place?.close());

  /** Files outside of the folder are inside it. */
  const inside = (text: string): string =>
    text.replaceAll('/tmp/', `${place.path}/`).replaceAll('/var/log/', `${place.path}/log-`);
  const start = (line: string, ready: RegExp) => place.start(inside(line), ready);
  const run = (line: string): Promise<string> => place.shell(inside(line));
  const prints = async (line: string, expected: RegExp): Promise<void> =>
    assert.match(await run(line), expected);
  const forMesh = (page: string): string =>
    blocksOf(pageText(page), 'yaml').find((block) => block.startsWith('# in a mesh file'))!;

  it('DEBUGGING.md: its file is valid, with the blocks of OBSERVE.md and AUDIT.md too, and the mesh starts', async () => {
    const { debugging } = pages;
    const [file] = blocksOf(pageText('DEBUGGING.md'), 'yaml');
    const blocks = [file, forMesh('OBSERVE.md'), forMesh('AUDIT.md')];
    place.scratch.write('debug.yaml', inside(blocks.join('')));
    await prints(debugging.line('npx outrider validate'), /^ok debug\.yaml$/m);
    // What the page says: without Consul everything but its section on Consul works as well.
    const up = debugging.line('npx outrider up').replace(' --consul dev', '');
    assert.match(await start(up, IS_UP), /127\.0\.0\.1:9464/);
  });

  it('DEBUGGING.md and TROUBLESHOOT.md: one call is found in the logs, in the metrics and in the tables', async () => {
    const { debugging, troubleshoot } = pages;
    await prints(debugging.line('npx outrider infer'), /^7 {2}\(\d+\.\d %\)$/m);
    const find = debugging.line('grep ');
    const found = () => run(find).catch(() => '');
    await until('both sidecars have logged it', async () => (await found()).trim().split('\n').length === 2);
    await prints(debugging.line('cat '), /"message":"model ready"/);
    await prints(debugging.line('curl -s 127.0.0.1:8890/metrics'), /^outrider_calls_total\{.*\} 1$/m);
    await prints(debugging.line('curl -s 127.0.0.1:8890/endpoints'), /"state": "eligible"/);
    await prints(debugging.line('npx outrider status'), /digits-2 +eligible/);
    const check = troubleshoot.line('outrider check --mesh').replace('mesh.yaml', 'debug.yaml');
    await prints(check, /, 0 failed$/m);
  });

  it('DEBUGGING.md and TROUBLESHOOT.md: a fault is injected, seen by tap, told and taken away', async () => {
    const { debugging, troubleshoot } = pages;
    let isShown = false;
    const tapped = start(troubleshoot.line('outrider tap failed'), /fault-injected/).then(() => {
      isShown = true;
    });
    await prints(debugging.line('curl -s -X POST'), /"abort"/);
    const infer = debugging.line('npx outrider infer');
    await until('tap shows a failed call', async () => {
      await assert.rejects(run(infer), /UNAVAILABLE: a fault was injected for a drill .*fault-injected/);
      return isShown;
    });
    await tapped;
    await prints(debugging.line('curl -s 127.0.0.1:8890/faults'), /"injected": \d/);
    await run(debugging.line('curl -s -X DELETE'));
    await prints(infer, /^7 /);
  });

  it('OPERATE.md: the page of the mesh, and a sidecar out of service and back', async () => {
    const { operate } = pages;
    await start(operate.line('npx outrider page'), /\(sidecars: \d\) is at http:\/\/127\.0\.0\.1:8898\//);
    await prints(operate.line("curl -X POST 'http://127.0.0.1:8890/drain"), /^drained$/m);
    await prints(operate.line('curl -X POST'), /accepts/);
  });

  it('OBSERVE.md: what its read-only ports answer', async () => {
    const { observe } = pages;
    for (const path of ['ready', 'started', 'live'])
      await prints(observe.line(`curl -i http://127.0.0.1:9464/${path}`), /^HTTP\/1\.1 200 /);
  });

  it('PERFORMANCE.md: what a sidecar takes, and its number of series', async () => {
    const [taken, ...more] = [1, 2].map(() => pages.performance.line('taken'));
    const twice = await run([taken, ...more].join('\n').replace('sleep 60', ':'));
    assert.equal(twice.match(/^process_cpu_seconds_total \d/gm)?.length, 2, twice);
    assert.equal(twice.match(/^process_resident_memory_bytes \d/gm)?.length, 2, twice);
    assert.ok(Number(await run(pages.performance.line('curl'))) > 100);
  });

  it('AUDIT.md: the log of a replica is whole', () =>
    prints(pages.audit.line('npx outrider audit verify'), /unbroken: numbers 1 to \d+/));

  it('OPERATE.md: an admin port with a token is changed with it alone', async () => {
    const { operate } = pages;
    await place.close();
    place = new ScratchDirectory();
    await run(operate.line('umask'));
    place.scratch.write(
      'sidecar.yaml',
      `service: web
admin: 127.0.0.1:8890
admin_token_file: admin.token
outbound: { upstreams: { far: { listen: "127.0.0.1:0", tls: plaintext, endpoints: ["127.0.0.1:9"] } } }
`,
    );
    await start('outrider sidecar -c sidecar.yaml', /admin on 127\.0\.0\.1:8890/);
    const drain = operate.line('curl -X POST').replace('curl', 'curl -s -o answer -w "%{http_code}"');
    await prints(drain.replace(/-H "[^"]*"+/, ''), /^401$/);
    await prints(drain, /^200$/);
  });

  it('are all here, or said not to be', () => {
    for (const page of Object.values(pages)) page.requireAll();
  });
});
