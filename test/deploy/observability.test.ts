import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { readProduction, readText, ROOT, type Selector } from './rules/files';

/** What the default collectors of the metrics library and Temporal's native core have, of what is used. */
const FOREIGN = [
  'up',
  'process_cpu_seconds_total',
  'process_resident_memory_bytes',
  'temporal_activity_schedule_to_start_latency_bucket',
  'temporal_workflow_completed',
  'temporal_workflow_endtoend_latency_bucket',
  'temporal_workflow_failed',
];

/** Names of metrics in the sources, as they are registered. */
function ownMetrics(): string[] {
  const sources = ['api', 'archiver', 'engine', 'ingest', 'platform', 'worker'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(ROOT, folder, name), 'utf8')),
  );
  return sources.flatMap((source) =>
    [...source.matchAll(/'((?:flash_sale|ingest|ledger|orderlog)_\w+)'/g)].map(
      ([, name = '']) => name,
    ),
  );
}

/** What is asked for and no process has. */
function unknownMetrics(expressions: readonly string[]): string[] {
  const known = [...ownMetrics(), ...FOREIGN];
  return expressions
    .flatMap((expression) => {
      const bare = expression.replaceAll(/\{[^}]*\}|\[[^\]]*\]|\b(?:by|without) \([^)]*\)/g, ' ');
      return [...bare.matchAll(/\b[a-z]\w*_\w+\b(?!\()|\bup\b/g)].map(([name]) => name);
    })
    .filter((name) => name !== 'histogram_quantile')
    .filter((name) => !known.includes(name) && !known.includes(name.replace(/_bucket$/, '')));
}

interface Dashboard {
  panels: { title: string; datasource: { uid: string }; targets: { expr: string }[] }[];
}
const dashboard = JSON.parse(
  readText('observability', 'grafana', 'dashboards', 'flash-sale.json'),
) as Dashboard;
const alerts = parse(readText('observability', 'alerts.yaml')) as {
  groups: { rules: { alert: string; expr: string }[] }[];
};

describe('observability/', () => {
  test('the dashboard asks only for metrics that a process has', () => {
    const asked = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(asked.length).toBeGreaterThan(10);
    expect(unknownMetrics(asked)).toEqual([]);
  });

  test('the alerts ask only for metrics that a process has', () => {
    const asked = alerts.groups.flatMap(({ rules }) => rules.map(({ expr }) => expr));
    expect(asked.length).toBeGreaterThan(4);
    expect(unknownMetrics(asked)).toEqual([]);
  });

  test('a metric that nobody has would be found', () => {
    expect(unknownMetrics(['sum by (answer) (rate(flash_sale_bought_total{a="b"}[1m]))'])).toEqual([
      'flash_sale_bought_total',
    ]);
  });

  test('the dashboard uses the data source that is provisioned', () => {
    const { datasources } = parse(
      readText('observability', 'grafana', 'datasources', 'prometheus.yaml'),
    ) as { datasources: { uid: string; url: string }[] };
    expect(datasources).toMatchObject([{ uid: 'prometheus', url: 'http://prometheus:9090' }]);
    expect(new Set(dashboard.panels.map(({ datasource }) => datasource.uid))).toEqual(
      new Set(['prometheus']),
    );
  });

  test('Prometheus scrapes every process that has metrics', () => {
    const config = parse(readText('observability', 'prometheus.yaml')) as {
      scrape_configs: { job_name: string; dns_sd_configs: { names: string[]; port: number }[] }[];
    };
    const scraped = config.scrape_configs.map(({ job_name: job, dns_sd_configs: [found] }) => [
      job,
      found?.names[0],
      found?.port,
    ]);
    expect(scraped).toEqual([
      ['gateway', 'gateway', 9100],
      ['ingest', 'ingest', 9101],
      ['worker', 'worker', 9102],
      ['archiver', 'archiver', 9103],
    ]);
  });

  test('Prometheus on Kubernetes scrapes the same ports, and calls the processes the same', () => {
    const production = readProduction();
    const services = production.filter(({ kind }) => kind === 'Service');
    const scraped = production
      .filter(({ kind }) => kind === 'ServiceMonitor')
      .flatMap(({ spec }) => {
        const { matchLabels = {} } = (spec?.selector ?? {}) as Selector;
        return services
          .filter(({ metadata }) =>
            Object.entries(matchLabels).every(([key, value]) => metadata.labels?.[key] === value),
          )
          .flatMap((service) =>
            (service.spec?.ports ?? [])
              .filter(({ name }) => spec?.endpoints?.some(({ port }) => port === name))
              .map(({ port }) => [
                service.metadata.labels?.[spec?.jobLabel ?? ''] ?? service.metadata.name,
                port,
              ]),
          );
      });
    expect(scraped).toEqual([
      ['gateway', 9100],
      ['ingest', 9101],
      ['worker', 9102],
      ['archiver', 9103],
    ]);
  });
});
