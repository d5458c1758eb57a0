import type { Gateway } from '../../gateway/gateway';
import type { ItemBody } from '../../gateway/gateway-answers';
import { money } from '../../output/money';
import { table, type Cell } from '../../output/table';
import { paint, plain, printJson, type ExitCode, type Terminal } from '../../output/terminal';

/** `flash-sale stock show`: an item's units by state and how it is sold. 1 when the item is unknown. */
export async function stockShow(
  { gateway, terminal }: { readonly gateway: Gateway; readonly terminal: Terminal },
  options: { readonly item: string; readonly json?: boolean | undefined },
): Promise<ExitCode> {
  const found = await gateway.item(options.item);
  if (options.json) printJson(terminal, found?.body ?? null);
  else if (found) terminal.out(table(terminal, rowsOf(found.parsed)));
  else {
    const sentence = `Nothing is sold under ${plain(options.item)}.`;
    terminal.out(`${paint(terminal, 'red', 'unknown')}  ${sentence}\n`);
  }
  return found ? 0 : 1;
}

function rowsOf(item: ItemBody): Cell[][] {
  const { unitsPerUser, opensAt, closesAt } = item;
  return [
    ['item', item.itemId],
    ['free', { text: String(item.free), colour: item.free > 0 ? 'green' : 'red' }],
    ['held', item.held],
    ['queued', item.queued],
    ['reserved', item.reserved],
    ['sold', item.sold],
    ['supply', item.supply],
    ['price', money(item.priceMinor, item.currency)],
    ['limit', unitsPerUser === null ? 'none' : `${unitsPerUser} units per user`],
    ['opens', opensAt ?? 'open already'],
    ['closes', closesAt ?? 'never'],
  ];
}
