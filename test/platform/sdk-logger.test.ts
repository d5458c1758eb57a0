import { pino } from 'pino';
import { ORDER_WORKFLOW } from '../../engine/orders/contract';
import { createSdkLogger } from '../../platform/temporal';

/** The levels at which a line of the SDK is logged. */
function levelsOf(message: string, workflowType: string): unknown[] {
  const lines: Record<string, unknown>[] = [];
  const logger = pino(
    { level: 'debug', formatters: { level: (label) => ({ level: label }) } },
    { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const error = new Error('payment-declined');
  createSdkLogger(logger, ORDER_WORKFLOW).warn(message, { workflowType, error });
  return lines.map(({ level }) => level);
}

describe('the log of the SDK', () => {
  test('warns of what is wrong', () => {
    expect(levelsOf('Failing workflow task', ORDER_WORKFLOW)).toEqual(['warn']);
  });

  test('warns of other workflows that fail', () => {
    expect(levelsOf('Workflow failed', 'auditStock')).toEqual(['warn']);
  });

  test('does not warn of an order that was declined', () => {
    expect(levelsOf('Workflow failed', ORDER_WORKFLOW)).toEqual(['debug']);
  });
});
