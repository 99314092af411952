export function renderChart(report: import('./results.js').Report): string {
  return JSON.stringify(report.machine);
}
