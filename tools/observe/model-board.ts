import type { Board } from './panel.js';

const MODEL = 'instance=~"$instance",model=~"$model"';
/** Averages of Triton's counters: microseconds a run. */
const average = (part: string) =>
  `sum by (model) (rate(nv_inference_${part}_duration_us{${MODEL}}[$__rate_interval])) / sum by (model) (rate(nv_inference_request_success{${MODEL}}[$__rate_interval]))`;

/** Models, and the queues before them. */
export const MODEL_BOARD: Board = {
  name: 'model',
  title: 'Outrider: model',
  about: 'Models and the queues before them, as their own sidecars see them.',
  variables: [
    { name: 'instance', metric: 'outrider_model_up', label: 'instance' },
    { name: 'model', metric: 'nv_inference_count', label: 'model' },
  ],
  rows: [
    {
      title: 'Health',
      panels: [
        {
          title: 'Answers',
          kind: 'state-timeline',
          about: 'Whether inferences or the golden input show that the model answers.',
          targets: [
            [
              'min by (instance, model) (outrider_model_up{instance=~"$instance"})',
              '{{model}} of {{instance}}',
            ],
          ],
          colours: [
            [null, 'red'],
            [1, 'green'],
          ],
          words: { 0: 'no answer', 1: 'answers' },
        },
        {
          title: 'Restarts',
          kind: 'timeseries',
          about: 'Starts again in an hour; those given up.',
          targets: [
            [
              'sum by (instance, model) (increase(outrider_model_restarts_total{instance=~"$instance"}[1h]))',
              '{{model}} of {{instance}}',
            ],
            [
              'sum by (instance, model) (outrider_model_given_up{instance=~"$instance"})',
              'given up: {{model}} of {{instance}}',
            ],
          ],
        },
        {
          title: 'Versions',
          kind: 'table',
          about: 'Versions of models, and whether each is ready.',
          targets: [
            ['max by (instance, model, version) (outrider_model_version_ready{instance=~"$instance"})', ''],
          ],
        },
        {
          title: 'Memory',
          kind: 'timeseries',
          unit: 'bytes',
          about: 'Resident memory of model processes.',
          targets: [
            [
              'sum by (instance, model) (outrider_model_memory_bytes{instance=~"$instance"})',
              '{{model}} of {{instance}}',
            ],
          ],
        },
      ],
    },
    {
      title: 'The queue before the model',
      panels: [
        {
          title: 'Waiting and running',
          kind: 'timeseries',
          about: 'Running at the concurrency, and waiting: the model is the bottleneck.',
          targets: [
            ['sum by (instance) (outrider_queue_waiting{instance=~"$instance"})', 'waiting {{instance}}'],
            ['sum by (instance) (outrider_queue_running{instance=~"$instance"})', 'running {{instance}}'],
            [
              'sum by (instance) (outrider_queue_concurrency{instance=~"$instance"})',
              'concurrency {{instance}}',
            ],
          ],
        },
        {
          title: 'Refused before the model',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'By reason.',
          targets: [
            [
              'sum by (reason) (rate(outrider_local_replies_total{direction="inbound",instance=~"$instance"}[$__rate_interval]))',
              '{{reason}}',
            ],
          ],
          isStacked: true,
        },
        {
          title: 'Waiting by class',
          kind: 'timeseries',
          about: 'Where classes are configured.',
          targets: [['sum by (class) (outrider_queue_class_waiting{instance=~"$instance"})', '{{class}}']],
          isStacked: true,
        },
        {
          title: 'Expired and evicted',
          kind: 'timeseries',
          unit: 'ops',
          about: 'Deadlines that passed in the line, and calls that gave way.',
          targets: [
            ['sum(rate(outrider_queue_expired_total{instance=~"$instance"}[$__rate_interval]))', 'expired'],
            ['sum(rate(outrider_queue_evicted_total{instance=~"$instance"}[$__rate_interval]))', 'evicted'],
          ],
        },
      ],
    },
    {
      title: 'Inference',
      panels: [
        {
          title: 'Inferences',
          kind: 'timeseries',
          unit: 'ops',
          about: 'Rows, runs and failures a second.',
          targets: [
            [`sum by (model) (rate(nv_inference_count{${MODEL}}[$__rate_interval]))`, 'rows {{model}}'],
            [`sum by (model) (rate(nv_inference_exec_count{${MODEL}}[$__rate_interval]))`, 'runs {{model}}'],
            [
              `sum by (model) (rate(nv_inference_request_failure{${MODEL}}[$__rate_interval]))`,
              'failed {{model}}',
            ],
          ],
        },
        {
          title: 'Where the time goes',
          kind: 'timeseries',
          unit: 'µs',
          about: 'Averages of a request: waiting in the process, computing.',
          targets: [
            [average('queue'), 'queue {{model}}'],
            [average('compute_infer'), 'compute {{model}}'],
          ],
          isStacked: true,
        },
        {
          title: 'Batch size',
          kind: 'timeseries',
          about: 'Rows of a run: median and 99th percentile, rounded up.',
          targets: [50, 99].map(
            (percent) =>
              [
                // Between the bounds of a bucket Prometheus takes a straight line: half a row, where all runs have one.
                `ceil(histogram_quantile(0.${percent}, sum by (le) (rate(outrider_model_batch_size_bucket{${MODEL}}[$__rate_interval]))))`,
                `p${percent}`,
              ] as const,
          ),
        },
        {
          title: 'Loads',
          kind: 'timeseries',
          unit: 'ops',
          about: 'Loads of versions, by how they ended.',
          targets: [
            [
              'sum by (model, result) (increase(outrider_model_loads_total{instance=~"$instance"}[1h]))',
              '{{model}} {{result}}',
            ],
          ],
        },
      ],
    },
  ],
};
