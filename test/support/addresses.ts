/** Addresses of the components that the global setup of the test run has started. */
export const redisAddr = () => `redis://${required('REDIS_ADDR')}`;
export const kafkaAddrs = () => required('KAFKA_ADDR').split(',');
export const temporalAddress = () => required('TEMPORAL_ADDRESS');
export const databaseUrl = () => required('DATABASE_URL');
export const workflowBundle = () => required('WORKFLOW_BUNDLE');

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run the tests with npm test`);
  return value;
}
