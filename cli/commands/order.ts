import type { Gateway } from '../gateway/gateway';
import { orderText, type TraceFallback } from '../output/order-text';
import { paint, plain, printJson, type ExitCode, type Terminal } from '../output/terminal';

/** `flash-sale order`: an order as it stands. 1 when none was accepted under this id. Throws as the gateway does. */
export async function order(
  deps: { readonly gateway: Gateway; readonly terminal: Terminal; readonly trace: TraceFallback },
  options: { readonly requestId: string; readonly json?: boolean | undefined },
): Promise<ExitCode> {
  const { gateway, terminal, trace } = deps;
  const found = await gateway.order(options.requestId);
  if (options.json) printJson(terminal, found?.body ?? null);
  else if (found) terminal.out(orderText(terminal, found.parsed, trace));
  else {
    const sentence = `No order has been accepted under ${plain(options.requestId)}.`;
    terminal.out(`${paint(terminal, 'red', 'unknown')}  ${sentence}\n`);
  }
  return found ? 0 : 1;
}
