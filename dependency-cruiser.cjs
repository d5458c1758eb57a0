/** What runs in production; each process is started by its main.ts. */
const PROCESSES = 'api|ingest|worker|archiver|setup|cli';
/** Development and proof: they start processes, and no process knows of them. */
const OUTSIDE = 'stack|proof|test|scripts';
/** Engine parts that own one system each. */
const SINGLE = 'stock|kafka|payments';

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      comment: 'A cycle hides which module owns what.',
      from: {},
      to: { circular: true },
    },
    {
      name: 'orders-are-pure',
      severity: 'error',
      comment:
        'engine/orders/ runs in the workflow sandbox: no I/O. Hashing and the schema of records are used outside of it only.',
      from: { path: '^engine/orders/' },
      to: {
        pathNot: [
          '^engine/orders/',
          '^node_modules/@temporalio/common/',
          '^node_modules/@sinclair/typebox/',
          '^(node:)?crypto$',
        ],
      },
    },
    {
      name: 'workflows-stay-deterministic',
      severity: 'error',
      comment: 'Only engine/orders/ and the Temporal workflow API may be loaded by workflow code.',
      from: { path: '^workflows/' },
      to: {
        pathNot: ['^workflows/', '^engine/orders/', '^node_modules/@temporalio/(workflow|common)/'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'workflows-load-no-schemas',
      severity: 'error',
      comment:
        'A schema library in the workflow bundle costs every order; hashing is not available there.',
      from: { path: '^workflows/' },
      to: { path: '^engine/orders/(order|cancellation)-record[.]ts$' },
    },
    {
      name: 'workflows-see-activity-types-only',
      severity: 'error',
      comment: 'Even as types, workflows may look only at activities/ and engine/orders/.',
      from: { path: '^workflows/' },
      to: {
        pathNot: ['^workflows/', '^engine/orders/', '^activities/', '^node_modules/@temporalio/'],
        dependencyTypes: ['type-only'],
      },
    },
    {
      name: 'activities-get-their-clients-as-arguments',
      severity: 'error',
      comment:
        'An activity never builds a client: it knows only the types of the engine, what of its payments is handed its client, and how to bound a wait. order-worker.ts makes the worker that runs them, for worker/ and ingest/ alike.',
      from: { path: '^activities/' },
      to: {
        pathNot: [
          '^activities/',
          '^engine/orders/',
          '^engine/payments/(own-charge|follow-events|payment-provider)[.]ts$',
          '^platform/until',
          '^node_modules/@temporalio/(activity|common|worker)/',
          '^(node:)?path$',
        ],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'only-the-order-worker-makes-a-worker',
      severity: 'error',
      comment: 'An activity that knows its worker cannot be run by another one.',
      from: { path: '^activities/', pathNot: '^activities/order-worker[.]ts$' },
      to: { path: '^node_modules/@temporalio/worker/' },
    },
    {
      name: 'parts-own-one-system',
      severity: 'error',
      comment: 'Stock, Kafka and payments meet in a process or in a part above them.',
      from: { path: `^engine/(${SINGLE})/` },
      to: { path: '^engine/', pathNot: ['^engine/$1/', '^engine/orders/'] },
    },
    {
      name: 'only-the-archive-knows-its-tables',
      severity: 'error',
      comment:
        'Queries are in engine/archive/. Others connect by platform/postgres.ts and use what it exports.',
      from: { pathNot: ['^engine/archive/', '^platform/postgres[.]ts$', '^test/'] },
      to: { path: '^node_modules/(kysely|pg|node-pg-migrate)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'the-engine-knows-no-process',
      severity: 'error',
      comment: 'The engine is used by processes, not the other way round.',
      from: { path: '^engine/' },
      to: { pathNot: ['^engine/', '^platform/', '^node_modules/', '^(node:)?[a-z_/]+$'] },
    },
    {
      name: 'the-client-knows-no-process',
      severity: 'error',
      comment:
        'client/ meets the gateway through HTTP. It reads the ledger in Redis by engine/stock/ and never writes to it.',
      from: { path: '^client/' },
      to: {
        pathNot: [
          '^client/',
          '^engine/(orders|stock|kafka|payments)/',
          '^platform/',
          '^node_modules/@sinclair/typebox/',
          '^(node:)?[a-z_/]+$',
        ],
      },
    },
    {
      name: 'the-command-line-is-a-buyer-or-an-operator',
      severity: 'error',
      comment:
        'As a buyer cli/ goes through client/. As an operator it uses dead-letters/, operators/ and reconciliation/ with what they are given: the ledger, its maintenance and claims, the log for reading, the publisher of what a repair has ended, the payment port, whether the archive has its schema, and what it has set aside. It never admits, publishes or consumes orders by itself.',
      from: { path: '^cli/' },
      to: {
        path: '^(?!node_modules/)[^/]+/',
        pathNot: [
          '^(cli|client|platform)/',
          '^engine/(orders|dead-letters|operators|reconciliation)/',
          '^engine/stock/(?!.*admission)',
          '^engine/kafka/(kafka-client|topics|read-log|dead-letters|outcome-publisher)[.]ts$',
          '^engine/payments/open-provider[.]ts$',
          '^engine/archive/(database|migrate|set-aside|ledger-of-record|retire-item)[.]ts$',
        ],
        dependencyTypesNot: ['core'],
      },
    },
    {
      name: 'the-gateway-does-not-reconcile',
      severity: 'error',
      comment: 'api/ and ingest/ open ledgers and never audit or rebuild them.',
      from: { path: '^(api|ingest)/' },
      to: { path: '^engine/reconciliation/' },
    },
    {
      name: 'platform-is-the-lowest-part',
      severity: 'error',
      comment: 'platform/ knows nothing of stock, orders or payments.',
      from: { path: '^platform/' },
      to: { pathNot: ['^platform/', '^node_modules/', '^(node:)?[a-z0-9_/]+$'] },
    },
    {
      name: 'processes-do-not-import-each-other',
      severity: 'error',
      comment: 'Processes meet only through Redis, Kafka, Temporal and HTTP.',
      from: { path: `^(${PROCESSES})/` },
      to: { path: `^(${PROCESSES})/`, pathNot: '^$1/' },
    },
    {
      name: 'only-order-workers-load-activities',
      severity: 'error',
      comment: 'Code that starts or finds a workflow uses its name and never loads it.',
      from: { pathNot: ['^(workflows|activities|worker|ingest)/', '^test/'] },
      to: { path: '^(workflows|activities)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'nothing-imports-a-main',
      severity: 'error',
      comment: 'A main.ts puts one process together and is not reused.',
      from: {},
      to: { path: '/main[.]ts$' },
    },
    {
      name: 'production-knows-no-development',
      severity: 'error',
      comment:
        'What runs in production imports neither the local stack nor what proves the engine.',
      from: { path: `^(${PROCESSES}|engine|platform|workflows|activities|client)/` },
      to: { path: `^(${OUTSIDE})/` },
    },
    {
      name: 'the-harnesses-start-processes-and-import-none',
      severity: 'error',
      comment: 'Of the processes a harness knows only how the stack starts them.',
      from: { path: '^(proof|stack)/' },
      to: { path: `^(${PROCESSES})/`, pathNot: '^setup/' },
    },
    {
      name: 'harnesses-are-independent',
      severity: 'error',
      comment: 'bench, chaos and mutants share what they need through client/ and stack/.',
      from: { path: '^proof/([^/]+)/' },
      to: { path: '^proof/', pathNot: '^proof/$1/' },
    },
    {
      name: 'no-test-code-outside-tests',
      severity: 'error',
      comment: 'What only tests use lives in test/.',
      from: { pathNot: '^test/' },
      to: { path: '^test/' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    exclude: { path: '^(dist|var|coverage)/' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default'],
    },
  },
};
