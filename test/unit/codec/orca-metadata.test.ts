/** Load reports in trailers, in every form that Envoy takes. */
import assert from 'node:assert/strict';
import { LoadReport, type ReportFault } from '../../../sidecar/codec/orca.js';
import { readReportText, readReportValue, writeReportValue } from '../../../sidecar/codec/orca-metadata.js';

type Read = typeof readReportText;

function found(
  read: Read,
  value: string,
): { readonly report: LoadReport | undefined; readonly faults: ReportFault[] } {
  const faults: ReportFault[] = [];
  return { report: read(value, (fault) => void faults.push(fault)), faults };
}

describe('A load report in metadata', () => {
  const report = new LoadReport();
  report.applicationUtilization = 0.5;
  report.named.set('queue', 3);

  it('is base64 in its binary form, with padding or without', () => {
    const value = writeReportValue(report);
    for (const each of [value, `${value}==`.slice(0, Math.ceil(value.length / 4) * 4)]) {
      const read = found(readReportValue, each);
      assert.deepEqual([read.report?.applicationUtilization, read.faults], [0.5, []]);
      assert.deepEqual([...read.report!.named], [['queue', 3]]);
    }
  });

  it('is read as BIN, JSON and TEXT', () => {
    for (const value of [
      `BIN ${writeReportValue(report)}`,
      'JSON {"application_utilization": 0.5, "named_metrics": {"queue": 3}}',
      'JSON {"applicationUtilization": "0.5", "namedMetrics": {"queue": 3}, "unknown": []}',
      'TEXT application_utilization=0.5,named_metrics.queue=3',
    ]) {
      const read = found(readReportText, value);
      assert.equal(read.report?.applicationUtilization, 0.5, value);
      assert.deepEqual([...read.report!.named], [['queue', 3]], value);
      assert.deepEqual(read.faults, [], value);
    }
  });

  for (const [value, faults] of [
    ['JSON {', ['unreadable']],
    ['JSON []', ['unreadable']],
    ['JSON {"named_metrics": 3}', ['unreadable']],
    ['JSON {"application_utilization": "NaN"}', ['not-finite']],
    ['JSON {"application_utilization": 0.5, "applicationUtilization": 1}', ['repeated']],
    ['TEXT application_utilization', ['unreadable']],
    ['TEXT application_utilization=-1,eps=many', ['out-of-range', 'not-finite']],
    ['TEXT eps=1,eps=2', ['repeated']],
    ['YAML eps: 1', ['unreadable']],
    ['', ['unreadable']],
    ['BIN !!', ['unreadable']],
    [`JSON ${' '.repeat(1024 * 1024)}{}`, ['too-long']],
  ] as const)
    it(`"${value.slice(0, 50)}" is counted as ${faults.join(', ')}`, () =>
      assert.deepEqual(found(readReportText, value).faults, faults));

  it('is not read where the key stands there twice, or is no base64', () => {
    const value = writeReportValue(report);
    assert.deepEqual(found(readReportValue, `${value},${value}`), {
      report: undefined,
      faults: ['repeated'],
    });
    assert.deepEqual(found(readReportValue, 'größer').faults, ['unreadable']);
    assert.deepEqual(found(readReportValue, 'A'.repeat(1024 * 1024)).faults, ['too-long']);
  });
});
