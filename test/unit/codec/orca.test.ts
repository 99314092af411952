/** Load reports of ORCA: written as other implementations read them, and read whatever a server may send. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { loadSync } from '@grpc/proto-loader';
import fc from 'fast-check';
import {
  LoadReport,
  loadStreamRequest,
  MAX_NAMED_VALUES,
  MAX_REPORT_BYTES,
  type ReportFault,
  readLoadReport,
  readLoadStreamRequest,
  writeLoadReport,
} from '../../../sidecar/codec/orca.js';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { packageRoot } from '../../kit/process/package-root.js';

/** The messages as grpc-js has them. */
const grpcJs = join(packageRoot, 'node_modules/@grpc/grpc-js/proto');
const theirs = loadSync('xds/service/orca/v3/orca.proto', {
  keepCase: true,
  defaults: true,
  longs: Number,
  includeDirs: [join(grpcJs, 'xds'), join(grpcJs, 'protoc-gen-validate')],
});

interface Codec {
  readonly requestSerialize: (value: object) => Buffer;
  readonly responseSerialize: (value: object) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Record<string, unknown>;
}
const theirCodec = (theirs['xds.service.orca.v3.OpenRcaService'] as unknown as Record<string, Codec>)[
  'StreamCoreMetrics'
]!;

/** What is read of these bytes, and the faults that were told. */
function read(bytes: Buffer): { readonly report: LoadReport | undefined; readonly faults: ReportFault[] } {
  const faults: ReportFault[] = [];
  return { report: readLoadReport(bytes, (fault) => void faults.push(fault)), faults };
}

const double = (field: number, value: number): MessageWriter => new MessageWriter().double(field, value);
const entry = (name: string, value: number): MessageWriter =>
  new MessageWriter().text(1, name).double(2, value);

describe('Load reports (ORCA)', () => {
  it('are read by grpc-js as they are written', () => {
    const report = new LoadReport();
    Object.assign(report, { cpuUtilization: 0.5, memUtilization: 0.25, rps: 12.5, eps: 0.5 });
    report.applicationUtilization = 1.75;
    report.requestCost.set('tokens', 900);
    report.utilization.set('gpu', 0.75);
    report.named.set('outrider.calls', 7);
    const said = theirCodec.responseDeserialize(writeLoadReport(report));
    assert.deepEqual(
      { ...said, rps: 0 },
      {
        ...{ cpu_utilization: 0.5, mem_utilization: 0.25, rps: 0, rps_fractional: 12.5, eps: 0.5 },
        application_utilization: 1.75,
        request_cost: { tokens: 900 },
        utilization: { gpu: 0.75 },
        named_metrics: { 'outrider.calls': 7 },
      },
    );
  });

  it('are read as grpc-js writes them', () => {
    const bytes = theirCodec.responseSerialize({
      ...{ cpu_utilization: 0.5, rps: 3, application_utilization: 2, rps_fractional: 3.5, eps: 1 },
      named_metrics: { queue: 4, wait: -1 },
      utilization: { gpu: 1 },
    });
    const { report, faults } = read(bytes);
    assert.deepEqual(faults, []);
    assert.deepEqual(
      [
        report?.cpuUtilization,
        report?.applicationUtilization,
        report?.rps,
        report?.eps,
        report?.memUtilization,
      ],
      [0.5, 2, 3.5, 1, 0],
    );
    assert.deepEqual(
      [...report!.named],
      [
        ['queue', 4],
        ['wait', -1],
      ],
    );
    assert.deepEqual([...report!.utilization], [['gpu', 1]]);
  });

  for (const [what, message, fault] of [
    ['NaN', double(9, Number.NaN), 'not-finite'],
    ['infinity', double(9, Number.POSITIVE_INFINITY), 'not-finite'],
    ['a negative utilization', double(9, -0.5), 'out-of-range'],
    ['10³⁰⁰', double(9, 1e300), 'out-of-range'],
    ['a value that stands there twice', double(9, 1).double(9, 2), 'repeated'],
  ] as const)
    it(`${what} is left out and counted, and the rest is read`, () => {
      const { report, faults } = read(message.double(6, 12).finish());
      assert.deepEqual(faults, [fault]);
      assert.equal(report?.rps, 12);
      assert.equal(report?.applicationUtilization, fault === 'repeated' ? 1 : undefined);
    });

  it('named values are bounded in number, length and size', () => {
    const many = new MessageWriter();
    for (let i = 0; i < MAX_NAMED_VALUES + 3; i += 1) many.message(8, entry(`m${i}`, i + 1));
    const found = read(many.finish());
    assert.equal(found.report?.named.size, MAX_NAMED_VALUES);
    assert.deepEqual(found.faults, ['too-many', 'too-many', 'too-many']);
    const odd = new MessageWriter()
      .message(8, entry('x'.repeat(129), 1))
      .message(8, entry('huge', 1e300))
      .message(5, entry('gpu', 1.5))
      .message(8, entry('a', 1))
      .message(8, entry('a', 2));
    const { report, faults } = read(odd.finish());
    assert.deepEqual([...report!.named], [['a', 1]]);
    assert.deepEqual(faults, ['too-long', 'out-of-range', 'out-of-range', 'repeated']);
  });

  it('a megabyte is not read, nor what is no message', () => {
    assert.deepEqual(read(Buffer.alloc(1024 * 1024)), { report: undefined, faults: ['too-long'] });
    assert.deepEqual(read(Buffer.alloc(MAX_REPORT_BYTES + 1)).faults, ['too-long']);
    assert.deepEqual(read(Buffer.from('ffff', 'hex')), { report: undefined, faults: ['unreadable'] });
    assert.deepEqual(read(Buffer.from('4205ff', 'hex')).faults, ['unreadable'], 'an entry that is cut off');
  });

  it('whatever the bytes are, nothing is thrown and every value can be', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const { report } = read(Buffer.from(bytes));
        for (const value of [report?.applicationUtilization, report?.rps, ...(report?.named.values() ?? [])])
          assert.ok(value === undefined || Number.isFinite(value));
      }),
    ));

  it('the interval of a stream is written and read as a duration, bounded', () => {
    for (const ms of [0, 1, 250, 1_000, 90_500])
      assert.equal(readLoadStreamRequest(loadStreamRequest(ms)), ms);
    const asked = (seconds: number, nanos: number): number | undefined =>
      readLoadStreamRequest(theirCodec.requestSerialize({ report_interval: { seconds, nanos } }));
    assert.equal(asked(1, 500_000_000), 1_500);
    assert.equal(asked(-5, 0), 0);
    assert.equal(asked(1e12, 0), 86_400_000);
    assert.equal(readLoadStreamRequest(Buffer.alloc(0)), 0);
    assert.equal(readLoadStreamRequest(Buffer.from('ffff', 'hex')), undefined);
  });
});
