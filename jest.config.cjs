const transform = {
  '^.+\\.ts$': [
    '@swc/jest',
    { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, sourceMaps: 'inline' },
  ],
};
const common = {
  testEnvironment: 'node',
  transform,
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/var/'],
};

const unit = {
  ...common,
  displayName: 'unit',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testPathIgnorePatterns: ['<rootDir>/test/(integration|scenario|replay|container)/'],
};
/** Runs on its own Redis, Kafka, Temporal and PostgreSQL, which start only if a file of this project is selected. */
const integration = {
  ...common,
  displayName: 'integration',
  testMatch: ['<rootDir>/test/(integration|scenario|replay)/**/*.test.ts'],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
};
/** Records the histories that the replay tests read. */
const recorder = {
  ...integration,
  testMatch: [
    '<rootDir>/test/replay/record.ts',
    // They record what happens after an order's own run.
    '<rootDir>/test/integration/{order-checkout,refund-workflow}.int.test.ts',
  ],
};
/** npm run test:compose. Needs a Docker engine. */
const container = {
  ...common,
  displayName: 'container',
  testMatch: ['<rootDir>/test/container/*.test.ts'],
};

/** @type {import('jest').Config} */
module.exports = {
  // The tests share the cores with those servers.
  maxWorkers: 2,
  // Only what never ends should reach it, also on a busy machine.
  testTimeout: 120_000,
  reporters: ['default', '<rootDir>/test/support/summary-reporter.cjs'],
  projects: selected(),
};

function selected() {
  if (process.env.RECORD_HISTORIES !== undefined) return [recorder];
  return process.env.FLASH_SALE_TESTS === 'container' ? [container] : [unit, integration];
}
