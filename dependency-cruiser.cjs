const PROCESSES = 'api|ingest|worker|stack|cli|bench|chaos';
/** They put load and faults on a system that they have started themselves. */
const HARNESSES = 'bench|chaos';
const ADAPTERS = 'stock|orderlog|payments|platform|dead-letters';

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
      name: 'domain-is-pure',
      severity: 'error',
      comment: 'domain/ runs inside the workflow sandbox: no I/O, no packages.',
      from: { path: '^domain/' },
      to: { pathNot: '^domain/' },
    },
    {
      name: 'workflows-stay-deterministic',
      severity: 'error',
      comment: 'Only domain/ and the Temporal workflow API may be loaded by workflow code.',
      from: { path: '^workflows/' },
      to: {
        pathNot: ['^workflows/', '^domain/', '^node_modules/@temporalio/(workflow|common)/'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'workflows-see-activity-types-only',
      severity: 'error',
      comment: 'Even as types, workflows may look only at activities/ and domain/.',
      from: { path: '^workflows/' },
      to: {
        pathNot: ['^workflows/', '^domain/', '^activities/', '^node_modules/@temporalio/'],
        dependencyTypes: ['type-only'],
      },
    },
    {
      name: 'activities-get-their-clients-as-arguments',
      severity: 'error',
      comment: 'An activity never builds a client: it knows only the types of the adapters.',
      from: { path: '^activities/' },
      to: {
        pathNot: ['^activities/', '^domain/', '^node_modules/@temporalio/(activity|common)/'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'processes-are-strangers',
      severity: 'error',
      comment: 'Processes meet only through Redis, Kafka, Temporal and HTTP.',
      from: { path: `^(${PROCESSES})/`, pathNot: `^(${HARNESSES})/` },
      to: { path: `^(${PROCESSES})/`, pathNot: '^$1/' },
    },
    {
      name: 'harnesses-start-the-stack',
      severity: 'error',
      comment: 'Beside its own code a harness knows of the processes only how they are started.',
      from: { path: `^(${HARNESSES})/` },
      to: { path: `^(${PROCESSES})/`, pathNot: '^($1|stack)/' },
    },
    {
      name: 'clients-see-workflow-types-only',
      severity: 'error',
      comment: 'Who starts or looks for a workflow names it and never loads its code.',
      from: { path: '^(api|ingest|cli|bench|chaos)/' },
      to: {
        path: '^(workflows|activities)/',
        pathNot: '^workflows/(contract|order-start)[.]ts$',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'nothing-imports-a-main',
      severity: 'error',
      comment: 'main.ts is the end of the line: it wires, nobody reuses it.',
      from: {},
      to: { path: '/main[.]ts$' },
    },
    {
      name: 'adapters-do-not-look-up',
      severity: 'error',
      comment: 'Adapters are used by processes, not the other way round.',
      from: { path: `^(${ADAPTERS})/` },
      to: {
        path: `^(${PROCESSES}|workflows|activities)/`,
        pathNot: '^workflows/(contract|order-start)[.]ts$',
      },
    },
    {
      name: 'only-dead-letters-start-orders',
      severity: 'error',
      comment: 'A replay starts an order workflow; no other adapter knows of any.',
      from: { path: `^(${ADAPTERS})/`, pathNot: '^dead-letters/' },
      to: { path: '^workflows/' },
    },
    {
      name: 'dead-letters-stand-on-the-adapters',
      severity: 'error',
      comment: 'dead-letters/ is what operators do about them, for cli and api alike.',
      from: { path: '^(stock|orderlog|payments|platform)/' },
      to: { path: '^dead-letters/' },
    },
    {
      name: 'registry-and-audit-name-workflows-only',
      severity: 'error',
      comment: 'They are used by processes and name workflows; they load no workflow code.',
      from: { path: '^(registry|audit)/' },
      to: {
        path: `^(${PROCESSES}|workflows|activities)/`,
        pathNot: '^workflows/(contract|order-start)[.]ts$',
      },
    },
    {
      name: 'registry-and-audit-stand-on-the-adapters',
      severity: 'error',
      comment: 'The ledger knows nothing of who opens, audits or rebuilds it.',
      from: { path: `^(${ADAPTERS})/` },
      to: { path: '^(registry|audit)/' },
    },
    {
      name: 'the-registry-is-below-the-audit',
      severity: 'error',
      comment: 'The gateway opens ledgers and never audits them.',
      from: { path: '^(registry|api|ingest)/' },
      to: { path: '^audit/' },
    },
    {
      name: 'platform-is-the-ground',
      severity: 'error',
      comment: 'platform/ knows nothing of stock, orders or payments.',
      from: { path: '^platform/' },
      to: { path: '^(stock|orderlog|payments)/' },
    },
    {
      name: 'nothing-needs-the-mutants',
      severity: 'error',
      comment: 'mutants/ breaks copies of the source; only its own tests know of it.',
      from: { pathNot: '^(mutants|test)/' },
      to: { path: '^mutants/' },
    },
    {
      name: 'no-test-code-in-production',
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
